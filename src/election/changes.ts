// What operators changed while the pair runs (maintenance, drains), as a table that both nodes hold: by key
// the last writer wins. Who is last is decided by (epoch, counter, node), never by a clock. The order is
// total, so that two tables merge into the same one in whatever order, and however often, their changes
// arrive; that is all that replication over the peer link needs. parseChanges is the only door for what
// comes off the wire or the disk.

export type ChangeValue = boolean | number;

/** What one key was set to, and when, as far as the pair can tell. */
export interface Change {
  /** `maintenance/pi-a`, `drain/web/big`. */
  readonly key: string;
  readonly value: ChangeValue;
  /** The newest claim that the setting node knew of. */
  readonly epoch: number;
  /** Greater than each counter that the setting node had seen. */
  readonly counter: number;
  /** The node that set it. */
  readonly node: string;
}

/** By key. Never changed in place. */
export type ChangeTable = ReadonlyMap<string, Change>;

/** Keys that a node gives out: with so many in the table a new one is refused. */
export const KEYS_MAX = 512;
/** Both nodes may have given out theirs while they were apart. Beyond that the oldest changes go. */
export const TABLE_KEYS_MAX = 2 * KEYS_MAX;

/** Rule 12: maintenance is never refused for want of room, and goes last. There is one key for each node. */
const MAINTENANCE = "maintenance/";

export const KEY_LENGTH_MAX = 256;
export const NODE_LENGTH_MAX = 64;

/** Room is left above, so that the next ones still are safe integers. */
const COUNT_MAX = 2 ** 52;

export type SetOutcome =
  | { readonly kind: "set"; readonly change: Change; readonly table: ChangeTable }
  | { readonly kind: "refused"; readonly reason: string };

/**
 * Sets a key here and now: the change wins over all that the table holds, and over all that this node will
 * ever hear from a node that has seen no more than this one.
 */
export function setChange(
  table: ChangeTable,
  { key, value, epoch, node }: Omit<Change, "counter">,
): SetOutcome {
  let newest = epoch;
  let counter = 0;
  for (const seen of table.values()) {
    newest = Math.max(newest, seen.epoch);
    counter = Math.max(counter, seen.counter);
  }
  const change = parseChange({ key, value, epoch: newest, counter: counter + 1, node });
  if (change === undefined) return { kind: "refused", reason: `"${key}" cannot be set to ${String(value)}` };
  if (!table.has(key) && table.size >= KEYS_MAX && !key.startsWith(MAINTENANCE)) {
    const reason = `there are ${String(table.size)} run-time changes already: no further one is kept`;
    return { kind: "refused", reason };
  }
  return { kind: "set", change, table: new Map(table).set(key, change) };
}

/**
 * What ends an order that is about nothing any more. It is the same on whichever node it is made, and wins over that
 * order alone: one that is given meanwhile, and not known here yet, is newer.
 */
export function takeBack(order: Change): Change {
  return { ...order, value: false };
}

/**
 * Both tables in one, and what of `incoming` was news: at most one change per key. Commutative, associative
 * and idempotent: of each key the newest change is kept, of all keys maintenance and the newest, TABLE_KEYS_MAX.
 */
export function mergeChanges(
  table: ChangeTable,
  incoming: Iterable<Change>,
): { readonly table: ChangeTable; readonly news: readonly Change[] } {
  const merged = new Map(table);
  const news = new Map<string, Change>();
  for (const change of incoming) {
    const known = merged.get(change.key);
    if (known !== undefined && compareChanges(change, known) <= 0) continue;
    merged.set(change.key, change);
    news.set(change.key, change);
  }
  if (news.size === 0) return { table, news: [] };
  for (const { key } of oldest(merged, { beyond: TABLE_KEYS_MAX })) {
    merged.delete(key);
    news.delete(key);
  }
  return { table: merged, news: [...news.values()] };
}

/**
 * The table without what may be forgotten, but for the newest epoch and the highest counter: with those gone, the
 * next change could lose against an older one that a node has which was away.
 */
export function forgetChanges(table: ChangeTable, isForgettable: (change: Change) => boolean): ChangeTable {
  const changes = [...table.values()];
  const newest = changes.toSorted(compareChanges).at(-1);
  const highest = changes.toSorted((a, b) => a.counter - b.counter).at(-1);
  const kept = changes.filter((change) => change === newest || change === highest || !isForgettable(change));
  return kept.length === changes.length ? table : new Map(kept.map((change) => [change.key, change]));
}

/** Negative when `a` came before `b`; 0 only for the same change. Keys do not count, but for a last resort. */
export function compareChanges(a: Change, b: Change): number {
  return (
    a.epoch - b.epoch ||
    a.counter - b.counter ||
    compareTexts(a.node, b.node) ||
    // It has been taken back.
    Number(a.value === false) - Number(b.value === false) ||
    // A node that has lost its file may give a number out twice.
    compareTexts(JSON.stringify(a.value), JSON.stringify(b.value)) ||
    compareTexts(a.key, b.key)
  );
}

/** Changes out of parsed JSON; undefined when it is no list, or any of them is no change. */
export function parseChanges(value: unknown): readonly Change[] | undefined {
  if (!Array.isArray(value) || value.length > TABLE_KEYS_MAX) return undefined;
  const changes: Change[] = [];
  for (const entry of value) {
    const change = parseChange(entry);
    if (change === undefined) return undefined;
    changes.push(change);
  }
  return changes;
}

function parseChange(entry: unknown): Change | undefined {
  if (typeof entry !== "object" || entry === null) return undefined;
  const { key, value, epoch, counter, node }: Partial<Record<string, unknown>> = { ...entry };
  if (!isName(key, KEY_LENGTH_MAX) || !isName(node, NODE_LENGTH_MAX)) return undefined;
  if (!isCount(epoch) || !isCount(counter) || counter === 0) return undefined;
  if (typeof value === "boolean") return { key, value, epoch, counter, node };
  if (typeof value !== "number" || !Number.isFinite(value)) return undefined;
  // JSON has a -0 that it does not write.
  return { key, value: value + 0, epoch, counter, node };
}

function oldest(table: ChangeTable, { beyond }: { readonly beyond: number }): readonly Change[] {
  if (table.size <= beyond) return [];
  const rank = ({ key }: Change) => (key.startsWith(MAINTENANCE) ? 1 : 0);
  return [...table.values()]
    .toSorted((a, b) => rank(a) - rank(b) || compareChanges(a, b))
    .slice(0, table.size - beyond);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= COUNT_MAX;
}

/** Printable, so that it can stand in a log line and never grows much when it is written as JSON. */
function isName(value: unknown, lengthMax: number): value is string {
  if (typeof value !== "string" || value.length === 0 || value.length > lengthMax) return false;
  return value.isWellFormed() && !/\p{Cc}/u.test(value);
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
