import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { cookieValues, readCookies, withoutCookie } from "../../src/routing/cookie.ts";
import type { Field } from "../../src/http1/fields.ts";

function field(name: string, value: string): Field {
  return { name, value, kind: "ordinary" };
}

/** Cookie lines, and a field before and behind them. */
function fields(...lines: readonly string[]): readonly Field[] {
  return [field("Accept", "a=1"), ...lines.map((line) => field("cOOkie", line)), field("X-Cookie", "a=2")];
}

for (const [lines, values] of [
  [[], []],
  [["a=1"], ["1"]],
  [["b=0; a=1; c=2"], ["1"]],
  [["b=0;a=1;\ta=2 ; a=3"], ["1", "2", "3"]],
  [
    ["a=1", "a=2"],
    ["1", "2"],
  ],
  [["a=1; a=2; a=3; a=4; a=5"], ["1", "2", "3", "4"]],
  [['a="q"'], ["q"]],
  [["a=x=y"], ["x=y"]],
  [["aa=1; A=2; ba=3; a; =4; b=a=5"], []],
  [["a=; a= "], []],
  [[";;; ;a=1;"], ["1"]],
] as const) {
  test(`the cookies called a in ${JSON.stringify(lines)} are ${JSON.stringify(values)}`, () => {
    assert.deepEqual(cookieValues(fields(...lines), "a"), values);
  });
}

test("whoever reads all cookies reads of each what one who asks for it alone reads first", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "=", ";", " ", '"', "1", "2"), maxLength: 40 });
  fc.assert(
    fc.property(fc.array(text, { maxLength: 3 }), (lines) => {
      const cookies = readCookies(fields(...lines));
      for (const name of ["a", "b", "ab"]) {
        const [first] = cookieValues(fields(...lines), name);
        // One that is empty stands before all others of its name for whoever wants the first.
        const value = cookies.get(name);
        if (value !== "") assert.equal(value, first);
      }
    }),
  );
  assert.deepEqual(
    [...readCookies(fields("a=1; b; =x; c=", "a=2; d=x=y"))],
    [
      ["a", "1"],
      ["", "x"],
      ["c", ""],
      ["d", "x=y"],
    ],
  );
});

for (const [lines, left] of [
  [["a=1"], []],
  [["a=1; b=2"], ["b=2"]],
  [["b=2; a=1"], ["b=2"]],
  [["b=2; a=1; c=3"], ["b=2; c=3"]],
  [["a=1; a=2", "b=3; a=4"], ["b=3"]],
] as const) {
  test(`${JSON.stringify(lines)} without a is ${JSON.stringify(left)}`, () => {
    assert.deepEqual(withoutCookie(fields(...lines), "a"), fields(...left));
  });
}

test("fields without that cookie stay the same list", () => {
  const list = fields("ab=1; b=a");
  assert.equal(withoutCookie(list, "a"), list);
});

test("what is left without a cookie never has it, and every other cookie", () => {
  const pair = fc.stringMatching(/^ ?[abc]{1,2}=[abc="]{0,3}$/);
  fc.assert(
    fc.property(fc.array(fc.array(pair, { minLength: 1, maxLength: 4 }), { maxLength: 3 }), (lines) => {
      const before = fields(...lines.map((pairs) => pairs.join(";")));
      const after = withoutCookie(before, "a");
      assert.deepEqual(cookieValues(after, "a"), []);
      for (const other of ["b", "c", "aa", "ab", "ba"]) {
        assert.deepEqual(cookieValues(after, other), cookieValues(before, other));
      }
    }),
  );
});
