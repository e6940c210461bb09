// One JSON line per event that matters, on stdout, for the journal. Every process of a node writes
// through a logger made here, so that the lines look alike.

import { pino } from "pino";

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
  return pino({
    level: options.level,
    base: options.subject,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
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
