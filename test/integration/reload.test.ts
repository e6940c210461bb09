// SIGHUP: what a new configuration changes in a running node, and what it must leave alone.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connectRaw, get, OK, RawBackend, type RawPeer } from "../proxy/harness.ts";
import { adminStatus } from "../support/admin-status.ts";
import { ask } from "../support/http-client.ts";
import { PORT, Site } from "../support/site.ts";
import type { VipairProcess } from "../support/vipair-process.ts";
import { waitUntil } from "../support/wait-until.ts";

const MOVED_PORT = 8081;

/** SIGHUP, and the wait until it has been dealt with. */
async function reload(vipair: VipairProcess): Promise<void> {
  const since = vipair.lines.length;
  vipair.signal("SIGHUP");
  await vipair.logged("the reload", ({ msg }) => msg === "configuration reloaded", { since });
}

describe("SIGHUP", { concurrency: 4 }, () => {
  test("opens new listeners, takes over changed pools, closes removed listeners, and drops no connection of the others", async (t) => {
    const site = Site.open(t);
    const [host, other, added] = [await site.address(), await site.address(), await site.address()];
    const slow = await new RawBackend().start();
    site.atEnd(() => {
      slow.close();
    });
    const [one, two] = [await site.backend("one"), await site.backend("two")];
    const content = (options: { readonly backend: string; readonly second: string }) => ({
      listeners: [
        {
          name: "kept",
          bind: `${host}:${String(PORT)}`,
          routes: [{ match: { path: "/slow" }, pool: "slow" }, { pool: "web" }],
        },
        {
          name: options.second === other ? "removed" : "added",
          bind: `${options.second}:${String(PORT)}`,
          pool: "web",
        },
      ],
      pools: {
        web: { backends: [options.backend], health: { kind: "none" } },
        slow: { backends: [`127.0.0.1:${String(slow.port)}`], health: { kind: "none" } },
      },
      workers: 2,
    });
    const config = site.config(content({ backend: one.address, second: other }));
    const vipair = site.start({ config, runtimeDir: join(site.folder, "run") });
    const before = await vipair.isReady({ workers: 2 });
    assert.equal((await ask({ host: other })).body, "one");

    const keptAlive = await openClient(site, host);
    keptAlive.send(get("/"));
    await keptAlive.receives("one\n");
    const inFlight = await openClient(site, host);
    inFlight.send(get("/slow"));
    const request = await slow.peer();
    await request.receives("\r\n\r\n");

    site.config(content({ backend: two.address, second: added }));
    await reload(vipair);

    assert.equal((await ask({ host: added })).body, "two");
    await isClosed(other);
    keptAlive.forget();
    keptAlive.send(get("/"));
    await keptAlive.receives("two\n");
    request.send(OK);
    assert.match(await inFlight.receives("\r\n\r\nok"), /^HTTP\/1\.1 200/);

    const after = await vipair.status();
    assert.notEqual(after.configHash, before.configHash);
    assert.deepEqual(
      after.listeners.map(({ name, open, problem }) => ({ name, open, problem })),
      [
        { name: "kept", open: true, problem: null },
        { name: "added", open: true, problem: null },
      ],
    );
    assert.deepEqual(
      after.workers.map(({ pid }) => pid),
      before.workers.map(({ pid }) => pid),
    );
  });

  test("moves a listener to another port; what came in through the old one is answered", async (t) => {
    const site = Site.open(t);
    const host = await site.address();
    const slow = await new RawBackend().start();
    site.atEnd(() => {
      slow.close();
    });
    const content = (port: number) => ({
      listeners: [{ name: "web", bind: `${host}:${String(port)}`, pool: "web" }],
      pools: { web: { backends: [`127.0.0.1:${String(slow.port)}`], health: { kind: "none" } } },
      workers: 1,
    });
    const vipair = site.start({ config: site.config(content(PORT)), runtimeDir: join(site.folder, "run") });
    await vipair.isReady();
    const client = await openClient(site, host);
    client.send(get("/"));
    const request = await slow.peer();
    await request.receives("\r\n\r\n");

    site.config(content(MOVED_PORT));
    await reload(vipair);
    await isClosed(host);
    (await openClient(site, host, MOVED_PORT)).close();
    request.send(OK);
    await client.receives("\r\n\r\nok");
  });

  test("with a bad file keeps the old configuration and says every mistake in the log", async (t) => {
    const site = Site.open(t);
    const host = await site.address();
    const one = await site.backend("one");
    const good = `
listeners:
  - { name: web, bind: "${host}:${String(PORT)}", pool: web }
pools:
  web: { backends: ["${one.address}"], health: { kind: none } }
workers: 1
`;
    const config = site.config(good);
    const vipair = site.start({ config, runtimeDir: join(site.folder, "run") });
    const { configHash } = await vipair.isReady();
    for (const [bad, problems] of [
      [
        good.replace("pool: web", "pool: wbe").replace("workers: 1", "workers: -1"),
        [/:3:.*"wbe"/, /:6:.*-1/],
      ],
      ["listeners: [", [/Not valid YAML/]],
      ["", [/./]],
    ] as const) {
      site.config(bad);
      const since = vipair.lines.length;
      vipair.signal("SIGHUP");
      const line = await vipair.logged("why not", ({ msg }) => /not used/.test(msg), { since });
      const said = line["problems"] as string[];
      for (const problem of problems)
        assert.ok(
          said.some((text) => problem.test(text)),
          said.join("\n"),
        );
      assert.ok(said.length >= problems.length);
      assert.equal((await vipair.status()).configHash, configHash);
      assert.equal((await ask({ host })).body, "one");
    }
  });

  test("what it could not apply does not count as applied: a peer that started with it is told apart", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const { a, b } = await pair.startBoth();
    const changes = { pair: { lease: "5s" } };
    const changed = pair.content(changes);
    site.config(changed, "a.yaml");
    site.config(changed, "b.yaml");
    await reload(a);
    await reload(b);
    for (const node of [a, b]) {
      const { peer, reason } = await node.status();
      assert.equal(peer?.configMatches, true);
      assert.equal(reason, "restart to apply what was changed in pair");
    }
    b.signal("SIGTERM");
    await b.exit();
    const again = pair.start("b", { changes });
    await again.until("differing hashes", ({ peer }) => peer?.configMatches === false);
    await a.until("differing hashes", ({ peer }) => peer?.configMatches === false);
  });

  test("shutdownGrace of a reload is what a stop keeps to: a request through the virtual address has that time", async (t) => {
    const site = Site.open(t);
    const slow = await new RawBackend().start();
    site.atEnd(() => {
      slow.close();
    });
    const pools = {
      web: { backends: [`127.0.0.1:${String(slow.port)}`], health: { kind: "none" } },
    };
    const pair = await site.pair();
    const a = pair.start("a", { changes: { top: { pools, shutdownGrace: "500ms" } } });
    await a.becomes("active");
    site.config(pair.content({ top: { pools, shutdownGrace: "20s" } }), "a.yaml");
    await reload(a);
    const client = await connectRaw(PORT, pair.virtualAddress);
    site.atEnd(() => {
      client.close();
    });
    client.send(get("/slow"));
    const request = await slow.peer();
    await request.receives("\r\n\r\n");

    a.signal("SIGTERM");
    await sleep(1_500);
    assert.ok(!client.hasClosed, "the request was cut");
    request.send(OK);
    assert.match(await client.receives("\r\n\r\nok"), /^HTTP\/1\.1 200/);
    client.close();
    assert.deepEqual(await a.exit(), { code: 0, signal: null });
    assert.ok(a.lines.some(({ msg }) => msg === "released"));
  });

  test("rule 11: a reload touches neither role, epoch, lease nor heartbeats; what needs a restart is named; hashes that differ show on both nodes", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair({ pair: { lease: "4s" } });
    const { a, b } = await pair.startBoth();
    const before = await a.status();
    const callsBefore = pair.hookCalls().length;

    const listeners = [{ name: "web", bind: `vip:${String(PORT)}`, pool: "web", limits: { head: "8KiB" } }];
    site.config(
      pair.content({ pair: { lease: "5s", preempt: true }, top: { listeners, workers: 3 } }),
      "a.yaml",
    );
    const since = a.lines.length;
    await reload(a);
    const line = await a.logged("the restart", ({ msg }) => /next restart/.test(msg), { since });
    assert.deepEqual(line["keys"], ["pair", "workers"]);
    assert.equal((await a.status()).reason, "restart to apply what was changed in pair, workers");
    for (const node of [a, b]) {
      const status = await node.until("differing hashes", ({ peer }) => peer?.configMatches === false);
      assert.equal(status.peer?.connected, true);
    }
    for (const node of [a, b]) {
      await node.logged("the alarm", ({ msg, level }) => /configuration/.test(msg) && level === "warn", {
        since: 0,
      });
    }

    site.config(pair.content({ top: { listeners } }), "a.yaml");
    site.config(pair.content({ top: { listeners } }), "b.yaml");
    await reload(a);
    await reload(b);
    for (const node of [a, b]) await node.until("equal hashes", ({ peer }) => peer?.configMatches === true);

    const after = await a.status();
    assert.deepEqual([after.role, after.epoch, after.since], [before.role, before.epoch, before.since]);
    assert.equal((await b.status()).role, "standby");
    const disturbing = pair
      .hookCalls()
      .slice(callsBefore)
      .filter(({ action }) => action === "claim" || action === "release");
    assert.deepEqual(disturbing, []);
    for (const node of [a, b])
      assert.ok(!node.lines.slice(since).some(({ msg }) => msg === "peer link disconnected"));
    assert.equal((await ask({ host: pair.virtualAddress })).body, "one");
  });
});

describe("vipair reload", () => {
  test("says which configuration the node took, what waits for a restart, and every mistake of one that it did not take", async (t) => {
    const site = Site.open(t);
    const host = await site.address();
    const content = (top: object) => ({
      listeners: [{ name: "web", bind: `${host}:${String(PORT)}`, routes: [{ respond: { status: 200 } }] }],
      pools: {},
      workers: 1,
      ...top,
    });
    const config = site.config(content({}));
    const vipair = site.start({ config, runtimeDir: join(site.folder, "run") });
    const { configHash } = await vipair.isReady();

    const same = await vipair.command("reload");
    assert.deepEqual(same, {
      code: 0,
      stdout: `the node runs with configuration ${configHash} now\n`,
      stderr: "",
    });

    site.config(content({ workers: 2 }));
    assert.match(
      (await vipair.command("reload")).stdout,
      /, but for what was changed in workers: restart it to apply that\n$/,
    );

    site.config(content({ workers: "many", pool: 1 }));
    const refused = await vipair.command("reload");
    assert.deepEqual([refused.code, refused.stdout], [1, ""]);
    assert.equal(refused.stderr.match(/vipair\.yaml:\d+:\d+ /g)?.length, 2, refused.stderr);
    assert.equal((await vipair.status()).configHash, configHash);
  });

  test("does not keep a node from answering while a large file is read", async (t) => {
    const site = Site.open(t);
    const listeners = [{ name: "web", bind: `${await site.address()}:${String(PORT)}`, pool: "p0" }];
    const runtimeDir = join(site.folder, "run");
    const config = site.config({
      listeners,
      workers: 1,
      pools: manyPools(1, { backends: ["10.0.0.1:1"], health: { kind: "none" } }),
    });
    const vipair = site.start({ config, runtimeDir });
    await vipair.isReady({ workers: 1 });
    // Refused in the end, so that nothing but the reading takes time.
    site.config({ listeners, workers: 1, pools: manyPools(4000, { balance: "nonsense" }) });
    const since = vipair.lines.length;
    vipair.signal("SIGHUP");
    let answers = 0;
    const isRead = () =>
      vipair.lines.slice(since).some(({ msg }) => msg === "the new configuration is not used");
    while (!isRead()) {
      assert.ok((await adminStatus(runtimeDir)) !== undefined, "an answer within a second");
      answers += 1;
    }
    // One, when it is kept: the answer that it began before.
    assert.ok(answers >= 3, `${String(answers)} answers`);
  });
});

/** Ends when connections are refused. Who stood in the accept queue at the close is still let in. */
async function isClosed(host: string): Promise<void> {
  await waitUntil(
    () =>
      connectRaw(PORT, host).then(
        (client) => {
          client.close();
          return false;
        },
        (error: NodeJS.ErrnoException) => error.code === "ECONNREFUSED",
      ),
    { what: "refused connections", withinMs: 2_000 },
  );
}

async function openClient(site: Site, host: string, port = PORT): Promise<RawPeer> {
  const client = await connectRaw(port, host);
  site.atEnd(() => {
    client.close();
  });
  return client;
}

/** The last one is another. */
function manyPools(count: number, last: object): object {
  const names = Array.from({ length: count }, (_, index) => `p${String(index)}`);
  return Object.fromEntries(
    names.map((name, index) => [
      name,
      index === count - 1 ? last : { backends: [`10.0.0.1:${String(1 + index)}`] },
    ]),
  );
}
