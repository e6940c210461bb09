// One thing that is looked at again and again: a backend, or something that the node itself depends on.
// repeater.ts has the timer, routing/health.ts judges what the looks find.

import { isChanging, judgeCheck } from "../routing/health.ts";
import type { Health } from "../routing/health.ts";
import type { Clock } from "../system/clock.ts";
import type { ProbeResult, Prober } from "./probe.ts";
import { Repeater } from "./repeater.ts";

export interface RepeatedCheckOptions {
  readonly timing: RepeatedCheckTiming;
  /** Before the first look. */
  readonly health: Health;
  readonly clock: Clock;
  /** 0 <= random() < 1 */
  readonly random: () => number;
  /** The first look comes within this time. */
  readonly firstWithinMs: number;
  readonly look: Prober;
  readonly onLook: (look: Look) => void;
}

export interface RepeatedCheckTiming {
  readonly intervalMs: number;
  /** While the next look may change the health. */
  readonly fastIntervalMs: number;
  /** While it is down, and the next look cannot change that. */
  readonly downIntervalMs: number;
  readonly rise: number;
  readonly fall: number;
}

/** What one look found, and the health before and after. */
export interface Look {
  readonly result: ProbeResult;
  readonly durationMs: number;
  readonly before: Health;
  readonly after: Health;
}

export class RepeatedCheck {
  readonly #options: RepeatedCheckOptions;
  readonly #repeater: Repeater;
  #health: Health;

  constructor(options: RepeatedCheckOptions) {
    this.#options = options;
    this.#health = options.health;
    this.#repeater = new Repeater({ ...options, act: async (abort) => this.#lookOnce(abort) });
  }

  get health(): Health {
    return this.#health;
  }

  start(): void {
    this.#repeater.start();
  }

  /** Ends timer and look. The health stays as it is. */
  stop(): void {
    this.#repeater.stop();
  }

  /** There is a hint that the health has changed: looks now instead of at the next interval. */
  hasten(): void {
    this.#repeater.hasten();
  }

  async #lookOnce(abort: AbortSignal): Promise<number> {
    const { timing, clock, look, onLook } = this.#options;
    const startedAt = clock();
    const result = await look(abort);
    if (abort.aborted) return 0;
    const before = this.#health;
    this.#health = judgeCheck(before, result.kind === "good", timing);
    onLook({ result, durationMs: clock() - startedAt, before, after: this.#health });
    return intervalMs(this.#health, timing);
  }
}

function intervalMs(health: Health, timing: RepeatedCheckTiming): number {
  if (isChanging(health)) return timing.fastIntervalMs;
  return health.kind === "down" ? timing.downIntervalMs : timing.intervalMs;
}
