// One seed, one verdict. A run that breaks an invariant is run again with a witness, because writing
// down what happens takes longer than letting it happen.

import { Violation } from "./invariants.ts";
import type { Mutant } from "./process.ts";
import { makeScenario } from "./scenario.ts";
import { Transcript } from "./transcript.ts";
import { SimWorld } from "./world.ts";

/** Throws an Error that names the rule, the moment and the line that replays the run. */
export function runSeed(seed: number, options: { readonly mutant?: Mutant } = {}): SimWorld {
  const world = new SimWorld(makeScenario(seed), options);
  try {
    world.run();
  } catch (error) {
    throw new Error(explain(seed, world, error), { cause: error });
  }
  return world;
}

/** The same run, told in words; the verdict is its last line. */
export function tellSeed(seed: number, options: { readonly mutant?: Mutant } = {}): string {
  const scenario = makeScenario(seed);
  const transcript = new Transcript(scenario);
  const world = new SimWorld(scenario, { ...options, witness: transcript });
  try {
    world.run();
    transcript.conclude(`all invariants held; ${String(world.invariants.roleChanges)} role changes`);
  } catch (error) {
    transcript.conclude(explain(seed, world, error));
  }
  return transcript.text();
}

function explain(seed: number, world: SimWorld, error: unknown): string {
  const what =
    error instanceof Violation ? error.message : String(error instanceof Error ? error.stack : error);
  return `${what}\n  seed ${String(seed)} at ${world.now.toFixed(1)} ms\n  replay: npm run sim -- --seed ${String(seed)}`;
}
