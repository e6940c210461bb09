// Whether this machine itself stood still. On each processor one small process, at a real-time priority above
// vipair's, wakes every few milliseconds: nothing that runs here can hold it up, so when it is late the processor was
// not there, for instance because the host ran something else. As a process of its own:
//   node test/lab/witness.ts        until SIGTERM, then the longest delay in ms

import { type ChildProcess, spawn } from "node:child_process";
import { cpus } from "node:os";
import { text } from "node:stream/consumers";

/** vipair's is 1 (src/system/scheduling.ts). */
const FIFO_PRIORITY = "2";
const TICK_MS = 5;

/** Runs from its making until end(); needs root. */
export class Witness {
  readonly #processes: readonly (readonly [ChildProcess, Promise<string>])[];

  constructor() {
    this.#processes = cpus().map((_cpu, index) => {
      const argv = ["--fifo", FIFO_PRIORITY, "taskset", "--cpu-list", String(index)];
      const child = spawn("chrt", [...argv, process.execPath, import.meta.filename], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      return [child, text(child.stdout)] as const;
    });
  }

  /** The longest time for which a processor of this machine was not there, in ms. Throws when a process has failed. */
  async end(): Promise<number> {
    const longestMs = await Promise.all(
      this.#processes.map(async ([child, output]) => {
        child.kill();
        const said = await output;
        if (!/^\d+\n$/.test(said)) throw new Error(`a witness said ${JSON.stringify(said)}`);
        return Number(said);
      }),
    );
    return Math.max(...longestMs);
  }
}

function watch(): void {
  let longestMs = 0;
  let dueAtMs = performance.now() + TICK_MS;
  setInterval(() => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - dueAtMs);
    dueAtMs = now + TICK_MS;
  }, TICK_MS);
  process.once("SIGTERM", () => {
    process.stdout.write(`${String(Math.round(longestMs))}\n`, () => process.exit());
  });
}

if (import.meta.main) watch();
