// Smooth weighted round-robin, as nginx does it: every turn each candidate earns its weight, the
// richest one is chosen and pays what all earned together. a:5 b:1 c:1 gives a a b a c a a.
// Only candidates that may be chosen now earn and pay, so a dead one neither skews the others' shares
// nor comes back to a heap of savings. (Choosing over all weights and skipping the dead gives the dead
// one's share to its neighbour.)

/** Entries by their number. In arrays of numbers, because a turn looks at all of them, for each request. */
export interface Turns {
  readonly weights: Float64Array;
  /** What each has earned and not yet paid. Between turns their sum does not change. */
  readonly credits: Float64Array;
}

/** By number: 1 for an entry that was refused. null: none was. */
export type Refusals = Uint8Array | null;

/** The number of the entry whose turn it is, but for those that were refused; -1: none is left. */
export function nextInTurn({ weights, credits }: Turns, refusals: Refusals): number {
  let best = -1;
  let most = -Infinity;
  for (let i = 0; i < weights.length; i += 1) {
    const credit = (credits[i] ?? 0) + (weights[i] ?? 0);
    if (credit <= most || (refusals !== null && refusals[i] === 1)) continue;
    best = i;
    most = credit;
  }
  return best;
}

/** All earn, but for those that were refused, and the chosen one pays. */
export function payTurn({ weights, credits }: Turns, chosen: number, refusals: Refusals): void {
  let earned = 0;
  for (let i = 0; i < weights.length; i += 1) {
    if (refusals !== null && refusals[i] === 1) continue;
    const weight = weights[i] ?? 0;
    credits[i] = (credits[i] ?? 0) + weight;
    earned += weight;
  }
  credits[chosen] = (credits[chosen] ?? 0) - earned;
}

/**
 * Brings the credits of entries whose weights have changed, or which met others before, to what they can be
 * among these: a debt from heavier days would keep an entry waiting for many turns.
 */
export function boundCredits({ weights, credits }: Turns): void {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (const [i, credit] of credits.entries()) credits[i] = Math.min(total, Math.max(-total, credit));
}
