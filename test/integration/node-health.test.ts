// What a node finds wrong with itself moves the role to a peer that is better off, and only then (DESIGN section
// 5, rule 9). Real processes; each node has a check or a backend of its own, and the files that differ because of
// that are an alarm and nothing else (rule 11).

import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { activeDownMs } from "../../src/election/timing.ts";
import { ask } from "../support/http-client.ts";
import { type NodeName, Site, type SiteBackend } from "../support/site.ts";
import { SparedClient } from "../support/spared-client.ts";
import type { LogLine } from "../support/vipair-process.ts";
import { Stopwatch } from "../support/stopwatch.ts";
import { waitUntil } from "../support/wait-until.ts";

const INTERVAL_MS = 500;
const CALM = { advertisementInterval: `${String(INTERVAL_MS)}ms` };
/** A busy machine takes its time to start a program: one late answer is no failure. */
const CHECK = { interval: "400ms", timeout: "400ms", rise: 1, fall: 2 };
/** DESIGN section 5, rule 9. */
const YIELD_WITHIN_MS = 1_000;

/** By the clock of the nodes: this process may be late in reading. */
function msBetween(earlier: LogLine, later: LogLine): number {
  return Date.parse(String(later["time"])) - Date.parse(String(earlier["time"]));
}

/** A pair with a check that fails on the node whose file `sick.NODE` exists. */
async function trackedPair(t: TestContext, effect: Readonly<Record<string, unknown>>, more = {}) {
  const site = Site.open(t);
  const pair = await site.pair({ pair: CALM });
  const start = (node: NodeName) => {
    const exec = ["test", "!", "-e", join(site.folder, `sick.${node}`)];
    const track = [{ name: "uplink", exec, ...CHECK, ...effect }];
    return pair.start(node, { changes: { pair: { track, ...more } } });
  };
  const a = start("a");
  await a.becomes("active");
  const b = start("b");
  await pair.isWell(b);
  const sicken = (node: string) => writeFileSync(join(site.folder, `sick.${node}`), "");
  const cure = (node: string) => rmSync(join(site.folder, `sick.${node}`));
  return { pair, a, b, sicken, cure };
}

describe("node health", { concurrency: 3 }, () => {
  test("rule 9: a tracked check that fails takes the role from its node within a second, and nothing moves back", async (t) => {
    const { a, b, sicken, cure } = await trackedPair(t, { fault: true });
    const since = { a: a.lines.length, b: b.lines.length };
    const stopwatch = new Stopwatch(t);
    sicken("a");
    const failed = await a.logged("the fault", ({ msg }) => msg === "fault", { since: since.a });
    const active = await b.logged("b active", ({ msg }) => msg === "active", { since: since.b });
    const tookMs = msBetween(failed, active);
    t.diagnostic(`active ${String(tookMs)} ms after the fault`);
    stopwatch.assertBelow(YIELD_WITHIN_MS, tookMs);
    const { role, reason, checks } = await a.status();
    assert.equal(role, "fault");
    assert.match(String(reason), /^check uplink: exit 1$/);
    assert.deepEqual(
      checks.map(({ name, failing }) => [name, failing]),
      [["uplink", true]],
    );
    cure("a");
    await a.until("well", ({ role: now, reason: why }) => now === "standby" && why === null);
    assert.equal((await b.status()).role, "active");
  });

  test("rule 9: an active that reaches no backend hands over to a standby that reaches one; when neither does, nothing moves", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair({ pair: CALM });
    const backends = { a: await site.backend("near a"), b: await site.backend("near b") };
    const start = (node: NodeName) => {
      const health = { kind: "http", path: "/health", interval: "1s", timeout: "1s", rise: 1, fall: 2 };
      const pools = { web: { backends: [backends[node].address], health } };
      return pair.start(node, { changes: { top: { pools } } });
    };
    const sees = async (node: NodeName, backend: SiteBackend, isHealthy: boolean) => {
      backend.setHealthy(isHealthy);
      const { groups } = await nodes[node].until(`${node} sees it`, (status) => {
        return (status.groups[0]?.impairments.length === 0) === isHealthy;
      });
      return groups[0];
    };
    // On loopback the other node has the address, too, until its workers have done what its status says already.
    const answers = (body: string) =>
      waitUntil(async () => (await ask({ host: pair.virtualAddress })).body === body, {
        what: `an answer from ${body}`,
        withinMs: 2000,
      });
    const a = start("a");
    await a.becomes("active");
    const nodes = { a, b: start("b") };
    await pair.isWell(nodes.b);
    assert.equal((await ask({ host: pair.virtualAddress })).body, "near a");

    const since = { a: nodes.a.lines.length, b: nodes.b.lines.length };
    const stopwatch = new Stopwatch(t);
    const group = await sees("a", backends.a, false);
    assert.deepEqual(group?.impairments, [
      { cause: "backends", detail: "none of 1 backends can be reached from here", weight: 253 },
    ]);
    assert.equal(group.effectivePriority, 1);
    const impaired = await nodes.a.logged("impaired", ({ msg }) => msg === "impaired", { since: since.a });
    const active = await nodes.b.logged("active", ({ msg }) => msg === "active", { since: since.b });
    const tookMs = msBetween(impaired, active);
    t.diagnostic(`active ${String(tookMs)} ms after the last backend was lost`);
    stopwatch.assertBelow(YIELD_WITHIN_MS, tookMs);
    // On loopback a node that hands over still gets some of the new connections.
    await nodes.a.until(
      "closed listeners",
      ({ role, listeners }) => role === "standby" && !listeners[0]?.open,
    );
    await answers("near b");

    await sees("b", backends.b, false);
    await sleep(2 * activeDownMs(150, INTERVAL_MS));
    assert.deepEqual([(await nodes.a.status()).role, (await nodes.b.status()).role], ["standby", "active"]);

    // Now the other one is better off.
    await sees("a", backends.a, true);
    await nodes.a.becomes("active");
    await nodes.b.until(
      "closed listeners",
      ({ role, listeners }) => role === "standby" && !listeners[0]?.open,
    );
    await answers("near a");
  });

  test("a switchover to a node that is worse off is refused with the reason, and --force moves the role all the same", async (t) => {
    const { a, b, sicken } = await trackedPair(t, { weight: 10 });
    sicken("b");
    await b.until("b sees its check fail", ({ checks }) => checks[0]?.failing === true);
    const seenAtMs = performance.now();
    await a.until("a has heard of it", ({ peer }) => {
      const isLater = performance.now() - seenAtMs > 2 * INTERVAL_MS;
      return isLater && peer?.lastHeardMs !== null && Number(peer?.lastHeardMs) < INTERVAL_MS;
    });
    const { code, stderr } = await a.command("switchover");
    assert.equal(code, 1);
    assert.match(stderr, /^vipair: b is worse off than this node \(10 points off its priority\)/);
    assert.deepEqual([(await a.status()).role, (await b.status()).role], ["active", "standby"]);
    const forced = await a.command("switchover", "--force");
    assert.deepEqual({ code: forced.code, stderr: forced.stderr }, { code: 0, stderr: "" });
    await b.becomes("active");
    await a.until("a standby", ({ role }) => role === "standby");
  });

  test("a node that flaps stays where it is, says so, and `vipair resume` ends it", async (t) => {
    const flaps = { roleChangesPerMinute: 1 };
    const { a, b, sicken, cure } = await trackedPair(t, { fault: true }, flaps);
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
    assert.match((await a.command("resume")).stdout, /^a may change roles again/);
    await b.becomes("active");
    assert.equal((await a.status()).role, "fault");
  });
});

// Alone: a machine that is busy with three more pairs is no judge of lost requests.
describe("node health, as a client sees it", { concurrency: false }, () => {
  test("rule 9: an active with a failing check of some weight hands over, make before break, and no request fails", async (t) => {
    const { pair, a, b, sicken } = await trackedPair(t, { weight: 60 });
    const client = new SparedClient(t, pair);
    sicken("a");
    await b.becomes("active");
    const { groups } = await a.until("the role gone", ({ role, reason }) => {
      return role === "standby" && /uplink.*-60/.test(reason ?? "");
    });
    t.diagnostic(await client.stop());
    assert.deepEqual(
      groups[0]?.impairments.map(({ cause, weight }) => [cause, weight]),
      [["check uplink", 60]],
    );
    assert.match((await a.command("status")).stdout, /^node +a +priority 150 \(now 90\)/);
    const calls = pair.hookCalls();
    const claimed = calls.findIndex(({ node, action, stage }) => {
      return node === "b" && action === "claim" && stage === "done";
    });
    const released = calls.findLastIndex(({ node, action, stage }) => {
      return node === "a" && action === "release" && stage === "begin";
    });
    assert.ok(claimed !== -1 && claimed < released, "make before break");

    // Both suffer from the same: nobody is better off, whatever the priorities.
    sicken("b");
    await b.until("a failing check", ({ checks }) => checks[0]?.failing === true);
    await sleep(2 * activeDownMs(150, INTERVAL_MS));
    assert.deepEqual([(await a.status()).role, (await b.status()).role], ["standby", "active"]);
  });
});
