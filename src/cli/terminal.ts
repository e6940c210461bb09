// Where commands write. A reader that has seen enough (`vipair status | head -1`) closes the pipe; that
// is its good right and no reason for a stack trace.

import { createInterface } from "node:readline/promises";

export interface Terminal {
  /** One line, or several, on stdout. */
  readonly print: (text: string) => void;
  /** One line, or several, on stderr. */
  readonly complain: (text: string) => void;
  /** Asks on stderr and ends in the answer, without blanks around it; undefined: none comes any more. Absent when nobody could answer. */
  readonly ask?: (question: string) => Promise<string | undefined>;
  /** Absent when stdout is a file or a pipe: no control codes there. */
  readonly screen?: Screen;
  /** Aborted when nobody reads stdout any more, for commands that go on by themselves. */
  readonly closed?: AbortSignal;
}

/** Where a line can be rewritten. */
export interface Screen {
  readonly write: (text: string) => void;
  /** Its width now. */
  readonly columns: () => number;
}

/** What a command ends with. */
export const EXIT = { ok: 0, failed: 1, usage: 2, notRunning: 3 } as const;

export function processTerminal(): Terminal {
  const closed = new AbortController();
  const endOnClosedPipe = (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    closed.abort();
  };
  for (const stream of [process.stdout, process.stderr]) stream.on("error", endOnClosedPipe);
  const screen: Screen = {
    write: (text) => process.stdout.write(text),
    columns: () => process.stdout.columns,
  };
  return {
    print: (text) => process.stdout.write(`${text}\n`),
    complain: (text) => process.stderr.write(`${text}\n`),
    closed: closed.signal,
    ...(process.stdout.isTTY ? { screen } : {}),
    ...(process.stdin.isTTY && process.stderr.isTTY ? { ask: askPerson } : {}),
  };
}

async function askPerson(question: string): Promise<string | undefined> {
  // stdout is for what a program may read.
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-C, Ctrl-D, or the terminal has gone.
  const closed = new Promise<undefined>((resolve) => reader.once("close", () => resolve(undefined)));
  const answer = await Promise.race([reader.question(question), closed]);
  reader.close();
  if (answer === undefined) process.stderr.write("\n");
  return answer?.trim();
}
