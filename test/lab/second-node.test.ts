// A pair of one with everything real that gets its second node: no request fails, the address never has two holders, and its
// lease is renewed all the time. The second one starts before the first knows its name, as a join may.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { waitUntil } from "../support/wait-until.ts";
import { tellFailures } from "./failures.ts";
import { Lab } from "./lab.ts";
import { rewriteConfig } from "./lab-config.ts";
import { assertOutageAtMost, describeReport } from "./meter.ts";
import { labIsMissing } from "./requirements.ts";

/** Longer than any interval after which a node that hears nobody would claim. */
const LOOK_ON_MS = 3000;

const skip = labIsMissing();
const lab = new Lab({ nodes: ["a"] });

before(() => (skip === false ? lab.up() : undefined));
after(() => lab.down());
tellFailures(lab);

test(
  "a node that has no second one yet serves soon, asked by its gateway and the network",
  { skip },
  async (t) => {
    const startedAt = performance.now();
    lab.startNode("a");
    await lab.waitForRole("a", "active", { withinMs: 10_000 });
    t.diagnostic(`active after ${String(Math.round(performance.now() - startedAt))} ms`);
    const status = await lab.status("a");
    assert.deepEqual([status?.peer, status?.reason], [null, "no second node yet: run `sudo vipair invite`"]);
    assert.deepEqual(await lab.holders(), ["a"]);
  },
);

test("the gateway goes, and the node serves on: nobody else could", { skip }, async () => {
  await lab.pullCable("gateway");
  await waitUntil(async () => ((await lab.status("a"))?.arbiter?.lastAnswerMs ?? 0) > LOOK_ON_MS, {
    what: "the silence of the gateway",
    withinMs: 10_000,
  });
  const [role, holders] = [(await lab.status("a"))?.role, await lab.holders()];
  await lab.plugCable("gateway");
  assert.deepEqual([role, holders], ["active", ["a"]]);
});

test(
  "the second node starts, then the first reads its name: no request fails, and nothing moves",
  { skip },
  async (t) => {
    const meter = await lab.startMeter();
    await meter.mark("join");
    const { epoch } = (await lab.status("a")) ?? {};
    const atMs = performance.now();
    rewriteConfig(lab.folder, {});
    lab.startNode("b");
    await waitUntil(
      async () => {
        const b = await lab.status("b");
        return b?.role === "standby" && b.peer?.role === "active";
      },
      { what: "b to hear the active", withinMs: 10_000 },
    );
    await sleep(LOOK_ON_MS);
    const pid = lab.nodes.a.controlPid();
    assert.ok(pid !== undefined);
    process.kill(pid, "SIGHUP");
    const { active } = await lab.settle();
    await sleep(LOOK_ON_MS);
    const report = await meter.outageSince("join");
    t.diagnostic(describeReport(report));
    assert.equal(report.failed, 0, JSON.stringify(report.outages));
    assert.equal(active, "a");
    assert.deepEqual(lab.watch.claimsSince(atMs), []);
    assert.equal(lab.watch.overlapMs(atMs), 0);
    assert.equal((await lab.status("a"))?.epoch, epoch);
    await meter.stop();
    meter.close();
  },
);

test("from then on they are a pair: the first one dies, and the second one serves", { skip }, async (t) => {
  const meter = await lab.startMeter();
  await meter.mark("kill");
  await lab.killEverything("a");
  await lab.waitForRole("b", "active", { withinMs: 5000 });
  const report = await meter.outageSince("kill");
  t.diagnostic(describeReport(report));
  assertOutageAtMost(500, report);
  await meter.stop();
  meter.close();
});
