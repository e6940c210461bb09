// A whole pair on loopback through everything that moves the role.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { activeDownMs } from "../../src/election/timing.ts";
import { OpenLoopClient } from "../../src/cli/open-loop-client.ts";
import { ask } from "../support/http-client.ts";
import { PORT, Site } from "../support/site.ts";
import { Stopwatch } from "../support/stopwatch.ts";
import { SparedClient } from "../support/spared-client.ts";
import type { VipairProcess } from "../support/vipair-process.ts";
import { waitUntil } from "../support/wait-until.ts";

const TAKEOVER_WITHIN_MS = 300;
const INTERVAL_MS = 100;
/** What a busy machine may add to a time that vipair promises. */
const ALLOWANCE_MS = 1_000;

async function becameActive(node: VipairProcess, since: number): Promise<number> {
  const line = await node.logged("active", ({ msg }) => msg === "active", { since });
  return line.readAtMs;
}

describe("failover", { concurrency: false }, () => {
  test("the life of a pair", async (whole) => {
    const site = Site.open(whole);
    // Nodes that listen for 1.7 s meet, however unevenly a busy machine starts them.
    const pair = await site.pair({ pair: { advertisementInterval: "500ms" } });
    const nodes = { b: pair.start("b"), a: pair.start("a") };

    await whole.test(
      "of two nodes booted at once exactly one becomes active: the one with the higher priority",
      async () => {
        await pair.isSettled(nodes.a, nodes.b);
        assert.ok(!nodes.b.lines.some(({ msg }) => msg === "claiming"));
        const [active, standby] = [await nodes.a.status(), await nodes.b.status()];
        assert.deepEqual([active.role, standby.role], ["active", "standby"]);
        assert.deepEqual(
          [active.virtualAddresses[0]?.held, standby.virtualAddresses[0]?.held],
          [true, false],
        );
        assert.deepEqual([active.listeners[0]?.open, standby.listeners[0]?.open], [true, false]);
        assert.deepEqual([active.peer?.role, standby.peer?.role], ["standby", "active"]);
        assert.equal(active.epoch, standby.epoch);
        assert.equal(pair.longestOverlapMs(), 0);
      },
    );

    await whole.test(
      "SIGKILL of everything on the active makes the standby active within 300 ms, with the reason in the log",
      async (t) => {
        const client = new OpenLoopClient({ host: pair.virtualAddress, port: PORT });
        client.start();
        t.after(() => client.stop());
        const since = nodes.b.lines.length;
        const stopwatch = new Stopwatch(t);
        const killedAtMs = performance.now();
        nodes.a.signalAll("SIGKILL");
        const tookMs = (await becameActive(nodes.b, since)) - killedAtMs;
        await waitUntil(() => client.report().outages.every(({ ended }) => ended), {
          what: "the end of the outage",
          withinMs: 5_000,
        });
        const { longestOutageMs } = await client.stop();
        t.diagnostic(`active after ${tookMs.toFixed(0)} ms, outage ${longestOutageMs.toFixed(0)} ms`);
        stopwatch.assertBelow(TAKEOVER_WITHIN_MS, tookMs);
        stopwatch.assertBelow(TAKEOVER_WITHIN_MS, longestOutageMs);
        const claiming = nodes.b.lines.slice(since).find(({ msg }) => msg === "claiming");
        assert.match(String(claiming?.["reason"]), /process is dead/);
        assert.equal((await nodes.b.status()).peer?.connected, false);
      },
    );

    await whole.test("a switchover without a peer is refused with the reason", async () => {
      const { code, stderr } = await nodes.b.command("switchover");
      assert.equal(code, 1);
      assert.match(stderr, /vipair does not run on a/);
      assert.equal((await nodes.b.status()).role, "active");
    });

    await whole.test("the dead node returns as standby, and takes nothing back", async () => {
      nodes.a = pair.start("a");
      await pair.isSettled(nodes.b, nodes.a);
      await sleep(activeDownMs(150, 500));
      assert.equal((await nodes.a.status()).role, "standby");
      assert.ok(!nodes.a.lines.some(({ msg }) => msg === "claiming"));
      assert.equal((await nodes.a.status()).epoch, (await nodes.b.status()).epoch);
    });

    for (const [where, on, from, to] of [
      ["the active", "b", "b", "a"],
      ["the standby", "b", "a", "b"],
    ] as const) {
      await whole.test(
        `a switchover ordered on ${where} makes the other node active, and no request that a node took fails`,
        async (t) => {
          const client = new SparedClient(t, pair);
          const { code, stdout, stderr } = await nodes[on].command("switchover");
          assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
          assert.match(stdout, new RegExp(`\\b${to}\\b`));
          await pair.isSettled(nodes[to], nodes[from]);
          t.diagnostic(await client.stop());
        },
      );
    }

    await whole.test("a restarted node remembers the epoch", async () => {
      const { epoch } = await nodes.b.status();
      await nodes.a.kill();
      nodes.a = pair.start("a");
      await pair.isSettled(nodes.b, nodes.a);
      assert.equal((await nodes.a.status()).epoch, epoch);
    });

    await whole.test(
      "SIGTERM of the active hands over to the standby, and no request that a node took fails",
      async (t) => {
        const client = new SparedClient(t, pair);
        const since = nodes.a.lines.length;
        nodes.b.signal("SIGTERM");
        assert.deepEqual(await nodes.b.exit(), { code: 0, signal: null });
        await becameActive(nodes.a, since);
        t.diagnostic(await client.stop());
        assert.equal((await ask({ host: pair.virtualAddress })).body, "one");
        const calls = pair.hookCalls().filter(({ node }) => node === "b");
        assert.equal(calls.at(-1)?.action, "release");
      },
    );
  });
});

// These wait much and work little, so that side by side they take no longer than one.
describe("failover by the clock", { concurrency: 4 }, () => {
  test("a frozen active is succeeded after the active-down interval, and gives up by itself when it thaws", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair({ pair: { lease: "1s" } });
    const { a, b } = await pair.startBoth();
    let since = b.lines.length;
    const stopwatch = new Stopwatch(t);
    const frozenAtMs = performance.now();
    a.signalAll("SIGSTOP");
    site.atEnd(() => {
      a.signalAll("SIGCONT");
    });
    const tookMs = (await becameActive(b, since)) - frozenAtMs;
    t.diagnostic(`active after ${tookMs.toFixed(0)} ms`);
    assert.ok(tookMs > 2 * INTERVAL_MS, `active after ${String(tookMs)} ms`);
    stopwatch.assertBelow(activeDownMs(100, INTERVAL_MS) + ALLOWANCE_MS, tookMs);
    const claiming = b.lines.slice(since).find(({ msg }) => msg === "claiming");
    assert.match(String(claiming?.["reason"]), /no advertisement for \d+ ms/);

    // Longer than its lease: the kernel has taken the address away meanwhile.
    await sleep(1_100);
    since = a.lines.length;
    a.signalAll("SIGCONT");
    await pair.isWell(a);
    assert.equal((await b.status()).role, "active");
    assert.ok(a.lines.slice(since).some(({ msg }) => /lease may have ended|yielding/.test(msg)));
    const renewals = pair.hookCalls().filter(({ node, action }) => node === "a" && action === "renew");
    const claimB = pair.hookCalls().find(({ node, action }) => node === "b" && action === "claim");
    const lastRenewal = renewals.at(-1)?.atMs ?? 0;
    assert.ok(lastRenewal < (claimB?.atMs ?? 0), "it renews no lease that may have ended");
    assert.ok(pair.longestOverlapMs() <= 1_000, `two holders for ${String(pair.longestOverlapMs())} ms`);
  });

  test("an active that thaws before its lease has ended yields to its successor at once", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair({ pair: { lease: "10s" } });
    const { a, b } = await pair.startBoth();
    a.signalAll("SIGSTOP");
    site.atEnd(() => {
      a.signalAll("SIGCONT");
    });
    await b.becomes("active");
    const stopwatch = new Stopwatch(t);
    const thawedAtMs = performance.now();
    const since = a.lines.length;
    a.signalAll("SIGCONT");
    const line = await a.logged("yielding", ({ msg }) => msg === "yielding", { since });
    stopwatch.assertBelow(3 * INTERVAL_MS + ALLOWANCE_MS, line.readAtMs - thawedAtMs);
    await pair.isSettled(b, a);
    await waitUntil(
      () =>
        pair.hookCalls().some(({ node, action, stage, atMs }) => {
          return node === "a" && action === "release" && stage === "done" && atMs > Date.now() - 10_000;
        }),
      { what: "the release", withinMs: 2_000 },
    );
  });

  test("claim: safe waits for the end of the predecessor's lease, so that two nodes never hold the address", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair({ pair: { claim: "safe", lease: "1s" } });
    const { a, b } = await pair.startBoth();
    const stopwatch = new Stopwatch(t);
    const killedAtMs = performance.now();
    const since = b.lines.length;
    a.signalAll("SIGKILL");
    const tookMs = (await becameActive(b, since)) - killedAtMs;
    t.diagnostic(`active after ${tookMs.toFixed(0)} ms`);
    stopwatch.assertBelow(1_000 * 1.05 + TAKEOVER_WITHIN_MS + ALLOWANCE_MS, tookMs);
    assert.equal(pair.longestOverlapMs(), 0);
  });

  test("preempt: a preferred node that returns takes the role back after preemptDelay", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair({ pair: { preempt: true, preemptDelay: "500ms" } });
    const { a, b } = await pair.startBoth();
    await a.kill();
    await b.becomes("active");
    const again = pair.start("a");
    await pair.isSettled(again, b);
  });
});
