// Real time in tests: how long something took, and how much of that this machine itself stood still. A promise of
// some hundred milliseconds can be held against a machine that is shared only with what the machine added counted
// out; on a quiet one that is nothing, and the limit is the promise.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";

const TICK_MS = 5;
/** A tick that is later than this was held up. */
const LATE_MS = 5;

/** Runs from its making until the test ends. */
export class Stopwatch {
  readonly #startedAtMs = performance.now();
  #heldUpMs = 0;
  #dueAtMs = this.#startedAtMs + TICK_MS;

  constructor(t: TestContext) {
    const ticker = setInterval(() => {
      this.#look();
      this.#dueAtMs = performance.now() + TICK_MS;
    }, TICK_MS);
    t.after(() => {
      clearInterval(ticker);
    });
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAtMs;
  }

  /** `tookMs`, by default the time so far, is less than the limit, with what this process was held up on top. */
  assertBelow(limitMs: number, tookMs = this.elapsedMs): void {
    this.#look();
    const heldUpMs = Math.round(this.#heldUpMs);
    assert.ok(
      tookMs < limitMs + heldUpMs,
      `took ${tookMs.toFixed(0)} ms, limit ${String(limitMs)} ms (this machine was held up for ${String(heldUpMs)} ms)`,
    );
  }

  /** A stall that has just ended may be seen by the one who asks before the ticker sees it. */
  #look(): void {
    const now = performance.now();
    const lateMs = now - this.#dueAtMs;
    if (lateMs <= LATE_MS) return;
    this.#heldUpMs += lateMs;
    this.#dueAtMs = now;
  }
}
