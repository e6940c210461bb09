// One JSON line per event that matters, on stdout, for the journal. Every process of a node writes
// through a logger made here, so that the lines look alike.
//
// Writing never waits: a thread of the pool does it. A journal that stands still must neither stop heartbeats nor fill
// the memory, and the lines of requests can fill the pipe that both share. What does not fit is lost and counted.

import { fstatSync } from "node:fs";
import { pino } from "pino";

/** What waits for a reader at most, in characters. */
const WAITING_MAX = 1_048_576;
/** PIPE_BUF of Linux: the kernel does not mix such a write with those of other processes. */
const WRITE_MAX = 4096;

/** Syslog's numbers for the levels, which the journal reads from `<N>` at the beginning of a line; 6 is what it assumes. */
const JOURNAL_PREFIXES = new Map([
  ["debug", "<7>"],
  ["warn", "<4>"],
  ["error", "<3>"],
]);

/** One for the process: its loggers share the standard output. What waits is written when the process exits. */
const destination = pino.destination({ dest: 1, sync: false, maxLength: WAITING_MAX, maxWrite: WRITE_MAX });
let lostLines = 0;
/** The first logger of the process. */
let reporter: Log | null = null;

/** The same, with the level in front of each line for the journal, which takes it off again. */
const journal = {
  // pino sets lastLevel, which is not part of what it writes, on a stream that says so.
  [Symbol.for("pino.metadata")]: true,
  lastLevel: 0,
  write(line: string): void {
    destination.write(`${JOURNAL_PREFIXES.get(pino.levels.labels[this.lastLevel] ?? "") ?? ""}${line}`);
  },
};

destination.on("drop", () => {
  lostLines += 1;
});
destination.on("drain", () => {
  if (lostLines === 0) return;
  const lines = lostLines;
  lostLines = 0;
  reporter?.warn({ lines }, "log lines were lost, because nobody read them in time");
});

/** What a forked process needs to know of the journal, since it inherits no environment: which stream leads there. */
export function journalEnvironment(): Record<string, string> {
  const stream = process.env["JOURNAL_STREAM"];
  return stream === undefined ? {} : { JOURNAL_STREAM: stream };
}

/** systemd.exec(5): the variable names the device and inode of the stream, because others may be put in its place. */
function isJournal(): boolean {
  const { dev, ino } = fstatSync(1, { bigint: true });
  return process.env["JOURNAL_STREAM"] === `${String(dev)}:${String(ino)}`;
}

/** What the rest of the program knows of a logger: subject first, then the event in words. */
export interface Log {
  debug(subject: object, event: string): void;
  info(subject: object, event: string): void;
  warn(subject: object, event: string): void;
  error(subject: object, event: string): void;
}

/** `subject` fields (node, worker) stand on every line. Level: debug, info, warn or error. */
export function createLog(options: {
  readonly level: string;
  readonly subject: Record<string, unknown>;
}): Log {
  const log = pino(
    {
      level: options.level,
      base: options.subject,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    isJournal() ? journal : destination,
  );
  reporter ??= log;
  return log;
}

/** The same log with these fields on every line, too. */
export function withSubject(log: Log, more: object): Log {
  return {
    debug: (subject, event) => {
      log.debug({ ...more, ...subject }, event);
    },
    info: (subject, event) => {
      log.info({ ...more, ...subject }, event);
    },
    warn: (subject, event) => {
      log.warn({ ...more, ...subject }, event);
    },
    error: (subject, event) => {
      log.error({ ...more, ...subject }, event);
    },
  };
}
