// A program in a process group of its own: a signal to the group reaches the program and all that it
// forked, and a key pressed in the terminal reaches none of them. Every group is known to the guard until
// it has ended, so that nothing stays behind whatever becomes of the demo.

import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** After SIGKILL a group is gone in microseconds, unless the machine is very busy. */
const KILL_WAIT_MS = 2000;

/** Ends what the demo started when the demo can no longer do so itself; see guard.sh. */
export class Guard {
  readonly #child: ChildProcess;

  /** `folder` is removed in the end. */
  constructor(folder: string) {
    const script = join(import.meta.dirname, "guard.sh");
    // In a session of its own: neither Ctrl-C nor the end of the terminal may reach it.
    this.#child = spawn("/bin/sh", [script, folder], { stdio: ["pipe", "ignore", "ignore"], detached: true });
    this.#child.on("error", () => undefined);
    this.#child.stdin?.on("error", () => undefined);
  }

  noteStart(group: number): void {
    this.#child.stdin?.write(`start ${String(group)}\n`);
  }

  noteEnd(group: number): void {
    this.#child.stdin?.write(`end ${String(group)}\n`);
  }

  /** Ends when the groups that were left and the folder have gone. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.stdin?.end();
    await exited;
  }
}

export class ProcessGroup {
  readonly child: ChildProcess;
  readonly #guard: Guard;
  readonly #exited = Promise.withResolvers<void>();
  #startError: string | undefined;
  /** Nobody is left in it; its number may be another's now. */
  #isOver = false;

  constructor(
    guard: Guard,
    argv: readonly [string, ...string[]],
    { stdio, env = {} }: { readonly stdio: StdioOptions; readonly env?: Readonly<Record<string, string>> },
  ) {
    this.#guard = guard;
    const [program, ...args] = argv;
    this.child = spawn(program, args, { stdio, env: { ...process.env, ...env }, detached: true });
    if (this.child.pid !== undefined) guard.noteStart(this.child.pid);
    this.child.once("exit", () => {
      this.#exited.resolve();
    });
    this.child.on("error", (error) => {
      if (this.child.pid !== undefined) return;
      this.#startError = error.message;
      this.#exited.resolve();
    });
  }

  get isRunning(): boolean {
    const { pid, exitCode, signalCode } = this.child;
    return pid !== undefined && exitCode === null && signalCode === null;
  }

  /** How the program ended, in words; undefined while it runs. */
  get end(): string | undefined {
    if (this.isRunning) return undefined;
    const { exitCode, signalCode } = this.child;
    return this.#startError ?? (signalCode === null ? `exit ${String(exitCode)}` : signalCode);
  }

  /** To the program and everything that it forked, at once. */
  signal(signal: NodeJS.Signals): void {
    if (this.child.pid === undefined || this.#isOver) return;
    try {
      process.kill(-this.child.pid, signal);
    } catch {
      // ESRCH: nobody is left in the group.
    }
  }

  /** SIGKILL to all of it. Ends when all of it has gone. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.#exited.promise;
    await this.#untilEmpty();
  }

  /** SIGTERM to the program, and after `graceMs` SIGKILL to all of it. Ends when all of it has gone. */
  async stop({ graceMs }: { readonly graceMs: number }): Promise<void> {
    // A frozen one could not obey.
    this.signal("SIGCONT");
    if (this.isRunning) this.child.kill("SIGTERM");
    await Promise.race([this.#exited.promise, sleep(graceMs)]);
    await this.kill();
  }

  async #untilEmpty(): Promise<void> {
    const { pid } = this.child;
    if (pid === undefined || this.#isOver) return;
    const deadline = performance.now() + KILL_WAIT_MS;
    while (isGroup(pid) && performance.now() < deadline) await sleep(5);
    this.#isOver = true;
    this.#guard.noteEnd(pid);
  }
}

function isGroup(pid: number): boolean {
  try {
    process.kill(-pid, 0);
    return true;
  } catch {
    return false;
  }
}
