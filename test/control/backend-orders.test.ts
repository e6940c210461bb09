import assert from "node:assert/strict";
import { test } from "node:test";
import type { PoolConfig } from "../../src/config/config.ts";
import { BackendOrders } from "../../src/control/backend-orders.ts";
import { UNCHECKED } from "../../src/control/checked-backend.ts";
import type { Change, ChangeTable, ChangeValue } from "../../src/election/changes.ts";
import { setChange } from "../../src/election/changes.ts";
import type { BackendOrder } from "../../src/protocol/admin.ts";
import type { HealthTable } from "../../src/protocol/worker.ts";
import { expectConfig } from "../config/pair-yaml.ts";

const POOLS = expectConfig(`
listeners: [{ name: l, bind: 127.0.0.1:80, pool: web }]
pools:
  web: { backends: [{ name: big, address: 127.0.0.1:1, weight: 3 }, { name: small, address: 127.0.0.1:2 }] }
  one: { backends: [{ name: only, address: 127.0.0.1:3 }] }
`).pools;

interface Rig {
  readonly orders: BackendOrders;
  /** What the checks find. */
  health: HealthTable;
  /** What is in the file. */
  pools: readonly PoolConfig[];
  readonly table: () => ReadonlyMap<string, ChangeValue>;
  /** An order that came from the disk, or from the peer. */
  readonly hear: (key: string, value: ChangeValue, node?: string) => void;
}

function open(): Rig {
  let table: ChangeTable = new Map<string, Change>();
  const put = (key: string, value: ChangeValue, node = "pi-a"): void => {
    const outcome = setChange(table, { key, value, epoch: 1, node });
    if (outcome.kind === "set") ({ table } = outcome);
  };
  const rig: Rig = {
    health: {},
    pools: POOLS,
    orders: new BackendOrders({
      pools: () => rig.pools,
      health: () => rig.health,
      find: (key) => table.get(key),
      set: async (key, value) => {
        put(key, value);
        return Promise.resolve({ kind: "done", replicated: true });
      },
    }),
    table: () => new Map([...table].map(([key, { value }]) => [key, value])),
    hear: put,
  };
  return rig;
}

async function give({ orders }: Rig, line: string) {
  const [word = "", pool = "", backend = "", weight = ""] = line.split(/[ /]/);
  const name = { pool, backend };
  return orders.give((word === "weight" ? { ...name, weight } : { ...name, state: word }) as BackendOrder);
}

/** health and weight of the backend "big" of "web" as workers hear of them. */
function big({ orders }: Rig): string {
  const state = orders.table()["web"]?.["big"];
  return [state?.health, state?.weight].filter((part) => part !== undefined).join(" ");
}

test("the last of drain, maintenance and ready holds, and the weight stands beside it", async () => {
  const rig = open();
  for (const [line, expected] of [
    ["drain web/big", "drain"],
    ["maintenance web/big", "maintenance"],
    ["maintenance web/big", "maintenance"],
    ["weight web/big 10", "maintenance 10"],
    ["drain web/big", "drain 10"],
    ["ready web/big", "up 10"],
    ["ready web/big", "up 10"],
    ["weight web/big 50%", "up 1.5"],
    ["weight web/big 50%", "up 1.5"],
    ["weight web/big 0", "up 0"],
    ["weight web/big reset", "up"],
  ] as const) {
    assert.equal((await give(rig, line)).kind, "done", line);
    assert.equal(big(rig), expected, line);
  }
  assert.deepEqual([...rig.table().keys()], ["drain/web/big", "weight/web/big"]);
});

test("the weight that holds is told, and what was ordered as a share keeps its number when the file changes", async () => {
  const rig = open();
  const told = async (line: string) => {
    const outcome = await give(rig, line);
    return outcome.kind === "done" ? outcome.weight : outcome.reason;
  };
  assert.equal(await told("weight web/big 50%"), 1.5);
  assert.equal(await told("drain web/big"), 1.5);
  assert.equal(await told("weight web/big reset"), 3);
  assert.equal(await told("weight web/big 9000%"), "9000% of 3 is more than 256");
  assert.equal(await told("weight web/big 257"), '"257" is not a weight. Write 0 to 256, 50% or reset');
  assert.equal(await told("weight web/big 200%"), 6);
  rig.pools = POOLS.map((pool) => ({
    ...pool,
    backends: pool.backends.map((backend) => ({ ...backend, weight: 100 })),
  }));
  assert.equal(big(rig), "drain 6");
});

test("a pool or a backend that is not there is refused with the nearest name", async () => {
  const rig = open();
  for (const line of ["drain", "maintenance", "ready", "weight"]) {
    assert.deepEqual(await give(rig, `${line} wbe/big 1`), {
      kind: "refused",
      reason: 'there is no pool "wbe", only web and one. Did you mean web?',
    });
    assert.deepEqual(await give(rig, `${line} web/bgi 1`), {
      kind: "refused",
      reason: 'there is no backend of pool web "bgi", only big and small. Did you mean big?',
    });
  }
  assert.equal(rig.table().size, 0);
});

test("whoever takes the last backend that gets requests is warned, and obeyed", async () => {
  for (const last of [
    "drain web/small",
    "maintenance web/small",
    "weight web/small 0",
    "weight web/small 0%",
  ]) {
    const rig = open();
    const warned = async (line: string) => {
      const outcome = await give(rig, line);
      assert.ok(outcome.kind === "done");
      return outcome.warning;
    };
    assert.equal(await warned(last), null);
    assert.equal(await warned("ready web/small"), null);
    assert.equal(await warned("weight web/small reset"), null);
    assert.equal(await warned("drain web/big"), null);
    const warning = "no backend of pool web gets new requests now";
    assert.equal(await warned(last), warning);
    assert.equal(await warned("ready web/big"), null);
    rig.health = { web: { big: { health: "down" }, small: { health: "up" } } };
    assert.equal(await warned(last), warning);
    rig.health = { web: { big: { health: "up", weightPercent: 0 }, small: { health: "up" } } };
    assert.equal(await warned(last), warning);
    assert.equal(await warned("weight one/only 1"), null);
    assert.match((await warned("weight one/only 0")) ?? "", /pool one /);
  }
});

test("what an earlier or a later release wrote is read for the best", () => {
  const rig = open();
  rig.hear("drain/web/big", true);
  assert.equal(big(rig), "drain");
  // Of a later release: something else than ready.
  rig.hear("drain/web/big", 7);
  rig.hear("weight/web/big", 1000);
  assert.equal(big(rig), "drain");
  rig.hear("weight/web/big", true);
  assert.equal(big(rig), "drain");
});

test("an order is about a backend that the file names, or it is obsolete", () => {
  const { orders } = open();
  for (const [key, expected] of [
    ["drain/web/big", true],
    ["weight/one/only", true],
    ["drain/web/gone", false],
    ["weight/gone/big", false],
  ] as const) {
    assert.equal(orders.isNamed(key), expected, key);
  }
});

test("status tells what is ordered and where it was", () => {
  const rig = open();
  const status = () => rig.orders.status({ pool: "web", backend: "big" }, UNCHECKED);
  assert.deepEqual(status(), { ...UNCHECKED, order: null });
  rig.hear("weight/web/big", 0, "pi-b");
  assert.deepEqual(status(), { ...UNCHECKED, order: { state: null, weight: 0, node: "pi-b" } });
  rig.hear("drain/web/big", 2, "pi-a");
  assert.deepEqual(status(), {
    ...UNCHECKED,
    state: "maintenance",
    reason: "ordered on pi-a",
    order: { state: "maintenance", weight: 0, node: "pi-a" },
  });
  rig.hear("weight/web/big", 5, "pi-b");
  assert.deepEqual(status().order, { state: "maintenance", weight: 5, node: "pi-b" });
  assert.equal(status().reason, "ordered on pi-a");
  rig.hear("drain/web/big", false);
  rig.hear("weight/web/big", false);
  assert.deepEqual(status(), { ...UNCHECKED, order: null });
});

test("backends in maintenance say nothing about what a node can reach", async () => {
  const rig = open();
  await give(rig, "maintenance web/big");
  await give(rig, "drain web/small");
  const names = rig.orders.poolsInService().map(({ backends }) => backends.map(({ name }) => name));
  assert.deepEqual(names, [["small"], ["only"]]);
});
