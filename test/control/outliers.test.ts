// Ejections in the control process, with a clock and timers of the test's own.

import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import * as fc from "fast-check";
import type { PoolConfig } from "../../src/config/config.ts";
import { Backends } from "../../src/control/backends.ts";
import { NO_COUNTERS } from "../../src/control/worker-counters.ts";
import type { Change } from "../../src/election/changes.ts";
import type { BackendStatus } from "../../src/protocol/status.ts";
import type { Log } from "../../src/system/log.ts";
import { expectConfig } from "../config/pair-yaml.ts";

const PLAIN = "outliers: {}, health: { kind: none }";

function pools(yaml: string, addresses: Readonly<Record<string, string>>): readonly PoolConfig[] {
  const backends = Object.entries(addresses).map(
    ([name, address]) => `{ name: ${name}, address: ${address} }`,
  );
  return expectConfig(
    `listeners: [{ name: l, bind: 127.0.0.1:80, pool: web }]\npools:\n  web: { backends: [${backends.join(", ")}], ${yaml} }\n`,
  ).pools;
}

const FOUR = { a: "h1:1", b: "h2:1", c: "h3:1", d: "h4:1" };

function addressesOf(names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map((name) => [name, `${name}.lan:1`]));
}

class Rig {
  pools: readonly PoolConfig[];
  nowMs = 1_000_000;
  changes = 0;
  readonly lines: string[] = [];
  readonly subjects: object[] = [];
  readonly orders = new Map<string, Change>();
  readonly backends: Backends;
  private readonly t: TestContext;

  constructor(t: TestContext, yaml = PLAIN, addresses: Readonly<Record<string, string>> = FOUR) {
    this.t = t;
    t.mock.timers.reset();
    t.mock.timers.enable({ apis: ["setTimeout"] });
    this.pools = pools(yaml, addresses);
    const note = (subject: object, event: string): void => {
      this.lines.push(event);
      this.subjects.push(subject);
    };
    const log: Log = { debug: note, info: note, warn: note, error: note };
    this.backends = new Backends({
      log,
      clock: () => this.nowMs,
      random: () => 0.5,
      configDir: "/",
      pools: () => this.pools,
      listeners: () => [],
      find: (key) => this.orders.get(key),
      set: async () => Promise.resolve({ kind: "refused", reason: "not here" }),
      onChange: () => {
        this.changes += 1;
      },
    });
    this.backends.configure();
    t.after(() => {
      this.backends.stop();
    });
  }

  fails(backend: string, pool = "web"): void {
    const row = { kind: "5xx", length: 5, reason: "status 503" } as const;
    this.backends.noteRow({ pool, backend, row });
  }

  passes(ms: number): void {
    this.nowMs += ms;
    this.t.mock.timers.tick(ms);
  }

  reload(yaml: string, addresses: Readonly<Record<string, string>> = FOUR): void {
    this.pools = pools(yaml, addresses);
    this.backends.configure();
  }

  order(key: string, value: Change["value"]): void {
    this.orders.set(key, { key, value, epoch: 1, counter: 1, node: "pi-a" });
    this.backends.followOrders();
  }

  /** Time passes, ten times as fast as it really does, until the checks, which are real, have found these states. */
  async reaches(states: string): Promise<void> {
    const begin = performance.now();
    for (let now = begin, last = begin; this.states !== states; now = performance.now()) {
      if (now - begin > 10_000) throw new Error(`${this.states} instead of ${states}`);
      this.passes((now - last) * 10);
      last = now;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  get states(): string {
    return Object.values(this.backends.table()["web"] ?? {})
      .map(({ health }) => health)
      .join(" ");
  }

  status(backend: string): BackendStatus {
    const [web] = this.backends.status(NO_COUNTERS);
    const found = web?.backends.find(({ name }) => name === backend);
    assert.ok(found !== undefined);
    return found;
  }

  get panic(): string | null {
    return this.backends.status(NO_COUNTERS)[0]?.panic ?? null;
  }
}

test("a backend that fails in a row is ejected for the base time, with its reason in status and log", (t) => {
  const rig = new Rig(t);
  rig.fails("b");
  assert.equal(rig.states, "up ejected up up");
  assert.equal(rig.changes, 1, "the workers are told");
  const reason = "5 responses with status 500 or above in a row, the last one: status 503";
  assert.deepEqual([rig.status("b").state, rig.status("b").reason], ["ejected", reason]);
  assert.deepEqual(rig.status("b").ejection, { reason, count: 1, remainingMs: 30_000 });
  assert.deepEqual(rig.lines, ["backend ejected"]);
  assert.deepEqual(rig.subjects, [{ pool: "web", backend: "b", reason, forMs: 30_000, ejection: 1 }]);
  rig.passes(29_000);
  assert.equal(rig.status("b").ejection?.remainingMs, 1000);
  rig.passes(1000);
  assert.equal(rig.states, "up up up up");
  assert.equal(rig.changes, 2);
  assert.deepEqual([rig.status("b").reason, rig.status("b").ejection], [null, null]);
  assert.equal(rig.lines.at(-1), "backend no longer ejected");
});

test("the end of an ejection begins no slow start", (t) => {
  const rig = new Rig(t);
  rig.fails("b");
  rig.passes(30_000);
  assert.deepEqual(rig.backends.table()["web"]?.["b"], { health: "up" });
});

test("reports of several workers eject once; half of the pool at the most, and the log says why not", (t) => {
  const rig = new Rig(t);
  for (const backend of ["a", "a", "b", "b", "c", "c"]) rig.fails(backend);
  assert.equal(rig.states, "ejected ejected up up");
  assert.deepEqual(rig.lines, ["backend ejected", "backend ejected", "a backend fails and is not ejected"]);
  assert.deepEqual(rig.subjects.at(-1), {
    pool: "web",
    backend: "c",
    failure: "status 503",
    reason: "2 of 4 are ejected, as many as maxEjectionPercent allows",
  });
  rig.passes(10_000);
  rig.fails("c");
  assert.equal(rig.lines.length, 4, "that it still fails is told again after a while");
});

test("ejections end each in its own time", (t) => {
  const rig = new Rig(t);
  rig.fails("a");
  rig.passes(10_000);
  rig.fails("b");
  rig.passes(20_000);
  assert.equal(rig.states, "up ejected up up");
  rig.fails("a");
  rig.passes(10_000);
  assert.equal(rig.states, "ejected up up up");
  rig.passes(49_999);
  assert.equal(rig.states, "ejected up up up", "the second time is twice as long");
  rig.passes(1);
  assert.equal(rig.states, "up up up up");
});

test("a reload keeps ejections and their number, but not for another address or without outliers", (t) => {
  const rig = new Rig(t);
  rig.fails("a");
  rig.fails("b");
  rig.reload("outliers: { consecutive5xx: 9 }, balance: random, health: { kind: none }", {
    ...FOUR,
    b: "h9:1",
    e: "h5:1",
  });
  assert.equal(rig.states, "ejected up up up up");
  rig.passes(30_000);
  assert.equal(rig.states, "up up up up up", "its time goes on");
  rig.fails("a");
  assert.equal(rig.status("a").ejection?.count, 2);
  rig.reload("health: { kind: none }");
  assert.equal(rig.states, "up up up up");
  rig.fails("a");
  assert.equal(rig.states, "up up up up", "nobody is ejected any more");
});

test("an order stands above an ejection, and maintenance ends it", (t) => {
  const rig = new Rig(t);
  rig.fails("a");
  rig.order("drain/web/a", true);
  assert.equal(rig.status("a").state, "drain");
  assert.equal(rig.status("a").ejection?.count, 1, "it goes on below");
  rig.order("drain/web/a", false);
  assert.equal(rig.states, "ejected up up up");
  rig.order("drain/web/a", 2);
  rig.order("drain/web/a", false);
  assert.equal(rig.states, "up up up up", "somebody has worked on it");
  assert.equal(rig.status("a").ejection, null);
});

test("a node that stops ejects nobody any more, whatever its draining workers say", (t) => {
  const rig = new Rig(t);
  rig.fails("a");
  rig.backends.stop();
  rig.fails("b");
  rig.passes(60_000);
  assert.equal(rig.changes, 1);
  assert.deepEqual(rig.lines, ["backend ejected"]);
});

test("what a worker says of pools and backends that are not there, or that do not eject, changes nothing", (t) => {
  const rig = new Rig(t);
  rig.fails("stranger");
  rig.fails("a", "strange-pool");
  rig.fails("a", "constructor");
  rig.reload("health: { kind: none }");
  rig.fails("a");
  assert.equal(rig.states, "up up up up");
  assert.deepEqual(rig.lines, []);
});

test("an order that gives a pool back an ejected backend ends the ejection that would end first, and the log says why", (t) => {
  const rig = new Rig(t, PLAIN, { ...FOUR, e: "h5:1" });
  rig.fails("a");
  rig.order("drain/web/a", true);
  rig.passes(1000);
  rig.fails("b");
  rig.fails("c");
  assert.equal(rig.states, "drain ejected ejected up up");
  const changes = rig.changes;
  rig.order("drain/web/a", false);
  assert.equal(rig.states, "up ejected ejected up up");
  assert.equal(rig.changes, changes + 1, "the workers are told");
  assert.equal(rig.lines.at(-1), "backend no longer ejected");
  const reason = "3 of 5 were ejected, more than maxEjectionPercent allows";
  assert.deepEqual(rig.subjects.at(-1), { pool: "web", backend: "a", reason });
});

test("weights and reloads end ejections that leave too few", (t) => {
  const rig = new Rig(t);
  rig.fails("a");
  rig.passes(1000);
  rig.fails("b");
  assert.equal(rig.states, "ejected ejected up up");
  rig.order("weight/web/d", 0);
  assert.equal(rig.states, "up ejected up up");
  rig.order("weight/web/d", false);
  rig.fails("a");
  assert.equal(rig.states, "ejected ejected up up");
  rig.reload(PLAIN, { a: FOUR.a, b: FOUR.b });
  assert.equal(rig.states, "ejected up");
  rig.passes(30_000);
  assert.equal(rig.states, "ejected up", "the second time of a is the longer one");
});

test("whatever operators order and reload, the limits hold after each event", (t) => {
  const names = ["a", "b", "c", "d", "e", "f"];
  const backend = fc.constantFrom(...names);
  const order = (kind: string, ...values: readonly Change["value"][]) =>
    fc.record({ order: fc.constant(kind), backend, value: fc.constantFrom<Change["value"]>(...values) });
  const event = fc.oneof(
    { weight: 6, arbitrary: fc.record({ fails: backend }) },
    { weight: 3, arbitrary: order("drain", false, false, true, 2) },
    order("weight", false, false, 0, 3),
    fc.record({ passesMs: fc.integer({ min: 0, max: 40_000 }) }),
    fc.record({
      pool: fc.subarray(names, { minLength: 3 }),
      percent: fc.constantFrom(40, 50, 100),
    }),
  );
  const seen = { ejected: 0, letGo: 0 };
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60, size: "max" }), (events) => {
      let percent = 50;
      const rig = new Rig(t, PLAIN, addressesOf(names));
      for (const one of events) {
        if ("fails" in one) rig.fails(one.fails);
        else if ("passesMs" in one) rig.passes(one.passesMs);
        else if ("order" in one) rig.order(`${one.order}/web/${one.backend}`, one.value);
        else {
          ({ percent } = one);
          const yaml = `outliers: { maxEjectionPercent: ${String(percent)} }, health: { kind: none }`;
          rig.reload(yaml, addressesOf(one.pool));
        }
        const offered = Object.values(rig.backends.table()["web"] ?? {}).filter(
          ({ health, weight = 1 }) => weight > 0 && health !== "drain" && health !== "maintenance",
        );
        const ejected = offered.filter(({ health }) => health === "ejected").length;
        assert.ok(ejected * 100 <= percent * offered.length, "the share");
        assert.ok(ejected === 0 || ejected < offered.length, "never the last one");
        assert.equal(rig.panic, null, "nobody is down, so it would be by ejections");
      }
      seen.ejected += rig.lines.filter((line) => line === "backend ejected").length;
      seen.letGo += rig.subjects.filter(
        (subject) => "reason" in subject && String(subject.reason).includes("were ejected"),
      ).length;
      rig.backends.stop();
    }),
  );
  assert.ok(seen.ejected > 100 && seen.letGo > 10, JSON.stringify(seen));
});

test("status and log tell of a pool that panics and why, and of its end", async (t) => {
  const greetings = new Map([["a", "ready"]]);
  const backends = await Promise.all(
    ["a", "b", "c", "d"].map(async (name) => {
      const server = createServer((socket) =>
        socket.on("error", () => undefined).end(greetings.get(name) ?? ""),
      );
      t.after(() => server.close());
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return [name, `127.0.0.1:${String((server.address() as AddressInfo).port)}`] as const;
    }),
  );
  greetings.set("b", "ready").set("c", "ready");
  const health = "health: { kind: tcp, expect: ready, interval: 5s, timeout: 5s, fall: 1, rise: 1 }";
  const rig = new Rig(t, `outliers: {}, panicThreshold: 60, ${health}`, Object.fromEntries(backends));
  await rig.reaches("up up up down");
  assert.equal(rig.panic, null);
  rig.fails("a");
  assert.equal(rig.states, "up up up down", "no ejection makes it panic");
  assert.equal(rig.lines.at(-1), "a backend fails and is not ejected");
  greetings.delete("b");
  await rig.reaches("up down up down");
  assert.equal(rig.panic, "2 of 4 backends healthy, less than 60 %: all are used");
  assert.equal(rig.lines.at(-1), "pool in panic");
  greetings.set("b", "ready");
  await rig.reaches("up up up down");
  assert.equal(rig.panic, null);
  assert.equal(rig.lines.at(-1), "pool no longer in panic");
});
