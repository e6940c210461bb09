// One thing that is looked at again and again: a backend, or something that the node itself depends on. It
// has its own timer and at most one look under way; routing/health.ts judges what the looks find.

import { isChanging, judgeCheck } from "../routing/health.ts";
import type { Health } from "../routing/health.ts";
import type { Clock } from "../system/clock.ts";
import type { ProbeResult } from "./probe.ts";

/** First looks at all things are spread over this time: soon, and not in one burst. */
const FIRST_LOOKS_MS = 20;
/** However many hints come: a hint starts no look sooner than this after the last. */
const HINTED_INTERVAL_MS = 100;
/** Intervals are shortened by up to this share, so that looks of two nodes and many things drift apart. */
const JITTER = 0.1;

export interface RepeatedCheckOptions {
  readonly timing: RepeatedCheckTiming;
  /** Before the first look. */
  readonly health: Health;
  readonly clock: Clock;
  /** 0 <= random() < 1 */
  readonly random: () => number;
  /** One look; what an aborted one finds means nothing. Never rejects. */
  readonly look: (abort: AbortSignal) => Promise<ProbeResult>;
  /** After each look: what it found, and the health before and after. */
  readonly onLook: (result: ProbeResult, before: Health, after: Health) => void;
}

export interface RepeatedCheckTiming {
  readonly intervalMs: number;
  /** While the next look may change the health. */
  readonly changingIntervalMs: number;
  readonly rise: number;
  readonly fall: number;
}

export class RepeatedCheck {
  readonly #options: RepeatedCheckOptions;
  #health: Health;
  #timer: NodeJS.Timeout | undefined;
  #look: AbortController | undefined;
  #lastLookMs = Number.NEGATIVE_INFINITY;

  constructor(options: RepeatedCheckOptions) {
    this.#options = options;
    this.#health = options.health;
  }

  get health(): Health {
    return this.#health;
  }

  start(): void {
    this.#schedule(this.#options.random() * FIRST_LOOKS_MS);
  }

  /** Ends timer and look. The health stays as it is. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#look?.abort();
    this.#look = undefined;
  }

  /** There is a hint that the health has changed: looks now instead of at the next interval. */
  hasten(): void {
    // A look under way will tell; its own successor comes soon if it fails.
    if (this.#look !== undefined) return;
    const sinceLastMs = this.#options.clock() - this.#lastLookMs;
    this.#schedule(Math.max(0, HINTED_INTERVAL_MS - sinceLastMs));
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#lookOnce(), delayMs);
  }

  async #lookOnce(): Promise<void> {
    const { timing, clock, random, look, onLook } = this.#options;
    const abort = new AbortController();
    this.#look = abort;
    this.#lastLookMs = clock();
    const result = await look(abort.signal);
    if (abort.signal.aborted) return;
    this.#look = undefined;
    const before = this.#health;
    this.#health = judgeCheck(before, result.kind === "good", timing);
    const intervalMs = isChanging(this.#health) ? timing.changingIntervalMs : timing.intervalMs;
    this.#schedule(intervalMs * (1 - JITTER * random()));
    onLook(result, before, this.#health);
  }
}
