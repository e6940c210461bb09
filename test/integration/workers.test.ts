// The worker processes of a whole vipair: what they may do, and what happens when they die.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connectRaw, get, RawBackend, type RawPeer } from "../proxy/harness.ts";
import { PORT, Site } from "../support/site.ts";
import { isAlive, type VipairProcess } from "../support/vipair-process.ts";
import { waitUntil } from "../support/wait-until.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const RESTART_WITHIN_MS = 300;
const CLIENTS = 12;

interface Balancer {
  readonly site: Site;
  readonly host: string;
  readonly vipair: VipairProcess;
}

/** A balancer alone; `workers` undefined leaves the key out. */
async function startBalancer(
  site: Site,
  { backend, workers }: { readonly backend: string; readonly workers?: number },
): Promise<Balancer> {
  const host = await site.address();
  const config = site.config({
    listeners: [{ name: "web", bind: `${host}:${String(PORT)}`, pool: "web" }],
    pools: { web: { backends: [backend], health: { kind: "none" } } },
    ...(workers === undefined ? {} : { workers }),
  });
  const vipair = site.start({ config, runtimeDir: join(site.folder, "run") });
  await vipair.isReady({ workers: workers ?? availableParallelism() });
  return { site, host, vipair };
}

async function workerPids(vipair: VipairProcess): Promise<number[]> {
  return (await vipair.status()).workers.map(({ pid }) => pid);
}

/** Sockets that listen on the address, as the kernel counts them. */
function listeningSockets(host: string): number {
  const hex = host
    .split(".")
    .toReversed()
    .map((octet) => Number(octet).toString(16).padStart(2, "0"))
    .join("")
    .toUpperCase();
  const endpoint = `${hex}:${PORT.toString(16).toUpperCase()} 00000000:0000 0A`;
  return readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .filter((line) => line.includes(endpoint)).length;
}

describe("workers", { concurrency: false }, () => {
  test("workers are one per core, nobody, and without capabilities", async (t) => {
    const site = Site.open(t);
    const backend = await site.backend("one");
    const { vipair } = await startBalancer(site, { backend: backend.address });
    const pids = await workerPids(vipair);
    assert.equal(pids.length, availableParallelism());
    const workers = vipair.workers();
    assert.ok(pids.every((pid) => workers.includes(pid)));
    const uid = process.getuid?.() === 0 ? 65_534 : process.getuid?.();
    for (const pid of workers) {
      // One that waits as a spare may just have been forked.
      const facts = await waitUntil(
        () => {
          const text = readFileSync(`/proc/${String(pid)}/status`, "utf8");
          return factOf(text, "Uid") === Array.from({ length: 4 }, () => uid).join("\t") ? text : undefined;
        },
        { what: `process ${String(pid)} to be user ${String(uid)}`, withinMs: 5_000 },
      );
      for (const set of ["CapEff", "CapPrm", "CapInh", "CapAmb"])
        assert.match(factOf(facts, set) ?? "", /^0+$/, set);
      if (uid === 65_534) assert.equal(factOf(facts, "Groups"), "");
    }
  });

  test("a killed worker is back within 300 ms and takes only its own requests in flight with it", async (t) => {
    const site = Site.open(t);
    const backend = await new RawBackend().start();
    site.atEnd(() => {
      backend.close();
    });
    const { vipair, host } = await startBalancer(site, {
      backend: `127.0.0.1:${String(backend.port)}`,
      workers: 2,
    });

    const clients: RawPeer[] = [];
    for (let n = 0; n < CLIENTS; n += 1) {
      const client = await connectRaw(PORT, host);
      site.atEnd(() => {
        client.close();
      });
      client.send(get("/slow"));
      clients.push(client);
    }
    await waitUntil(() => backend.peers.length === CLIENTS, {
      what: "all requests at the backend",
      withinMs: 5_000,
    });
    const before = await vipair.until("counted connections", ({ workers }) => {
      return workers.reduce((sum, { connections }) => sum + connections, 0) === CLIENTS;
    });
    // The kernel spreads by a hash; a worker without connections would prove nothing.
    const [victim, survivor] = before.workers.toSorted((a, b) => a.connections - b.connections);
    assert.ok(victim !== undefined && survivor !== undefined);

    const stopwatch = new Stopwatch(t);
    const killedAtMs = performance.now();
    process.kill(victim.pid, "SIGKILL");
    await waitForTwo(vipair, host, victim.pid);
    const tookMs = performance.now() - killedAtMs;
    t.diagnostic(`back after ${tookMs.toFixed(0)} ms`);
    stopwatch.assertBelow(RESTART_WITHIN_MS, tookMs);
    await waitUntil(() => clients.filter(isOver).length >= victim.connections, {
      what: "the end of the dead worker's connections",
      withinMs: 5_000,
    });
    for (const peer of backend.peers) {
      if (!peer.hasClosed) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    const alive = clients.filter((client) => !isOver(client));
    assert.equal(alive.length, survivor.connections);
    for (const client of alive) assert.match(await client.receives("ok"), /^HTTP\/1\.1 200/);
    assert.equal((await vipair.status()).role, "active");
  });

  test("a dead control process takes its workers down at once", async (t) => {
    const site = Site.open(t);
    const backend = await site.backend("one");
    const { vipair, host } = await startBalancer(site, { backend: backend.address, workers: 2 });
    const pids = vipair.children();
    assert.ok(pids.length >= 2);
    vipair.signal("SIGKILL");
    await waitUntil(() => pids.every((pid) => !isAlive(pid)), { what: "the workers' end", withinMs: 1_000 });
    assert.equal(listeningSockets(host), 0);
  });
});

/** A line of /proc/PID/status. */
function factOf(facts: string, name: string): string | undefined {
  return new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(facts)?.[1]?.trim();
}

function isOver({ hasEnded, hasClosed }: RawPeer): boolean {
  return hasEnded || hasClosed;
}

/** Both workers run and listen, and none of them is the dead one. */
async function waitForTwo(vipair: VipairProcess, host: string, dead: number): Promise<void> {
  await waitUntil(() => listeningSockets(host) === 2 && !vipair.children().includes(dead), {
    what: "two listening sockets",
    withinMs: 5_000,
    everyMs: 5,
  });
  await vipair.until(
    "two workers",
    ({ workers }) => workers.length === 2 && !workers.some(({ pid }) => pid === dead),
  );
}
