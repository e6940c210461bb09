// Backends that are equals, laid out for the policies: what they look at for each request stands in arrays, made when
// weights or health change.

import type { BalanceConfig } from "../config/balance-config.ts";
import type { MaglevTable } from "./maglev.ts";
import type { BackendLoad } from "./response-time.ts";
import { type Turns, boundCredits } from "./round-robin.ts";

/** One backend that may serve, as policies see it. */
export interface Entry {
  readonly name: string;
  /** What it shall get now, more than 0; whole, so that sums of it stay exact. */
  readonly weight: number;
  /** 0 to 1: the part of its place in the hash table that it shall fill now. */
  readonly share: number;
  readonly load: BackendLoad;
}

/** Backends that are equals: while one of them is accepted, none of another tier is asked. */
export interface Tier<E extends Entry> extends Turns {
  /** At least one, in the order of the file. */
  readonly entries: readonly E[];
  readonly loads: readonly BackendLoad[];
  /** 1 divided by each weight. */
  readonly inverses: Float64Array;
  /** Where the one stood that was chosen last, for least-connections. */
  reached: number;
  /** Room for the refusals of one choice. */
  readonly marks: Uint8Array;
  /** Sums of the weights up to and with each entry. */
  readonly sums: Float64Array;
  /** For policies that hash; null: they were not needed yet. */
  places: Places<E> | null;
}

/** Maglev's table and who is meant in it; null: an entry that may not serve now. */
export interface Places<E extends Entry> {
  readonly table: MaglevTable;
  readonly entries: readonly (E | null)[];
}

/** `credits`: what the entries had in their last tier, 0 for new ones. */
export function createTier<E extends Entry>(
  { kind }: BalanceConfig,
  entries: readonly E[],
  credits: readonly number[],
): Tier<E> {
  const weights = Float64Array.from(entries, ({ weight }) => weight);
  let sum = 0;
  const tier: Tier<E> = {
    entries,
    loads: entries.map(({ load }) => load),
    weights,
    inverses: weights.map((weight) => 1 / weight),
    sums: weights.map((weight) => (sum += weight)),
    credits: Float64Array.from(credits),
    reached: 0,
    marks: new Uint8Array(entries.length),
    places: null,
  };
  if (kind === "least-connections") gather(tier);
  else boundCredits(tier);
  return tier;
}

/** Whoever is behind is brought to where the one stood that was chosen last. */
function gather(tier: Tier<Entry>): void {
  const { credits, inverses } = tier;
  tier.reached = Math.max(...credits.map((credit, i) => credit - (inverses[i] ?? 0)));
  for (const [i, credit] of credits.entries()) credits[i] = Math.max(credit, tier.reached);
}
