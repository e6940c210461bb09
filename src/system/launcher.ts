// Starts hooks and checks in place of the control process, from a process of its own. Whoever forks waits until the child
// has begun to run the program: a millisecond at rest, but on a busy machine half a second was measured, because
// every fork waits while any process is moved to another control group. Heartbeats cannot wait for that.
//
//   control process ── launch ──> launcher ── fork ──> hook
//                   <── result ──          <── exit ──

import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { heed, run, searchPath, type Run, type RunOptions, type RunResult } from "./exec.ts";

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

let launcher: Launcher | undefined;

/** From now on `launch` does not fork. For once in the life of a process, which the launcher does not outlive. */
export function startLauncher(onEnd: (reason: string) => void): void {
  launcher ??= new Launcher(onEnd);
}

/** As `run`; by the launcher when there is one. */
export function launch(program: string, args: readonly string[], options: RunOptions): Run {
  return launcher === undefined ? run(program, args, options) : launcher.run(program, args, options);
}

class Launcher {
  readonly #onEnd: (reason: string) => void;
  readonly #waiting = new Map<number, (result: RunResult) => void>();
  #child: ChildProcess;
  #nextId = 0;

  constructor(onEnd: (reason: string) => void) {
    this.#onEnd = onEnd;
    this.#child = this.#fork();
  }

  run(program: string, args: readonly string[], { signal, ...options }: RunOptions): Run {
    // One that has ended is replaced when it is needed: one that cannot live is not forked again and again.
    if (!this.#child.connected) this.#child = this.#fork();
    const child = this.#child;
    const id = (this.#nextId += 1);
    const result = new Promise<RunResult>((resolve) => {
      this.#waiting.set(id, resolve);
    });
    child.channel?.ref();
    send(child, { kind: "run", id, program, args, options });
    const running: Run = {
      result,
      abort: () => {
        if (this.#waiting.has(id)) send(child, { kind: "abort", id });
      },
    };
    if (signal !== undefined) void heed(signal, running);
    return running;
  }

  #fork(): ChildProcess {
    const child = fork(import.meta.filename, [], {
      execPath: process.execPath,
      execArgv: [],
      env: { PATH: searchPath() },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    child.on("message", ({ id, result }: Answer) => {
      this.#settle(id, result);
    });
    child.on("error", (error) => {
      if (child.pid === undefined) this.#end(error.message);
    });
    child.once("exit", (code, signal) => {
      this.#end(signal === null ? `exit ${String(code)}` : `killed by ${signal}`);
    });
    // Only what runs keeps this process alive, not that something could.
    child.unref();
    child.channel?.unref();
    return child;
  }

  #end(reason: string): void {
    this.#onEnd(reason);
    const result = {
      kind: "failed-to-start",
      reason: `the process that starts hooks has ended: ${reason}`,
    } as const;
    for (const id of this.#waiting.keys()) this.#settle(id, result);
  }

  #settle(id: number, result: RunResult): void {
    this.#waiting.get(id)?.(result);
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#child.channel?.unref();
  }
}

function send(child: ChildProcess, order: Order): void {
  // A child that ends meanwhile says so with its exit.
  child.send(order, () => undefined);
}

/** The launcher's side. */
function serve(): void {
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
