// Active/active: two groups of one address each, so that both nodes serve, and each is the other's standby.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { waitUntil } from "../support/wait-until.ts";
import { tellFailures } from "./failures.ts";
import { Lab, NODES, otherNode, type Node } from "./lab.ts";
import { VIP, VIP_TWO } from "./lab-config.ts";
import { describeReport, type Meter, ms } from "./meter.ts";
import { labIsMissing } from "./requirements.ts";

const ADDRESS = { a: VIP, b: VIP_TWO };
const PREFIXED = { a: `${VIP}/24`, b: `${VIP_TWO}/24` };
const WITHIN_MS = 20_000;

const skip = labIsMissing();
const lab = new Lab({ groups: PREFIXED, watched: [VIP, VIP_TWO] });
let meters: Readonly<Record<Node, Meter>>;

before(async () => {
  if (skip !== false) return;
  await lab.up();
  await lab.repair();
  await ready();
  // Whoever came up first may have taken both.
  for (const node of NODES) await sendHome(node);
  meters = { a: await lab.startMeter(VIP), b: await lab.startMeter(VIP_TWO) };
});
after(() => lab.down());
tellFailures(lab);

/** Gives a node the address of its own group, without a failed request. */
async function sendHome(node: Node): Promise<void> {
  if (lab.watch.soleHolderSince(node, ADDRESS[node]) === null) {
    await lab.vipair(node, "switchover", "--group", `of-${node}`);
  }
  await waitUntil(() => lab.watch.soleHolderSince(node, ADDRESS[node]) !== null, {
    what: `${node} alone to hold ${ADDRESS[node]}`,
    withinMs: 5000,
  });
}

/** Each address has one holder; each node is in touch with the other and ready for both groups. */
async function ready(): Promise<void> {
  await waitUntil(
    async () => {
      for (const node of NODES) {
        if (NODES.every((holder) => lab.watch.soleHolderSince(holder, ADDRESS[node]) === null)) return false;
        const status = await lab.status(node);
        if (status?.reason !== null || status.peer?.connected !== true) return false;
        if (status.groups.some(({ reason }) => reason !== null)) return false;
      }
      return true;
    },
    { what: "the groups to come to rest", withinMs: WITHIN_MS, everyMs: 50 },
  );
}

for (const victim of NODES) {
  const heir = otherNode(victim);
  test(
    `${victim} dies: ${heir} serves both addresses, its own without a break, until ${victim} gets its own back`,
    { skip },
    async (t) => {
      await ready();
      for (const node of NODES) await meters[node].mark("kill");
      const atMs = await lab.killEverything(victim);
      await waitUntil(() => lab.watch.soleHolderSince(heir, ADDRESS[victim]) !== null, {
        what: `${heir} alone to hold ${ADDRESS[victim]}`,
        withinMs: 5000,
      });
      const moved = await meters[victim].outageSince("kill");
      const stayed = await meters[heir].outageSince("kill");
      t.diagnostic(`${ADDRESS[victim]}: ${describeReport(moved)}`);
      t.diagnostic(`${ADDRESS[heir]}: ${describeReport(stayed)}`);
      assert.ok(moved.longestOutageMs <= 300, `outage ${ms(moved.longestOutageMs)}`);
      assert.equal(stayed.failed, 0, JSON.stringify(stayed.outages));
      assert.deepEqual(lab.watch.claimsSince(atMs, ADDRESS[heir]), []);

      for (const node of NODES) await meters[node].mark("return");
      lab.startNode(victim);
      await ready();
      await sendHome(victim);
      for (const node of NODES) {
        const report = await meters[node].outageSince("return");
        assert.equal(report.failed, 0, `${ADDRESS[node]}: ${JSON.stringify(report.outages)}`);
      }
    },
  );
}
