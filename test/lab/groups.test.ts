// Active/active: two groups of one address each, so that both nodes serve, and each is the other's standby.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { waitUntil } from "../support/wait-until.ts";
import { addressOf, atRest, CROSSED, giveGroup } from "./crossed-groups.ts";
import { tellFailures } from "./failures.ts";
import { Lab, NODES, otherNode, type Node } from "./lab.ts";
import { assertOutageAtMost, describeReport, type Meter } from "./meter.ts";
import { labIsMissing } from "./requirements.ts";

const skip = labIsMissing();
const lab = new Lab(CROSSED);
let meters: Readonly<Record<Node, Meter>>;

before(async () => {
  if (skip !== false) return;
  await lab.up();
  await lab.repair();
  await atRest(lab);
  // Whoever came up first may have taken both.
  for (const node of NODES) await giveGroup(lab, { of: node, to: node });
  meters = { a: await lab.startMeter(addressOf.a), b: await lab.startMeter(addressOf.b) };
});
after(() => lab.down());
tellFailures(lab);

for (const victim of NODES) {
  const heir = otherNode(victim);
  test(
    `${victim} dies: ${heir} serves both addresses, its own without a break, until ${victim} gets its own back`,
    { skip },
    async (t) => {
      await atRest(lab);
      for (const node of NODES) await meters[node].mark("kill");
      const atMs = await lab.killEverything(victim);
      await waitUntil(() => lab.watch.soleHolderSince(heir, addressOf[victim]) !== null, {
        what: `${heir} alone to hold ${addressOf[victim]}`,
        withinMs: 5000,
      });
      const moved = await meters[victim].outageSince("kill");
      const stayed = await meters[heir].outageSince("kill");
      t.diagnostic(`${addressOf[victim]}: ${describeReport(moved)}`);
      t.diagnostic(`${addressOf[heir]}: ${describeReport(stayed)}`);
      assertOutageAtMost(300, moved);
      assert.equal(stayed.failed, 0, JSON.stringify(stayed.outages));
      assert.deepEqual(lab.watch.claimsSince(atMs, addressOf[heir]), []);

      for (const node of NODES) await meters[node].mark("return");
      lab.startNode(victim);
      await atRest(lab);
      await giveGroup(lab, { of: victim, to: victim });
      for (const node of NODES) {
        const report = await meters[node].outageSince("return");
        assert.equal(report.failed, 0, `${addressOf[node]}: ${JSON.stringify(report.outages)}`);
      }
    },
  );
}
