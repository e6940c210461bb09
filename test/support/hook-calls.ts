// What test/support/hook.sh has noted: the calls, and from them who held the address when.

import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface HookCall {
  /** Wall clock, milliseconds. */
  readonly atMs: number;
  readonly node: string;
  readonly action: string;
  readonly stage: "begin" | "done";
  readonly epoch: number;
  readonly address: string;
}

interface Entry extends HookCall {
  readonly leaseEndMs: number;
}

interface Holding {
  readonly node: string;
  readonly address: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** The calls so far, in the order in which they were noted. */
export function hookCalls(folder: string): readonly HookCall[] {
  return readEntries(folder);
}

/** The longest time during which two nodes held an address at once, leases included; milliseconds. */
export function longestOverlapMs(folder: string): number {
  const holdings = holdingsOf(readEntries(folder));
  let longest = 0;
  for (const one of holdings) {
    for (const other of holdings) {
      if (one.node >= other.node || one.address !== other.address) continue;
      longest = Math.max(longest, Math.min(one.toMs, other.toMs) - Math.max(one.fromMs, other.fromMs));
    }
  }
  return longest;
}

/** From a claim to the release, or to the end of the last lease. */
function holdingsOf(entries: readonly Entry[]): readonly Holding[] {
  const holdings: Holding[] = [];
  const open = new Map<string, Holding>();
  for (const { node, address, action, stage, atMs, leaseEndMs } of entries) {
    if (stage !== "done") continue;
    const place = `${node} ${address}`;
    const held = open.get(place);
    if (action === "claim" || action === "renew") {
      // Claimed anew after its lease had ended: two holdings.
      if (held !== undefined && atMs > held.toMs) holdings.push(held);
      const fromMs = held !== undefined && atMs <= held.toMs ? held.fromMs : atMs;
      open.set(place, { node, address, fromMs, toMs: leaseEndMs });
    } else if (action === "release" && held !== undefined) {
      holdings.push({ ...held, toMs: Math.min(atMs, held.toMs) });
      open.delete(place);
    }
  }
  return [...holdings, ...open.values()];
}

function readEntries(folder: string): readonly Entry[] {
  let text: string;
  try {
    text = readFileSync(join(folder, "calls"), "utf8");
  } catch {
    // No hook has run yet.
    return [];
  }
  return text
    .trim()
    .split("\n")
    .map((line) => {
      const [atMs, node = "", action = "", stage, epoch, leaseEndMs, address = ""] = line.split(" ");
      return {
        atMs: Number(atMs),
        node,
        action,
        stage: stage === "begin" ? "begin" : "done",
        epoch: Number(epoch),
        leaseEndMs: Number(leaseEndMs),
        address,
      };
    });
}
