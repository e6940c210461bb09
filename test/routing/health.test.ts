import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { isChanging, judgeCheck, UNKNOWN } from "../../src/routing/health.ts";
import type { Health } from "../../src/routing/health.ts";

/** The healths after each check: `+` good, `-` bad. U up, s suspect, D down. */
function run(checks: string, timing: { rise: number; fall: number }): string {
  let health: Health = UNKNOWN;
  let seen = "";
  for (const check of checks) {
    health = judgeCheck(health, check === "+", timing);
    seen += { unknown: "?", up: "U", suspect: "s", down: "D" }[health.kind];
  }
  return seen;
}

for (const { rule, rise, fall, checks, healths } of [
  { rule: "the first good check makes a backend up", rise: 3, fall: 3, checks: "+", healths: "U" },
  { rule: "the first bad check makes it down at once", rise: 3, fall: 3, checks: "-", healths: "D" },
  {
    rule: "one bad check makes it suspect, fall in a row down",
    rise: 2,
    fall: 3,
    checks: "+---",
    healths: "UssD",
  },
  { rule: "a suspect backend is up after one good check", rise: 2, fall: 3, checks: "+--+", healths: "UssU" },
  {
    rule: "a good check starts the count to fall anew",
    rise: 2,
    fall: 2,
    checks: "+-+-+--",
    healths: "UsUsUsD",
  },
  { rule: "a down backend needs rise good checks", rise: 3, fall: 1, checks: "+-+++", healths: "UDDDU" },
  {
    rule: "a bad check starts the count to rise anew",
    rise: 2,
    fall: 1,
    checks: "+-+-++",
    healths: "UDDDDU",
  },
  { rule: "with fall 1 there is no suspicion", rise: 1, fall: 1, checks: "+-+-", healths: "UDUD" },
]) {
  test(rule, () => {
    assert.equal(run(checks, { rise, fall }), healths);
  });
}

const timings = fc.record({ rise: fc.integer({ min: 1, max: 6 }), fall: fc.integer({ min: 1, max: 6 }) });
const histories = fc.string({ unit: fc.constantFrom("+", "-"), minLength: 1, maxLength: 60 });

test("no backend is up after a bad check, nor suspect after a good one", () => {
  fc.assert(
    fc.property(histories, timings, (checks, timing) => {
      const last = run(checks, timing).at(-1);
      assert.notEqual(last, checks.endsWith("-") ? "U" : "s");
    }),
  );
});

test("fall bad checks in a row always end down, rise good ones always up", () => {
  fc.assert(
    fc.property(histories, timings, (checks, timing) => {
      assert.equal(run(checks + "-".repeat(timing.fall), timing).at(-1), "D");
      assert.equal(run(checks + "+".repeat(timing.rise), timing).at(-1), "U");
    }),
  );
});

test("an up backend goes down only after fall bad checks, a down one up only after rise good ones", () => {
  fc.assert(
    fc.property(histories, timings, (checks, timing) => {
      const seen = run(checks, timing);
      for (let at = 1; at < seen.length; at += 1) {
        const recent = (count: number) => checks.slice(Math.max(0, at + 1 - count), at + 1);
        if (seen[at] === "D" && seen[at - 1] !== "D")
          assert.equal(recent(timing.fall), "-".repeat(timing.fall));
        if (seen[at] === "U" && seen[at - 1] === "D")
          assert.equal(recent(timing.rise), "+".repeat(timing.rise));
      }
    }),
  );
});

test("only a health on its way elsewhere is changing", () => {
  assert.equal(isChanging(UNKNOWN), false);
  assert.equal(isChanging({ kind: "up" }), false);
  assert.equal(isChanging({ kind: "down", successes: 0 }), false);
  assert.equal(isChanging({ kind: "suspect", failures: 1 }), true);
  assert.equal(isChanging({ kind: "down", successes: 1 }), true);
});
