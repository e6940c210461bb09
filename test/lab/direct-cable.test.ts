// A second heartbeat path, from node to node past the switch (`pair.paths`): either way alone keeps the pair in touch, so that
// it takes two cuts to make two actives, and a pulled cable is told instead of guessed.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { waitUntil } from "../support/wait-until.ts";
import { tellFailures } from "./failures.ts";
import { Lab, NODES, otherNode } from "./lab.ts";
import { assertOutageAtMost, describeReport, type Meter, ms } from "./meter.ts";
import { directIpv4Of, ipv4Of } from "./network.ts";
import { labIsMissing } from "./requirements.ts";

/** Twice the active-down interval: long enough for a node that would claim. */
const LOOK_ON_MS = 1500;
/** A cut path is known after the active-down interval, and a healed one after the next dial. */
const PATHS_WITHIN_MS = 5000;
/** Its backends are down for it after two checks each; without backends the arbiter's silence would tell after 5 s. */
const CUT_OFF_OUTAGE_MS_MAX = 5000;

const skip = labIsMissing();
const lab = new Lab({ directCable: true });
let meter: Meter;

before(async () => {
  if (skip !== false) return;
  await lab.up();
  await lab.settle();
  meter = await lab.startMeter();
});
after(() => lab.down());
tellFailures(lab);

/** Until both nodes tell this of their paths; no path with a problem is one that works. */
async function pathsAre(expected: { readonly lan: boolean; readonly direct: boolean }): Promise<void> {
  for (const node of NODES) {
    await waitUntil(
      async () => {
        const paths = (await lab.status(node))?.peer?.paths ?? [];
        return paths.map(({ connected }) => connected).join() === `${expected.lan},${expected.direct}`;
      },
      { what: `${node} to tell of ${JSON.stringify(expected)}`, withinMs: PATHS_WITHIN_MS },
    );
  }
}

/** What the kernels tell of it may come later than what a node tells of itself. */
async function claimSince(atMs: number): Promise<{ readonly node: string; readonly atMs: number }> {
  return waitUntil(() => lab.watch.claimsSince(atMs)[0], { what: "a claim", withinMs: 3000 });
}

/** The pair is in touch over both paths. */
async function settle() {
  const rest = await lab.settle();
  await pathsAre({ lan: true, direct: true });
  return rest;
}

// The first one: the kernel holds up the news of a carrier that comes and goes in a row.
test(
  "the cable of the active is pulled: it says so over the other path, and the standby claims at once",
  { skip },
  async (t) => {
    const { active, standby } = await settle();
    await meter.mark("pull");
    const atMs = await lab.pullCable(active);
    await lab.waitForRole(standby, "active", { withinMs: 3000 });
    const claim = await claimSince(atMs);
    assert.equal(claim.node, standby);
    assert.equal(lab.watch.overlapMs(atMs), 0);
    await pathsAre({ lan: false, direct: true });
    const claiming = lab.logOf(standby).findLast((line) => line.includes('"claiming"'));
    assert.match(claiming ?? "", /the peer is in fault/);
    await settle();
    const report = await meter.outageSince("pull");
    t.diagnostic(`claimed ${ms(claim.atMs - atMs)} after the pull: ${describeReport(report)}`);
    assertOutageAtMost(850, report);
  },
);

const CUTS = [
  {
    name: "the nodes do not hear each other through the switch",
    cut: () => lab.part(),
    heal: () => lab.join(),
    left: { lan: false, direct: true },
    addressOf: ipv4Of,
  },
  {
    name: "the direct cable is pulled",
    cut: () => lab.pullDirectCable(),
    heal: () => lab.plugDirectCable(),
    left: { lan: true, direct: false },
    addressOf: directIpv4Of,
  },
] as const;

for (const { name, cut, heal, left, addressOf } of CUTS) {
  test(`${name}: nothing moves, no request fails, status names the path`, { skip }, async (t) => {
    const { active, standby } = await settle();
    await meter.mark("cut");
    const atMs = await cut();
    await pathsAre(left);
    await sleep(LOOK_ON_MS);
    for (const node of NODES) {
      const status = await lab.status(node);
      assert.equal(status?.peer?.connected, true);
      assert.equal(status.reason, null);
      const lines = (await lab.vipair(node, "status")).split("\n");
      const path = `path ${addressOf(node)} to ${addressOf(otherNode(node))}`;
      assert.match(lines.find((line) => line.includes(path)) ?? "", /not connected/);
    }
    await heal();
    await pathsAre({ lan: true, direct: true });
    assert.deepEqual(await lab.settle(), { active, standby });
    assert.deepEqual(lab.watch.claimsSince(atMs), []);
    const report = await meter.outageSince("cut");
    t.diagnostic(describeReport(report));
    assert.equal(report.failed, 0, JSON.stringify(report.outages));
  });
}

test(
  "both paths are cut: a partition; one path back is enough for one of them to be left",
  { skip },
  async (t) => {
    const { active, standby } = await settle();
    await lab.part();
    await lab.pullDirectCable();
    await lab.waitForRole(standby, "active", { withinMs: 5000 });
    assert.deepEqual(await lab.holders(), ["a", "b"]);
    assert.ok(await lab.clientReaches(standby), "clients follow the newer claim");
    await pathsAre({ lan: false, direct: false });

    await meter.mark("heal");
    const healedMs = performance.now();
    await lab.plugDirectCable();
    await waitUntil(() => lab.watch.soleHolderSince(standby) !== null, {
      what: `${standby}, whose claim is newer, to be alone`,
      withinMs: 5000,
    });
    const aloneMs = (lab.watch.soleHolderSince(standby) ?? Infinity) - healedMs;
    await pathsAre({ lan: false, direct: true });
    assert.deepEqual(await settle(), { active: standby, standby: active });
    const report = await meter.outageSince("heal");
    t.diagnostic(`${describeReport(report)}; one holder ${ms(aloneMs)} after one path was back`);
    assert.equal(report.failed, 0, JSON.stringify(report.outages));
  },
);

test(
  "the switch port of the active falls silent: the nodes are in touch, and the one that reaches nothing else hands over",
  { skip },
  async (t) => {
    const { active, standby } = await settle();
    await meter.mark("silence");
    const atMs = await lab.silencePort(active);
    await lab.waitForRole(standby, "active", { withinMs: 15_000 });
    const claim = await claimSince(atMs);
    assert.equal(claim.node, standby);
    await lab.wakePort(active);
    assert.deepEqual(await settle(), { active: standby, standby: active });
    const report = await meter.outageSince("silence");
    t.diagnostic(`claimed ${ms(claim.atMs - atMs)} after the silence: ${describeReport(report)}`);
    assertOutageAtMost(CUT_OFF_OUTAGE_MS_MAX, report);
  },
);
