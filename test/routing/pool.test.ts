import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { BackendHealth, BackendState } from "../../src/routing/backend-state.ts";
import {
  type PoolHealth,
  type PoolState,
  chooseBackend,
  configurePool,
  updateHealth,
} from "../../src/routing/pool.ts";

/** "a*5 b c" : backends with weights, 1 when none is given. */
function pool(notation: string, health: PoolHealth = {}, previous: PoolState | null = null): PoolState {
  const backends = notation.split(" ").map((text) => {
    const [name = "", weight = "1"] = text.split("*");
    return { name, host: "127.0.0.1", port: 1, weight: Number(weight) };
  });
  return configurePool({ balance: "round-robin", backends }, health, previous);
}

function choose(state: PoolState, count: number, refused: readonly string[] = []): string {
  let order = "";
  for (let i = 0; i < count; i += 1) {
    order += chooseBackend(state, ({ name }) => !refused.includes(name))?.name ?? "-";
  }
  return order;
}

function expectOrder(state: PoolState, order: string): void {
  assert.equal(choose(state, order.length), order);
}

test("smooth weighted round-robin spreads the heavy one", () => {
  expectOrder(pool("a*5 b c"), "aabacaaaabacaa");
});

test("equal weights take turns", () => {
  expectOrder(pool("a b c"), "abcabc");
});

test("a backend that is down gets nothing", () => {
  expectOrder(pool("a b c", { b: { health: "down" } }), "acacac");
});

test("with every backend down nobody is chosen", () => {
  expectOrder(pool("a b", { a: { health: "down" }, b: { health: "down" } }), "--");
});

test("suspect backends rest while another is up", () => {
  expectOrder(pool("a b c", { a: { health: "suspect" }, b: { health: "suspect" } }), "ccc");
});

test("suspect backends serve when none is up", () => {
  expectOrder(
    pool("a b c", { a: { health: "suspect" }, b: { health: "suspect" }, c: { health: "down" } }),
    "abab",
  );
});

test("a suspect backend is tried after the ones that are up were refused", () => {
  assert.equal(choose(pool("a b", { b: { health: "suspect" } }), 1, ["a"]), "b");
});

test("a backend at half its weight gets half its share", () => {
  expectOrder(pool("a*2 b*2", { b: { health: "up", weightPercent: 50 } }), "abaaba");
});

test("a backend that weighs nothing gets nothing, even when it is the last", () => {
  expectOrder(pool("a b", { b: { health: "up", weightPercent: 0 } }), "aa");
  expectOrder(pool("a", { a: { health: "up", weightPercent: 0 } }), "-");
});

test("a weight that was taken away comes back whole", () => {
  const before = pool("a*4 b", { a: { health: "up", weightPercent: 0 } });
  expectOrder(before, "bb");
  expectOrder(updateHealth(before, {}), "aabaa");
});

test("the turn survives a change of health", () => {
  const before = pool("a b c");
  expectOrder(before, "a");
  expectOrder(updateHealth(before, {}), "bca");
});

test("the turn survives a reload by name", () => {
  const before = pool("a b c");
  expectOrder(before, "ab");
  expectOrder(pool("c a b", {}, before), "c");
});

test("a backend called like something every object has is up", () => {
  assert.equal(choose(pool("constructor"), 1), "constructor");
});

test("whichever backends are down, the others share by their weights", () => {
  const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });
  const healths = fc.array(fc.constantFrom<BackendHealth>("up", "down"), { minLength: 6, maxLength: 6 });
  fc.assert(
    fc.property(weights, healths, fc.nat(100), (all, health, count) => {
      const names = all.map((_, i) => String.fromCharCode(97 + i));
      const table = Object.fromEntries(names.map((name, i) => [name, { health: health[i] ?? "up" }]));
      const state = pool(names.map((name, i) => `${name}*${String(all[i])}`).join(" "), table);
      const up = names.filter((name) => table[name]?.health === "up");
      const total = names.reduce((sum, name, i) => sum + (up.includes(name) ? (all[i] ?? 0) : 0), 0);
      if (total === 0) return;
      const order = choose(state, count);
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
      let health: Record<string, BackendState> = {};
      let state = pool("a*3 b*2 c");
      for (const [who, isUp, count] of steps) {
        health = { ...health, [["a", "b", "c"][who] ?? "a"]: { health: isUp ? "up" : "down" } };
        state = updateHealth(state, health);
        choose(state, count);
      }
      const order = choose(updateHealth(state, {}), 600);
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
