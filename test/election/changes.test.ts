import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import {
  compareChanges,
  forgetChanges,
  KEY_LENGTH_MAX,
  KEYS_MAX,
  mergeChanges,
  NODE_LENGTH_MAX,
  parseChanges,
  setChange,
  TABLE_KEYS_MAX,
  takeBack,
} from "../../src/election/changes.ts";
import type { Change, ChangeTable } from "../../src/election/changes.ts";

/** `drain=true@1.2a`: key, value, epoch 1, counter 2, set by node a. */
function changeOf(notation: string): Change {
  const [, key = "", value = "", epoch, counter, node = ""] =
    /^(.+)=(\S+)@(\d+)\.(\d+)(\w+)$/.exec(notation) ?? assert.fail(notation);
  return { key, value: JSON.parse(value) as boolean, epoch: Number(epoch), counter: Number(counter), node };
}

function tableOf(changes: Iterable<Change>): ChangeTable {
  return mergeChanges(new Map(), changes).table;
}

function table(...notations: readonly string[]): ChangeTable {
  return tableOf(notations.map(changeOf));
}

function written(from: ChangeTable): readonly string[] {
  return [...from.values()]
    .map(
      ({ key, value, epoch, counter, node }) =>
        `${key}=${String(value)}@${String(epoch)}.${String(counter)}${node}`,
    )
    .toSorted();
}

/** Few of everything, so that the same key, the same counter and the very same change occur often. */
const anyChange: fc.Arbitrary<Change> = fc.record(
  {
    key: fc.constantFrom("maintenance/a", "maintenance/b", "drain/web/1", "weight/web/1"),
    value: fc.oneof(fc.boolean(), fc.constantFrom(0, 1, -2.5)),
    epoch: fc.nat({ max: 3 }),
    counter: fc.integer({ min: 1, max: 4 }),
    node: fc.constantFrom("a", "b"),
  },
  { noNullPrototype: true },
);
const anyTable = fc.array(anyChange, { maxLength: 12 }).map(tableOf);

/** More keys than a table holds, so that the oldest must go. */
const anyLargeTable = fc
  .array(fc.tuple(fc.nat({ max: TABLE_KEYS_MAX + 400 }), fc.integer({ min: 1, max: 5000 })), {
    minLength: TABLE_KEYS_MAX - 300,
    maxLength: TABLE_KEYS_MAX,
  })
  .map((pairs) =>
    tableOf(
      pairs.map(([key, counter]) => ({ key: `k${String(key)}`, value: true, epoch: 1, counter, node: "a" })),
    ),
  );

function merged(a: ChangeTable, b: ChangeTable): ChangeTable {
  return mergeChanges(a, b.values()).table;
}

suite("tables of run-time changes", () => {
  test("of each key the last writer wins: by epoch, then counter, then node", () => {
    const cases: readonly (readonly [string, string])[] = [
      ["k=true@1.9a", "k=false@2.1a"],
      ["k=true@2.1b", "k=false@2.2a"],
      ["k=true@2.2a", "k=false@2.2b"],
    ];
    for (const [older, newer] of cases) {
      for (const order of [
        [older, newer],
        [newer, older],
      ]) {
        assert.deepEqual(written(table(...order)), [newer], order.join());
      }
    }
  });

  test("what is news is told once, and what is older or known is none", () => {
    const ours = table("a=true@1.1a", "b=true@1.5b");
    const { table: both, news } = mergeChanges(
      ours,
      ["a=false@1.2b", "a=true@1.3b", "b=false@1.4a", "c=1@1.6b", "b=true@1.5b"].map(changeOf),
    );
    assert.deepEqual(written(tableOf(news)), ["a=true@1.3b", "c=1@1.6b"]);
    assert.equal(news.length, 2);
    assert.deepEqual(written(both), ["a=true@1.3b", "b=true@1.5b", "c=1@1.6b"]);
    assert.deepEqual(mergeChanges(both, news).news, []);
    assert.deepEqual(written(ours), ["a=true@1.1a", "b=true@1.5b"], "the old table is as it was");
  });

  test("the merge is commutative, associative and idempotent", () => {
    fc.assert(
      fc.property(anyTable, anyTable, anyTable, (a, b, c) => {
        assert.deepEqual(written(merged(a, b)), written(merged(b, a)));
        assert.deepEqual(written(merged(merged(a, b), c)), written(merged(a, merged(b, c))));
        assert.deepEqual(written(merged(a, a)), written(a));
        assert.deepEqual(written(merged(merged(a, b), b)), written(merged(a, b)));
      }),
    );
  });

  test("so it is when there are too many keys: of all of them the newest are kept", () => {
    fc.assert(
      fc.property(anyLargeTable, anyLargeTable, anyLargeTable, (a, b, c) => {
        const all = merged(merged(a, b), c);
        assert.ok(all.size <= TABLE_KEYS_MAX);
        assert.deepEqual(written(all), written(merged(a, merged(b, c))));
        assert.deepEqual(written(merged(a, b)), written(merged(b, a)));
      }),
      { numRuns: 5 },
    );
  });

  test("the news of a merge are what it changed in the table", () => {
    fc.assert(
      fc.property(anyTable, fc.array(anyChange, { maxLength: 12 }), (ours, incoming) => {
        const { table: after, news } = mergeChanges(ours, incoming);
        const changed = [...after.values()].filter(
          (change) =>
            written(tableOf([change]))[0] !== written(ours).find((x) => x.startsWith(`${change.key}=`)),
        );
        assert.deepEqual(written(tableOf(news)), written(tableOf(changed)));
      }),
    );
  });

  test("a local set wins over all that this node has seen, whatever its own epoch", () => {
    fc.assert(
      fc.property(anyTable, anyChange, (seen, { key, value, epoch }) => {
        const outcome = setChange(seen, { key, value, epoch, node: "a" });
        assert.ok(outcome.kind === "set");
        for (const older of seen.values()) assert.ok(compareChanges(outcome.change, older) > 0);
        assert.equal(outcome.table.get(key), outcome.change);
        assert.equal(merged(seen, outcome.table).get(key)?.value, value);
        assert.equal(merged(outcome.table, seen).get(key)?.value, value);
      }),
    );
  });

  test("two nodes that tell each other all they have, in whatever order, end with the same table", () => {
    const anyHistory = fc.array(
      fc.tuple(fc.boolean(), fc.nat({ max: 3 }), fc.boolean(), fc.nat({ max: 9 })),
      {
        maxLength: 30,
      },
    );
    fc.assert(
      fc.property(anyHistory, (history) => {
        const tables = { a: tableOf([]), b: tableOf([]) };
        for (const [isA, key, value, tell] of history) {
          const node = isA ? "a" : "b";
          const outcome = setChange(tables[node], { key: `k${String(key)}`, value, epoch: 1, node });
          assert.ok(outcome.kind === "set");
          tables[node] = outcome.table;
          if (tell > 6) tables.a = merged(tables.a, tables.b);
          if (tell < 3) tables.b = merged(tables.b, tables.a);
        }
        assert.deepEqual(written(merged(tables.a, tables.b)), written(merged(tables.b, tables.a)));
      }),
    );
  });

  test("a table that is full takes no new key, and says so; a known key can still be set", () => {
    let full: ChangeTable = new Map();
    for (let index = 0; index < KEYS_MAX; index += 1) {
      const outcome = setChange(full, { key: `k${String(index)}`, value: true, epoch: 1, node: "a" });
      assert.ok(outcome.kind === "set");
      full = outcome.table;
    }
    const more = setChange(full, { key: "one more", value: true, epoch: 1, node: "a" });
    assert.ok(more.kind === "refused");
    assert.match(more.reason, /512 run-time changes already/);
    assert.equal(setChange(full, { key: "k7", value: false, epoch: 1, node: "a" }).kind, "set");
  });

  test("rule 12: maintenance is never refused, however full the table is, and is pushed out by nothing", () => {
    const full = tableOf(
      Array.from({ length: KEYS_MAX }, (_, index) =>
        changeOf(`k${String(index)}=true@5.${String(index + 1)}a`),
      ),
    );
    const outcome = setChange(full, { key: "maintenance/a", value: true, epoch: 1, node: "a" });
    assert.ok(outcome.kind === "set");
    const newer = Array.from({ length: TABLE_KEYS_MAX }, (_, index) =>
      changeOf(`n${String(index)}=true@6.${String(index + 1)}b`),
    );
    const both = merged(outcome.table, tableOf(newer));
    assert.equal(both.size, TABLE_KEYS_MAX);
    assert.equal(both.get("maintenance/a"), outcome.change);
  });

  test("whatever is forgotten, the next change still wins over all that was ever seen", () => {
    fc.assert(
      fc.property(anyTable, anyChange, fc.func(fc.boolean()), (seen, { key, value }, choose) => {
        const isForgettable = (change: Change) => choose(change);
        const less = forgetChanges(seen, isForgettable);
        for (const change of less.values()) assert.equal(seen.get(change.key), change);
        const gone = [...seen.values()].filter((change) => !less.has(change.key));
        assert.ok(gone.every(isForgettable));
        assert.ok([...less.values()].filter(isForgettable).length <= 2);
        const outcome = setChange(less, { key, value, epoch: 0, node: "a" });
        assert.ok(outcome.kind === "set");
        for (const older of seen.values()) assert.ok(compareChanges(outcome.change, older) > 0);
      }),
    );
  });

  test("what takes an order back ends that order, and no newer one", () => {
    fc.assert(
      fc.property(anyChange, anyTable, (order, others) => {
        fc.pre(order.value !== false);
        assert.equal(merged(tableOf([order]), tableOf([takeBack(order)])).get(order.key)?.value, false);
        const other = others.get(order.key);
        if (other === undefined || compareChanges(other, order) <= 0) return;
        fc.pre(other.epoch !== order.epoch || other.counter !== order.counter || other.node !== order.node);
        assert.equal(merged(tableOf([takeBack(order)]), others).get(order.key), other);
      }),
    );
  });

  test("a change that could not be told to the peer cannot be set", () => {
    for (const bad of [
      { key: "" },
      { key: "x".repeat(KEY_LENGTH_MAX + 1) },
      { key: "a\nb" },
      { value: NaN },
    ]) {
      const outcome = setChange(new Map(), { key: "k", value: true, epoch: 1, node: "a", ...bad });
      assert.equal(outcome.kind, "refused", JSON.stringify(bad));
    }
  });

  test("what is parsed is what was written, and nothing else", () => {
    fc.assert(
      fc.property(anyTable, (from) => {
        const changes = [...from.values()];
        assert.deepEqual(parseChanges(JSON.parse(JSON.stringify(changes))), changes);
      }),
    );
    const good = changeOf("k=true@1.1a");
    assert.deepEqual(parseChanges([{ ...good, colour: "red" }]), [good]);
    for (const bad of [
      { key: "" },
      { key: 7 },
      { key: "x".repeat(KEY_LENGTH_MAX + 1) },
      { key: "\u0000" },
      { key: "\ud800" },
      { value: "yes" },
      { value: null },
      { value: {} },
      { epoch: -1 },
      { epoch: 1.5 },
      { epoch: Number.MAX_SAFE_INTEGER },
      { counter: 0 },
      { counter: "1" },
      { counter: Number.MAX_SAFE_INTEGER },
      { node: "" },
      { node: "x".repeat(NODE_LENGTH_MAX + 1) },
    ]) {
      assert.equal(parseChanges([good, { ...good, ...bad }]), undefined, JSON.stringify(bad));
    }
    for (const bad of [undefined, null, {}, "[]", [null], [[]]]) assert.equal(parseChanges(bad), undefined);
    assert.equal(parseChanges(Array.from({ length: TABLE_KEYS_MAX + 1 }, () => good)), undefined);
  });

  test("no JSON makes the parser throw, and what it lets in it would let in again", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const changes = parseChanges(value);
        if (changes !== undefined) assert.deepEqual(parseChanges(changes), changes);
      }),
    );
  });
});
