// What puts a node into fault: hooks and secrets that are no good, workers that do not stay up. The node says
// so, stays up where it can, and leaves the role to its peer.

import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ask } from "../support/http-client.ts";
import { NODES, type PairSite, PORT, SECRET, Site } from "../support/site.ts";
import { waitUntil } from "../support/wait-until.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const DEATHS = 5;
const HOOK_TIMEOUT_MS = 2_000;
/** The default. */
const LEASE_MS = 2_000;

/**
 * What `claim: fast` promises whatever the machine does: the one that goes sets no lease any more when the other claims, so that two
 * hold the address for one lease at most. How much less is up to its release hook, which takes as long as a busy machine wants.
 */
function expectOneLeaseAtMost(pair: PairSite): void {
  const calls = pair.hookCalls();
  const claim = calls.find(({ node, action }) => node === "b" && action === "claim");
  const renewal = calls.findLast(({ node, action, stage }) => {
    return node === "a" && action === "renew" && stage === "done";
  });
  assert.ok(claim !== undefined && renewal !== undefined);
  assert.ok(renewal.atMs <= claim.atMs, "a renewed its lease beside b");
  const overlapMs = pair.longestOverlapMs();
  assert.ok(overlapMs <= LEASE_MS, `two holders for ${String(overlapMs)} ms`);
}

describe("fault", { concurrency: 4 }, () => {
  test("five deaths of workers in 10 s are a fault of the node: the peer takes over, until they stay up again", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const { a, b } = await pair.startBoth();
    // The last time: this process may be late to see the end of a worker, and the pause begins with that.
    let killedAtMs = 0;
    for (let death = 1; death <= DEATHS; death += 1) {
      const [pid] = (await a.until("a worker", ({ workers }) => workers.length === 1)).workers.map(
        (worker) => worker.pid,
      );
      assert.ok(pid !== undefined);
      killedAtMs = performance.now();
      process.kill(pid, "SIGKILL");
      await waitUntil(() => !a.children().includes(pid), { what: "its end", withinMs: 5_000 });
    }
    const fault = await a.becomes("fault");
    assert.match(fault.reason ?? "", /workers: 5 workers died within 10 s/);
    await b.becomes("active");
    assert.equal((await ask({ host: pair.virtualAddress })).body, "one");

    await a.until("a worker, after a pause", ({ workers }) => workers.length === 1);
    const pauseMs = performance.now() - killedAtMs;
    assert.ok(pauseMs > 400, `restarted after ${String(pauseMs)} ms`);
    await a.becomes("standby", { withinMs: 20_000 });
    await pair.isWell(a);
    assert.equal((await b.status()).role, "active");
    expectOneLeaseAtMost(pair);
  });

  test("a missing hook is a fault of the node, with one clear line; the peer takes the role; it recovers when the hook is there", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const plain = await site.address();
    const backend = await site.backend("plain");
    const a = pair.start("a", {
      changes: {
        pair: { hook: "hook-of-a" },
        top: {
          listeners: [
            { name: "web", bind: `vip:${String(PORT)}`, pool: "web" },
            { name: "plain", bind: `${plain}:${String(PORT)}`, pool: "plain" },
          ],
          pools: {
            web: { backends: [backend.address], health: { kind: "none" } },
            plain: { backends: [backend.address], health: { kind: "none" } },
          },
        },
      },
    });
    const b = pair.start("b");
    const fault = await a.becomes("fault");
    assert.match(fault.reason ?? "", /hook .*hook-of-a does not exist/);
    await b.becomes("active");
    await b.until("the peer's fault", ({ peer }) => peer?.role === "fault");
    assert.equal((await ask({ host: plain })).body, "plain");

    await sleep(2_500);
    const lines = a.lines.filter(({ msg }) => msg === "this node cannot take part in the pair");
    assert.equal(lines.length, 1);
    assert.ok(a.lines.length < 40, `${String(a.lines.length)} lines in three seconds`);

    site.file("hook-of-a", "#!/bin/sh\nexit 0\n");
    chmodSync(join(site.folder, "hook-of-a"), 0o755);
    await pair.isWell(a);
    assert.equal((await b.status()).role, "active");
  });

  test("a claim hook that fails makes the node yield, with the hook's own words in log and status", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const repair = pair.sabotage("a", "claim", "fails");
    const a = pair.start("a");
    const line = await a.logged("the failure", ({ msg }) => msg === "hook failed");
    assert.match(String(line["reason"]), /claim hook: exit 1: ordered to fail/);
    await a.logged(
      "the fault",
      ({ msg, reason }) => msg === "fault" && /ordered to fail/.test(String(reason)),
    );
    await a.until("the hook's words", ({ role, reason }) => {
      return role === "fault" && /ordered to fail/.test(reason ?? "");
    });
    const b = pair.start("b");
    await b.becomes("active");
    repair();
    await pair.isWell(a);
    assert.equal((await b.status()).role, "active");
    assert.equal(pair.longestOverlapMs(), 0);
  });

  test("a claim hook that hangs is killed after 2 s and the address released; the peer takes over", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    pair.sabotage("a", "claim", "hangs");
    const stopwatch = new Stopwatch(t);
    const a = pair.start("a");
    const failure = await a.logged(
      "the kill",
      ({ msg, failure: kind }) => msg === "hook failed" && kind === "timeout",
    );
    assert.match(String(failure["reason"]), /killed after [2-9]\d{3} ms/);
    await a.becomes("fault");
    const b = pair.start("b");
    await b.becomes("active");
    const calls = pair.hookCalls().filter(({ node }) => node === "a");
    const claimed = calls.find(({ action }) => action === "claim");
    const released = calls.find(({ action, stage, atMs }) => {
      return action === "release" && stage === "done" && atMs > (claimed?.atMs ?? 0);
    });
    assert.ok(claimed !== undefined && released !== undefined);
    const tookMs = released.atMs - claimed.atMs;
    assert.ok(tookMs >= HOOK_TIMEOUT_MS, `after ${String(tookMs)} ms`);
    stopwatch.assertBelow(HOOK_TIMEOUT_MS + 1_000, tookMs);
    assert.equal((await ask({ host: pair.virtualAddress })).body, "one");
  });

  test("two nodes that cannot open the same listener do not leave the address to each other for ever: one serves the rest", async (t) => {
    const site = Site.open(t);
    const listeners = [PORT, PORT + 1].map((port) => ({
      name: `web-${String(port)}`,
      bind: `vip:${String(port)}`,
      pool: "web",
    }));
    const pair = await site.pair({ top: { listeners } });
    const stranger = createServer();
    stranger.listen({ host: pair.virtualAddress, port: PORT + 1, exclusive: true });
    await once(stranger, "listening");
    site.atEnd(() => {
      stranger.close();
    });
    const repairs = NODES.map((node) => pair.sabotage(node, "claim", "fails"));
    const nodes = NODES.map((node) => pair.start(node));
    for (const node of nodes) await node.until("in touch", ({ peer }) => peer?.connected === true);
    for (const repair of repairs) repair();
    await Promise.any(nodes.map((node) => node.becomes("active", { withinMs: 40_000 })));
    assert.equal((await ask({ host: pair.virtualAddress })).body, "one");
    const tried = nodes.flatMap(({ lines }) => lines).find(({ msg }) => msg === "listener cannot be opened");
    assert.match(String(tried?.["problem"]), /port 8081 .* is in use/);
  });

  test("a node whose hooks do not even start gives the claim back, and the other one serves", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const { a, b } = await pair.startBoth();
    const launcher = b.children().find((pid) => {
      return readFileSync(`/proc/${String(pid)}/cmdline`, "utf8").includes("launcher");
    });
    assert.ok(launcher !== undefined);
    process.kill(launcher, "SIGSTOP");
    assert.equal((await a.command("switchover")).code, 1);
    await b.logged("its fault", ({ msg, reason }) => {
      return msg === "fault" && /has not answered in time/.test(String(reason));
    });
    await a.becomes("active");
    assert.equal((await ask({ host: pair.virtualAddress })).body, "one");
    await pair.isWell(b);
    assert.equal((await a.command("switchover")).code, 0);
    await b.becomes("active");
  });

  test("a standby whose worker hangs does not take over, and the active never lets go", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const { a, b } = await pair.startBoth();
    const since = a.lines.length;
    for (const worker of b.workers()) process.kill(worker, "SIGSTOP");
    const { code, stderr } = await a.command("switchover");
    assert.equal(code, 1, stderr);
    await b.logged("its fault", ({ msg, reason }) => {
      return msg === "fault" && /the workers do not open the listeners/.test(String(reason));
    });
    const told = a.lines.slice(since).map(({ msg }) => msg);
    assert.ok(!told.includes("yielding") && !told.includes("leaving"), told.join("; "));
    // Not by a request: on loopback both nodes have the address, and a hung worker may still have a socket for it.
    const { role, listeners, virtualAddresses } = await a.status();
    assert.equal(role, "active");
    assert.ok(listeners.every(({ open }) => open));
    assert.ok(virtualAddresses.every(({ held }) => held));
    for (const worker of b.workers()) process.kill(worker, "SIGCONT");
  });

  test("an active whose renewals hang gives the address up before its lease can end", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const { a, b } = await pair.startBoth();
    pair.sabotage("a", "renew", "hangs");
    await b.becomes("active");
    await a.logged("why", ({ msg }) => /lease may have ended/.test(msg));
    await a.logged("the fault", ({ msg, reason }) => msg === "fault" && /renewal/.test(String(reason)));
    await pair.isWell(a);
    assert.equal((await b.status()).role, "active");
    expectOneLeaseAtMost(pair);
  });

  for (const { what, make, repair, problem } of [
    { what: "missing", make: (path: string) => rmSync(path), repair: () => undefined, problem: /ENOENT/ },
    {
      what: "unreadable",
      make: (path: string) => {
        rmSync(path);
        // Root may read every file; nobody can read a directory.
        mkdirSync(path);
      },
      repair: (path: string) => rmdirSync(path),
      problem: /EISDIR/,
    },
    {
      what: "too short",
      make: (path: string) => rmSync(path),
      short: true,
      repair: () => undefined,
      problem: /shorter/,
    },
  ] as const) {
    test(`a secret file that is ${what} is a fault of the node, which serves its other listeners, until it is repaired`, async (t) => {
      const site = Site.open(t);
      const pair = await site.pair();
      const plain = await site.address();
      const backend = await site.backend("plain");
      const path = join(site.folder, "secret");
      make(path);
      if (what === "too short") site.file("secret", "short\n");
      const a = pair.start("a", {
        changes: {
          top: {
            listeners: [{ name: "plain", bind: `${plain}:${String(PORT)}`, pool: "web" }],
            pools: { web: { backends: [backend.address], health: { kind: "none" } } },
          },
        },
      });
      const fault = await a.becomes("fault");
      assert.match(fault.reason ?? "", problem);
      assert.equal((await ask({ host: plain })).body, "plain");
      assert.equal(pair.hookCalls().filter(({ action }) => action === "claim").length, 0);
      await a.logged("the problem", ({ msg, problem: said }) => {
        return msg === "this node cannot take part in the pair" && problem.test(String(said));
      });

      if (what !== "too short") repair(path);
      site.file("secret.new", SECRET);
      renameSync(join(site.folder, "secret.new"), path);
      await a.becomes("active");
    });
  }
});
