// Starts hooks and checks in place of the control process, from a process of its own. Whoever forks waits until the child
// has begun to run the program: a millisecond at rest, but on a busy machine half a second was measured, because
// every fork waits while any process is moved to another control group. Heartbeats cannot wait for that.
//
//   control process ── launch ──> launcher ── fork ──> hook
//                   <── result ──          <── exit ──
//
// A launcher that is frozen, or a program that cannot be killed because the kernel waits for a dead disk, must not keep
// an election waiting for ever: an urgent one without an answer soon after its time limit counts as failed, and its launcher is
// replaced.

import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { compileCacheEnvironment } from "./compile-cache.ts";
import { heed, run, searchPath, type Run, type RunOptions, type RunResult } from "./exec.ts";
import { nameProcess } from "./process-name.ts";

/** So long after its time limit an urgent program without a result has a launcher that hangs. */
const LATE_MS = 700;
/** A timer that fires this late was held up together with the answer that it waits for. */
const STALL_MS = 200;
/** For a launcher that is given up to end what it runs. */
const FAREWELL_MS = 100;

type Order =
  | {
      readonly kind: "run";
      readonly id: number;
      readonly program: string;
      readonly args: readonly string[];
      readonly options: Omit<RunOptions, "signal">;
    }
  | { readonly kind: "abort"; readonly id: number };

interface Answer {
  readonly id: number;
  readonly result: RunResult;
}

/** What `startLauncher` was given; undefined while `launch` forks itself. */
let onLauncherEnd: ((reason: string) => void) | undefined;
let launcher: Launcher | undefined;

/** From now on `launch` does not fork. The launcher does not outlive this process, however that ends. */
export function startLauncher(onEnd: (reason: string) => void): void {
  onLauncherEnd = onEnd;
  launcher = new Launcher(onEnd);
}

/** Ends the launcher and what it runs. */
export async function stopLauncher(): Promise<void> {
  onLauncherEnd = undefined;
  await launcher?.stop();
  launcher = undefined;
}

/** As `run`; by the launcher when there is one. */
export function launch(program: string, args: readonly string[], options: RunOptions): Run {
  if (launcher === undefined || onLauncherEnd === undefined) return run(program, args, options);
  // Replaced when it is needed: one that cannot live is not forked again and again.
  if (launcher.hasEnded) launcher = new Launcher(onLauncherEnd);
  return launcher.run(program, args, options);
}

/** One process that launches, as the control process sees it. */
class Launcher {
  readonly #child: ChildProcess;
  readonly #onEnd: (reason: string) => void;
  readonly #waiting = new Map<number, (result: RunResult) => void>();
  readonly #limits = new Map<number, NodeJS.Timeout>();
  #nextId = 0;
  #isStopped = false;
  hasEnded = false;

  constructor(onEnd: (reason: string) => void) {
    this.#onEnd = onEnd;
    const child = fork(import.meta.filename, [], {
      execPath: process.execPath,
      execArgv: [],
      env: { ...compileCacheEnvironment(), PATH: searchPath() },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#child = child;
    child.on("message", ({ id, result }: Answer) => {
      this.#settle(id, result);
    });
    child.on("error", (error) => {
      // Also emitted when a message cannot be sent; then the exit follows.
      if (child.pid === undefined) this.#end(error.message);
    });
    child.once("exit", (code, signal) => {
      this.#end(signal === null ? `exit ${String(code)}` : `killed by ${signal}`);
    });
    // Only what runs keeps this process alive, not that something could.
    child.unref();
    child.channel?.unref();
  }

  run(program: string, args: readonly string[], { signal, ...options }: RunOptions): Run {
    const id = (this.#nextId += 1);
    const result = new Promise<RunResult>((resolve) => {
      this.#waiting.set(id, resolve);
    });
    this.#child.channel?.ref();
    // Whatever is not urgent may take its time to die on a busy machine, and nobody is kept waiting by it.
    if (options.urgent === true) this.#limit(id, options.timeoutMs + LATE_MS);
    this.#send({ kind: "run", id, program, args, options });
    const running: Run = {
      result,
      abort: () => {
        if (this.#waiting.has(id)) this.#send({ kind: "abort", id });
      },
    };
    if (signal !== undefined) void heed(signal, running);
    return running;
  }

  async stop(): Promise<void> {
    if (this.hasEnded) return;
    this.#isStopped = true;
    this.#child.ref();
    const ended = once(this.#child, "exit");
    if (this.#child.connected) this.#child.disconnect();
    await ended;
  }

  #limit(id: number, delayMs: number): void {
    const dueAt = performance.now() + delayMs;
    const limit = setTimeout(() => {
      if (performance.now() - dueAt > STALL_MS) this.#limit(id, LATE_MS);
      else this.#giveUp();
    }, delayMs);
    this.#limits.set(id, limit);
  }

  #giveUp(): void {
    // If it lives it ends what it runs, and then itself.
    if (this.#child.connected) this.#child.disconnect();
    setTimeout(() => this.#child.kill("SIGKILL"), FAREWELL_MS);
    this.#end("it has not answered in time");
  }

  #send(order: Order): void {
    if (!this.#child.connected) return;
    // A child that ends meanwhile says so with its exit, which settles all that waits.
    this.#child.send(order, () => undefined);
  }

  #end(reason: string): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    if (!this.#isStopped) this.#onEnd(reason);
    const why = `the process that starts hooks has ended: ${reason}`;
    for (const id of this.#waiting.keys()) this.#settle(id, { kind: "failed-to-start", reason: why });
  }

  #settle(id: number, result: RunResult): void {
    this.#waiting.get(id)?.(result);
    this.#waiting.delete(id);
    clearTimeout(this.#limits.get(id));
    this.#limits.delete(id);
    if (this.#waiting.size === 0) this.#child.channel?.unref();
  }
}

/** The launcher's side. */
function serve(): void {
  nameProcess("vipair-launcher");
  const running = new Map<number, Run>();
  const obey = async (order: Order) => {
    const { id } = order;
    if (order.kind === "abort") {
      running.get(id)?.abort();
      return;
    }
    const handle = run(order.program, order.args, order.options);
    running.set(id, handle);
    const result = await handle.result;
    running.delete(id);
    if (process.connected) process.send?.({ id, result } satisfies Answer, () => undefined);
  };
  process.on("message", (order: Order) => void obey(order));
  // The control process has gone: what it ordered has nobody who waits for it.
  process.on("disconnect", () => {
    for (const handle of running.values()) handle.abort();
    process.exit(0);
  });
  // Ctrl-C and `kill` of the whole group are for the control process, which still needs its hooks.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
}

if (import.meta.main) serve();
