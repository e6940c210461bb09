// One thing that is done again and again, with a timer of its own and never twice at once: a look at a backend, a
// question to its agent.

import type { Clock } from "../system/clock.ts";

/** However many hints come: a hint starts nothing sooner than this after the last start. */
const HINTED_INTERVAL_MS = 100;
/** Intervals are shortened by up to this share, so that what two nodes and many things do drifts apart. */
const JITTER = 0.1;

export interface RepeaterOptions {
  readonly clock: Clock;
  /** 0 <= random() < 1 */
  readonly random: () => number;
  /** The first time comes within this time of the start. */
  readonly firstWithinMs: number;
  /** Does it, and tells how long to rest. What it does after an abort means nothing. Never rejects. */
  readonly act: (abort: AbortSignal) => Promise<number>;
}

export class Repeater {
  readonly #options: RepeaterOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: AbortController | undefined;
  #lastStartMs = Number.NEGATIVE_INFINITY;
  #isStopped = true;

  constructor(options: RepeaterOptions) {
    this.#options = options;
  }

  start(): void {
    const { random, firstWithinMs } = this.#options;
    this.#isStopped = false;
    this.#schedule(random() * firstWithinMs);
  }

  /** Ends the timer, and aborts what is under way. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#running?.abort();
    this.#running = undefined;
  }

  /** There is a reason to act now instead of at the next interval. No effect before start and after stop. */
  hasten(): void {
    // What is under way will tell.
    if (this.#isStopped || this.#running !== undefined) return;
    const sinceLastMs = this.#options.clock() - this.#lastStartMs;
    this.#schedule(Math.max(0, HINTED_INTERVAL_MS - sinceLastMs));
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#actOnce(), delayMs);
  }

  async #actOnce(): Promise<void> {
    const { clock, random, act } = this.#options;
    const abort = new AbortController();
    this.#running = abort;
    this.#lastStartMs = clock();
    const restMs = await act(abort.signal);
    if (abort.signal.aborted) return;
    this.#running = undefined;
    this.#schedule(restMs * (1 - JITTER * random()));
  }
}
