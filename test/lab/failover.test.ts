// What clients see of each fault, with the default configuration: real processes, hooks, addresses and ARP, and
// a new connection each 5 ms. Single measurements, no retries. Each test leaves the pair hurt; the next
// begins with a pair at rest.

import assert from "node:assert/strict";
import { after, afterEach, before, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Lab, LEASE_MS, NODES, type Node } from "./lab.ts";
import { describeReport, ms, type Meter } from "./meter.ts";
import { labIsMissing } from "./requirements.ts";

/** After a fault, exactly one node holds the address within this time. */
const ONE_HOLDER_WITHIN_MS = LEASE_MS + 500;
/** How long a test looks on after that: a second outage or a second holder would come now. */
const LOOK_ON_MS = 1500;

const skip = labIsMissing();
const lab = new Lab();
let meter: Meter;

before(async () => {
  if (skip !== false) return;
  await lab.up();
  await lab.settle();
  meter = await lab.startMeter();
});
after(() => lab.down());
afterEach((t) => {
  if ((t as { readonly passed?: boolean }).passed === true) return;
  for (const node of NODES) console.error(`--- ${node}\n${lab.logOf(node).slice(-40).join("\n")}`);
});

/** Looks on until the fault at `atMs` must be over and a while longer: what the client saw, and who holds the address. */
async function aftermath(
  t: TestContext,
  { label, atMs, holder }: { label: string; atMs: number; holder: Node },
) {
  await sleep(atMs + ONE_HOLDER_WITHIN_MS + LOOK_ON_MS - performance.now());
  const report = await meter.outageSince(label);
  const alone = lab.watch.soleHolderSince(holder);
  t.diagnostic(
    `${describeReport(report)}; one holder after ${alone === null ? "never" : ms(Math.max(0, alone - atMs))}, ` +
      `two for ${ms(lab.watch.overlapMs(atMs))}`,
  );
  assert.deepEqual(await lab.holders(), [holder]);
  assert.ok(alone !== null && alone - atMs <= ONE_HOLDER_WITHIN_MS, "one holder in time");
  assert.ok(await lab.clientReaches(holder), "the client's neighbour table leads to the holder");
  return report;
}

test(
  "SIGKILL of everything on the active: an outage of at most 300 ms, and the other node answers",
  { skip },
  async (t) => {
    const { active, standby } = await lab.settle();
    const requestsBefore = (await lab.status(standby))?.requests ?? NaN;
    await meter.mark("kill");
    const atMs = await lab.killEverything(active);
    await lab.waitForRole(standby, "active", { withinMs: 5000 });
    const report = await aftermath(t, { label: "kill", atMs, holder: standby });
    assert.ok(report.longestOutageMs <= 300, `outage ${ms(report.longestOutageMs)}`);
    assert.ok(
      report.outages.every((outage) => outage.ended),
      "the outage has ended",
    );
    const answered = ((await lab.status(standby))?.requests ?? NaN) - requestsBefore;
    // A control process hears of its workers' counters once a second.
    const atLeast = (report.outcomes.ok ?? 0) - 300;
    assert.ok(atLeast > 0 && answered >= atLeast, `${String(answered)} answered by ${standby}`);
  },
);

test("a dead node that returns stays standby and causes no second outage", { skip }, async (t) => {
  const { active, standby: victim } = await lab.settle();
  await lab.killEverything(victim);
  await meter.mark("return");
  const atMs = performance.now();
  const epoch = (await lab.status(active))?.epoch;
  await lab.settle();
  const report = await aftermath(t, { label: "return", atMs, holder: active });
  assert.equal(report.failed, 0);
  assert.equal((await lab.vipair(active, "role")).trim(), "active");
  assert.equal((await lab.vipair(victim, "role")).trim(), "standby");
  assert.equal((await lab.status(active))?.epoch, epoch);
  assert.equal(lab.watch.claimsSince(atMs), 0);
});

test(
  "the active's cable pulled: an outage of at most 1000 ms, none when it is plugged in again",
  { skip },
  async (t) => {
    const { active, standby } = await lab.settle();
    await meter.mark("pull");
    const atMs = await lab.pullCable(active);
    await lab.waitForRole(standby, "active", { withinMs: 5000 });
    const report = await aftermath(t, { label: "pull", atMs, holder: standby });
    assert.ok(report.longestOutageMs <= 1000, `outage ${ms(report.longestOutageMs)}`);
    assert.ok(
      report.outages.every((outage) => outage.ended),
      "the outage has ended",
    );

    await meter.mark("plug");
    const pluggedMs = performance.now();
    await lab.plugCable(active);
    const settled = await lab.settle();
    assert.deepEqual(settled, { active: standby, standby: active });
    const afterPlug = await aftermath(t, { label: "plug", atMs: pluggedMs, holder: standby });
    assert.equal(afterPlug.failed, 0);
  },
);

test("a planned switchover: no new connection fails", { skip }, async (t) => {
  const { active, standby } = await lab.settle();
  await meter.mark("switchover");
  await lab.vipair(active, "switchover");
  const atMs = lab.watch.heldSince(standby);
  assert.ok(atMs !== null, `${standby} holds the address when the command ends`);
  await lab.waitForRole(standby, "active", { withinMs: 1000 });
  await lab.waitForRole(active, "standby", { withinMs: 15_000 });
  const report = await aftermath(t, { label: "switchover", atMs, holder: standby });
  assert.equal(report.failed, 0, JSON.stringify(report.outages));
});
