// Flap damping with everything real: a check that comes and goes on both nodes throws the role to and fro, until both have
// enough of it. Then each stays where it is, whatever checks and silence suggest, until an operator frees it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Status } from "../../src/protocol/status.ts";
import { waitUntil } from "../support/wait-until.ts";
import { tellFailures } from "./failures.ts";
import { Lab, type Node } from "./lab.ts";
import { describeReport, type Meter } from "./meter.ts";
import { labIsMissing } from "./requirements.ts";

const CHANGES_MAX = 2;
const SAYS = /^changed roles \d times in a minute and stays where it is for \d+ s .*`vipair resume`/;
/** Longer than a check, a claim from silence, and the second of rule 9. */
const LOOK_ON_MS = 1500;

const skip = labIsMissing();
const lab = new Lab({
  roleChangesPerMinute: CHANGES_MAX,
  pair: "  track: [{ name: weather, exec: hooks/check, interval: 500ms, timeout: 500ms, rise: 1, fall: 2, fault: true }]",
});
let meter: Meter;
let active: Node;
let standby: Node;

before(async () => {
  if (skip !== false) return;
  await lab.up();
  ({ active, standby } = await lab.settle());
  // The claim of the boot counts like any other, and is none of the story.
  await lab.vipair(active, "resume");
  meter = await lab.startMeter();
});
after(() => lab.down());
tellFailures(lab);

async function statusIs(node: Node, what: string, isSo: (status: Status) => boolean): Promise<Status> {
  return waitUntil(
    async () => {
      const status = await lab.status(node);
      return status !== undefined && isSo(status) && status;
    },
    { what: `${node}: ${what}`, withinMs: 10_000 },
  );
}

/** The check of the active fails until the other one serves. */
async function moveByCheck(): Promise<void> {
  lab.tellHook(active, "check", "fail");
  await lab.waitForRole(standby, "active", { withinMs: 10_000 });
  [active, standby] = [standby, active];
  lab.tellHook(standby, "check", "work");
  await statusIs(standby, "a standby that is in touch", ({ role, reason, peer }) => {
    return role === "standby" && peer?.connected === true && (reason === null || SAYS.test(reason));
  });
}

const isDamped = ({ reason, groups }: Status) =>
  SAYS.test(reason ?? "") && groups.every(({ damped }) => damped);

test(
  "more role changes in a minute than are allowed: both nodes stay where they are, and say so",
  { skip },
  async () => {
    for (let change = 1; change <= CHANGES_MAX; change += 1) await moveByCheck();
    for (const node of [active, standby]) assert.equal((await lab.status(node))?.groups[0]?.damped, false);
    await moveByCheck();
    for (const node of [active, standby]) {
      await statusIs(node, "damped", isDamped);
      assert.match(await lab.vipair(node, "status"), /^reason +changed roles 3 times in a minute/m);
      const told = lab.logOf(node).filter((line) => line.includes("flapping: this node stays where it is"));
      assert.equal(told.length, 1, `the log of ${node} says it once`);
    }
  },
);

test(
  "a damped active serves on though its check fails; `vipair resume` frees it, and it yields",
  { skip },
  async (t) => {
    await meter.mark("check");
    const atMs = performance.now();
    lab.tellHook(active, "check", "fail");
    await statusIs(active, "a check that fails", ({ checks }) =>
      checks.some(({ failing }) => failing === true),
    );
    await sleep(LOOK_ON_MS);
    const { role } = await statusIs(active, "damped", isDamped);
    assert.equal(role, "active");
    assert.deepEqual(lab.watch.claimsSince(atMs), []);
    const report = await meter.outageSince("check");
    t.diagnostic(describeReport(report));
    assert.equal(report.failed, 0, JSON.stringify(report.outages));

    await lab.vipair(active, "resume");
    await lab.waitForRole(standby, "active", { withinMs: 5000 });
    assert.ok(lab.logOf(active).some((line) => line.includes("flap damping ends")));
    [active, standby] = [standby, active];
    lab.tellHook(standby, "check", "work");
    await statusIs(standby, "well and free", ({ role: now, reason }) => now === "standby" && reason === null);
  },
);

test(
  "a damped standby does not claim from silence; `vipair resume` frees it, and it claims",
  { skip },
  async (t) => {
    // An order is not damped, and brings the node that is damped out of the role.
    await lab.vipair(active, "switchover");
    await lab.waitForRole(standby, "active", { withinMs: 5000 });
    [active, standby] = [standby, active];
    await statusIs(standby, "a damped standby", (status) => status.role === "standby" && isDamped(status));

    await meter.mark("silence");
    const atMs = await lab.part();
    await statusIs(standby, "a peer out of touch", ({ peer }) => peer?.connected === false);
    await sleep(LOOK_ON_MS);
    assert.deepEqual(lab.watch.claimsSince(atMs), []);
    assert.deepEqual(await lab.holders(), [active]);
    const report = await meter.outageSince("silence");
    t.diagnostic(describeReport(report));
    assert.equal(report.failed, 0, JSON.stringify(report.outages));

    await lab.vipair(standby, "resume");
    await lab.waitForRole(standby, "active", { withinMs: 5000 });
    await waitUntil(() => lab.watch.heldSince(standby) !== null, {
      what: `${standby} to hold the address`,
      withinMs: 3000,
    });
    assert.deepEqual(
      lab.watch.claimsSince(atMs).map(({ node }) => node),
      [standby],
    );
  },
);
