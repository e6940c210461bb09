// Expressions that are looked for together.

import assert from "node:assert/strict";
import { test } from "node:test";
import { RE2JS, RE2Set } from "re2js";
import { RegexSet } from "../../src/config/regex.ts";

const texts = Array.from({ length: 300 }, (_, n) => `^/r${String(n)}/[0-9]+$`);

test("of many expressions each is found at its place, and all that are there", () => {
  const set = new RegexSet([...texts, "7", "^/r1[0-9]*/"]);
  for (const n of [0, 1, 83, 84, 150, 299]) {
    const alone = [...texts, "7", "^/r1[0-9]*/"].flatMap((text, place) =>
      RE2JS.compile(text)
        .matcher(`/r${String(n)}/17`)
        .find()
        ? [place]
        : [],
    );
    assert.deepEqual(set.matching(`/r${String(n)}/17`), alone);
    assert.ok(alone.includes(n) && alone.includes(300));
  }
  assert.deepEqual(set.matching("/other"), []);
});

test("no automaton has more steps than one expression may have", (t) => {
  const add = t.mock.method(RE2Set.prototype, "add");
  const set = new RegexSet(texts);
  assert.deepEqual(set.matching("/r299/1"), [299]);
  const steps = new Map<unknown, number>();
  for (const {
    this: each,
    arguments: [text = ""],
  } of add.mock.calls)
    steps.set(each, (steps.get(each) ?? 0) + RE2JS.compile(text).programSize());
  const most = Math.max(...steps.values());
  assert.ok(most > 900 && most <= 1024, `${String(most)} steps`);
});
