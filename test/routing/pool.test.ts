import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { BackendHealth, BackendState } from "../../src/routing/backend-state.ts";
import { type Candidate, chooseNamed, updateHealth } from "../../src/routing/pool.ts";
import { BALANCES, chance, choose, chooseMany, expectOrder, pool, states } from "./pools.ts";
import type { BalanceKind } from "./pools.ts";

test("smooth weighted round-robin spreads the heavy one", () => {
  expectOrder(pool("a*5 b c"), "aabacaaaabacaa");
});

test("equal weights take turns", () => {
  expectOrder(pool("a b c"), "abcabc");
});

test("a backend that is down gets nothing", () => {
  expectOrder(pool("a b c", { b: "down" }), "acacac");
});

test("with every backend down nobody is chosen", () => {
  expectOrder(pool("a b", { a: "down", b: "down" }), "--");
});

test("with no backend at all nobody is chosen, whatever the policy; the first one that comes is", () => {
  for (const balance of Object.keys(BALANCES) as BalanceKind[]) {
    const previous = pool("", {}, { balance, panicThreshold: 50, slowStartMs: 1000 });
    expectOrder(previous, "--");
    expectOrder(pool("a", {}, { balance, previous }), "aa");
    expectOrder(pool("", {}, { balance, previous: pool("a b", {}, { balance }) }), "-");
  }
});

test("what is ejected, drained or in maintenance gets nothing", () => {
  expectOrder(pool("a b c d", { a: "ejected", b: "drain", c: "maintenance" }), "ddd");
});

test("what is ejected serves when nobody else is left", () => {
  expectOrder(pool("a b c", { a: "ejected", b: "drain", c: "down" }), "aaa");
  expectOrder(pool("a b", { a: "ejected", b: "suspect" }), "bb", { refused: [] });
  expectOrder(pool("a b", { a: "ejected" }), "-", { refused: ["b"] });
});

test("suspect backends rest while another is up", () => {
  expectOrder(pool("a b c", { a: "suspect", b: "suspect" }), "ccc");
});

test("suspect backends serve when none is up", () => {
  expectOrder(pool("a b c", { a: "suspect", b: "suspect", c: "down" }), "abab");
});

test("a suspect backend is tried after the ones that are up were refused", () => {
  expectOrder(pool("a b", { b: "suspect" }), "b", { refused: ["a"] });
});

test("the turn survives a change of health", () => {
  const before = pool("a b c");
  expectOrder(before, "a");
  expectOrder(updateHealth(before, {}, 0), "bca");
});

test("the turn survives a reload by name", () => {
  const previous = pool("a b c");
  expectOrder(previous, "ab");
  expectOrder(pool("c a b", {}, { previous }), "c");
});

test("a backend called like something every object has is up", () => {
  assert.equal(chooseMany(pool("constructor"), 1), "constructor");
});

// ── weights ──────────────────────────────────────────────────────────────────────────────────────

test("weight 0 means no new clients, in the configuration or at run time, as a weight or as a percentage", () => {
  expectOrder(pool("a*0 b"), "bb");
  expectOrder(pool("a b", { a: { health: "up", weight: 0 } }), "bb");
  expectOrder(pool("a b", { a: { health: "up", weightPercent: 0 } }), "bb");
});

/** Whether a client of `a` may stay with it. */
function named(state: BackendState, isAccepted = true): string | undefined {
  return chooseNamed(pool("a b", { a: state }), "a", { hashKey: () => null, accepts: () => isAccepted })
    ?.name;
}

test("a client that had it before may stay with a backend of weight 0, not with one that is drained or refused", () => {
  assert.equal(named({ health: "up", weight: 0 }), "a");
  assert.equal(named({ health: "suspect" }), "a");
  for (const health of ["down", "ejected", "drain", "maintenance"] as const) {
    assert.equal(named({ health }), undefined, health);
  }
  assert.equal(named({ health: "up" }, false), undefined);
});

test("a weight at run time takes the place of the configured one, and a percentage is of it", () => {
  for (const [a, count] of [
    [{ health: "up", weight: 5 }, 500],
    [{ health: "up", weightPercent: 50 }, 200],
    [{ health: "up", weight: 4, weightPercent: 50 }, 400],
  ] as const) {
    assert.equal(chooseMany(pool("a b", { a }), 600).split("a").length - 1, count);
  }
});

test("a backend whose heavy days are over does not pay its debts from then by waiting", () => {
  const before = pool("a*256 b*256 c*256");
  choose(before);
  const light = Object.fromEntries(
    ["a", "b", "c"].map((name) => [name, { health: "up", weight: 1 } as const]),
  );
  const order = chooseMany(updateHealth(before, light, 0), 12);
  for (const name of "abc") assert.ok(order.split(name).length - 1 >= 3, order);
});

// ── backups ──────────────────────────────────────────────────────────────────────────────────────

test("backups serve only when none of the others can, and share by weight then", () => {
  const notation = "a b x*2+ y+";
  expectOrder(pool(notation), "abab");
  expectOrder(pool(notation, { a: "down" }), "bbbb");
  expectOrder(pool(notation, { a: "suspect", b: "down" }), "aaaa");
  expectOrder(pool(notation, { a: "down", b: "drain" }), "xyxxyx");
  expectOrder(pool(notation, { a: "down", b: { health: "up", weight: 0 } }), "xyx");
});

test("a request that every other backend was refused for goes to a backup", () => {
  expectOrder(pool("a b x+"), "xx", { refused: ["a", "b"] });
});

// ── panic ────────────────────────────────────────────────────────────────────────────────────────

test("below the panic threshold all are used as if they were healthy, but for those an operator took out", () => {
  const notation = "a b c d e";
  const two = { a: "down", b: "down", c: "down" } as const;
  const options = { panicThreshold: 50 };
  expectOrder(pool(notation, { a: "down", b: "down" }, options), "cdecde");
  expectOrder(pool(notation, two, options), "abcde");
  expectOrder(pool(notation, { ...two, d: "ejected", e: "suspect" }, options), "abcde");
  expectOrder(pool(notation, { ...two, c: "drain", a: "maintenance" }, options), "dede");
  expectOrder(pool(notation, two), "dede");
});

test("exactly the threshold is no panic", () => {
  expectOrder(pool("a b", { a: "down" }, { panicThreshold: 50 }), "bb");
  expectOrder(pool("a b", { a: "down" }, { panicThreshold: 51 }), "ab");
});

test("with all down, panic is better than a refusal, and a healthy backup better than panic", () => {
  const down = { a: "down", b: "down" } as const;
  expectOrder(pool("a b", down, { panicThreshold: 30 }), "abab");
  expectOrder(pool("a b x+", down, { panicThreshold: 30 }), "xx");
  expectOrder(pool("a b x+", { ...down, x: "down" }, { panicThreshold: 30 }), "abab");
});

// ── slow start ───────────────────────────────────────────────────────────────────────────────────

test("a backend that recovered grows from 10 % to its full share over slowStart", () => {
  const state = pool("a b", { a: { health: "up", recoveredAgoMs: 0 } }, { slowStartMs: 10_000 });
  const shareAt = (nowMs: number): number => {
    const order = chooseMany(state, 2200, { moment: { nowMs, random: chance(1) } });
    return (order.split("a").length - 1) / (order.split("b").length - 1);
  };
  for (const [nowMs, share] of [
    [0, 0.1],
    [1000, 0.19],
    [5000, 0.55],
    [9000, 0.91],
    [10_000, 1],
    [60_000, 1],
  ] as const) {
    assert.ok(Math.abs(shareAt(nowMs) - share) < 0.02, `${String(nowMs)} ms: ${String(shareAt(nowMs))}`);
  }
});

test("slow start counts from the recovery, whenever this worker hears of it", () => {
  const late = pool("a b", { a: { health: "up", recoveredAgoMs: 5000 } }, { slowStartMs: 10_000 });
  const order = chooseMany(late, 155);
  assert.equal(order.split("a").length - 1, 55);
});

test("without a recovery there is no slow start", () => {
  expectOrder(pool("a b", {}, { slowStartMs: 10_000 }), "abab");
});

test("with every policy a backend that starts slowly gets little at first and its share in the end", () => {
  for (const balance of ["least-connections", "random", "least-response-time", "uri-hash"] as const) {
    const starting = { a: { health: "up", recoveredAgoMs: 0 } } as const;
    const state = pool("a b c d", starting, { balance, slowStartMs: 10_000 });
    const countAt = (nowMs: number): number => {
      const moment = { nowMs, random: chance(7) };
      let count = 0;
      for (let i = 0; i < 4000; i += 1) {
        const chosen = choose(state, { moment, key: `/${String(i)}` });
        if (chosen?.name === "a") count += 1;
      }
      return count;
    };
    const first = countAt(0);
    // 0.1 of 3.1, and a quarter.
    assert.ok(first > 60 && first < 200, `${balance}: ${String(first)} of 4000 at first`);
    const last = countAt(10_000);
    assert.ok(last > 860 && last < 1140, `${balance}: ${String(last)} of 4000 in the end`);
  }
});

// ── round-robin under changing health ────────────────────────────────────────────────────────────

test("whichever backends are down, the others share by their weights", () => {
  const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });
  const healths = fc.array(fc.constantFrom<BackendHealth>("up", "down"), { minLength: 6, maxLength: 6 });
  fc.assert(
    fc.property(weights, healths, fc.nat(100), (all, health, count) => {
      const names = all.map((_, i) => String.fromCharCode(97 + i));
      const table = Object.fromEntries(names.map((name, i) => [name, health[i] ?? "up"]));
      const state = pool(names.map((name, i) => `${name}*${String(all[i])}`).join(" "), table);
      const up = names.filter((name) => table[name] === "up");
      const total = names.reduce((sum, name, i) => sum + (up.includes(name) ? (all[i] ?? 0) : 0), 0);
      if (total === 0) return;
      const order = chooseMany(state, count);
      for (const [i, name] of names.entries()) {
        const got = order.split(name).length - 1;
        const due = up.includes(name) ? (count * (all[i] ?? 0)) / total : 0;
        // Never a whole turn ahead of its share; and exact whenever a cycle is complete.
        assert.ok(got < due + 1, `${name} got ${String(got)} of ${String(due)}`);
        if (count % total === 0) assert.equal(got, due);
      }
    }),
    { numRuns: 300 },
  );
});

test("health that changes at any moment moves no share by more than a cycle", () => {
  const changes = fc.array(fc.tuple(fc.nat(2), fc.boolean(), fc.nat(20)), { maxLength: 20 });
  fc.assert(
    fc.property(changes, (steps) => {
      let health: Record<string, BackendHealth> = {};
      let state = pool("a*3 b*2 c");
      for (const [who, isUp, count] of steps) {
        health = { ...health, [["a", "b", "c"][who] ?? "a"]: isUp ? "up" : "down" };
        state = updateHealth(state, states(health), 0);
        chooseMany(state, count);
      }
      const order = chooseMany(updateHealth(state, {}, 0), 600);
      for (const [name, due] of [
        ["a", 300],
        ["b", 200],
        ["c", 100],
      ] as const) {
        const got = order.split(name).length - 1;
        assert.ok(Math.abs(got - due) <= 6, `${name}: ${String(got)} of ${String(due)}`);
      }
    }),
    { numRuns: 200 },
  );
});

test("an asker is only asked about backends that may serve", () => {
  const asked = new Set<string>();
  const state = pool("a b c", { a: "down", b: "drain" });
  const accepts = ({ name }: Candidate): boolean => {
    asked.add(name);
    return false;
  };
  for (const name of ["a", "b", "c"]) chooseNamed(state, name, { hashKey: () => null, accepts });
  assert.deepEqual([...asked], ["c"]);
});
