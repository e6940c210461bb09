// How a whole vipair ends: what SIGTERM promises to those whose requests are in flight.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connectRaw, get, OK, RawBackend, type RawPeer } from "../proxy/harness.ts";
import { PORT, Site } from "../support/site.ts";
import { isAlive, type VipairProcess } from "../support/vipair-process.ts";
import { waitUntil } from "../support/wait-until.ts";
import { Stopwatch } from "../support/stopwatch.ts";

/** What may come on top of the grace: the goodbyes of processes on a busy machine. */
const MARGIN_MS = 1_000;

interface InFlight {
  readonly site: Site;
  readonly host: string;
  readonly vipair: VipairProcess;
  readonly client: RawPeer;
  /** The backend's end of the request that it has not answered. */
  readonly request: RawPeer;
}

/** A balancer alone, with one request that waits at its backend. */
async function startWithRequest(
  t: TestContext,
  { graceMs }: { readonly graceMs: number },
): Promise<InFlight> {
  const site = Site.open(t);
  const backend = await new RawBackend().start();
  site.atEnd(() => {
    backend.close();
  });
  const host = await site.address();
  const config = site.config({
    listeners: [{ name: "web", bind: `${host}:${String(PORT)}`, pool: "web" }],
    pools: { web: { backends: [`127.0.0.1:${String(backend.port)}`], health: { kind: "none" } } },
    workers: 2,
    shutdownGrace: `${String(graceMs)}ms`,
  });
  const vipair = site.start({ config, runtimeDir: join(site.folder, "run") });
  await vipair.isReady({ workers: 2 });
  const client = await connectRaw(PORT, host);
  site.atEnd(() => {
    client.close();
  });
  client.send(get("/slow"));
  const request = await backend.peer();
  await request.receives("\r\n\r\n");
  return { site, host, vipair, client, request };
}

describe("SIGTERM", { concurrency: 3 }, () => {
  test("a slow request in flight is answered, new clients are refused, and the exit code is 0", async (t) => {
    const { vipair, client, request, host } = await startWithRequest(t, { graceMs: 5_000 });
    const children = vipair.children();
    vipair.signal("SIGTERM");
    await waitUntil(
      () =>
        connectRaw(PORT, host).then(
          (late) => {
            late.close();
            return false;
          },
          () => true,
        ),
      { what: "refused connections", withinMs: 2_000 },
    );
    assert.ok(vipair.isRunning && !client.hasClosed);
    request.send(OK);
    const stopwatch = new Stopwatch(t);
    assert.match(await client.receives("\r\n\r\nok"), /^HTTP\/1\.1 200[^]*connection: close/i);
    client.close();
    assert.deepEqual(await vipair.exit(), { code: 0, signal: null });
    // It waits for nothing but requests.
    stopwatch.assertBelow(MARGIN_MS);
    for (const pid of children) assert.ok(!isAlive(pid));
    assert.equal((await vipair.command("role")).code, 3);
  });

  test("a request that never ends is cut when shutdownGrace is over, and the exit code is 0", async (t) => {
    const graceMs = 1_000;
    const { vipair, client } = await startWithRequest(t, { graceMs });
    const stopwatch = new Stopwatch(t);
    const stoppedAtMs = performance.now();
    vipair.signal("SIGTERM");
    assert.equal(await client.endsOrCloses(), "");
    const cutMs = performance.now() - stoppedAtMs;
    assert.ok(cutMs > graceMs - 50, `cut after ${String(cutMs)} ms`);
    assert.deepEqual(await vipair.exit(), { code: 0, signal: null });
    const tookMs = performance.now() - stoppedAtMs;
    t.diagnostic(`cut after ${String(Math.round(cutMs))} ms, exit after ${String(Math.round(tookMs))} ms`);
    stopwatch.assertBelow(graceMs + MARGIN_MS, tookMs);
  });

  test("a second SIGTERM exits at once and leaves no worker", async (t) => {
    const { vipair, client } = await startWithRequest(t, { graceMs: 60_000 });
    const children = vipair.children();
    vipair.signal("SIGTERM");
    await vipair.logged("the first signal", ({ msg }) => msg === "signal received");
    const stopwatch = new Stopwatch(t);
    vipair.signal("SIGTERM");
    await vipair.exit();
    stopwatch.assertBelow(MARGIN_MS);
    await client.endsOrCloses();
    await waitUntil(() => children.every((pid) => !isAlive(pid)), {
      what: "the workers' end",
      withinMs: 1_000,
    });
  });

  test("a standby stops at once, and an idle node alone does, too", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair({ top: { shutdownGrace: "10s" } });
    const { a, b } = await pair.startBoth();
    for (const node of [b, a]) {
      const stoppedAtMs = performance.now();
      node.signal("SIGTERM");
      assert.deepEqual(await node.exit(), { code: 0, signal: null });
      const tookMs = performance.now() - stoppedAtMs;
      assert.ok(tookMs < 2_500, `took ${String(tookMs)} ms\n${node.rawLines.join("\n")}`);
    }
  });

  test("a release hook that hangs holds up the stop no longer than shutdownGrace; the lease ends the address", async (t) => {
    const graceMs = 1_000;
    const site = Site.open(t);
    const pair = await site.pair({ top: { shutdownGrace: `${String(graceMs)}ms` } });
    const { a, b } = await pair.startBoth();
    pair.sabotage("a", "release", "hangs");
    const stopwatch = new Stopwatch(t);
    const stoppedAtMs = performance.now();
    a.signal("SIGTERM");
    await b.becomes("active");
    assert.deepEqual(await a.exit(), { code: 0, signal: null });
    const tookMs = performance.now() - stoppedAtMs;
    t.diagnostic(`exit after ${tookMs.toFixed(0)} ms`);
    stopwatch.assertBelow(graceMs + MARGIN_MS, tookMs);
  });

  test("claim: safe: connections to an address that is gone are not waited for, the others are, and the peer is told once", async (t) => {
    const site = Site.open(t);
    const slow = await new RawBackend().start();
    site.atEnd(() => {
      slow.close();
    });
    const pair = await site.pair({ pair: { claim: "safe", lease: "1s" } });
    // Not vip:PORT: those listeners close with the address anyway.
    const changes = (node: "a" | "b", port: number) => ({
      top: {
        listeners: [pair.virtualAddress, pair.addresses[node]].map((host, index) => ({
          name: `web-${String(index)}`,
          bind: `${host}:${String(port)}`,
          pool: "web",
        })),
        pools: { web: { backends: [`127.0.0.1:${String(slow.port)}`], health: { kind: "none" } } },
        shutdownGrace: "20s",
      },
    });
    const a = pair.start("a", { changes: changes("a", PORT) });
    await a.becomes("active");
    const b = pair.start("b", { changes: changes("b", PORT + 1) });
    await pair.isWell(b);
    const open = async (host: string) => {
      const client = await connectRaw(PORT, host);
      site.atEnd(() => {
        client.close();
      });
      client.send(get("/slow"));
      const request = await slow.peer();
      await request.receives("\r\n\r\n");
      return { client, request };
    };
    const own = await open(pair.addresses.a);
    const virtual = await open(pair.virtualAddress);

    const since = b.lines.length;
    const stoppedAtMs = performance.now();
    a.signal("SIGTERM");
    await virtual.client.endsOrCloses();
    const cutMs = performance.now() - stoppedAtMs;
    assert.ok(cutMs < 5_000, `cut after ${String(cutMs)} ms`);
    await b.becomes("active");
    // As long as a node waits for its last clients the peer must not meet and lose it again and again.
    await sleep(3_000);
    const told = b.lines.slice(since).map(({ msg }) => msg);
    assert.deepEqual(
      told.filter((msg) => msg.startsWith("peer link connected")),
      [],
      told.join("\n"),
    );
    assert.ok(told.filter((msg) => msg.startsWith("peer link")).length <= 2, told.join("\n"));

    assert.ok(a.isRunning && !own.client.hasClosed);
    own.request.send(OK);
    assert.match(await own.client.receives("\r\n\r\nok"), /^HTTP\/1\.1 200/);
    own.client.close();
    assert.deepEqual(await a.exit({ withinMs: 5_000 }), { code: 0, signal: null });
  });

  test("a second SIGTERM leaves no hook behind", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const { a } = await pair.startBoth();
    const releases = () =>
      pair.hookCalls().filter(({ node, action, stage }) => {
        return node === "a" && action === "release" && stage === "begin";
      }).length;
    const before = releases();
    pair.sabotage("a", "release", "hangs");
    a.signal("SIGTERM");
    await waitUntil(() => releases() > before, { what: "a release that hangs", withinMs: 5_000 });
    const children = a.children();
    a.signal("SIGTERM");
    await a.exit();
    await waitUntil(() => children.every((pid) => !isAlive(pid)), {
      what: "the end of workers and hooks",
      withinMs: 1_000,
    });
  });
});
