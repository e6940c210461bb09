// How long to wait before judging: the two formulas of RFC 9568 section 6.1. Milliseconds in, milliseconds out.

/** Skew_Time: the higher the priority, the shorter; it orders nodes that time out together. */
export function skewMs(priority: number, intervalMs: number): number {
  return ((256 - priority) * intervalMs) / 256;
}

/** Active_Down_Interval: this long without an advertisement means that the active is gone. */
export function activeDownMs(priority: number, intervalMs: number): number {
  return 3 * intervalMs + skewMs(priority, intervalMs);
}
