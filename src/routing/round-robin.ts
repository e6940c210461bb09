// Smooth weighted round-robin, as nginx does it: every turn each candidate earns its weight, the
// richest one is chosen and pays what all earned together. a:5 b:1 c:1 gives a a b a c a a.
// Only candidates that may be chosen now earn and pay, so a dead one neither skews the others' shares
// nor comes back to a heap of savings. (Choosing over all weights and skipping the dead gives the dead
// one's share to its neighbour.)

export interface RoundRobinEntry {
  readonly weight: number;
  /** What it has earned and not yet paid. Between turns the sum over all entries does not change. */
  credit: number;
}

/** The entry whose turn it is among those accepted; null when none is. Moves the credits. */
export function takeTurn<Entry extends RoundRobinEntry>(
  entries: readonly Entry[],
  asker: { accepts(entry: Entry): boolean },
): Entry | null {
  let best: Entry | null = null;
  let earned = 0;
  for (const entry of entries) {
    if (!asker.accepts(entry)) continue;
    entry.credit += entry.weight;
    earned += entry.weight;
    if (best === null || entry.credit > best.credit) best = entry;
  }
  if (best !== null) best.credit -= earned;
  return best;
}

/**
 * Brings the credits of entries whose weights have changed, or which met others before, to what they can be
 * among these: a debt from heavier days would keep an entry waiting for many turns.
 */
export function boundCredits(entries: readonly RoundRobinEntry[]): void {
  let total = 0;
  for (const { weight } of entries) total += weight;
  for (const entry of entries) entry.credit = Math.min(total, Math.max(-total, entry.credit));
}
