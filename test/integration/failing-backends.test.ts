// What clients see while backends die, hang, answer with errors, slow down: real processes, a steady stream of requests,
// and what each of them got. No limit here is a time, so that a slow machine changes the figures and not the outcome.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import autocannon from "autocannon";
import type { Status } from "../../src/protocol/status.ts";
import { MoodyBackend, type Mood } from "../support/moody-backend.ts";
import { PORT, Site } from "../support/site.ts";
import { type Seen, SteadyLoad } from "../support/steady-load.ts";
import type { VipairProcess } from "../support/vipair-process.ts";

const PER_SECOND = 200;

interface Service {
  readonly host: string;
  readonly vipair: VipairProcess;
}

/** One worker before these backends. `pool`: keys beside the backends; none are the defaults. */
async function serve(
  site: Site,
  backends: readonly MoodyBackend[],
  pool: Readonly<Record<string, unknown>> = {},
): Promise<Service> {
  const host = await site.address();
  const config = site.config({
    listeners: [{ name: "web", bind: `${host}:${String(PORT)}`, pool: "web" }],
    pools: { web: { ...pool, backends: backends.map(({ entry }) => entry) } },
    workers: 1,
    logging: { access: false },
  });
  const vipair = site.start({ config, runtimeDir: join(site.folder, "run") });
  await vipair.isReady();
  await vipair.until("all backends up", ({ pools }) => areUp(pools));
  return { host, vipair };
}

/** Requests sent to each backend. */
async function requestsOf(vipair: VipairProcess): Promise<readonly number[]> {
  const { pools } = await vipair.status();
  return pools[0]?.backends.map(({ requests }) => requests) ?? [];
}

function stateOf(pools: Status["pools"], name: string): string | undefined {
  return pools[0]?.backends.find((backend) => backend.name === name)?.state;
}

function areUp(pools: Status["pools"]): boolean {
  return pools.every(({ backends }) => backends.every(({ state }) => state === "up"));
}

async function threeBackends(
  site: Site,
  mood: Mood = {},
): Promise<readonly [MoodyBackend, MoodyBackend, MoodyBackend]> {
  return Promise.all([
    MoodyBackend.start(site, "one", mood),
    MoodyBackend.start(site, "two", mood),
    MoodyBackend.start(site, "three", mood),
  ]);
}

/** Everybody was answered, with 200. */
function assertNoneLost({ asked, answers, failures }: Seen): void {
  assert.deepEqual(failures, {});
  const good = Object.entries(answers).filter(([answer]) => answer.startsWith("200 "));
  assert.equal(
    good.reduce((sum, [, count]) => sum + count, 0),
    asked,
    JSON.stringify(answers),
  );
}

describe("backends that fail", { concurrency: 1 }, () => {
  test(`killing one of three backends under ${String(PER_SECOND)} requests a second loses none of them, with the default settings`, async (t) => {
    const site = Site.open(t);
    // So long that some are under way whenever it dies.
    const backends = await threeBackends(site, { delayMs: 15 });
    const { host, vipair } = await serve(site, backends);
    const load = new SteadyLoad({ host, port: PORT, perSecond: PER_SECOND });
    await load.untilAsked(PER_SECOND);
    await backends[1].kill();
    await load.untilAsked(2 * PER_SECOND);
    const seen = await load.stop();
    assertNoneLost(seen);
    t.diagnostic(JSON.stringify(seen.answers));
    for (const { name } of backends) assert.ok((seen.answers[`200 ${name}`] ?? 0) > PER_SECOND / 10, name);
    const { pools } = await vipair.status();
    const failures = pools[0]?.backends.find(({ name }) => name === "two")?.failures ?? 0;
    assert.ok(failures > 0, "nobody met the death of the backend");
  });

  test("killing one of three backends that take 300 ms: who is lost was refused by the retry budget, and nobody else", async (t) => {
    const site = Site.open(t);
    const backends = await threeBackends(site, { delayMs: 300 });
    const { host, vipair } = await serve(site, backends);
    const load = new SteadyLoad({ host, port: PORT, perSecond: PER_SECOND });
    await load.untilAsked(PER_SECOND);
    await backends[1].kill();
    await load.untilAsked(PER_SECOND);
    const { asked, answers, failures } = await load.stop();
    const [web] = (await vipair.status()).pools;
    assert.ok(web !== undefined);
    t.diagnostic(
      `${JSON.stringify(answers)}: ${String(web.retries)} retries, ${String(web.retriesRefused)} refused, ${String(web.reconnects)} reconnects`,
    );
    assert.deepEqual(failures, {});
    const good = backends.reduce((sum, { name }) => sum + (answers[`200 ${name}`] ?? 0), 0);
    assert.equal(asked - good, web.retriesRefused);
    assert.ok(web.retries > 0, "nobody met the death of the backend");
  });

  test("of sixty requests that three backends have, the budget sends twelve of the twenty again whose backend dies", async (t) => {
    const REQUESTS = 60;
    const site = Site.open(t);
    const backends = await threeBackends(site);
    const { host, vipair } = await serve(site, backends, { health: { kind: "none" } });
    for (const backend of backends) backend.freeze();
    const load = new SteadyLoad({ host, port: PORT, perSecond: PER_SECOND, limit: REQUESTS });
    await vipair.until("each has twenty", ({ pools }) =>
      pools.every((pool) => pool.backends.every((one) => one.activeConnections === REQUESTS / 3)),
    );
    await backends[1].kill();
    // Twenty per cent of sixty; the rest fails at once.
    await vipair.until("all are dealt with", ({ pools }) => {
      const [web] = pools;
      return web?.retries === 12 && web.retriesRefused === 8;
    });
    backends[0].thaw();
    backends[2].thaw();
    const { asked, answers, failures } = await load.stop();
    assert.deepEqual(failures, {});
    assert.equal(asked, REQUESTS);
    assert.equal((answers["200 one"] ?? 0) + (answers["200 three"] ?? 0), 52, JSON.stringify(answers));
    assert.equal(answers["502 502 Bad Gateway"], 8);
  });

  test("a backend that dies and comes back every second loses no GET", async (t) => {
    const site = Site.open(t);
    const backends = await threeBackends(site, { delayMs: 15 });
    const { host, vipair } = await serve(site, backends, {
      health: { kind: "tcp", interval: "500ms", fastInterval: "100ms", timeout: "500ms" },
      // A machine that stands still for a moment has many requests under way at once.
      retry: { budget: { percent: 100 } },
    });
    const load = new SteadyLoad({ host, port: PORT, perSecond: PER_SECOND });
    for (let n = 0; n < 4; n += 1) {
      await load.untilAsked(PER_SECOND);
      await backends[1].kill();
      await load.untilAsked(PER_SECOND);
      await backends[1].restart();
      await vipair.until("it is up", ({ pools }) => areUp(pools));
    }
    await load.untilAsked(PER_SECOND);
    const seen = await load.stop();
    const [web] = (await vipair.status()).pools;
    t.diagnostic(
      `${JSON.stringify(seen.answers)}: ${String(web?.retries)} retries, ${String(web?.reconnects)} reconnects`,
    );
    assertNoneLost(seen);
    assert.ok((seen.answers["200 two"] ?? 0) > 0);
    assert.ok((web?.retries ?? 0) > 0, "nobody met it");
  });

  test("a backend that becomes ten times slower gets under a fifth of its fair share with least-response-time", async (t) => {
    const site = Site.open(t);
    const backends = await threeBackends(site, { delayMs: 30 });
    const { host, vipair } = await serve(site, backends, { balance: "least-response-time" });
    /** What each backend gets of so many requests. */
    const shares = async (amount: number): Promise<readonly number[]> => {
      const before = await requestsOf(vipair);
      const {
        errors,
        non2xx,
        "2xx": answered,
      } = await autocannon({
        url: `http://${host}:${String(PORT)}/`,
        connections: 3,
        amount,
      });
      assert.deepEqual({ errors, non2xx, answered }, { errors: 0, non2xx: 0, answered: amount });
      return (await requestsOf(vipair)).map((requests, index) => requests - (before[index] ?? 0));
    };
    const equal = await shares(150);
    await backends[2].feel({ delayMs: 300 });
    const unequal = await shares(450);
    t.diagnostic(`${equal.join(" ")}, then ${unequal.join(" ")}`);
    for (const requests of equal) assert.ok(requests > 150 / backends.length / 5, equal.join(" "));
    assert.ok((unequal[2] ?? Infinity) < 450 / backends.length / 5, unequal.join(" "));
    assert.ok((unequal[2] ?? 0) > 0, "nobody knows that it is slow");
  });

  test("a backend that hangs and goes on accepting connections loses no request when a timeout is tried again", async (t) => {
    const site = Site.open(t);
    const backends = await threeBackends(site);
    const { host, vipair } = await serve(site, backends, {
      // Of a machine that stands still, many requests time out at once.
      retry: { on: ["connect", "reset", "timeout"], perTry: "1s", budget: { percent: 100 } },
      outliers: {},
    });
    const load = new SteadyLoad({ host, port: PORT, perSecond: PER_SECOND });
    await load.untilAsked(PER_SECOND / 2);
    backends[1].freeze();
    await vipair.until("the backend is ejected", ({ pools }) => stateOf(pools, "two") === "ejected");
    const before = await requestsOf(vipair);
    await load.untilAsked(PER_SECOND);
    const seen = await load.stop();
    assertNoneLost(seen);
    t.diagnostic(JSON.stringify(seen.answers));
    assert.ok((seen.answers["200 two"] ?? 0) > 0);
    // Whoever was on the way to it when it was ejected is counted already.
    assert.deepEqual((await requestsOf(vipair))[1], before[1]);
  });

  test("of a backend that answers 500 and whose health check is good, clients see no more once it is ejected", async (t) => {
    const site = Site.open(t);
    const backends = await threeBackends(site);
    const health = { kind: "http", path: "/health", interval: "1s" };
    const { host, vipair } = await serve(site, backends, { health, outliers: {} });
    const load = new SteadyLoad({ host, port: PORT, perSecond: PER_SECOND });
    await backends[1].feel({ status: 500 });
    await vipair.until("the backend is ejected", ({ pools }) => stateOf(pools, "two") === "ejected");
    const first = await load.stop();
    assert.deepEqual(first.failures, {});
    const bad = first.answers["500 two"] ?? 0;
    assert.ok(bad >= 5, "five in a row eject a backend");
    const later = new SteadyLoad({ host, port: PORT, perSecond: PER_SECOND });
    await later.untilAsked(PER_SECOND);
    const seen = await later.stop();
    t.diagnostic(`${String(bad)} of ${String(first.asked)} saw it; then ${JSON.stringify(seen.answers)}`);
    assertNoneLost(seen);
    assert.equal(seen.answers["200 two"], undefined);
  });

  test("a backend that answers 500 is seen by no client when that status is tried again", async (t) => {
    const site = Site.open(t);
    const backends = await threeBackends(site);
    await backends[1].feel({ status: 500 });
    const { host, vipair } = await serve(site, backends, {
      retry: { on: ["connect", "reset", 500], budget: { percent: 100 } },
    });
    const load = new SteadyLoad({ host, port: PORT, perSecond: PER_SECOND });
    await load.untilAsked(PER_SECOND);
    const seen = await load.stop();
    assertNoneLost(seen);
    assert.ok(((await requestsOf(vipair))[1] ?? 0) > 0, "nobody was sent there");
  });

  test("a rolling restart of all backends with drain --wait loses none of 20,000 requests", async (t) => {
    const REQUESTS = 20_000;
    const site = Site.open(t);
    const backends = await threeBackends(site);
    const { host, vipair } = await serve(site, backends, {
      health: { kind: "http", path: "/health", interval: "200ms", timeout: "200ms" },
    });
    const load = new SteadyLoad({ host, port: PORT, perSecond: 1200, connections: 32 });
    for (const backend of backends) {
      const drained = await vipair.command("drain", `web/${backend.name}`, "--wait");
      assert.equal(drained.code, 0, drained.stderr);
      await backend.restart();
      const ready = await vipair.command("ready", `web/${backend.name}`);
      assert.equal(ready.code, 0, ready.stderr);
      await vipair.until(`${backend.name} up`, ({ pools }) => areUp(pools));
    }
    t.diagnostic(`${String(load.asked)} requests during the restart`);
    await load.untilAsked(Math.max(0, REQUESTS - load.asked));
    const seen = await load.stop();
    assert.ok(seen.asked >= REQUESTS);
    assertNoneLost(seen);
    const { pools } = await vipair.status();
    const failures = pools[0]?.backends.map((backend) => backend.failures);
    assert.deepEqual(failures, [0, 0, 0]);
  });

  test("a thundering recovery is ramped: a backend that comes back under load with slowStart gets little at first, then its share", async (t) => {
    const site = Site.open(t);
    const backends = await threeBackends(site);
    const { host, vipair } = await serve(site, backends, {
      slowStart: "10s",
      health: { kind: "http", path: "/health", interval: "500ms", fastInterval: "100ms", timeout: "500ms" },
    });
    const load = new SteadyLoad({ host, port: PORT, perSecond: PER_SECOND });
    const counts = async () => (await vipair.status()).pools[0]?.backends.map((one) => one.requests) ?? [];
    /** Its part of the next so many requests. */
    const share = async (requests: number) => {
      const before = await counts();
      await load.untilAsked(requests);
      const gained = (await counts()).map((count, i) => count - (before[i] ?? 0));
      return (gained[1] ?? 0) / gained.reduce((sum, count) => sum + count, 0);
    };
    assert.ok((await share(PER_SECOND)) > 0.3, "at the start of vipair nothing is ramped");
    await backends[1].kill();
    await vipair.until("it is down", ({ pools }) => pools[0]?.backends[1]?.state === "down");
    assert.ok((await share(PER_SECOND)) === 0);
    await backends[1].restart();
    await vipair.until("it is up", ({ pools }) => areUp(pools));
    const first = await share(PER_SECOND);
    t.diagnostic(`its share of the first ${String(PER_SECOND)} requests: ${first.toFixed(3)}`);
    assert.ok(first > 0 && first < 1 / 6, `less than half of a third: ${String(first)}`);
    const shares = [first];
    while ((shares.at(-1) ?? 0) < 0.3) {
      assert.ok(shares.length < 60, `it never gets its share: ${JSON.stringify(shares)}`);
      shares.push(await share(PER_SECOND));
    }
    const halfway = shares[Math.floor(shares.length / 2)] ?? 0;
    assert.ok(
      shares.length > 3 && halfway > first && halfway < 0.33,
      `not at once: ${JSON.stringify(shares)}`,
    );
    assertNoneLost(await load.stop());
  });
});
