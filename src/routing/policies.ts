// The policies: which of the backends that may serve gets the next request. A policy knows names, weights, loads
// and its own memory; who is healthy is decided before (pool.ts), who was tried already, is full or has its
// circuit open is the caller's to say (Asker.accepts). docs/balancing.md tells when to use which.
//
//   round-robin           in turn, by weight                    chooseInTurn, round-robin.ts
//   least-connections     fewest active ones for its weight     chooseLeastLoaded
//   first                 first in the file                     chooseFirst
//   random                two by chance, the less loaded one    chooseOfTwo
//   least-response-time   two by chance, the faster one         chooseOfTwo
//   ...-hash              the same for the same key             chooseByHash, maglev.ts

import type { BalanceConfig } from "../config/balance-config.ts";
import { asFraction, hashText, mixBits } from "./hash.ts";
import { TABLE_SIZE } from "./maglev.ts";
import { expectedResponseMs } from "./response-time.ts";
import { type Refusals, nextInTurn, payTurn } from "./round-robin.ts";
import type { Entry, Tier } from "./tier.ts";

/** Who wants a backend. */
export interface Asker<E extends Entry> {
  /** What a hash policy goes by, asked only by those; null: the request has nothing of the kind. */
  hashKey(): string | null;
  /** May be asked about any entry, any number of times: it only looks. */
  accepts(entry: E): boolean;
}

/** What the world adds to a choice. */
export interface Moment {
  /** Monotonic milliseconds. */
  nowMs: number;
  /** 0 <= random() < 1 */
  readonly random: () => number;
}

/** The policy's choice among the entries that the asker accepts; null when it accepts none. */
export function chooseEntry<E extends Entry>(
  balance: BalanceConfig,
  tier: Tier<E>,
  asker: Asker<E>,
  moment: Moment,
): E | null {
  switch (balance.kind) {
    case "round-robin":
      return chooseInTurn(tier, asker);
    case "least-connections":
      return chooseLeastLoaded(tier, asker);
    case "first":
      return chooseFirst(tier, asker);
    case "random":
    case "least-response-time":
      return chooseOfTwo(balance.kind, tier, asker, moment);
    case "source-hash":
    case "uri-hash":
    case "header-hash":
    case "cookie-hash":
      return chooseByHash(tier, asker);
  }
}

// ── one look at each ───────────────────────────────────────────────────────────────────────────────

/** HAProxy's `first`: whoever stands first and has room. Weights count only as 0 or not. */
function chooseFirst<E extends Entry>({ entries }: Tier<E>, asker: Asker<E>): E | null {
  for (const entry of entries) if (asker.accepts(entry)) return entry;
  return null;
}

/** Smooth weighted round-robin. */
function chooseInTurn<E extends Entry>(tier: Tier<E>, asker: Asker<E>): E | null {
  return chooseFrom(tier, asker, nextInTurn, payTurn);
}

/**
 * nginx's `least_conn`: the fewest active requests in proportion to the weight; those that have equally few take
 * turns by weight, so that a quiet pool shares as round-robin does.
 */
function chooseLeastLoaded<E extends Entry>(tier: Tier<E>, asker: Asker<E>): E | null {
  return chooseFrom(tier, asker, leastLoaded, moveOn);
}

/** So many refusals are learnt one by one; after that every entry is asked. */
const REFUSALS_MAX = 3;

/** What `find` finds and the asker accepts. Most requests are refused by nobody, so it is asked about that one first. */
function chooseFrom<E extends Entry>(
  tier: Tier<E>,
  asker: Asker<E>,
  find: (tier: Tier<E>, refusals: Refusals) => number,
  pay: (tier: Tier<E>, chosen: number, refusals: Refusals) => void,
): E | null {
  const { entries } = tier;
  let refusals: Refusals = null;
  for (let count = 0; ; count += 1) {
    const found = find(tier, refusals);
    const entry = entries[found];
    if (entry === undefined) return null;
    if (count > REFUSALS_MAX || asker.accepts(entry)) {
      pay(tier, found, refusals);
      return entry;
    }
    refusals ??= tier.marks.fill(0);
    refusals[found] = 1;
    if (count === REFUSALS_MAX) {
      for (const [i, one] of entries.entries()) refusals[i] = asker.accepts(one) ? 0 : 1;
    }
  }
}

function leastLoaded({ loads, inverses, credits }: Tier<Entry>, refusals: Refusals): number {
  let best = -1;
  let least = Infinity;
  let first = Infinity;
  for (let i = 0; i < loads.length; i += 1) {
    const load = (loads[i]?.active ?? 0) * (inverses[i] ?? 0);
    if (load > least || (refusals !== null && refusals[i] === 1)) continue;
    const turn = credits[i] ?? 0;
    if (load === least && turn >= first) continue;
    best = i;
    least = load;
    first = turn;
  }
  return best;
}

/**
 * Stride scheduling (Waldspurger and Weihl 1995): a turn moves the chosen one on by a stride, the shorter the more it
 * weighs, and equals are chosen by how far they are. Whoever was too busy to be chosen is brought to where the
 * others are.
 */
function moveOn(tier: Tier<Entry>, chosen: number): void {
  tier.reached = Math.max(tier.reached, tier.credits[chosen] ?? 0);
  tier.credits[chosen] = tier.reached + (tier.inverses[chosen] ?? 0);
}

// ── by chance ──────────────────────────────────────────────────────────────────────────────────────

/** Draws by chance until then, since most are accepted; after that every entry is asked. */
const DRAWS_MAX = 4;

/**
 * The power of two choices (Mitzenmacher 2001): two by chance, by weight, and the better one of them. Equals leave
 * it to the first, so that a quiet pool shares by weight. Nobody herds to the one that looks best for a moment.
 */
function chooseOfTwo<E extends Entry>(
  kind: "random" | "least-response-time",
  tier: Tier<E>,
  asker: Asker<E>,
  { nowMs, random }: Moment,
): E | null {
  const first = draw(tier, asker, random, null);
  if (first === null || tier.entries.length === 1) return first;
  const second = draw(tier, asker, random, first);
  if (second === null) return first;
  const isBetter =
    kind === "random"
      ? second.load.active * first.weight < first.load.active * second.weight
      : isFaster(second, first, { nowMs, meanWeight: totalOf(tier) / tier.entries.length });
  return isBetter ? second : first;
}

/**
 * Finagle's cost of peak EWMA, response time x (active + 1): what the next request would wait for. What is active
 * counts by weight. Against one that has not answered yet the loads alone decide.
 */
function isFaster(
  a: Entry,
  b: Entry,
  { nowMs, meanWeight }: { readonly nowMs: number; readonly meanWeight: number },
): boolean {
  const responseA = expectedResponseMs(a.load, nowMs);
  const responseB = expectedResponseMs(b.load, nowMs);
  const loadA = (a.load.active * meanWeight) / a.weight + 1;
  const loadB = (b.load.active * meanWeight) / b.weight + 1;
  if (responseA === 0 || responseB === 0) return loadA < loadB;
  return responseA * loadA < responseB * loadB;
}

/** One that is accepted, and not `other`, by chance and weight. */
function draw<E extends Entry>(
  tier: Tier<E>,
  asker: Asker<E>,
  random: () => number,
  other: E | null,
): E | null {
  for (let i = 0; i < DRAWS_MAX; i += 1) {
    const entry = entryAt(tier, random());
    if (entry !== undefined && entry !== other && asker.accepts(entry)) return entry;
  }
  return entryAmong(acceptedOf(tier.entries, asker, other), random());
}

/** The entry at a point, 0 to 1, of the line on which each lies as long as its weight. */
function entryAt<E extends Entry>({ entries, sums }: Tier<E>, point: number): E | undefined {
  const at = point * (sums[sums.length - 1] ?? 0);
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sums[middle] ?? 0) > at) high = middle;
    else low = middle + 1;
  }
  return entries[low];
}

/** The same on the line of these alone; null: there are none. */
function entryAmong<E extends Entry>(entries: readonly E[], point: number): E | null {
  let left = point * entries.reduce((sum, { weight }) => sum + weight, 0);
  for (const entry of entries) {
    left -= entry.weight;
    if (left < 0) return entry;
  }
  return entries.at(-1) ?? null;
}

/** Those that the asker accepts, but for `other`. */
function acceptedOf<E extends Entry>(entries: readonly (E | null)[], asker: Asker<E>, other: E | null): E[] {
  const accepted: E[] = [];
  for (const entry of entries) {
    if (entry !== null && entry !== other && asker.accepts(entry)) accepted.push(entry);
  }
  return accepted;
}

function totalOf<E extends Entry>({ sums }: Tier<E>): number {
  return sums[sums.length - 1] ?? 0;
}

// ── by hash ────────────────────────────────────────────────────────────────────────────────────────

/** Places of the table that a key may be led to; after that every entry is asked. */
const PLACES_MAX = 16;
/** The golden ratio, as in every hash that goes on from itself. */
const NEXT_PLACE = 0x9e3779b9;
const SHARE_SEED = 0x73686172;

/**
 * The entry at the key's place in Maglev's table. When that one may not serve or is refused, the key has a second
 * place, and so on: keys of a backend that is down spread over the others by weight, nobody else's key moves,
 * and they are back when it is. (A new table for each set of backends that are up would move some keys of
 * the healthy ones too, and cost some 10 ms each time that one of them flaps.) In the same way a backend with less than its
 * full weight gives away the keys above its share.
 */
function chooseByHash<E extends Entry>(tier: Tier<E>, asker: Asker<E>): E | null {
  const key = asker.hashKey();
  // HAProxy: "if the header is absent or does not contain any value, the roundrobin algorithm is applied instead".
  if (key === null || tier.places === null) return chooseInTurn(tier, asker);
  const { table, entries } = tier.places;
  let hash = hashText(key);
  for (let i = 0; i < PLACES_MAX; i += 1) {
    const entry = entries[table[hash % TABLE_SIZE] ?? 0] ?? null;
    const keeps =
      entry !== null && (entry.share >= 1 || asFraction(mixBits(hash ^ SHARE_SEED)) < entry.share);
    if (keeps && asker.accepts(entry)) return entry;
    hash = mixBits(hash + NEXT_PLACE);
  }
  // In the order of their names, as in the table.
  return entryAmong(acceptedOf(entries, asker, null), asFraction(hash));
}
