import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import type { Expression } from "../../src/config/expression.ts";
import { judgePage } from "../../src/routing/json-rules.ts";
import { fieldOf, rule, ruleOf } from "./rules.ts";

/** What the three rules of the issue say of a page, in one line. */
function verdict(rules: Readonly<Record<string, string>>, page: unknown): string {
  const compiled = Object.fromEntries(Object.entries(rules).map(([name, text]) => [name, rule(text)]));
  const said = judgePage(compiled, page);
  if (said.kind === "bad") return `bad, ${said.reason}`;
  return [
    "good",
    said.degraded !== null && `degraded: ${said.degraded}`,
    said.doubt !== null && `doubt: ${said.doubt}`,
  ]
    .filter((part) => part !== false)
    .join(", ");
}

const ISSUE = {
  healthy: 'status == "healthy"',
  unhealthy: "cpu_usage > 90 or memory_usage > 95",
  degraded: "disk_usage > 90",
};

describe("the rule set of a page", () => {
  for (const [page, expected] of [
    [{ status: "healthy", cpu_usage: 10, memory_usage: 20, disk_usage: 30 }, "good"],
    [
      { status: "healthy", cpu_usage: 10, memory_usage: 20, disk_usage: 91 },
      "good, degraded: disk_usage is 91",
    ],
    [
      { status: "healthy", cpu_usage: 95, memory_usage: 20, disk_usage: 91 },
      "bad, unhealthy: cpu_usage is 95",
    ],
    [
      { status: "starting", cpu_usage: 1, memory_usage: 1, disk_usage: 1 },
      'bad, not healthy: status is "starting"',
    ],
    [{ cpu_usage: 1, memory_usage: 1, disk_usage: 1 }, "bad, not healthy: status is missing"],
    [{ status: "starting", memory_usage: 96 }, "bad, unhealthy: memory_usage is 96"],
    [
      { status: "healthy", memory_usage: 1 },
      "good, doubt: unhealthy: cpu_usage is missing; degraded: disk_usage is missing",
    ],
    [
      { status: "healthy", cpu_usage: "95", memory_usage: 1, disk_usage: 1 },
      'good, doubt: unhealthy: cpu_usage is "95", which is not a number',
    ],
    [[], "bad, not healthy: status is missing"],
    [null, "bad, not healthy: status is missing"],
    ["healthy", "bad, not healthy: status is missing"],
  ] as const) {
    test(`${JSON.stringify(page)} is ${expected}`, () => assert.equal(verdict(ISSUE, page), expected));
  }

  test("without a healthy rule whatever is not unhealthy is in order", () => {
    assert.equal(verdict({ unhealthy: "cpu > 90" }, { cpu: 90 }), "good");
    assert.equal(verdict({ degraded: "slow" }, { slow: true }), "good, degraded: slow is true");
  });
});

describe("a single rule", () => {
  const page = {
    status: "ok",
    ready: true,
    zero: 0,
    nothing: null,
    tags: ["a", 2, null],
    map: { "x y": 1, __proto_: 1 },
    list: [{ up: true }, [5]],
    text: "x".repeat(100),
  };
  for (const [text, truth] of [
    ["ready", true],
    ["ready == true", true],
    ["not ready", false],
    ["zero", null],
    ["zero == false", false],
    ["zero != 0", false],
    ["nothing == null", true],
    ["missing == null", null],
    ["missing != 1", null],
    ["not missing == 1", null],
    ["missing == 1 or ready", true],
    ["missing == 1 and not ready", false],
    ["missing == 1 and ready", null],
    ["tags contains 2", true],
    ["tags contains '2'", false],
    ["tags contains null", true],
    ["status contains 'o'", true],
    ["status contains 0", false],
    ["map contains 'x y'", null],
    ["map['x y'] == 1", true],
    ["map == null", false],
    ["list[0].up", true],
    ["list[1][0] >= 5", true],
    ["list[2]", null],
    ["list.length == 2", null],
    ["status.length == 2", null],
    ["status[0] == 'o'", null],
    ["map.constructor", null],
    ["map.__proto__ != null", null],
    ["toString != 1", null],
    ["status < 5", null],
    ["5 > zero", true],
    ["zero == list[1][0]", false],
    ["tags contains status", false],
  ] as const) {
    test(`${text} is ${truth === null ? "neither true nor false" : String(truth)}`, () => {
      assert.equal(truthOf(rule(text), page), truth);
    });
  }

  test("a long text from the page is cut, and lists and maps are only named", () => {
    assert.equal(verdict({ healthy: "text == 1" }, page), `bad, not healthy: text is "${"x".repeat(60)}"…`);
    assert.equal(
      verdict({ healthy: "map == 1 or tags == 1" }, page),
      "bad, not healthy: map is a map, tags is a list",
    );
  });
});

/** true, false or null through the door that the program uses. */
function truthOf(expression: Expression, page: unknown): boolean | null {
  const said = judgePage({ unhealthy: expression }, page);
  if (said.kind === "bad") return true;
  return said.doubt === null ? false : null;
}

const pages = fc.jsonValue({ maxDepth: 3 });
const likely = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    fc.oneof(fc.integer({ min: -5, max: 5 }), fc.boolean(), fc.constantFrom(null, "a", "", 'q"\\')),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom("a", "b", "length", "and", "true", "x y"), tie("value")),
  ),
})).value;

test("whatever the page, a rule is judged without an error, and not turns it round", () => {
  fc.assert(
    fc.property(ruleOf(), fc.oneof(pages, likely), (expression, page) => {
      const truth = truthOf(expression, page);
      assert.equal(truthOf({ kind: "not", part: expression }, page), truth === null ? null : !truth);
    }),
    { numRuns: 2000 },
  );
});

test("de Morgan holds, also where a field is missing", () => {
  fc.assert(
    fc.property(ruleOf(), ruleOf(), likely, (a, b, page) => {
      const notBoth: Expression = { kind: "not", part: { kind: "and", parts: [a, b] } };
      const eitherNot: Expression = {
        kind: "or",
        parts: [
          { kind: "not", part: a },
          { kind: "not", part: b },
        ],
      };
      assert.equal(truthOf(notBoth, page), truthOf(eitherNot, page));
    }),
    { numRuns: 1000 },
  );
});

test("on a page without any field no rule is true", () => {
  fc.assert(
    fc.property(ruleOf(), fc.constantFrom({}, [], null, "a", 1), (expression, page) => {
      assert.notEqual(truthOf(expression, page), true);
      assert.equal(truthOf({ kind: "not", part: expression }, page), null);
    }),
    { numRuns: 500 },
  );
});

test("a field is what the page itself has there, as JSON shows it", () => {
  fc.assert(
    fc.property(fieldOf(), likely, (field, page) => {
      const own = field.path.reduce<unknown>((value, part) => {
        const entries =
          Array.isArray(value) === (typeof part === "number") ? Object.entries(value ?? {}) : [];
        return entries.find(([key]) => key === String(part))?.[1];
      }, page);
      const said = judgePage({ healthy: { kind: "field", field } }, page);
      assert.equal(said.kind, own === true ? "good" : "bad");
      if (said.kind === "bad") assert.equal(said.reason.includes("is missing"), own === undefined);
    }),
    { numRuns: 2000 },
  );
});
