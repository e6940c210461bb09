// A moment of the past, as people are told it: by the wall clock. That clock may be set afterwards: a Raspberry Pi has none that
// goes on without power, so it boots with the time of its last shutdown and hears the right one later. What was noted
// before would then be hours ago, so a moment is kept in monotonic time.

import type { Clock } from "./clock.ts";

/** Less is not worth another answer: a moment told twice should read the same. */
const JUMP_MS = 1000;

export class Moment {
  readonly #clock: Clock;
  readonly #wall: () => number;
  readonly #atMs: number;
  /** As it was told last, in milliseconds since 1970. */
  #toldMs: number;

  /** Now. `wall`: in milliseconds since 1970. */
  constructor(clock: Clock, wall: () => number = Date.now) {
    this.#clock = clock;
    this.#wall = wall;
    this.#atMs = clock();
    this.#toldMs = wall();
  }

  /** ISO 8601, UTC, by the wall clock as it goes now. */
  format(): string {
    const wallMs = this.#wall() - (this.#clock() - this.#atMs);
    if (Math.abs(wallMs - this.#toldMs) >= JUMP_MS) this.#toldMs = wallMs;
    return new Date(this.#toldMs).toISOString();
  }
}
