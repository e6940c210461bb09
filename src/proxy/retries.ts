// What a pool allows of retries, and what has been counted of them in this worker. Requests ask here before they go to
// a backend again.

import type { RetryConfig } from "../config/resilience-config.ts";
import { hasBudget } from "../routing/retry-budget.ts";

export class Retries {
  settings: RetryConfig;
  /** Attempts behind the first one of their requests. */
  count = 0;
  /** Requests that failed because the budget was spent. */
  refused = 0;
  /** Requests that went once more as the kept connection that they were sent on had closed: no retries. */
  reconnects = 0;
  /** Requests that are being sent again now. */
  private current = 0;

  /** Answers have to be there in a time that is not the pool's. */
  get isTimed(): boolean {
    return this.settings.perTryMs !== Infinity || this.settings.totalMs !== Infinity;
  }

  constructor(settings: RetryConfig) {
    this.settings = settings;
  }

  /** A request may need its body once more. `length`: of the body; null: nobody knows. */
  keepsBody(length: number | null): boolean {
    const { attempts, on, bodyBytes } = this.settings;
    const isSendingAgain = on.reset || on.timeout || on.statuses.length > 0;
    return isSendingAgain && attempts > 1 && (length ?? 0) <= bodyBytes;
  }

  /** Whether the budget has a place. `active`: requests of the pool, the one that asks included. */
  mayBegin(active: number): boolean {
    if (hasBudget({ retrying: this.current, active }, this.settings.budget)) return true;
    this.refused += 1;
    return false;
  }

  /** Takes a place in the budget, be there one or not: whoever began may go on. */
  take(): void {
    this.current += 1;
  }

  giveBack(): void {
    this.current -= 1;
  }
}
