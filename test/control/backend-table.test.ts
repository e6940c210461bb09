import assert from "node:assert/strict";
import { test } from "node:test";
import type { PoolConfig } from "../../src/config/config.ts";
import {
  type BackendOrders,
  noBackendProblem,
  orderTable,
  poolsThatAnswer,
} from "../../src/control/backend-table.ts";
import type { BackendHealth, BackendState } from "../../src/routing/backend-state.ts";
import { expectConfig } from "../config/pair-yaml.ts";

/** Pools with the backends x and y, and what each is checked by. */
function pools(health: Readonly<Record<string, "tcp" | "none">>): readonly PoolConfig[] {
  const list = Object.entries(health).map(
    ([name, kind]) =>
      `  ${name}: { backends: [{ name: x, address: 127.0.0.1:1 }, { name: y, address: 127.0.0.1:2 }], health: { kind: ${kind} } }`,
  );
  const first = Object.keys(health)[0] ?? "";
  return expectConfig(
    `listeners: [{ name: l, bind: 127.0.0.1:80, pool: ${first} }]\npools:\n${list.join("\n")}\n`,
  ).pools;
}

function states(x: BackendHealth, y: BackendHealth): Record<string, BackendState> {
  return { x: { health: x }, y: { health: y } };
}

test("a backend for which something is ordered has that state and weight whatever its health; one that nobody has looked at is up", () => {
  const ordered = new Map<string, BackendOrders>([
    ["web/x", { state: "drain", weight: null }],
    ["web/y", { state: null, weight: 0 }],
    ["api/y", { state: "maintenance", weight: 1.5 }],
  ]);
  const table = orderTable(
    pools({ web: "tcp", api: "tcp" }),
    { web: states("down", "suspect"), api: { y: { health: "drain", weightPercent: 50 } } },
    (pool, backend) => ordered.get(`${pool}/${backend}`) ?? { state: null, weight: null },
  );
  assert.deepEqual(table, {
    web: { x: { health: "drain" }, y: { health: "suspect", weight: 0 } },
    api: { x: { health: "up" }, y: { health: "maintenance", weight: 1.5, weightPercent: 50 } },
  });
});

test("a backend whose agent says maintenance stays so when it is drained", () => {
  const table = orderTable(pools({ web: "tcp" }), { web: states("maintenance", "up") }, () => ({
    state: "drain",
    weight: null,
  }));
  assert.deepEqual(table, { web: states("maintenance", "drain") });
});

for (const [what, web, api, problem] of [
  ["every backend of every pool is down", ["down", "down"], ["down", "down"], 4],
  ["one is up", ["down", "down"], ["down", "up"], undefined],
  ["one is suspect, which still gets requests", ["suspect", "down"], ["down", "down"], undefined],
  ["the agents of all that work say drain or maint", ["drain", "down"], ["maintenance", "down"], undefined],
] as const) {
  test(`rule 9: ${problem === undefined ? "a backend can" : "no backend can"} be reached when ${what}`, () => {
    const health = { web: states(web[0], web[1]), api: states(api[0], api[1]) };
    const expected =
      problem === undefined ? undefined : `none of ${String(problem)} backends can be reached from here`;
    assert.equal(noBackendProblem(pools({ web: "tcp", api: "tcp" }), health), expected);
  });
}

test("rule 9: backends that nobody checks say nothing about what a node can reach", () => {
  const down = states("down", "down");
  assert.equal(noBackendProblem(pools({ web: "none" }), { web: down }), undefined);
  assert.equal(noBackendProblem([], {}), undefined);
  assert.match(noBackendProblem(pools({ web: "tcp", api: "none" }), { web: down }) ?? "", /^none of 2 /);
});

test("rule 9: a pool that gets copies alone answers nobody, whoever of it is up", () => {
  const { pools: all, listeners } = expectConfig(`
listeners:
  - name: l
    bind: 127.0.0.1:80
    routes:
      - { match: { path: /a }, pool: web, mirror: { pool: shadow } }
      - { match: { path: /b }, split: { pools: { web: 1, canary: 1 } }, mirror: { pool: both } }
      - { match: { path: /c }, split: { pools: { web: 1 }, override: { header: x, pool: other } } }
      - { match: { path: /d }, pool: both }
pools:
  web: { backends: [127.0.0.1:1] }
  shadow: { backends: [127.0.0.1:2] }
  canary: { backends: [127.0.0.1:3] }
  both: { backends: [127.0.0.1:4] }
  other: { backends: [127.0.0.1:5] }
  spare: { backends: [127.0.0.1:6] }
`);
  assert.deepEqual(
    poolsThatAnswer(all, listeners).map(({ name }) => name),
    ["web", "canary", "both", "other", "spare"],
  );
});

test("before the first look every backend counts as reached", () => {
  assert.equal(noBackendProblem(pools({ web: "tcp" }), {}), undefined);
});
