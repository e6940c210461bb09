// `claim: safe` where a node holds two addresses (docs/decisions/0019): a kernel removes the second of them up to a second
// after its lease, so that whoever waits for the lease alone would hold it beside a dead node.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { waitUntil } from "../support/wait-until.ts";
import { addressOf, atRest, CROSSED, giveGroup } from "./crossed-groups.ts";
import { tellFailures } from "./failures.ts";
import { Lab } from "./lab.ts";
import { ms } from "./meter.ts";
import { labIsMissing } from "./requirements.ts";

/** An address is renewed each half second. The other one is renewed so long after it, or before its next renewal. */
const APART_MS = { min: 240, max: 430 };
/** Long enough to see each of them twice. */
const LOOK_MS = 1200;
const JUST_MS = 50;
const MOVES_MAX = 3;

const skip = labIsMissing();
const lab = new Lab({ ...CROSSED, pair: "  claim: safe\n  lease: 2s" });

before(async () => {
  if (skip !== false) return;
  await lab.up();
  await lab.repair();
  await atRest(lab);
});
after(() => lab.down());
tellFailures(lab);

/**
 * Right after b has renewed one address well after the other. A kernel that removes the first looks again a second later, and then
 * the second stays on a dead b for longer than its lease.
 */
function hasRenewedOneLater(): boolean {
  const [first = 0, second = 0] = Object.values(addressOf)
    .map((address) => lab.watch.renewedAt("b", address) ?? 0)
    .toSorted((left, right) => left - right);
  const apartMs = second - first;
  return apartMs > APART_MS.min && apartMs < APART_MS.max && performance.now() - second < JUST_MS;
}

/** b holds both addresses, claimed at different times as after any failover in life. Resolves at the worst moment for it to die. */
async function gatherOnB(): Promise<void> {
  await giveGroup(lab, { of: "b", to: "b" });
  for (let moves = 0; moves < MOVES_MAX; moves += 1) {
    await giveGroup(lab, { of: "a", to: "a" });
    await giveGroup(lab, { of: "a", to: "b" });
    const seen = waitUntil(hasRenewedOneLater, { what: "renewals", withinMs: LOOK_MS, everyMs: 5 });
    if (await seen.catch(() => false)) return;
  }
}

test(
  "claim: safe: a node that holds the addresses of two groups dies: both move, and neither ever has two holders",
  { skip },
  async (t) => {
    await gatherOnB();
    const atMs = await lab.killEverything("b");
    for (const address of Object.values(addressOf)) {
      const movedMs = await waitUntil(() => lab.watch.soleHolderSince("a", address) ?? undefined, {
        what: `a alone to hold ${address}`,
        withinMs: 10_000,
      });
      t.diagnostic(
        `${address}: a alone after ${ms(movedMs - atMs)}, both for ${ms(lab.watch.overlapMs(atMs, address))}`,
      );
    }
    for (const address of Object.values(addressOf)) {
      assert.equal(lab.watch.overlapMs(atMs, address), 0, `both nodes held ${address}`);
      assert.deepEqual(
        lab.watch.claimsSince(atMs, address).map(({ node }) => node),
        ["a"],
      );
    }
  },
);
