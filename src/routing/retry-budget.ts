// Whether one more request may be sent again, so that retries do not bury backends that have too much to do already: Envoy's
// retry budget (config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget). Apart because it is the whole rule, and pure.

import type { RetryBudget } from "../config/resilience-config.ts";

/**
 * `retrying` are being sent again now, `active` are under way in all, the one that asks included. True while the former
 * are fewer than the budget's percentage of the latter, rounded down, or than its floor.
 */
export function hasBudget(
  { retrying, active }: { readonly retrying: number; readonly active: number },
  { percent, floor }: RetryBudget,
): boolean {
  return retrying < Math.max(floor, Math.floor((active * percent) / 100));
}
