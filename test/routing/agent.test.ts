import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { hearAgent, NOTHING_SAID } from "../../src/routing/agent.ts";
import type { AgentState } from "../../src/routing/agent.ts";
import { type Conclusion, conclude } from "../../src/routing/findings.ts";
import type { Health } from "../../src/routing/health.ts";

/** The state after these lines, as `order weight% failure`, and what was not understood. */
function heard(...lines: readonly string[]): string {
  let state = NOTHING_SAID;
  const unknown: string[] = [];
  for (const line of lines) {
    const answer = hearAgent(state, line);
    state = answer.state;
    unknown.push(...answer.unknown);
  }
  const failure = state.failure === null ? "" : ` (${state.failure})`;
  const strange = unknown.length === 0 ? "" : ` not understood: ${unknown.join(" ")}`;
  return `${state.order} ${String(state.weightPercent)}%${failure}${strange}`;
}

// Each line is one of HAProxy's configuration.txt 5.2, agent-check, or a combination of its words.
for (const [lines, expected] of [
  [["75%"], "ready 75%"],
  [["0%"], "ready 0%"],
  [["150%"], "ready 150%"],
  [["drain"], "drain 100%"],
  [["maint"], "maintenance 100%"],
  [["drain", "ready"], "ready 100%"],
  [["maint", "ready 50%"], "ready 50%"],
  [["down"], "ready 100% (down)"],
  [["down # disk is full"], "ready 100% (down: disk is full)"],
  [["failed"], "ready 100% (failed)"],
  [["fail#no database"], "ready 100% (fail: no database)"],
  [["stopped #by hand # really"], "ready 100% (stopped: by hand # really)"],
  [["down # x", "up"], "ready 100%"],
  [["up ready 80%"], "ready 80%"],
  [["80%,up,\tdrain"], "drain 80%"],
  [["UP 99%"], "ready 99%"],
  [["Drain"], "drain 100%"],
  [[""], "ready 100%"],
  [["   "], "ready 100%"],
  // What a line does not say stays.
  [["drain 20%", "30%"], "drain 30%"],
  [["fail", "30%"], "ready 30% (fail)"],
  [["fail", "ready"], "ready 100% (fail)"],
  [["maint", "up"], "maintenance 100%"],
  [["30%", "", "up"], "ready 30%"],
  // The last word on one thing counts.
  [["drain maint"], "maintenance 100%"],
  [["10% 20%"], "ready 20%"],
  // What is no word changes nothing.
  [["75"], "ready 100% not understood: 75"],
  [["7.5%"], "ready 100% not understood: 7.5%"],
  [["-5%"], "ready 100% not understood: -5%"],
  [["1001%"], "ready 100% not understood: 1001%"],
  [["99999999%"], "ready 100% not understood: 99999999%"],
  [["maxconn:30 50%"], "ready 50% not understood: maxconn:30"],
  [["HTTP/1.1 200 OK"], "ready 100% not understood: HTTP/1.1 200 OK"],
  [["# down"], "ready 100%"],
  [["constructor __proto__"], "ready 100% not understood: constructor __proto__"],
] as const) {
  test(`an agent that says ${lines.map((line) => JSON.stringify(line)).join(", then ")}: ${expected}`, () => {
    assert.equal(heard(...lines), expected);
  });
}

test("whatever an agent says, its state is one of those there are, and fit for a terminal", () => {
  const words = fc.constantFrom(
    "up",
    "down",
    "drain",
    "maint",
    "ready",
    "75%",
    "#",
    ",",
    "\u001b[2J",
    "é",
    "\0",
    "\u0085",
  );
  const lines = fc.oneof(
    fc.string({ unit: "binary", maxLength: 300 }),
    fc.array(words, { maxLength: 60 }).map((parts) => parts.join(" ")),
  );
  fc.assert(
    fc.property(lines, (line) => {
      const { state, said, unknown } = hearAgent(NOTHING_SAID, line);
      assert.ok(["ready", "drain", "maintenance"].includes(state.order));
      assert.ok(
        state.weightPercent >= 0 && state.weightPercent <= 1000 && Number.isInteger(state.weightPercent),
      );
      for (const text of [said, state.failure ?? "", ...unknown]) {
        assert.doesNotMatch(text, /[^\t\P{C}]/u);
        assert.ok(text.length <= 501);
      }
    }),
    { numRuns: 2_000 },
  );
});

const UP: Health = { kind: "up" };
const DOWN: Health = { kind: "down", successes: 0 };
const SUSPECT: Health = { kind: "suspect", failures: 1 };

function concluded(health: Health, agent: Partial<AgentState>, degradedWeightPercent = 100): Conclusion {
  return conclude({ health, agent: { ...NOTHING_SAID, ...agent }, degradedWeightPercent });
}

for (const [what, conclusion, health, weightPercent] of [
  ["both are content", concluded(UP, {}), "up", 100],
  ["nobody has looked", concluded({ kind: "unknown" }, {}), "up", 100],
  ["a check has failed", concluded(SUSPECT, {}), "suspect", 100],
  ["the checks have failed", concluded(DOWN, { weightPercent: 75 }), "down", 75],
  ["the agent says fail though the checks are good", concluded(UP, { failure: "fail" }), "down", 100],
  ["the agent says drain", concluded(UP, { order: "drain" }), "drain", 100],
  ["a draining one fails", concluded(DOWN, { order: "drain" }), "down", 100],
  ["a draining one is suspect", concluded(SUSPECT, { order: "drain" }), "drain", 100],
  ["one in maintenance fails", concluded(DOWN, { order: "maintenance" }), "maintenance", 100],
  ["it is degraded, and its agent lowers the weight", concluded(UP, { weightPercent: 80 }, 50), "up", 40],
] as const) {
  test(`when ${what}, the backend is ${health} at ${String(weightPercent)} % of its weight`, () => {
    assert.deepEqual(conclusion, { health, weightPercent });
  });
}
