// Ejection and circuit breakers through a whole vipair: what clients see of backends whose checks are good and whose
// answers are not. What is asserted is order and outcome; a slow machine only takes longer.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { BackendStatus, Status } from "../../src/protocol/status.ts";
import { ask } from "../support/http-client.ts";
import { MoodyBackend } from "../support/moody-backend.ts";
import { PORT, Site } from "../support/site.ts";
import { SteadyLoad } from "../support/steady-load.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Their checks are answered with 200, whatever they answer to clients. */
const CHECKED = { kind: "http", path: "/health", interval: "1s", timeout: "1s" };
const BROKEN = { status: 500 };

interface Service {
  readonly host: string;
  readonly vipair: ReturnType<Site["start"]>;
  readonly backends: readonly MoodyBackend[];
  readonly config: (pool: object) => string;
  /** The status of so many answers, one after the other. */
  readonly answers: (count: number) => Promise<readonly number[]>;
  readonly backend: (name: string) => Promise<BackendStatus>;
  /** Asks until the backend is in that state. */
  readonly untilState: (name: string, state: string) => Promise<BackendStatus>;
}

async function serve(
  site: Site,
  names: readonly string[],
  pool: object,
  { workers = 1 } = {},
): Promise<Service> {
  const host = await site.address();
  const backends = await Promise.all(names.map((name) => MoodyBackend.start(site, name)));
  const config = (changed: object): string =>
    site.config({
      listeners: [{ name: "web", bind: `${host}:${String(PORT)}`, pool: "web" }],
      pools: { web: { backends: backends.map(({ entry }) => entry), ...changed } },
      workers,
      logging: { access: false },
    });
  const vipair = site.start({ config: config(pool), runtimeDir: join(site.folder, "run") });
  await vipair.isReady({ workers });
  const answers = async (count: number) => {
    const statuses: number[] = [];
    for (let n = 0; n < count; n += 1) statuses.push((await ask({ host })).status);
    return statuses;
  };
  const untilState = async (name: string, state: string) => {
    const load = new SteadyLoad({ host, port: PORT, perSecond: 100 });
    try {
      return find(
        name,
        await vipair.until(`${name} ${state}`, (status) => find(name, status).state === state),
      );
    } finally {
      await load.stop();
    }
  };
  return {
    host,
    vipair,
    backends,
    config,
    answers,
    untilState,
    backend: async (name) => find(name, await vipair.status()),
  };
}

function find(name: string, { pools }: Status): BackendStatus {
  const found = pools[0]?.backends.find((one) => one.name === name);
  assert.ok(found !== undefined);
  return found;
}

function isFailure(status: number): boolean {
  return status >= 500;
}

describe("ejection", { concurrency: 2 }, () => {
  test("a backend that lies about its health, its checks good and its answers 500, is ejected, and then no client sees a 500", async (t) => {
    const site = Site.open(t);
    const { host, vipair, backends, untilState, answers } = await serve(
      site,
      ["one", "two", "three"],
      { health: CHECKED, outliers: { baseEjection: "5m" } },
      { workers: 2 },
    );
    await backends[1]?.feel(BROKEN);
    const load = new SteadyLoad({ host, port: PORT, perSecond: 100 });
    await load.untilAsked(300);
    const { asked, answers: seen, failures } = await load.stop();
    assert.deepEqual(failures, {});
    const failed = Object.entries(seen).filter(([answer]) => !answer.startsWith("200 "));
    const count = failed.reduce((sum, [, times]) => sum + times, 0);
    t.diagnostic(`${String(count)} of ${String(asked)} requests got 500`);
    assert.ok(count >= 5 && count < asked / 4, "an even share would have been a third");
    const { reason, ejection, lastCheck } = await untilState("two", "ejected");
    assert.equal(reason, "5 responses with status 500 or above in a row, the last one: status 500");
    assert.ok(ejection !== null && ejection.count === 1 && ejection.remainingMs <= 300_000);
    assert.equal(lastCheck?.good, true, "its checks see nothing");
    assert.deepEqual((await answers(40)).filter(isFailure), []);
    const shown = (await vipair.command("status")).stdout;
    assert.match(
      shown,
      /two .* ejected .*\(5 responses with status 500 or above in a row, .*\) {2}ejection 1, \d min \d+ s left/,
    );
    await vipair.logged("the ejection", ({ msg, backend }) => msg === "backend ejected" && backend === "two");
  });

  test("a backend that cannot be reached is ejected without checks, and no client sees anything of it", async (t) => {
    const site = Site.open(t);
    const { host, backends, untilState } = await serve(site, ["one", "two"], {
      health: { kind: "none" },
      outliers: {},
    });
    await backends[1]?.kill();
    const load = new SteadyLoad({ host, port: PORT, perSecond: 50 });
    const { reason } = await untilState("two", "ejected");
    assert.match(reason ?? "", /^5 requests without a response in a row, the last one: connect: /);
    const { asked, answers, failures } = await load.stop();
    assert.deepEqual(failures, {});
    assert.deepEqual(answers, { "200 one": asked });
  });

  test("a backend that flaps is ejected longer each time", async (t) => {
    const site = Site.open(t);
    const { vipair, backends, untilState } = await serve(site, ["one", "two"], {
      health: CHECKED,
      // A busy machine must not look like a time in which it was well.
      outliers: { consecutive5xx: 3, baseEjection: "4s" },
    });
    const count = 3;
    for (let n = 1; n <= count; n += 1) {
      await backends[1]?.feel(BROKEN);
      await untilState("two", "ejected");
      await backends[1]?.feel({});
      if (n < count) await untilState("two", "up");
    }
    const ejections = vipair.lines.filter(({ msg }) => msg === "backend ejected");
    assert.deepEqual(
      ejections.map(({ backend, ejection, forMs }) => [backend, ejection, forMs]),
      [
        ["two", 1, 4000],
        ["two", 2, 8000],
        ["two", 3, 12_000],
      ],
    );
  });

  test("of four backends with three that fail two are ejected, and when all fail two still serve", async (t) => {
    const site = Site.open(t);
    const { backends, untilState, backend, answers, vipair } = await serve(
      site,
      ["one", "two", "three", "four"],
      { health: CHECKED, outliers: { consecutive5xx: 2, baseEjection: "5m" } },
    );
    await Promise.all([backends[1]?.feel(BROKEN), backends[2]?.feel(BROKEN)]);
    await untilState("two", "ejected");
    await untilState("three", "ejected");
    await Promise.all([backends[0]?.feel(BROKEN), backends[3]?.feel(BROKEN)]);
    assert.deepEqual(
      (await answers(40)).filter((status) => status !== 500),
      [],
      "nobody hides what they say",
    );
    await vipair.logged("why it is not ejected", ({ msg, reason }) => {
      return (
        msg === "a backend fails and is not ejected" &&
        reason === "2 of 4 are ejected, as many as maxEjectionPercent allows"
      );
    });
    const states = await Promise.all(
      ["one", "two", "three", "four"].map(async (name) => (await backend(name)).state),
    );
    assert.deepEqual(states, ["up", "ejected", "ejected", "up"]);
  });

  test("a reload keeps an ejection; checks that saw the trouble end it", async (t) => {
    const site = Site.open(t);
    const outliers = { consecutive5xx: 2, consecutiveFailures: 2, baseEjection: "10m", maxEjection: "1h" };
    const health = { ...CHECKED, fastInterval: "100ms" };
    const { backends, vipair, config, backend, untilState } = await serve(site, ["one", "two"], {
      health,
      outliers,
    });
    await backends[1]?.feel(BROKEN);
    await untilState("two", "ejected");
    config({ health, outliers, slowStart: "1s" });
    vipair.signal("SIGHUP");
    await vipair.logged("the reload", ({ msg }) => msg === "configuration reloaded");
    assert.equal((await backend("two")).state, "ejected");
    await backends[1]?.kill();
    await untilState("two", "down");
    assert.equal((await backend("two")).ejection?.count, 1, "still ejected as well");
    await backends[1]?.feel({});
    await backends[1]?.restart();
    const { ejection } = await untilState("two", "up");
    assert.equal(ejection, null);
  });
});

describe("circuit breakers", { concurrency: 2 }, () => {
  test("a backend that fails too often gets no requests until trials are good, even when it is the only one", async (t) => {
    const site = Site.open(t);
    const { backends, vipair, answers, backend } = await serve(site, ["one"], {
      health: CHECKED,
      circuitBreaker: { minimumRequests: 10, window: "1m", open: "10s" },
    });
    const [one] = backends;
    await one?.feel(BROKEN);
    assert.deepEqual(new Set(await answers(10)), new Set([500]));
    assert.equal(
      (await ask({ host: (await vipair.status()).listeners[0]?.bind.split(":")[0] ?? "" })).status,
      503,
    );
    assert.equal((await backend("one")).requests, 10, "it was not asked");
    const { state, breaker } = await backend("one");
    assert.equal(state, "up", "its checks are good");
    assert.equal(breaker?.openWorkers, 1);
    assert.equal(breaker.reason, "10 of 10 requests failed within 60 s, the last one: status 500");
    assert.match(
      (await vipair.command("status")).stdout,
      /breaker open in 1 worker \(10 of 10 requests failed .*\), trials in \d+ (ms|s)/,
    );
    await one?.feel({});
    await waitUntil(async () => ((await answers(1))[0] === 200 ? true : undefined), {
      what: "a trial",
      withinMs: 40_000,
    });
    assert.deepEqual(await answers(4), [200, 200, 200, 200]);
    assert.equal((await backend("one")).breaker, null);
    await vipair.logged("the end", ({ msg }) => msg === "circuit breaker closed");
  });
});
