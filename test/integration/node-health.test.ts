// What a node finds wrong with itself moves the role, and the world is told (DESIGN section 5, rule 9).

import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { Site } from "../support/site.ts";

const CALM = { advertisementInterval: "500ms" };

/** A program of the site that does this. */
function program(site: Site, name: string, script: string): void {
  writeFileSync(join(site.folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

/** A pair with a check that fails on the node whose file `sick.NODE` exists. */
async function trackedPair(t: TestContext, effect: Readonly<Record<string, unknown>>, more = {}) {
  const site = Site.open(t);
  const pair = await site.pair({ pair: CALM });
  const start = (node: "a" | "b") => {
    program(site, `check-${node}`, `test ! -e ${join(site.folder, `sick.${node}`)}`);
    const check = { name: "uplink", exec: `check-${node}`, interval: "200ms", timeout: "200ms", ...effect };
    // Each node has a check of its own, so the two files differ; that is an alarm and nothing else (rule 11).
    return pair.start(node, {
      changes: { pair: { track: [{ ...check, exec: `./check-${node}` }], ...more } },
    });
  };
  const a = start("a");
  await a.becomes("active");
  const b = start("b");
  await b.until(
    "ready",
    ({ role, reason, peer }) => role === "standby" && reason === null && peer?.role === "active",
  );
  const sicken = (node: string) => writeFileSync(join(site.folder, `sick.${node}`), "");
  const cure = (node: string) => rmSync(join(site.folder, `sick.${node}`));
  return { site, pair, a, b, sicken, cure };
}

describe("node health", { concurrency: true }, () => {
  test("rule 9: a tracked check that fails takes the role from its node within a second, and nothing moves back", async (t) => {
    const { a, b, sicken, cure } = await trackedPair(t, { fault: true, fall: 1 });
    const since = { a: a.lines.length, b: b.lines.length };
    sicken("a");
    const failed = await a.logged("the fault", ({ msg }) => msg === "fault", { since: since.a });
    const active = await b.logged("b active", ({ msg }) => msg === "active", { since: since.b });
    t.diagnostic(`active ${(active.readAtMs - failed.readAtMs).toFixed(0)} ms after the fault`);
    assert.ok(active.readAtMs - failed.readAtMs < 1_000);
    const { role, reason, checks } = await a.status();
    assert.equal(role, "fault");
    assert.match(String(reason), /^check uplink: check uplink fails: exit 1$/);
    assert.deepEqual(
      checks.map(({ name, failing }) => [name, failing]),
      [["uplink", true]],
    );
    cure("a");
    await a.until("well", ({ role: now, reason: why }) => now === "standby" && why === null);
    assert.equal((await b.status()).role, "active");
  });

  test("rule 9: a check with a weight makes the active hand over, make before break", async (t) => {
    const { pair, a, b, sicken } = await trackedPair(t, { weight: 60, fall: 1 });
    sicken("a");
    await b.becomes("active");
    const status = await a.until("a is impaired", ({ groups }) => groups[0]?.effectivePriority === 90);
    assert.match((await a.command("status")).stdout, /^node +a +priority 150 \(now 90\)/);
    assert.deepEqual(
      status.groups[0]?.impairments.map(({ cause, weight }) => [cause, weight]),
      [["check uplink", 60]],
    );
    const calls = pair.hookCalls();
    const begin = calls.findIndex(({ node, action }) => node === "a" && action === "claim");
    const end = calls.findIndex(({ node, action }) => node === "b" && action === "claim");
    assert.ok(begin !== -1 && end > begin);
    const between = calls.slice(begin, end).map(({ node, action }) => `${node} ${action}`);
    assert.ok(!between.includes("a release"), between.join(", "));
    assert.ok(b.lines.some(({ msg, reason }) => msg === "claiming" && reason === "switchover"));
  });

  test("notify hooks tell every role, in order; one that hangs delays no claim", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair({ pair: CALM });
    const journal = join(site.folder, "told");
    program(
      site,
      "tell",
      `echo "$VIPAIR_NODE $VIPAIR_PREVIOUS_ROLE>$VIPAIR_ROLE $VIPAIR_GROUP $VIPAIR_ADDRESSES" >> ${journal}`,
    );
    program(site, "hang", "sleep 20");
    const notify = { "on-active": "tell", "on-standby": "tell", "on-fault": "tell" };
    const a = pair.start("a", { changes: { pair: { notify } } });
    await a.becomes("active");
    const b = pair.start("b", { changes: { pair: { notify: { ...notify, "on-standby": "hang" } } } });
    await b.until("in touch", ({ role, peer }) => role === "standby" && peer?.role === "active");
    const since = b.lines.length;
    const killedAtMs = performance.now();
    a.signalAll("SIGKILL");
    const { readAtMs } = await b.logged("b active", ({ msg }) => msg === "active", { since });
    t.diagnostic(`active after ${(readAtMs - killedAtMs).toFixed(0)} ms`);
    assert.ok(readAtMs - killedAtMs < 2_000, "the hook hangs for 20 s");
    const told = existsSync(journal) ? readFileSync(journal, "utf8").trim().split("\n") : [];
    const place = `default ${pair.virtualAddress}`;
    assert.deepEqual(told, [`a >standby ${place}`, `a standby>active ${place}`]);
  });

  test("a node that flaps stays where it is, says so, and `vipair resume` ends it", async (t) => {
    const flaps = { roleChangesPerMinute: 1 };
    const { a, b, sicken, cure } = await trackedPair(t, { fault: true, fall: 1, rise: 1 }, flaps);
    sicken("a");
    await b.becomes("active");
    cure("a");
    await a.until("well", ({ role }) => role === "standby");
    sicken("b");
    await a.becomes("active");
    await b.until("in fault", ({ role }) => role === "fault");
    cure("b");
    await b.until("well", ({ role }) => role === "standby");
    sicken("a");
    const damped = await a.until("a sees its check fail", ({ checks }) => checks[0]?.failing === true);
    assert.equal(damped.role, "active");
    assert.match(String(damped.reason), /^changed roles 3 times in a minute and stays where it is/);
    assert.equal(damped.groups[0]?.damped, true);
    assert.equal((await a.command("resume")).code, 0);
    await b.becomes("active");
    assert.equal((await a.status()).role, "fault");
  });
});
