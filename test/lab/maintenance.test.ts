// A node out of service with everything real: the role goes without a failed request, and neither a kill nor the death of
// the other node ends what an operator has ordered.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { tellFailures } from "./failures.ts";
import { Lab, type Node, NODES, otherNode } from "./lab.ts";
import { describeReport, type Meter } from "./meter.ts";
import { labIsMissing } from "./requirements.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Longer than any interval after which a standby in service would claim. */
const LOOK_ON_MS = 2500;

const skip = labIsMissing();
const lab = new Lab();
let meter: Meter;
/** The one that is taken out of service; the tests are one story. */
let resting: Node;
let serving: Node;

before(async () => {
  if (skip !== false) return;
  await lab.up();
  resting = (await lab.settle()).active;
  serving = otherNode(resting);
  meter = await lab.startMeter();
});
after(() => lab.down());
tellFailures(lab);

/** Until the node that rests says so, and the other one is in touch with it and serves alone. */
async function isAtRest(): Promise<void> {
  await waitUntil(
    async () => {
      const [rests, serves] = [await lab.status(resting), await lab.status(serving)];
      return (
        rests?.role === "standby" &&
        /in maintenance: `vipair resume`/.test(rests.reason ?? "") &&
        serves?.role === "active" &&
        serves.peer?.connected === true &&
        [rests, serves].every(({ maintenance }) => maintenance.join() === resting) &&
        lab.watch.soleHolderSince(serving) !== null
      );
    },
    { what: `${resting} in maintenance, and ${serving} active`, withinMs: 15_000 },
  );
}

test("rule 12: `vipair standby` on the active: the role moves, and no request fails", { skip }, async (t) => {
  await meter.mark("standby");
  const atMs = performance.now();
  assert.match(await lab.vipair(resting, "standby"), /is in maintenance/);
  await isAtRest();
  const report = await meter.outageSince("standby");
  t.diagnostic(describeReport(report));
  assert.equal(report.failed, 0, JSON.stringify(report.outages));
  assert.deepEqual(
    lab.watch.claimsSince(atMs).map(({ node }) => node),
    [serving],
  );
});

test(
  "rule 12: both nodes are killed and started again: the one in maintenance still is, the other serves",
  { skip },
  async () => {
    const atMs = performance.now();
    await Promise.all(NODES.map((node) => lab.killEverything(node)));
    for (const node of NODES) lab.startNode(node);
    await isAtRest();
    assert.ok(lab.watch.claimsSince(atMs).every(({ node }) => node === serving));
  },
);

test(
  "rule 12: the other one dies: a node in maintenance does not take over, until `vipair resume`",
  { skip },
  async (t) => {
    await meter.mark("death");
    const atMs = await lab.killEverything(serving);
    await waitUntil(() => lab.logOf(resting).some((line) => line.includes("the peer's process is dead")), {
      what: "the death to be noticed",
      withinMs: 3000,
    });
    await sleep(LOOK_ON_MS);
    assert.deepEqual(lab.watch.claimsSince(atMs), []);
    assert.deepEqual(await lab.holders(), []);

    assert.match(await lab.vipair(resting, "resume"), /is back in service/);
    await lab.waitForRole(resting, "active", { withinMs: 3000 });
    await waitUntil(async () => (await meter.outageSince("death")).outages.every(({ ended }) => ended), {
      what: `${resting} to answer`,
      withinMs: 3000,
    });
    await meter.mark("return");
    lab.startNode(serving);
    assert.deepEqual(await lab.settle(), { active: resting, standby: serving });
    assert.deepEqual((await lab.status(serving))?.maintenance, []);
    const report = await meter.outageSince("return");
    t.diagnostic(describeReport(report));
    assert.equal(report.failed, 0, JSON.stringify(report.outages));
  },
);
