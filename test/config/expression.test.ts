import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { type Expression, parseExpression, readExpression } from "../../src/config/expression.ts";
import { render, ruleOf } from "../routing/rules.ts";

/** The mistake in a rule as `position: problem`. */
function slipIn(text: string): string {
  const parsed = parseExpression(text);
  return parsed.kind === "invalid" ? `${String(parsed.position)}: ${parsed.problem}` : "none";
}

/** The parsed rule with every parenthesis written out, so that one line shows what binds what. */
function shape(text: string): string {
  const parsed = parseExpression(text);
  assert.equal(parsed.kind, "expression", `${text}: ${slipIn(text)}`);
  return parsed.kind === "expression" ? shapeOf(parsed.expression) : "";
}

function shapeOf(expression: Expression): string {
  switch (expression.kind) {
    case "and":
    case "or":
      return `(${expression.parts.map(shapeOf).join(` ${expression.kind} `)})`;
    case "not":
      return `not ${shapeOf(expression.part)}`;
    case "field":
    case "compare":
      return render(expression);
  }
}

describe("what a rule means", () => {
  for (const [text, expected] of [
    ["a", "a"],
    ['status == "healthy"', 'status == "healthy"'],
    ["status == 'healthy'", 'status == "healthy"'],
    ["cpu_usage > 90 or memory_usage > 95", "(cpu_usage > 90 or memory_usage > 95)"],
    ["a or b and c", "(a or (b and c))"],
    ["(a or b) and c", "((a or b) and c)"],
    ["not a == 1 and b", "(not a == 1 and b)"],
    ["not not a", "not not a"],
    ["a and b and c", "(a and b and c)"],
    ["disks[0].free-gb >= -1.5e2", "disks[0].free-gb >= -150"],
    ['["and"].or["x y"] != null', '["and"].or["x y"] != null'],
    ["[1] contains 'it\\'s'", '[1] contains "it\'s"'],
    ["90 < cpu", "90 < cpu"],
    ["a\n  and\tb", "(a and b)"],
    ["order and notice", "(order and notice)"],
  ] as const) {
    test(`${text} means ${expected}`, () => assert.equal(shape(text), expected));
  }
});

describe("a rule with a slip is refused with its place and what to write", () => {
  for (const [text, expected] of [
    ["", '1: The rule is empty. Write one, such as status == "ok".'],
    ["  ", '1: The rule is empty. Write one, such as status == "ok".'],
    ["a = 1", '3: Write "==".'],
    ["a && b", '3: Write "and".'],
    ["a || b", '3: Write "or".'],
    ["!a", '1: Write "not".'],
    ["cpu > 90%", "9: There is no arithmetic, and numbers have no unit."],
    ["size > 10MB", "10: A number has no unit. Leave it out."],
    ["a + 1 > 2", "3: There is no arithmetic. Compute it in the health page."],
    ["$.a == 1", "1: A field begins with its name, such as status or memory.used."],
    ['a =~ "x"', "3: There are no regular expressions here. Use expectedBody for them."],
    ["a == 1 b", '8: "b" cannot follow. Join comparisons with "and" or "or".'],
    ["1 < a < 3", '7: Two values are compared at a time. Join comparisons with "and".'],
    ["a)", "2: There is no parenthesis to close."],
    ["(a", '3: ")" is missing: one was opened at character 1.'],
    ["a ==", "5: A field or a constant is missing: The rule ends here."],
    ["a and", "6: A field or a constant is missing: The rule ends here."],
    ["== 1", '1: A field or a constant is missing: "==" is none.'],
    ["true", '1: A constant alone decides nothing. Compare a field with it: status == "ok".'],
    ["1 == 1", "1: Both sides are constants. Compare a field of the page with one."],
    ['a > "90"', '1: ">" compares numbers. Use == or != for other values.'],
    ["a[", '3: Write a position, such as [0], or a key in quotes, such as ["key"].'],
    ["a[-1]", '3: Write a position, such as [0], or a key in quotes, such as ["key"].'],
    ["a[1.5]", '3: Write a position, such as [0], or a key in quotes, such as ["key"].'],
    ["a[0", '4: "]" is missing.'],
    ["a. == 1", '4: A name is missing after ".". Write other keys as ["key"].'],
    ["a == 'x", "6: A text that does not end, or has an escape other than \\\", \\' and \\\\."],
    ['a == "\\n"', "6: A text that does not end, or has an escape other than \\\", \\' and \\\\."],
    ["a == 1;", '7: ";" cannot stand here.'],
    [`${"(".repeat(21)}a`, '21: More than 20 levels of "not" and parentheses. Use fewer.'],
    ["a ".repeat(600), "1001: A rule has at most 1000 characters."],
  ] as const) {
    test(`${text.slice(0, 30)} → ${expected}`, () => assert.equal(slipIn(text), expected));
  }
});

test("a mistake in the configuration shows the rule and the place in it", () => {
  assert.deepEqual(readExpression("cpu >> 1"), {
    kind: "invalid",
    problem: 'At character 6 of "cpu >> 1": A field or a constant is missing: ">" is none.',
  });
});

test("a rule that is written and read again is the same rule", () => {
  fc.assert(
    fc.property(ruleOf(), (expression) => {
      assert.deepEqual(parseExpression(render(expression)), { kind: "expression", expression });
    }),
    { numRuns: 500 },
  );
});

test("no text makes the parser throw, and a slip has its place inside the text", () => {
  const fragment = fc.constantFrom(
    ..."a|and|or|not|(|)|[|]|.|==|!=|<|<=|>|>=|contains|'x'|\"|'|\\|1|-|1e9|true|null| |&&|=|\u0000|é|\u{1f600}".split(
      "|",
    ),
  );
  const texts = fc.oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.array(fragment, { maxLength: 30 }).map((parts) => parts.join(" ")),
    fc.array(fragment, { maxLength: 30 }).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const parsed = parseExpression(text);
      if (parsed.kind === "expression") return;
      assert.ok(parsed.position >= 1 && parsed.position <= text.length + 1, `at ${String(parsed.position)}`);
      assert.match(parsed.problem, /^\S.*\.$/s);
    }),
    { numRuns: 3000 },
  );
});
