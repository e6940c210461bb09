// Rows of failures, as one worker counts them for one backend: so many in a row, and the control process hears of it.
// Each kind has its own row, so that one can be switched off, and so that a backend which fails now in this way and
// now in that one is found all the same.

import type { OutlierConfig } from "../config/passive-config.ts";

/** `5xx`: responses with status 500 or above. `failures`: no proper response at all. */
export type RowKind = "5xx" | "failures";

type Lengths = Pick<OutlierConfig, "consecutive5xx" | "consecutiveFailures">;

export class FailureRows {
  private readonly lengths: Lengths;
  private errors = 0;
  private failures = 0;

  constructor(lengths: Lengths) {
    this.lengths = lengths;
  }

  /** The head of a response came. True: the row is full, and the next one begins. */
  isFullWithStatus(status: number): boolean {
    if (status < 500) {
      this.errors = 0;
      return false;
    }
    this.errors += 1;
    if (this.errors !== this.lengths.consecutive5xx) return false;
    this.errors = 0;
    return true;
  }

  /** No response came, or it broke off. True: the row is full, and the next one begins. */
  isFullWithFailure(): boolean {
    this.failures += 1;
    if (this.failures !== this.lengths.consecutiveFailures) return false;
    this.failures = 0;
    return true;
  }

  /** A response has ended as it should, whatever its status. */
  endFailures(): void {
    this.failures = 0;
  }

  /** What was before does not count any more. */
  clear(): void {
    this.errors = 0;
    this.failures = 0;
  }
}
