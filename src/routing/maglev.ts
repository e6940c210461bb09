// Maglev's table: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016,
// section 3.4. Each entry has a preference among the places of the table, and the entries take turns in taking
// the next free place that they prefer, as many in each turn as their weight is worth. The table depends on names
// and weights alone: entries are sorted by name, so that both nodes have the same one whatever the order of
// their files.

import { hashText } from "./hash.ts";

/** Prime, as the paper asks; 100 times as many as there are backends, or the shares become uneven. */
export const TABLE_SIZE = 65_537;

export interface MaglevEntry {
  readonly name: string;
  /** More than 0. */
  readonly weight: number;
}

/** For each place the number of the entry that has it, counted in the order of their names. */
export type MaglevTable = Uint16Array;

const FREE = 0xffff;
/** Places that cannot be told apart from FREE would begin here. */
const ENTRIES_MAX = 0xffff;
const OFFSET_SEED = 0x6f666673;
const SKIP_SEED = 0x736b6970;

/** In the order that the table counts in. */
export function sortByName<Entry extends { readonly name: string }>(entries: readonly Entry[]): Entry[] {
  return entries.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/**
 * The table for entries that are sorted by name. About TABLE_SIZE x ln(TABLE_SIZE) steps whatever the entries
 * and their weights: 5 to 15 ms. Throws when there are none, or more than 65,535.
 */
export function buildTable(entries: readonly MaglevEntry[]): MaglevTable {
  if (entries.length === 0 || entries.length > ENTRIES_MAX) throw new Error("no table without entries");
  const table = new Uint16Array(TABLE_SIZE).fill(FREE);
  const skips = entries.map(({ name }) => 1 + (hashText(name, SKIP_SEED) % (TABLE_SIZE - 1)));
  const nexts = entries.map(({ name }) => hashText(name, OFFSET_SEED) % TABLE_SIZE);
  // One place per turn on average, so that the number of turns depends on no weight.
  const mean = entries.reduce((sum, { weight }) => sum + weight, 0) / entries.length;
  const dues = entries.map(() => 0);
  for (let free = TABLE_SIZE; ;) {
    for (const [i, { weight }] of entries.entries()) {
      const skip = skips[i] ?? 1;
      let next = nexts[i] ?? 0;
      let due = (dues[i] ?? 0) + weight / mean;
      for (; due >= 1; due -= 1) {
        while (table[next] !== FREE) next = (next + skip) % TABLE_SIZE;
        table[next] = i;
        free -= 1;
        if (free === 0) return table;
      }
      nexts[i] = next;
      dues[i] = due;
    }
  }
}
