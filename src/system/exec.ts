// Runs one program to its end, or to ours: a time limit or an abort kills its whole process group, so
// that no child of a hook outlives it. Everything that can happen to a program is a value; nothing throws.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { errorCode } from "./errno.ts";
import { asOrdinary } from "./scheduling.ts";
import { untrustedReason } from "./trusted-file.ts";

/** stdout and stderr each keep their last bytes up to this: the end of an error says the most. */
const CAPTURE_BYTES_MAX = 8 * 1024;

/** Where programs are looked for when our own environment does not say. */
const DEFAULT_PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

/** After the program has ended, how long to read what is still in its pipes. */
const PIPE_GRACE_MS = 50;

export interface RunOptions {
  /** The whole environment but for PATH, which is ours. */
  readonly env: Readonly<Record<string, string>>;
  /** After this the process group is killed. */
  readonly timeoutMs: number;
  /** It goes before all others as this process does. Absent: it is a process like any other. */
  readonly urgent?: boolean;
  /** Does the same as abort(). */
  readonly signal?: AbortSignal;
}

interface RunOutput {
  readonly stdout: string;
  readonly stderr: string;
  /** From the start of the program to its end. */
  readonly durationMs: number;
}

export type RunResult =
  | ({ readonly kind: "exit"; readonly code: number } & RunOutput)
  /** Somebody else killed it. */
  | ({ readonly kind: "signal"; readonly signal: string } & RunOutput)
  | ({ readonly kind: "timeout" } & RunOutput)
  | ({ readonly kind: "aborted" } & RunOutput)
  | { readonly kind: "failed-to-start"; readonly reason: string };

export interface Run {
  /** Never rejects. Settles once the program has ended and its process group has been killed. */
  readonly result: Promise<RunResult>;
  /** Kills the process group; the result becomes `aborted`. No effect after the end. */
  abort(): void;
}

/** Starts `program` (a path; no shell) in a process group of its own, with stdin at end of file. */
export function run(program: string, args: readonly string[], options: RunOptions): Run {
  const env = { PATH: searchPath(), ...options.env };
  const [command, ...commandArgs] = options.urgent === true ? [program, ...args] : asOrdinary(program, args);
  let child: ChildProcess;
  try {
    // The working directory is the root, so that a hook never keeps a file system busy.
    child = spawn(command, commandArgs, { env, cwd: "/", detached: true, stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    return { result: Promise.resolve({ kind: "failed-to-start", reason: describe(error) }), abort() {} };
  }
  const running = superviseChild(child, options.timeoutMs);
  if (options.signal !== undefined) void heed(options.signal, running);
  return running;
}

/**
 * Why this program (a path) cannot be run, or should not be, in words that begin with its path; undefined
 * when nothing speaks against it.
 */
export function programProblem(path: string): string | undefined {
  try {
    if (!statSync(path).isFile()) return `${path} is not a file`;
    accessSync(path, constants.X_OK);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT") return `${path} does not exist`;
    if (code === "EACCES") return `${path} is not executable: chmod +x it`;
    return `${path} cannot be used: ${String(error)}`;
  }
  return untrustedReason(path);
}

/** How a program that did not succeed has ended, in words: `exit 1: ` and the last line of its stderr, without a full stop. */
export function explainRun(result: RunResult): string {
  if (result.kind === "failed-to-start") return result.reason;
  const detail = lastLine(result.stderr).replace(/\.$/, "");
  return detail === "" ? explainEnd(result) : `${explainEnd(result)}: ${detail}`;
}

/** The last line that says something: the tail of a program's stderr, fit for one log line. */
export function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)?.trim() ?? "";
}

function explainEnd(result: Exclude<RunResult, { readonly kind: "failed-to-start" }>): string {
  switch (result.kind) {
    case "exit":
      return `exit ${String(result.code)}`;
    case "signal":
      return `killed by ${result.signal}`;
    case "timeout":
      return `killed after ${String(Math.round(result.durationMs))} ms without an end`;
    case "aborted":
      return "stopped";
  }
}

export function searchPath(): string {
  return process.env["PATH"] ?? DEFAULT_PATH;
}

/** Aborts the run with the signal; ends with the run. */
export async function heed(signal: AbortSignal, running: Run): Promise<void> {
  const stop = () => {
    running.abort();
  };
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop);
  await running.result;
  signal.removeEventListener("abort", stop);
}

function superviseChild(child: ChildProcess, timeoutMs: number): Run {
  const startedAt = performance.now();
  const stdout = new Tail();
  const stderr = new Tail();
  child.stdout?.on("data", (chunk: Buffer) => stdout.add(chunk));
  child.stderr?.on("data", (chunk: Buffer) => stderr.add(chunk));

  let killedFor: "timeout" | "aborted" | undefined;
  let hasEnded = false;
  const kill = (cause: "timeout" | "aborted"): void => {
    if (hasEnded || killedFor !== undefined) return;
    killedFor = cause;
    killGroup(child.pid);
  };

  const result = new Promise<RunResult>((resolve) => {
    const timeLimit = setTimeout(() => kill("timeout"), timeoutMs);
    let pipeGrace: NodeJS.Timeout | undefined;

    child.on("error", (error) => {
      // Also emitted when a kill fails; only a child that never lived has no pid.
      if (child.pid !== undefined) return;
      clearTimeout(timeLimit);
      hasEnded = true;
      resolve({ kind: "failed-to-start", reason: describe(error) });
    });
    child.on("exit", () => {
      clearTimeout(timeLimit);
      hasEnded = true;
      // The leader is gone; what it left running in its group goes too.
      killGroup(child.pid);
      // A child that moved to a group of its own may hold the pipes open for ever: don't wait for it.
      pipeGrace = setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, PIPE_GRACE_MS);
    });
    child.on("close", (code, signal) => {
      clearTimeout(pipeGrace);
      if (!hasEnded) return;
      const output: RunOutput = {
        stdout: stdout.text(),
        stderr: stderr.text(),
        durationMs: performance.now() - startedAt,
      };
      if (killedFor !== undefined) resolve({ kind: killedFor, ...output });
      else if (code === null) resolve({ kind: "signal", signal: signal ?? "unknown", ...output });
      else resolve({ kind: "exit", code, ...output });
    });
  });

  return { result, abort: () => kill("aborted") };
}

/** The last CAPTURE_BYTES_MAX bytes of a stream. */
class Tail {
  #bytes = Buffer.alloc(0);

  add(chunk: Buffer): void {
    const all = Buffer.concat([this.#bytes, chunk]);
    this.#bytes = all.subarray(Math.max(0, all.length - CAPTURE_BYTES_MAX));
  }

  text(): string {
    return this.#bytes.toString("utf8");
  }
}

/** Kills every process of the group; no effect when there is none. */
export function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // ESRCH: nobody is left in the group.
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
