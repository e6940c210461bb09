// Both machines stand still at once and go on together: the host of two virtual machines is paused for a snapshot or a
// backup, or runs something else. Nobody served meanwhile, and nobody else could have: no reason to move the role.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { tellFailures } from "./failures.ts";
import { Lab, LEASE_MS, NODES } from "./lab.ts";
import { labIsMissing } from "./requirements.ts";

const skip = labIsMissing();
/** Long enough for every judgement that the clock gives, of the standby and of the active. */
const QUIET_MS = 2 * LEASE_MS;

/** Shorter than the active-down interval, and longer; with the quarter of a lease between two renewals less than 0.8 of it. */
const PAUSES: Readonly<Record<string, { readonly pair?: string; readonly pausesMs: readonly number[] }>> = {
  "200 ms": { pausesMs: [800] },
  "50 ms": { pair: "  advertisementInterval: 50ms", pausesMs: [140, 800] },
};

for (const [interval, { pausesMs, ...options }] of Object.entries(PAUSES)) {
  const lab = new Lab(options);
  before(async () => {
    if (skip === false) await lab.up();
  });
  after(() => lab.down());
  tellFailures(lab);

  for (const pauseMs of pausesMs) {
    test(
      `${interval}: both nodes stand still for ${String(pauseMs)} ms: the role stays`,
      { skip },
      async () => {
        const { active } = await lab.settle();
        const epoch = (await lab.status(active))?.epoch;
        const atMs = performance.now();
        await Promise.all(NODES.map(async (node) => lab.freeze(node)));
        await sleep(pauseMs);
        await Promise.all(NODES.map(async (node) => lab.thaw(node)));
        await sleep(QUIET_MS);
        const status = await lab.status(active);
        assert.deepEqual([status?.role, status?.epoch], ["active", epoch]);
        assert.deepEqual(lab.watch.claimsSince(atMs), []);
      },
    );
  }
}
