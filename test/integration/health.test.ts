// What checks and agents find, from the backend to the requests that it gets, through a whole vipair.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { ask } from "../support/http-client.ts";
import { PORT, Site } from "../support/site.ts";
import type { VipairProcess } from "../support/vipair-process.ts";

const AGENT_PORT = 9999;
/** A busy machine must not look like a backend that hangs. */
const CHECKED = { interval: "3s", fastInterval: "100ms", downInterval: "100ms", timeout: "3s" };

/** A backend that answers every request with its name, and /health with its page. */
interface Paged {
  readonly address: string;
  page: object;
  /** What its agent says. */
  word: string;
}

async function paged(site: Site, name: string): Promise<Paged> {
  const host = await site.address();
  const backend: Paged = {
    address: `${host}:${String(PORT)}`,
    page: { status: "healthy", disk: 1 },
    word: "",
  };
  const web = createHttpServer(({ url }, response) => {
    response.end(url === "/health" ? JSON.stringify(backend.page) : name);
  });
  const agent = createServer((socket: Socket) => {
    socket.on("error", () => undefined);
    socket.end(`${backend.word}\n`);
  });
  web.listen(PORT, host);
  agent.listen(AGENT_PORT, host);
  await Promise.all([once(web, "listening"), once(agent, "listening")]);
  site.atEnd(() => {
    web.closeAllConnections();
    web.close();
    agent.close();
  });
  return backend;
}

interface Service {
  readonly vipair: VipairProcess;
  readonly one: Paged;
  readonly two: Paged;
  /** Who answers so many requests, counted. */
  readonly spread: (requests: number) => Promise<Readonly<Record<string, number>>>;
}

/** Two backends behind one node; `pool` is what the pool has beside them. */
async function serve(site: Site, pool: object): Promise<Service> {
  const host = await site.address();
  const [one, two] = [await paged(site, "one"), await paged(site, "two")];
  const backends = [
    { name: "one", address: one.address },
    { name: "two", address: two.address },
  ];
  const config = site.config({
    listeners: [{ name: "web", bind: `${host}:${String(PORT)}`, pool: "web" }],
    pools: { web: { backends, ...pool } },
    workers: 1,
  });
  const vipair = site.start({ config, runtimeDir: `${site.folder}/run` });
  await vipair.isReady({ workers: 1 });
  return { vipair, one, two, spread: async (requests) => spreadOver(host, requests) };
}

async function spreadOver(host: string, requests: number): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  for (let n = 0; n < requests; n += 1) {
    const { body } = await ask({ host });
    counts[body] = (counts[body] ?? 0) + 1;
  }
  return counts;
}

/** Waits until "two" is so, and the workers have heard of it. */
async function shows(vipair: VipairProcess, state: string, weightPercent: number): Promise<void> {
  await vipair.until(`two ${state} at ${String(weightPercent)} %`, ({ pools }) => {
    const two = pools[0]?.backends[1];
    return two?.state === state && two.weightPercent === weightPercent;
  });
  // Weights are told within 100 ms.
  await new Promise((resolve) => setTimeout(resolve, 200));
}

describe("health", { concurrency: 4 }, () => {
  test("a failover starts with a backend that is known to be down: it gets not one request", async (t) => {
    const site = Site.open(t);
    const [good, bad] = [await site.backend("good"), await site.backend("bad")];
    const web = {
      backends: [good.address, { name: "bad", address: bad.address }],
      health: { kind: "http", path: "/health", ...CHECKED },
    };
    const pair = await site.pair({ top: { pools: { web } } });
    const { a, b } = await pair.startBoth();
    // It says that it is ill, and would answer requests all the same.
    bad.setHealthy(false);
    for (const node of [a, b])
      await node.until("bad is down", ({ pools }) => pools[0]?.backends[1]?.state === "down");
    const before = bad.requests();
    // Until it has gone: its dying workers still take connections on this machine.
    await a.kill();
    await b.becomes("active");
    for (let n = 0; n < 20; n += 1) {
      const { status, body } = await ask({ host: pair.virtualAddress });
      assert.deepEqual([status, body], [200, "good"]);
    }
    assert.equal(bad.requests(), before);
  });

  test("a degraded backend gets half its share, an unhealthy one nothing, and status says why", async (t) => {
    const json = {
      healthy: 'status == "healthy"',
      unhealthy: "cpu > 90",
      degraded: "disk > 90",
    };
    const { vipair, two, spread } = await serve(Site.open(t), {
      health: { kind: "http", path: "/health", json, ...CHECKED },
    });
    assert.deepEqual(await spread(30), { one: 15, two: 15 });
    two.page = { status: "healthy", disk: 91, cpu: 5 };
    await shows(vipair, "up", 50);
    assert.deepEqual(await spread(30), { one: 20, two: 10 });
    const degraded = await vipair.command("status");
    assert.match(
      degraded.stdout,
      /two .* up +weight 1 {2}at 50 % .*\(degraded: disk is 91\) {2}check 200 in \d+ ms, /,
    );
    two.page = { status: "healthy", disk: 91, cpu: 95 };
    await shows(vipair, "down", 50);
    assert.deepEqual(await spread(10), { one: 10 });
    const down = await vipair.command("status");
    assert.match(down.stdout, /two .* down +weight .*\(unhealthy: cpu is 95\)/);
  });

  test("an agent's weight and drain move the requests, and status shows its words", async (t) => {
    const { vipair, two, spread } = await serve(Site.open(t), {
      health: { kind: "none" },
      agent: { port: AGENT_PORT, interval: "100ms", timeout: "100ms" },
    });
    two.word = "up ready 25%";
    await shows(vipair, "up", 25);
    assert.deepEqual(await spread(30), { one: 24, two: 6 });
    assert.match((await vipair.command("status")).stdout, /agent "up ready 25%"/);
    two.word = "drain";
    await shows(vipair, "drain", 25);
    assert.deepEqual(await spread(10), { one: 10 });
    two.word = "ready 100%";
    await shows(vipair, "up", 100);
    assert.deepEqual(await spread(10), { one: 5, two: 5 });
  });

  test("slow start begins with a real recovery, not with the process and not with a reload", async (t) => {
    const { vipair, two, spread } = await serve(Site.open(t), {
      slowStart: "24h",
      health: { kind: "http", path: "/health", json: { healthy: 'status == "healthy"' }, ...CHECKED },
    });
    assert.deepEqual(await spread(20), { one: 10, two: 10 });
    two.page = { status: "ill" };
    await shows(vipair, "down", 100);
    assert.deepEqual(await spread(5), { one: 5 });
    two.page = { status: "healthy" };
    await shows(vipair, "up", 100);
    // A tenth of its weight at the beginning of a day.
    const { two: first = 0 } = await spread(110);
    assert.ok(first >= 9 && first <= 11, `${String(first)} of 110`);
    const since = vipair.lines.length;
    vipair.signal("SIGHUP");
    await vipair.logged("the reload", ({ msg }) => msg === "configuration reloaded", { since });
    const { two: second = 0 } = await spread(110);
    assert.ok(second >= 9 && second <= 11, `${String(second)} of 110 after the reload`);
  });

  test("a failover begins no slow start: the node that takes over serves with full weights at once", async (t) => {
    const site = Site.open(t);
    const [one, two] = [await paged(site, "one"), await paged(site, "two")];
    const web = {
      backends: [one.address, { name: "two", address: two.address, weight: 2 }],
      slowStart: "24h",
      health: { kind: "http", path: "/health", ...CHECKED },
    };
    const pair = await site.pair({ top: { pools: { web } } });
    const { a, b } = await pair.startBoth();
    assert.deepEqual(await spreadOver(pair.virtualAddress, 30), { one: 10, two: 20 });
    for (const node of [a, b]) {
      await node.until("both were looked at", ({ pools }) =>
        (pools[0]?.backends ?? []).every(({ state, lastCheck }) => state === "up" && lastCheck !== null),
      );
    }
    await a.kill();
    await b.becomes("active");
    assert.deepEqual(await spreadOver(pair.virtualAddress, 30), { one: 10, two: 20 });
  });
});
