// Requests through a whole vipair: how they are spread, and what becomes of them when backends fail.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test } from "node:test";
import autocannon from "autocannon";
import { freePort } from "../proxy/harness.ts";
import { ask } from "../support/http-client.ts";
import { PORT, Site } from "../support/site.ts";
import type { VipairProcess } from "../support/vipair-process.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const REQUESTS = 10_000;
const INTERVAL_MS = 500;
/** A busy machine must not look like a backend that hangs. */
const TIMEOUT_MS = 400;
/** A backend whose health is about to change is checked this often. */
const CHANGING_MS = 200;
/** Polling the log, a busy machine: what may come on top of what is promised. */
const ALLOWANCE_MS = 250;

const BACKEND = join(import.meta.dirname, "../support/backend.ts");

interface Service {
  readonly site: Site;
  readonly host: string;
  readonly vipair: VipairProcess;
}

async function serve(
  site: Site,
  pool: object,
  { workers = 1 }: { readonly workers?: number } = {},
): Promise<Service> {
  const host = await site.address();
  const config = site.config({
    listeners: [{ name: "web", bind: `${host}:${String(PORT)}`, pool: "web" }],
    pools: { web: pool },
    workers,
  });
  const vipair = site.start({ config, runtimeDir: join(site.folder, "run") });
  await vipair.isReady({ workers });
  return { site, host, vipair };
}

/** A backend that can be killed and frozen without this process. */
async function backendProcess(site: Site, name: string): Promise<{ child: ChildProcess; address: string }> {
  const host = await site.address();
  const child = spawn(process.execPath, [BACKEND, name, host, "9000"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  site.atEnd(() => child.kill("SIGKILL"));
  await once(child.stdout, "data", { signal: AbortSignal.timeout(10_000) });
  return { child, address: `${host}:9000` };
}

const CHECKED = {
  kind: "http",
  path: "/health",
  interval: `${String(INTERVAL_MS)}ms`,
  timeout: `${String(TIMEOUT_MS)}ms`,
};

test("10,000 keep-alive requests over two workers and two backends: no error, an even split, true counters", async (t) => {
  const site = Site.open(t);
  const backends = [await site.backend("one"), await site.backend("two")];
  const { host, vipair } = await serve(
    site,
    {
      backends: backends.map(({ name, address }) => ({ name, address })),
      // Client and backends are this one process, which will be too busy to answer every check in time.
      health: { ...CHECKED, interval: "1s", timeout: "1s" },
    },
    { workers: 2 },
  );
  const result = await autocannon({
    url: `http://${host}:${String(PORT)}/`,
    connections: 20,
    amount: REQUESTS,
  });
  assert.deepEqual(
    { errors: result.errors, non2xx: result.non2xx, "2xx": result["2xx"] },
    { errors: 0, non2xx: 0, "2xx": REQUESTS },
  );
  for (const backend of backends) {
    const off = Math.abs(backend.requests() - REQUESTS / 2);
    assert.ok(off <= 1, `${backend.name} answered ${String(backend.requests())}`);
  }
  const { pools, requests } = await vipair.status();
  assert.equal(requests, REQUESTS);
  assert.deepEqual(
    pools[0]?.backends.map(({ name, requests: sent, failures, state }) => ({ name, sent, failures, state })),
    backends.map((backend) => ({ name: backend.name, sent: backend.requests(), failures: 0, state: "up" })),
  );
});

describe("backends", { concurrency: 2 }, () => {
  test("a request whose connect fails goes to the next backend", async (t) => {
    const site = Site.open(t);
    const good = await site.backend("good");
    const dead = `127.0.0.1:${String(await freePort())}`;
    const { host, vipair } = await serve(site, {
      backends: [
        { name: "dead", address: dead },
        { name: "good", address: good.address },
      ],
      health: { kind: "none" },
    });
    for (let n = 0; n < 10; n += 1) {
      const { status, body } = await ask({ host });
      assert.deepEqual({ status, body }, { status: 200, body: "good" });
    }
    const { pools } = await vipair.status();
    const failures = pools[0]?.backends.find(({ name }) => name === "dead")?.failures ?? 0;
    assert.ok(failures > 0, "the dead backend was tried");
  });

  for (const { how, signal, reason } of [
    { how: "is killed", signal: "SIGKILL", reason: /refused/ },
    { how: "hangs", signal: "SIGSTOP", reason: /no answer within 400 ms/ },
  ] as const) {
    test(`a backend that ${how} is out within one interval and one timeout`, async (t) => {
      const site = Site.open(t);
      const [good, bad] = [await backendProcess(site, "good"), await backendProcess(site, "bad")];
      const { host, vipair } = await serve(site, {
        backends: [
          { name: "good", address: good.address },
          { name: "bad", address: bad.address },
        ],
        health: CHECKED,
      });
      await vipair.until(
        "both up",
        ({ pools }) => pools[0]?.backends.every(({ state }) => state === "up") === true,
      );
      const stopwatch = new Stopwatch(t);
      const failedAtMs = performance.now();
      bad.child.kill(signal);
      const out = await vipair.logged(
        "the backend is out",
        ({ msg, backend }) => backend === "bad" && /^backend (suspect|down)$/.test(msg),
      );
      const tookMs = out.readAtMs - failedAtMs;
      t.diagnostic(`out after ${String(Math.round(tookMs))} ms`);
      stopwatch.assertBelow(INTERVAL_MS + TIMEOUT_MS + ALLOWANCE_MS, tookMs);
      assert.match(String(out["reason"]), reason);
      for (let n = 0; n < 6; n += 1) assert.equal((await ask({ host })).body, "good");
      const down = await vipair.until("down", ({ pools }) => pools[0]?.backends[1]?.state === "down");
      assert.match(down.pools[0]?.backends[1]?.reason ?? "", reason);
    });
  }

  test("a backend that is down comes back after `rise` good checks, not before", async (t) => {
    const RISE = 3;
    const site = Site.open(t);
    const [good, bad] = [await site.backend("good"), await site.backend("bad")];
    const { host, vipair } = await serve(site, {
      backends: [
        { name: "good", address: good.address },
        { name: "bad", address: bad.address },
      ],
      health: { ...CHECKED, rise: RISE },
    });
    bad.setHealthy(false);
    await vipair.logged("down", ({ msg, backend }) => backend === "bad" && msg === "backend down");
    const before = bad.requests();
    for (let n = 0; n < 4; n += 1) assert.equal((await ask({ host })).body, "good");
    assert.equal(bad.requests(), before);

    const since = vipair.lines.length;
    const stopwatch = new Stopwatch(t);
    const wellAtMs = performance.now();
    bad.setHealthy(true);
    const up = await vipair.logged("up", ({ msg, backend }) => backend === "bad" && msg === "backend up", {
      since,
    });
    const tookMs = up.readAtMs - wellAtMs;
    t.diagnostic(`back after ${String(Math.round(tookMs))} ms`);
    // Intervals are shortened by up to a tenth; the first good check may come at once.
    assert.ok(tookMs >= (RISE - 1) * CHANGING_MS * 0.9 - 20, `back after ${String(tookMs)} ms`);
    stopwatch.assertBelow(INTERVAL_MS + RISE * CHANGING_MS + ALLOWANCE_MS, tookMs);
    const answers = [(await ask({ host })).body, (await ask({ host })).body];
    assert.deepEqual(answers.toSorted(), ["bad", "good"]);
  });

  test("no request fails while a backend goes away between two requests", async (t) => {
    const site = Site.open(t);
    const [good, bad] = [await site.backend("good"), await site.backend("bad")];
    const { host } = await serve(site, {
      backends: [
        { name: "good", address: good.address },
        { name: "bad", address: bad.address },
      ],
      health: CHECKED,
    });
    const failed: string[] = [];
    const askFor = async (ms: number) => {
      const until = performance.now() + ms;
      while (performance.now() < until) {
        await ask({ host }).then(
          ({ status }) => status !== 200 && failed.push(String(status)),
          (error: unknown) => failed.push(String(error)),
        );
      }
    };
    await askFor(200);
    await bad.close();
    await askFor(INTERVAL_MS + TIMEOUT_MS + ALLOWANCE_MS);
    assert.deepEqual(failed, []);
  });
});
