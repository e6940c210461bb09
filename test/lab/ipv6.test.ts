// A group of two virtual addresses, one of each family, on a listener that is open only on the active: both move
// together, and IPv6 needs other announcements than ARP.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { waitUntil } from "../support/wait-until.ts";
import { Lab } from "./lab.ts";
import { VIP, VIP6 } from "./lab-config.ts";
import { assertOutageAtMost, describeReport } from "./meter.ts";
import { labIsMissing } from "./requirements.ts";

const skip = labIsMissing();
const lab = new Lab({ virtualAddresses: [`${VIP}/24`, `${VIP6}/64`], bind: "vip:80" });

before(() => (skip === false ? lab.up() : undefined));
after(() => lab.down());

test("both move together, and a client reaches the new active over each", { skip }, async (t) => {
  const { active, standby } = await lab.settle();
  assert.deepEqual(await lab.holders(VIP6), [active]);
  const ipv4 = await lab.startMeter(VIP);
  const ipv6 = await lab.startMeter(VIP6);
  await ipv4.mark("kill");
  await ipv6.mark("kill");
  await lab.killEverything(active);
  await lab.waitForRole(standby, "active", { withinMs: 5000 });
  for (const address of [VIP, VIP6]) {
    await waitUntil(async () => (await lab.holders(address)).join() === standby, {
      what: `${standby} alone to hold ${address}`,
      withinMs: 2500,
    });
    assert.ok(await lab.clientReaches(standby, address), `the client reaches ${standby} by ${address}`);
  }
  // From here on every connection goes to the new active.
  await ipv4.mark("after");
  await ipv6.mark("after");
  await sleep(500);
  for (const [family, meter] of Object.entries({ ipv4, ipv6 })) {
    await meter.stop();
    const report = await meter.outageSince("kill");
    t.diagnostic(`${family}: ${describeReport(report)}`);
    assertOutageAtMost(500, report);
    const afterwards = await meter.outageSince("after");
    assert.equal(afterwards.failed, 0);
    assert.ok(afterwards.total > 0);
    meter.close();
  }
});
