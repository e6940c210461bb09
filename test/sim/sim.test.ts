// The pair, simulated: every seed is a life of it with its faults, and every invariant is looked at after
// every event. A seed that fails says how to replay it.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { FAULT_KINDS, makeScenario } from "./chance.ts";
import { explore } from "./fleet.ts";
import { play, tell } from "./run.ts";
import { CALM } from "./scenario.ts";
import { shrink } from "./shrink.ts";

const SEEDS = 20_000;
const FAILURES_MAX = 5;

suite("simulated pair", () => {
  test(`every invariant holds for seeds 1 to ${String(SEEDS)}`, async () => {
    const { done, failures } = await explore({ from: 1, runs: SEEDS, failuresMax: FAILURES_MAX });
    assert.deepEqual(
      failures.map(({ what }) => what),
      [],
    );
    assert.equal(done, SEEDS);
  });

  test("a seed is one run: the same transcript each time", () => {
    assert.equal(tell(makeScenario(7)), tell(makeScenario(7)));
    assert.notEqual(tell(makeScenario(7)), tell(makeScenario(8)));
  });

  test("the seeds hold pairs of every kind, and faults of every kind", () => {
    const scenarios = Array.from({ length: 500 }, (_, index) => makeScenario(index + 1));
    assert.ok(scenarios.some(({ isSteady }) => isSteady));
    assert.ok(scenarios.some(({ network }) => network.loss > 0.1));
    assert.ok(scenarios.some(({ network }) => network.duplicated > 0 && network.delayed > 0));
    assert.ok(scenarios.some(({ hooks }) => hooks.hanging > 0));
    assert.ok(scenarios.some(({ priorities }) => priorities.length === 2));
    for (const arbiter of [true, false]) assert.ok(scenarios.some((one) => one.arbiter === arbiter));
    for (const claim of ["fast", "safe"]) assert.ok(scenarios.some((one) => one.claim === claim));
    const kinds = new Set(scenarios.flatMap(({ events }) => events.map(({ fault }) => fault.kind)));
    assert.deepEqual(kinds, FAULT_KINDS);
  });

  test("a failing run can be made small: what the failure does not need is left out", () => {
    const mutant = "ignores the arbiter";
    const needed = { time: 4000, fault: { kind: "silent port", on: "active", forMs: 5000 } } as const;
    const idle = { time: 2500, fault: { kind: "drain", on: 0, forMs: 100 } } as const;
    const scenario = { ...CALM, stopGraceMs: 1000, leaseMs: 3000, events: [idle, needed] };
    const smallest = shrink(scenario, { mutant });
    assert.notEqual(play(smallest, { mutant }), undefined);
    assert.deepEqual(smallest, { ...CALM, events: [needed], healedAt: 9000 });
  });
});
