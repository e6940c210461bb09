// The pair, simulated: every seed is a life of it with its faults, and every invariant is looked at after
// every event. A seed that fails says how to replay it.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Mutant } from "./process.ts";
import { runSeed, tellSeed } from "./run.ts";
import { makeScenario } from "./scenario.ts";

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

suite("seeds that once found a defect", () => {
  const regressions: readonly { readonly seed: number; readonly found: string }[] = [
    { seed: 1989, found: "a peer that was active unheard had the clients' packets until the next minute" },
    { seed: 2420, found: "the same after a cut in one direction" },
    { seed: 1611, found: "a thawed standby claimed because its peer had hung up on it" },
    { seed: 17175, found: "a node that was frozen while it listened claimed on old words" },
    { seed: 3286, found: "the lower node claimed in the moment in which the higher one had listened enough" },
    { seed: 6676, found: "the same after a lost lease" },
    { seed: 30162, found: "the same on a steady network: a needless change of roles" },
    { seed: 9501, found: "claim: safe claimed beside an active that drained and renewed" },
    { seed: 11155, found: "claim: safe claimed while a hook of the dead process had set the lease late" },
    { seed: 11747, found: "a thawed active said that it held nothing before its release was done" },
    { seed: 22547, found: "a failed renewal had set the lease; the release was taken for done too early" },
    { seed: 43678, found: "words that waited through a freeze proved that a dead peer had no lease" },
  ];
  for (const { seed, found } of regressions) {
    test(`seed ${String(seed)}: ${found}`, () => {
      runSeed(seed);
    });
  }
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
