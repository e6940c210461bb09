// Where commands write. A reader that has seen enough (`vipair status | head -1`) closes the pipe; that
// is its good right and no reason for a stack trace.

export interface Terminal {
  /** One line, or several, on stdout. */
  readonly print: (text: string) => void;
  /** One line, or several, on stderr. */
  readonly complain: (text: string) => void;
}

/** What a command ends with. */
export const EXIT = { ok: 0, failed: 1, usage: 2, notRunning: 3 } as const;

export function processTerminal(): Terminal {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", endOnClosedPipe);
  return {
    print: (text) => process.stdout.write(`${text}\n`),
    complain: (text) => process.stderr.write(`${text}\n`),
  };
}

function endOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
}
