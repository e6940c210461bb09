// Which pool of a split a client belongs to. Weighted rendezvous hashing (Wang and Ravishankar; the weights as in
// Schindelhauer and Schomaker): each pool draws a score from the client and itself, the highest one wins. A client
// stays where it is whatever the order of the file and the node, and when a weight grows, clients only move to
// that pool.

import type { RouteAction, SplitAction } from "../config/route-config.ts";
import { matchesValue } from "./conditions.ts";
import { hashText } from "./hash.ts";
import type { RequestFacts } from "./request-facts.ts";

/** The pool of this request. */
export function poolOf(
  action: Extract<RouteAction, { readonly kind: "pool" | "split" }>,
  facts: RequestFacts,
): string {
  if (action.kind === "pool") return action.pool;
  const { override } = action;
  if (override !== null && facts.field(override.name).some((value) => matchesValue(override.value, value)))
    return override.pool;
  return poolOfKey(action.shares, splitKey(action, facts));
}

/** An empty value is none: all who have it would be one person. */
function splitKey({ by }: SplitAction, facts: RequestFacts): string {
  switch (by.kind) {
    case "client":
      return facts.clientAddress;
    case "cookie":
      return facts.cookie(by.name) || facts.clientAddress;
    case "header":
      return facts.field(by.name)[0] || facts.clientAddress;
  }
}

/** The pool with the highest score for this key. */
export function poolOfKey(shares: SplitAction["shares"], key: string): string {
  let best = "";
  let bestScore = -Infinity;
  for (const { pool, weight } of shares) {
    if (weight === 0) continue;
    // -weight / ln(u), with u uniform between 0 and 1.
    const score = -weight / Math.log((hashText(`${pool}\n${key}`) + 0.5) / 2 ** 32);
    if (score > bestScore) {
      best = pool;
      bestScore = score;
    }
  }
  return best;
}
