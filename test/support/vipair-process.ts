// One vipair as an operator has it: scripts/vipair started with arguments, its log read as it comes, its
// status asked over the admin socket, its processes signalled by their ids. Nothing here knows the inside of the
// program, so what a test sees through it is what a person would see.

import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { askAdmin } from "../../src/cli/admin-client.ts";
import { ADMIN_PATHS } from "../../src/protocol/admin.ts";
import type { Role, Status } from "../../src/protocol/status.ts";
import { waitUntil } from "./wait-until.ts";

export const LAUNCHER = join(import.meta.dirname, "../../scripts/vipair");

/** Halves the processor time of each start; the many starts of these tests are most of their work. */
const COMPILE_CACHE = { NODE_COMPILE_CACHE: join(import.meta.dirname, "../../node_modules/.cache/vipair") };

const STATUS_TIMEOUT_MS = 2_000;
const COMMAND_WITHIN_MS = 30_000;
/** Not what vipair may take, but when to give up: on a busy machine a start alone takes seconds. */
const WAIT_MS = 60_000;
/** Between two questions for the status; each costs the node and the one who asks two milliseconds of processor time. */
const POLL_MS = 20;
/** How much of the log stands in the message of a wait that failed. */
const LOG_TAIL_LINES = 12;

export interface VipairOptions {
  readonly config: string;
  readonly runtimeDir: string;
  /** Absent: the host name decides. */
  readonly node?: string;
  /** On top of this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Runs as this user; needs root. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Absent: the checkout's. */
  readonly launcher?: string;
}

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  /** When it was read; milliseconds of performance.now(). */
  readonly readAtMs: number;
  readonly [field: string]: unknown;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Every process that was started here and may still live; whatever ends this process ends them. */
const running = new Set<VipairProcess>();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    for (const vipair of running) vipair.signalAll("SIGKILL");
    process.exit(1);
  });
}
process.once("exit", () => {
  for (const vipair of running) vipair.signalAll("SIGKILL");
});

export class VipairProcess {
  readonly runtimeDir: string;
  /** Every line of the log, as text. */
  readonly rawLines: string[] = [];
  readonly lines: LogLine[] = [];
  stderr = "";
  readonly #options: VipairOptions;
  readonly #child: ChildProcess;
  readonly #exit = Promise.withResolvers<Exit>();
  readonly #readers = new Set<() => void>();

  constructor(options: VipairOptions) {
    this.#options = options;
    this.runtimeDir = options.runtimeDir;
    const args = ["run", "--config", options.config, "--runtime-dir", options.runtimeDir];
    if (options.node !== undefined) args.push("--node", options.node);
    this.#child = spawn(options.launcher ?? LAUNCHER, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...COMPILE_CACHE, ...options.env },
      ...options.user,
    });
    running.add(this);
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new Error("stdout and stderr are pipes");
    createInterface({ input: stdout }).on("line", (line) => {
      this.#read(line);
    });
    stderr.on("data", (bytes: Buffer) => {
      this.stderr += bytes.toString();
    });
    // `close` and not `exit`: then the log has been read to its end.
    this.#child.once("close", (code, signal) => {
      running.delete(this);
      this.#exit.resolve({ code, signal });
    });
    this.#child.once("error", (error) => {
      running.delete(this);
      this.#exit.reject(error);
    });
  }

  /** Of the control process. */
  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The processes that the control process has forked: workers, the spare one, and the launcher of hooks. */
  children(): number[] {
    return childrenOf(this.pid);
  }

  /** Those of the children that serve clients, or are there to. */
  workers(): number[] {
    return this.children().filter((pid) => commandLineOf(pid).includes("/proxy/worker."));
  }

  /** To the control process. */
  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) process.kill(this.pid, signal);
  }

  /** To the control process and everything below it, as nearly at once as can be. */
  signalAll(signal: NodeJS.Signals): void {
    if (!this.isRunning) return;
    const below = descendantsOf(this.pid);
    process.kill(this.pid, signal);
    for (const pid of below) signalIfAlive(pid, signal);
  }

  /** How the control process ended; waits for it. */
  async exit({ withinMs = WAIT_MS } = {}): Promise<Exit> {
    return this.#within(this.#exit.promise, { what: "the end of vipair", withinMs });
  }

  /** SIGKILL to all of it, if it still runs. Ends when the control process and its log have ended. */
  async kill(): Promise<void> {
    this.signalAll("SIGKILL");
    await this.exit();
  }

  /** Throws when it does not answer. */
  async status(): Promise<Status> {
    const answer = await this.#askStatus();
    if (answer === undefined) throw new Error(`no status\n${this.#logTail()}`);
    return answer;
  }

  /** The first status for which the condition holds. */
  async until(
    what: string,
    holds: (status: Status) => boolean,
    { withinMs = WAIT_MS, everyMs = POLL_MS }: { readonly withinMs?: number; readonly everyMs?: number } = {},
  ): Promise<Status> {
    let last: Status | undefined;
    try {
      return await waitUntil(
        async () => {
          if (!this.isRunning) throw new Error(`vipair has ended: ${this.stderr}`);
          last = await this.#askStatus();
          return last !== undefined && holds(last) ? last : undefined;
        },
        { what, withinMs, everyMs },
      );
    } catch (error) {
      throw new Error(`${String(error)}\nstatus: ${JSON.stringify(last)}\n${this.#logTail()}`, {
        cause: error,
      });
    }
  }

  async becomes(role: Role, options: { readonly withinMs?: number } = {}): Promise<Status> {
    return this.until(`role ${role}`, (status) => status.role === role, options);
  }

  /** All that listens is open, and all the workers that are wanted run. */
  async isReady({ workers = 1 } = {}): Promise<Status> {
    return this.until(
      "open listeners",
      (status) =>
        status.workers.length === workers &&
        status.listeners.every(({ bind, open }) => open || bind.startsWith("vip:")),
    );
  }

  /** The first line of the log, from `since` on, for which the condition holds; waits for it. */
  async logged(
    what: string,
    accept: (line: LogLine) => boolean,
    { withinMs = WAIT_MS, since = 0 }: { readonly withinMs?: number; readonly since?: number } = {},
  ): Promise<LogLine> {
    let seen = since;
    const found = new Promise<LogLine>((resolve) => {
      const look = () => {
        for (; seen < this.lines.length; seen += 1) {
          const line = this.lines[seen];
          if (line === undefined || !accept(line)) continue;
          this.#readers.delete(look);
          resolve(line);
          return;
        }
      };
      this.#readers.add(look);
      look();
    });
    const ended = this.#exit.promise.then(() => {
      throw new Error(`vipair ended before the log line: ${what}\n${this.#logTail()}`);
    });
    return this.#within(Promise.race([found, ended]), { what: `the log line: ${what}`, withinMs });
  }

  /** Runs a command of the launcher against this node. */
  async command(...args: readonly string[]): Promise<CommandResult> {
    return runVipair([...args, "--runtime-dir", this.runtimeDir], {
      launcher: this.#options.launcher ?? LAUNCHER,
    });
  }

  #read(text: string): void {
    this.rawLines.push(text);
    const parsed = JSON.parse(text) as Omit<LogLine, "readAtMs">;
    this.lines.push({ ...parsed, readAtMs: performance.now() } as LogLine);
    for (const look of this.#readers) look();
  }

  async #askStatus(): Promise<Status | undefined> {
    const answer = await askAdmin({
      runtimeDir: this.runtimeDir,
      method: "GET",
      path: ADMIN_PATHS.status,
      timeoutMs: STATUS_TIMEOUT_MS,
    });
    return answer.kind === "done" ? (answer.body as Status) : undefined;
  }

  async #within<T>(
    promise: Promise<T>,
    { what, withinMs }: { readonly what: string; readonly withinMs: number },
  ): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`waited ${String(withinMs)} ms for ${what}\n${this.#logTail()}`));
      }, withinMs);
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #logTail(): string {
    return [
      `log of ${this.#options.node ?? this.runtimeDir}:`,
      ...this.rawLines.slice(-LOG_TAIL_LINES),
      this.stderr,
    ].join("\n");
  }
}

/** Runs scripts/vipair with these arguments to its end. */
export async function runVipair(
  args: readonly string[],
  {
    launcher = LAUNCHER,
    env = {},
  }: { readonly launcher?: string; readonly env?: Record<string, string> } = {},
): Promise<CommandResult> {
  const child = spawn(launcher, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...COMPILE_CACHE, ...env },
    timeout: COMMAND_WITHIN_MS,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (bytes: Buffer) => (stdout += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      resolve({ code, stdout, stderr });
    });
  });
}

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8");
    return text.split(" ").filter(Boolean).map(Number);
  } catch {
    // It has gone.
    return [];
  }
}

/** Hooks are children of the launcher. */
function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

export function isAlive(pid: number): boolean {
  // A zombie answers a signal, too; its command line is empty.
  return commandLineOf(pid) !== "";
}

/** Empty when the process has ended. */
function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

function signalIfAlive(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // ESRCH: it has gone by itself.
  }
}
