// The pair, simulated: every seed is a life of it with its faults, and every invariant is looked at after
// every event. A seed that fails says how to replay it.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Mutant } from "./process.ts";
import { runSeed, tellSeed } from "./run.ts";
import { makeScenario, type Scenario } from "./scenario.ts";
import { SimWorld } from "./world.ts";

/** In slices, so that a failure is seen early and a slow machine shows where it is. */
const SLICES = 8;
const SEEDS_PER_SLICE = 500;

/** Enough for the rarest of the mutants on any machine; each is stopped at its first failure. */
const MUTANT_SEEDS_MAX = 10_000;

suite("simulated pair", () => {
  for (let slice = 0; slice < SLICES; slice++) {
    const from = 1 + slice * SEEDS_PER_SLICE;
    const to = from + SEEDS_PER_SLICE - 1;
    test(`every invariant holds for seeds ${String(from)} to ${String(to)}`, () => {
      for (let seed = from; seed <= to; seed++) runSeed(seed);
    });
  }

  test("a seed is one run: the same transcript each time", () => {
    assert.equal(tellSeed(7), tellSeed(7));
    assert.notEqual(tellSeed(7), tellSeed(8));
  });

  test("the seeds above hold pairs of every kind: both claim modes, faults, loss, steady ones", () => {
    const scenarios = Array.from({ length: SEEDS_PER_SLICE }, (_, index) => makeScenario(index + 1));
    assert.ok(scenarios.some(({ isSteady }) => isSteady));
    assert.ok(scenarios.some(({ network }) => network.loss > 0.1));
    assert.ok(scenarios.some(({ hooks }) => hooks.hanging > 0));
    for (const mode of ["fast", "safe"]) {
      assert.ok(scenarios.some(({ settings: [a] }) => a.claim === mode));
    }
    const kinds = new Set(scenarios.flatMap(({ events }) => events.map(({ fault }) => fault.kind)));
    assert.equal(kinds.size, 11);
  });
});

// A seed is the same run only as long as the simulator asks for its random numbers in the same order. When
// that changes, these are chosen anew: take the fix out again and explore.
suite("seeds that once found a defect", () => {
  const regressions: readonly { readonly seed: number; readonly found: string }[] = [
    { seed: 2104, found: "a peer that was active unheard had the clients' packets until the next minute" },
    { seed: 5319, found: "a thawed standby claimed because its peer had hung up on it" },
    { seed: 35321, found: "a node that was frozen while it listened claimed on old words" },
    { seed: 2725, found: "the lower node claimed in the moment in which the higher one had listened enough" },
    { seed: 8582, found: "a thawed active said that it held nothing before its release was done" },
    { seed: 11747, found: "a renewal under way had set the lease later than the core knew" },
    { seed: 4963, found: "words that waited through a freeze proved that a dead peer had no lease" },
  ];
  for (const { seed, found } of regressions) {
    test(`seed ${String(seed)}: ${found}`, () => {
      runSeed(seed);
    });
  }
});

/** Many lives of one story: latencies, clocks and hooks differ. */
function playOften(change: (scenario: Scenario) => Partial<Scenario>): void {
  for (let seed = 1; seed <= 100; seed++) {
    const { settings, ...random } = makeScenario(seed);
    const [a, b] = settings.map((one) => ({
      ...one,
      intervalMs: 200,
      leaseMs: 1000,
      claim: "safe" as const,
      preempt: false,
      stopGraceMs: 5000,
    }));
    assert.ok(a !== undefined && b !== undefined);
    const calm = {
      ...random,
      settings: [a, b] as const,
      isSteady: false,
      startsAt: [0, 0] as const,
      network: { latencyFromMs: 0.2, latencyToMs: 2, loss: 0 },
      loop: { late: 0, stalled: 0 },
      hooks: { slow: 0, failing: 0, hanging: 0 },
      healedAt: 12_000,
    };
    new SimWorld({ ...calm, ...change(calm) }).run();
  }
}

suite("what chance brings about too rarely", () => {
  test("claim: safe: an active that stops while its standby restarts is let drain by it", () => {
    playOften(() => ({
      events: [
        { time: 5000, fault: { kind: "crash", on: "standby", forMs: 100 } },
        { time: 5200, fault: { kind: "stop", on: "active", forMs: 6000 } },
      ],
    }));
  });

  test("claim: safe: a hook that was running when its process died may set the lease late", () => {
    playOften(({ seed }) => ({
      hooks: { slow: 1, failing: 0, hanging: 0 },
      events: [{ time: 5000 + 7 * seed, fault: { kind: "crash", on: "active", forMs: 6000 } }],
    }));
  });
});

suite("the invariants bite", () => {
  const mutants: readonly { readonly mutant: Mutant; readonly rule: RegExp }[] = [
    { mutant: "claims without listening", rule: /rule 8|hold the address|both active/ },
    { mutant: "renews an expired lease", rule: /rule 4|two holders/ },
    { mutant: "ignores the tie-break", rule: /rule 7|both active|two holders/ },
    { mutant: "skips the queue", rule: /rule 5|two holders/ },
  ];
  for (const { mutant, rule } of mutants) {
    test(`a core that ${mutant} is caught`, () => {
      assert.throws(
        () => {
          for (let seed = 1; seed <= MUTANT_SEEDS_MAX; seed++) runSeed(seed, { mutant });
        },
        (error: Error) =>
          rule.test(error.message) && error.message.includes("replay: npm run sim -- --seed "),
      );
    });
  }
});
