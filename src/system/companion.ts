// A program that runs beside this process for as long as it is wanted, and says things line by line: it is
// started again when it ends, less and less often while it keeps ending, and what it says is bounded. exec.ts
// runs programs to their end; this one runs programs that should have none.
//
// A companion must not outlive this process, however that ends: the program either reads its stdin and ends
// with it, or is started through `setpriv --pdeathsig KILL`, which asks the kernel for the same.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { killGroup } from "./exec.ts";

/** Between an end and the next start: doubled with each end, until one has lived for `settledMs`. */
const RESTART_MS = { first: 100, atMost: 2000, settledMs: 5000 } as const;

/** A longer line is no line of a program that we know: it is dropped. In UTF-16 units. */
const LINE_LENGTH_MAX = 4096;

/** What a program that does not read its stdin may leave waiting there; in bytes. */
const INPUT_BYTES_MAX = 1024;

export interface CompanionOptions {
  /** A path, or a name to be found in PATH and the sbin folders; no shell. */
  readonly program: string;
  readonly args: readonly string[];
  /** A line of its stdout, without the line feed. */
  readonly onLine: (line: string) => void;
  /** A line of its stderr. */
  readonly onComplaint: (line: string) => void;
  /** It could not be started, or it ended; it will be started again. Why, in words for an operator. */
  readonly onEnd: (reason: string) => void;
}

export class Companion {
  readonly #options: CompanionOptions;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #restartMs: number = RESTART_MS.first;
  #isStopped = false;

  constructor(options: CompanionOptions) {
    this.#options = options;
  }

  start(): void {
    const { program, args, onLine } = this.#options;
    const env = { PATH: `${process.env["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin` };
    let child: ChildProcess;
    try {
      // A session of its own: Ctrl-C in a terminal is for us, and we end the companion when we end.
      child = spawn(program, args, { env, cwd: "/", detached: true, stdio: ["pipe", "pipe", "pipe"] });
    } catch (error) {
      this.#ended(String(error));
      return;
    }
    this.#child = child;
    let lastComplaint = "";
    readLines(child.stdout, (line) => {
      if (this.#child === child) onLine(line);
    });
    readLines(child.stderr, (line) => {
      if (line.trim() === "" || this.#child !== child) return;
      lastComplaint = line.trim();
      this.#options.onComplaint(lastComplaint);
    });
    // The end of the child says it better.
    child.stdin?.on("error", () => undefined);

    this.#timer = setTimeout(() => {
      this.#restartMs = RESTART_MS.first;
    }, RESTART_MS.settledMs);
    child.on("error", (error) => {
      // Also emitted when a kill fails; only a child that never lived has no pid.
      if (child.pid !== undefined) return;
      const isMissing = "code" in error && error.code === "ENOENT";
      this.#ended(isMissing ? `${program} is not installed` : error.message);
    });
    // What it may have left running goes with it, and lets go of its pipes.
    child.on("exit", () => {
      killGroup(child.pid);
    });
    child.on("close", (code, signal) => {
      if (child.pid === undefined) return;
      const how = signal === null ? `exit ${String(code)}` : `killed by ${signal}`;
      this.#ended(lastComplaint === "" ? how : `${how}: ${lastComplaint}`, child);
    });
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    this.#child = undefined;
    killGroup(child?.pid);
  }

  /** Gives it input; dropped while it does not run or does not read. */
  write(text: string): void {
    const stdin = this.#child?.stdin;
    if (stdin?.writable === true && stdin.writableLength + text.length <= INPUT_BYTES_MAX) stdin.write(text);
  }

  #ended(reason: string, child = this.#child): void {
    if (this.#isStopped || child !== this.#child) return;
    this.#child = undefined;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.start();
    }, this.#restartMs);
    this.#restartMs = Math.min(2 * this.#restartMs, RESTART_MS.atMost);
    this.#options.onEnd(reason);
  }
}

/** Calls back for each whole line; holds no more than one line of LINE_LENGTH_MAX and one chunk. */
function readLines(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  let partial = "";
  let isTooLong = false;
  stream?.setEncoding("utf8");
  stream?.on("data", (chunk: string) => {
    const [head = "", ...others] = chunk.split("\n");
    let line = isTooLong ? "" : partial + head;
    for (const next of others) {
      if (!isTooLong && line.length <= LINE_LENGTH_MAX) onLine(line);
      isTooLong = false;
      line = next;
    }
    isTooLong ||= line.length > LINE_LENGTH_MAX;
    partial = isTooLong ? "" : line;
  });
  stream?.on("error", () => undefined);
}
