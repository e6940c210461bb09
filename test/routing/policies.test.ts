import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { BackendHealth } from "../../src/routing/backend-state.ts";
import { type PoolState, updateHealth } from "../../src/routing/pool.ts";
import { createLoad, expectedResponseMs, observeResponse } from "../../src/routing/response-time.ts";
import { BALANCES, type BalanceKind, chance, choose, chooseMany, expectOrder, pool } from "./pools.ts";

const KINDS = Object.keys(BALANCES) as BalanceKind[];

/** How many of `count` requests, each with a key of its own, each backend gets; by name. */
function countChoices(state: PoolState, count: number, seed: number): Map<string, number> {
  const moment = { nowMs: 0, random: chance(seed) };
  const counts = new Map<string, number>();
  for (let i = 0; i < count; i += 1) {
    const name = choose(state, { key: `${String(seed)}-${String(i)}`, moment })?.name;
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

// ── what holds for every policy ──────────────────────────────────────────────────────────────────

const members = fc
  .array(
    fc.record({
      weight: fc.integer({ min: 0, max: 256 }),
      health: fc.constantFrom<BackendHealth>("up", "up", "suspect", "down", "ejected", "drain"),
      isBackup: fc.boolean(),
      isRefused: fc.boolean(),
      active: fc.nat(5),
      responseMs: fc.nat(100),
    }),
    { minLength: 1, maxLength: 8 },
  )
  .map((all) => all.map((one, i) => ({ ...one, name: String.fromCharCode(97 + i) })));

for (const balance of KINDS) {
  test(`${balance} never gives a backend that is refused, down or without weight, and somebody whenever it can`, () => {
    const keys = fc.option(fc.string(), { nil: null });
    fc.assert(
      fc.property(members, keys, fc.nat(), (all, key, seed) => {
        const notation = all.map(
          ({ name, weight, isBackup }) => `${name}*${String(weight)}${isBackup ? "+" : ""}`,
        );
        const healths = Object.fromEntries(all.map((one) => [one.name, one.health]));
        const state = pool(notation.join(" "), healths, { balance });
        for (const [i, { load }] of state.candidates.entries()) {
          load.active = all[i]?.active ?? 0;
          load.responseMs = all[i]?.responseMs ?? 0;
        }
        const weighted = all.filter(({ weight }) => weight > 0);
        const well = weighted.filter(({ health }) => health === "up" || health === "suspect");
        // Nobody else is there.
        const left = well.length > 0 ? well : weighted.filter((one) => one.health === "ejected");
        const mayServe = left.filter(({ isRefused }) => !isRefused);
        const refused = all.filter(({ isRefused }) => isRefused).map(({ name }) => name);
        const moment = { nowMs: 0, random: chance(seed) };
        for (let i = 0; i < 20; i += 1) {
          const chosen = choose(state, { refused, key, moment })?.name ?? null;
          if (mayServe.length === 0) assert.equal(chosen, null);
          else
            assert.ok(
              mayServe.some(({ name }) => name === chosen),
              `chose ${String(chosen)}`,
            );
        }
      }),
      { numRuns: 200 },
    );
  });
}

const PICKS = 10_000;
const weighted = fc.array(fc.record({ weight: fc.integer({ min: 1, max: 256 }), isDown: fc.boolean() }), {
  minLength: 1,
  maxLength: 10,
});

/**
 * Whatever the weights, and whichever backends are down: the others share by weight, within 1 % of all requests. Where
 * chance decides, more requests are counted, so that chance itself has no 1 % left (five standard deviations).
 */
function expectShares(
  balance: BalanceKind,
  { picks, runs }: { readonly picks: number; readonly runs: number },
) {
  fc.assert(
    fc.property(weighted, fc.nat(), (all, seed) => {
      const names = all.map((_, i) => String.fromCharCode(97 + i));
      const health = Object.fromEntries<BackendHealth>(
        names.map((name, i) => [name, all[i]?.isDown === true ? "down" : "up"]),
      );
      const notation = names.map((name, i) => `${name}*${String(all[i]?.weight)}`).join(" ");
      const counts = countChoices(pool(notation, health, { balance }), picks, seed);
      const total = all.reduce((sum, { weight, isDown }) => sum + (isDown ? 0 : weight), 0);
      for (const [i, name] of names.entries()) {
        const { weight = 0, isDown = false } = all[i] ?? {};
        const share = total === 0 || isDown ? 0 : weight / total;
        const got = (counts.get(name) ?? 0) / picks;
        assert.ok(
          Math.abs(got - share) <= 0.01,
          `${name} of ${notation}: ${String(got)}, not ${String(share)}`,
        );
      }
    }),
    { numRuns: runs },
  );
}

for (const balance of ["round-robin", "least-connections"] as const) {
  test(`${balance}: each share of 10,000 is within 1 % of its weight, whichever backends are down`, () => {
    expectShares(balance, { picks: PICKS, runs: 50 });
  });
}

for (const balance of ["random", "least-response-time", "uri-hash"] as const) {
  test(`${balance}: each share is within 1 % of its weight, whichever backends are down`, () => {
    expectShares(balance, { picks: 6 * PICKS, runs: 20 });
  });
}

// ── least-connections ────────────────────────────────────────────────────────────────────────────

test("least-connections takes the fewest active requests for the weight", () => {
  const state = pool("a*2 b c", {}, { balance: "least-connections" });
  const setLoads = (...active: readonly number[]): void => {
    for (const [i, { load }] of state.candidates.entries()) load.active = active[i] ?? 0;
  };
  setLoads(3, 2, 1);
  expectOrder(state, "ccc");
  setLoads(3, 2, 2);
  expectOrder(state, "aaa");
  setLoads(4, 2, 3);
  const order = chooseMany(state, 30);
  assert.ok(!order.includes("c"));
  assert.ok(Math.abs(order.split("a").length - 1 - 20) <= 1, order);
});

test("equally loaded ones take turns by weight, and who was busy for long does not get them all afterwards", () => {
  const state = pool("a*2 b", {}, { balance: "least-connections" });
  expectOrder(state, "abaaba");
  const busy = pool("a b", {}, { balance: "least-connections" });
  const [a] = busy.candidates;
  assert.ok(a !== undefined);
  a.load.active = 1;
  expectOrder(busy, "bbbbbbbb");
  a.load.active = 0;
  const after = chooseMany(busy, 6);
  assert.ok(after.split("a").length - 1 <= 4, after);
});

test("one that comes back up does not get all the quiet turns that it missed, and the others go on where they were", () => {
  const before = pool("a b c", { c: "down" }, { balance: "least-connections" });
  expectOrder(before, "abababa");
  expectOrder(updateHealth(before, { c: { health: "down" } }, 0), "b");
  const after = chooseMany(updateHealth(before, {}, 0), 6);
  assert.ok(after.split("c").length - 1 <= 3, after);
});

test("requests that do not end are shared by weight at each moment", () => {
  const state = pool("a*5 b*3 c", {}, { balance: "least-connections" });
  for (let i = 1; i <= 900; i += 1) {
    const chosen = choose(state);
    if (chosen !== null) chosen.load.active += 1;
    for (const { load, weight } of state.candidates) {
      const due = (i * weight) / 900;
      assert.ok(Math.abs(load.active - due) <= 1.5, `after ${String(i)}`);
    }
  }
});

test("each worker counts for itself: over W workers no backend is more than W requests ahead of another", () => {
  // The kernel spreads connections over the workers without regard to what they have: here, by chance.
  for (const workerCount of [1, 2, 4, 16]) {
    const workers = Array.from({ length: workerCount }, () =>
      pool("a b c d e", {}, { balance: "least-connections" }),
    );
    const random = chance(workerCount);
    const totals = new Map<string, number>();
    for (let i = 0; i < 20_000; i += 1) {
      const worker = workers[Math.floor(random() * workerCount)];
      const chosen = worker === undefined ? null : choose(worker);
      assert.ok(chosen !== null);
      chosen.load.active += 1;
      totals.set(chosen.name, (totals.get(chosen.name) ?? 0) + 1);
      const counts = [...totals.values()];
      const ahead = Math.max(...counts) - (totals.size < 5 ? 0 : Math.min(...counts));
      assert.ok(ahead <= workerCount, `${String(ahead)} with ${String(workerCount)} workers`);
    }
  }
});

// ── random, least-response-time ──────────────────────────────────────────────────────────────────

test("random takes the less loaded one of two, so that the most loaded one of all gets nothing", () => {
  const state = pool("a b c", {}, { balance: "random" });
  for (const [i, { load }] of state.candidates.entries()) load.active = i;
  const order = chooseMany(state, 3000);
  assert.ok(!order.includes("c"));
  const first = order.split("a").length - 1;
  assert.ok(Math.abs(first - 2000) < 150, `a got ${String(first)}, not two thirds`);
});

test("least-response-time: cost is the response time x (active + 1)", () => {
  const state = pool("a b", {}, { balance: "least-response-time" });
  const [a, b] = state.candidates;
  assert.ok(a !== undefined && b !== undefined);
  observeResponse(a.load, 10, 0);
  observeResponse(b.load, 30, 0);
  a.load.active = 1;
  expectOrder(state, "aaaaaaaa");
  a.load.active = 3;
  expectOrder(state, "bbbbbbbb");
});

test("a slower answer counts at once and in full, of all else 10 s leave 1/e", () => {
  const load = createLoad();
  const expect = (responseMs: number): void => {
    const found = expectedResponseMs(load, 10_000);
    assert.ok(Math.abs(found - responseMs) < 0.01, String(found));
  };
  observeResponse(load, 100, 0);
  expect(100 / Math.E);
  observeResponse(load, 10, 10_000);
  expect(10 + 90 / Math.E);
  observeResponse(load, 80, 10_000);
  expect(80);
});

test("against one that has not answered yet the loads alone decide", () => {
  const state = pool("a b", {}, { balance: "least-response-time" });
  const [a, b] = state.candidates;
  assert.ok(a !== undefined && b !== undefined);
  observeResponse(a.load, 1, 0);
  a.load.active = 1;
  expectOrder(state, "bbbb");
  b.load.active = 2;
  expectOrder(state, "aaaa");
});

test("a backend that is ten times slower gets under a fifth of its fair share with least-response-time", () => {
  // 60 s of 100 requests/s at random moments, in virtual time; 10 ms each, 100 ms at c.
  const state = pool("a b c", {}, { balance: "least-response-time" });
  const random = chance(42);
  const moment = { nowMs: 0, random };
  let running: { readonly endMs: number; readonly end: () => void }[] = [];
  let slow = 0;
  let all = 0;
  while (moment.nowMs < 60_000) {
    const nextMs = moment.nowMs - 10 * Math.log(1 - random());
    for (const one of running.filter(({ endMs }) => endMs <= nextMs).toSorted((x, y) => x.endMs - y.endMs)) {
      one.end();
    }
    running = running.filter(({ endMs }) => endMs > nextMs);
    moment.nowMs = nextMs;
    const chosen = choose(state, { moment });
    assert.ok(chosen !== null);
    const { load, name } = chosen;
    load.active += 1;
    const takesMs = (name === "c" ? 100 : 10) * (0.5 + random());
    const endMs = nextMs + takesMs;
    running.push({
      endMs,
      end: () => {
        load.active -= 1;
        observeResponse(load, takesMs, endMs);
      },
    });
    all += 1;
    if (name === "c") slow += 1;
  }
  assert.ok(slow > 0, "it is tried again now and then");
  assert.ok(slow < all / 3 / 5, `${String(slow)} of ${String(all)}`);
});

// ── first ────────────────────────────────────────────────────────────────────────────────────────

test("first takes the first that has room", () => {
  const state = pool("a*1 b*5 c", {}, { balance: "first" });
  expectOrder(state, "aaa");
  expectOrder(state, "bbb", { refused: ["a"] });
  expectOrder(pool("a*0 b c", {}, { balance: "first" }), "bbb");
});

// ── hashes ───────────────────────────────────────────────────────────────────────────────────────

function choicesOf(state: PoolState, keys: readonly string[]): readonly (string | undefined)[] {
  return keys.map((key) => choose(state, { key })?.name);
}

const KEYS = Array.from({ length: 20_000 }, (_, i) => `/images/${String(i * 7919)}.jpg`);

test("the same key always leads to the same backend", () => {
  const state = pool("a b c", {}, { balance: "source-hash" });
  for (const key of KEYS.slice(0, 50)) {
    const first = choose(state, { key })?.name;
    for (let i = 0; i < 5; i += 1) assert.equal(choose(state, { key })?.name, first);
  }
});

test("both nodes lead a key to the same backend, whatever the order of their files", () => {
  const entries = fc.uniqueArray(
    fc.record({ name: fc.stringMatching(/^[a-z]{1,8}$/), weight: fc.integer({ min: 1, max: 9 }) }),
    {
      selector: ({ name }) => name,
      minLength: 2,
      maxLength: 12,
    },
  );
  fc.assert(
    fc.property(
      entries.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
      fc.constantFrom(...KINDS.filter((kind) => kind.endsWith("-hash"))),
      ([here, there], balance) => {
        const notation = (all: typeof here) =>
          all.map(({ name, weight }) => `${name}*${String(weight)}`).join(" ");
        const down = { [here[0]?.name ?? ""]: "down" } as const;
        const keys = KEYS.slice(0, 200);
        assert.deepEqual(
          choicesOf(pool(notation(here), down, { balance }), keys),
          choicesOf(pool(notation(there), down, { balance }), keys),
        );
      },
    ),
    { numRuns: 20 },
  );
});

test("requests without a key take turns", () => {
  expectOrder(pool("a*2 b", {}, { balance: "header-hash" }), "abaaba", { key: null });
});

function numbered(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `192.168.1.${String(i)}:80`);
}

for (const count of [3, 5, 10, 30, 100]) {
  test(`removing one of ${String(count)} backends from the configuration moves at most 2/${String(count)} of the keys`, () => {
    const names = numbered(count);
    const before = choicesOf(pool(names.join(" "), {}, { balance: "uri-hash" }), KEYS);
    for (const gone of [0, Math.floor(count / 2), count - 1]) {
      const rest = names.filter((_, i) => i !== gone).join(" ");
      const after = choicesOf(pool(rest, {}, { balance: "uri-hash" }), KEYS);
      const moved = KEYS.filter((_, i) => before[i] !== after[i]).length;
      assert.ok(moved / KEYS.length <= 2 / count, `${String(moved)} of ${String(KEYS.length)}`);
    }
  });
}

test("a backend that is down, refused or without weight moves its own keys alone, spread over the others, and gets them back", () => {
  const names = numbered(10);
  const notation = names.join(" ");
  const gone = names[3] ?? "";
  const before = choicesOf(pool(notation, {}, { balance: "uri-hash" }), KEYS);
  for (const state of [{ health: "down" }, { health: "up", weight: 0 }] as const) {
    const after = choicesOf(pool(notation, { [gone]: state }, { balance: "uri-hash" }), KEYS);
    const heirs = new Map<string | undefined, number>();
    for (const [i, name] of before.entries()) {
      if (name !== gone) assert.equal(after[i], name);
      else heirs.set(after[i], (heirs.get(after[i]) ?? 0) + 1);
    }
    assert.equal(heirs.size, 9);
    for (const inherited of heirs.values()) assert.ok(inherited > 120 && inherited < 330, String(inherited));
  }
  const whole = pool(notation, {}, { balance: "uri-hash" });
  for (const [i, key] of KEYS.slice(0, 500).entries()) {
    const name = choose(whole, { key, refused: [gone] })?.name;
    if (before[i] === gone) assert.notEqual(name, gone);
    else assert.equal(name, before[i]);
  }
});

test("a backend whose percentage falls gives keys away and takes nobody's", () => {
  const before = choicesOf(pool("a b c", {}, { balance: "uri-hash" }), KEYS);
  const half = pool("a b c", { a: { health: "up", weightPercent: 50 } }, { balance: "uri-hash" });
  const after = choicesOf(half, KEYS);
  for (const [i, name] of before.entries()) if (name !== "a") assert.equal(after[i], name);
  const kept = after.filter((name) => name === "a").length / KEYS.length;
  assert.ok(Math.abs(kept - 0.2) < 0.01, String(kept));
});

test("a weight that an operator raises draws keys from the others, and moves none among them", () => {
  const before = choicesOf(pool("a b c d", {}, { balance: "uri-hash" }), KEYS);
  const after = choicesOf(pool("a b c d", { a: { health: "up", weight: 2 } }, { balance: "uri-hash" }), KEYS);
  const moved = KEYS.filter((_, i) => before[i] !== after[i] && after[i] !== "a").length;
  assert.ok(moved / KEYS.length < 0.05, `${String(moved)} moved among the others`);
  assert.ok(Math.abs(after.filter((name) => name === "a").length / KEYS.length - 0.4) < 0.01);
});
