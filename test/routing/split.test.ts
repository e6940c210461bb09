// A split gives each pool its share of the clients, and keeps each client where it is.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { factsOf } from "../../src/routing/route.ts";
import { poolOfKey, poolOf } from "../../src/routing/split.ts";
import { request, routes } from "./routes.ts";

const CLIENTS = Array.from({ length: 20_000 }, (_, i) => `10.${String(i >> 8)}.${String(i & 255)}.1`);

const shares = fc
  .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z]{1,8}$/), fc.integer({ min: 0, max: 20 })), {
    selector: ([pool]) => pool,
    minLength: 1,
    maxLength: 5,
  })
  .filter((all) => all.some(([, weight]) => weight > 0))
  .map((all) => all.map(([pool, weight]) => ({ pool, weight })));

test("each pool gets its share of the clients within 1.5 percentage points", () => {
  fc.assert(
    fc.property(shares, (all) => {
      const total = all.reduce((sum, { weight }) => sum + weight, 0);
      const counts = new Map<string, number>();
      for (const client of CLIENTS) {
        const pool = poolOfKey(all, client);
        counts.set(pool, (counts.get(pool) ?? 0) + 1);
      }
      for (const { pool, weight } of all) {
        const share = (counts.get(pool) ?? 0) / CLIENTS.length;
        assert.ok(Math.abs(share - weight / total) < 0.015, `${pool}: ${String(share)}`);
        if (weight === 0) assert.equal(share, 0);
      }
    }),
    { numRuns: 30, seed: 1 },
  );
});

test("the order of the file does not matter", () => {
  fc.assert(
    fc.property(shares, fc.string(), (all, key) => {
      assert.equal(poolOfKey(all, key), poolOfKey(all.toReversed(), key));
    }),
  );
});

test("when a weight grows, clients move to that pool and nowhere else", () => {
  const before = [
    { pool: "stable", weight: 95 },
    { pool: "canary", weight: 5 },
    { pool: "old", weight: 10 },
  ];
  const after = before.map((share) => (share.pool === "canary" ? { ...share, weight: 50 } : share));
  let moved = 0;
  for (const client of CLIENTS) {
    const [from, to] = [poolOfKey(before, client), poolOfKey(after, client)];
    if (from === to) continue;
    assert.equal(to, "canary");
    moved += 1;
  }
  assert.ok(moved > 0);
});

/** Which pool a client with these fields gets. */
function splitting(split: string): (client: string, ...fields: readonly string[]) => string {
  const table = routes(`{ split: ${split} }`);
  const action = table.routes[0]?.config.action;
  assert.equal(action?.kind, "split");
  return (client, ...fields) =>
    poolOf(action, factsOf(table, request("GET x/", ...fields), { clientAddress: client }));
}

test("a person stays in one pool: by address, by cookie, by header field", () => {
  const byAddress = splitting("{ pools: { a: 1, b: 1 } }");
  const byCookie = splitting("{ pools: { a: 1, b: 1 }, by: { cookie: session } }");
  const byHeader = splitting("{ pools: { a: 1, b: 1 }, by: { header: X-User } }");
  const seen = new Set<string>();
  for (const client of CLIENTS.slice(0, 50)) {
    const home = byAddress(client);
    seen.add(home);
    assert.equal(byAddress(client, "Cookie: session=other"), home);
    // Without what the file names, the address counts.
    assert.equal(byCookie(client), home);
    assert.equal(byHeader(client), home);
    // Nor does it tell anyone apart while it is empty.
    assert.equal(byCookie(client, "Cookie: session="), home);
    assert.equal(byHeader(client, "x-user:"), home);
    assert.equal(byCookie(client, `Cookie: session=${client}`), home);
    assert.equal(byCookie("10.9.9.9", `Cookie: session=${client}`), home);
    assert.equal(byHeader("10.9.9.9", `x-user: ${client}`), home);
  }
  assert.deepEqual([...seen].toSorted(), ["a", "b"]);
});

test("who sends the field of the override goes to its pool, whatever the weights", () => {
  const split = splitting("{ pools: { a: 1, b: 0 }, override: { header: X-Beta-User, pool: b } }");
  assert.equal(split("10.0.0.1"), "a");
  assert.equal(split("10.0.0.1", "x-beta-user: 1"), "b");
  const strict = splitting(
    "{ pools: { a: 1 }, override: { header: x-beta-user, value: yes-please, pool: c } }",
  );
  assert.equal(strict("10.0.0.1", "x-beta-user: 1"), "a");
  assert.equal(strict("10.0.0.1", "x-beta-user: yes-please"), "c");
});
