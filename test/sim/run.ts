// One scenario, one verdict. A run that breaks an invariant can be run again with a witness, because writing
// down what happens takes longer than letting it happen.

import { makeScenario } from "./chance.ts";
import type { Mutant } from "./mutant.ts";
import type { Scenario } from "./scenario.ts";
import { Transcript } from "./transcript.ts";
import { Violation } from "./violation.ts";
import { SimWorld } from "./world.ts";

export interface RunOptions {
  readonly mutant?: Mutant;
}

/** Throws an Error that names the rule, the moment and the line that replays the run. */
export function runSeed(seed: number, options: RunOptions = {}): void {
  const broken = play(makeScenario(seed), options);
  if (broken !== undefined) throw new Error(`${broken}\n  ${replayOf(seed, options)}`);
}

/** What broke, in words; undefined: every invariant held. */
export function play(scenario: Scenario, options: RunOptions = {}): string | undefined {
  const world = new SimWorld(scenario, options);
  try {
    world.run();
    return undefined;
  } catch (error) {
    return explain(world, error);
  }
}

/** A run told in words; the verdict is its last line. */
export function tell(scenario: Scenario, options: RunOptions = {}): string {
  const transcript = new Transcript(scenario);
  const world = new SimWorld(scenario, { ...options, witness: transcript });
  try {
    world.run();
    transcript.conclude(`all invariants held; ${String(world.roleChanges)} role changes`);
  } catch (error) {
    transcript.conclude(`${explain(world, error)}\n  ${replayOf(scenario.seed, options)}`);
  }
  return transcript.text();
}

function explain(world: SimWorld, error: unknown): string {
  const what =
    error instanceof Violation ? error.message : String(error instanceof Error ? error.stack : error);
  return `${what}\n  seed ${String(world.scenario.seed)} at ${world.now.toFixed(1)} ms`;
}

function replayOf(seed: number, { mutant }: RunOptions): string {
  return `replay: npm run sim -- --seed ${String(seed)}${mutant === undefined ? "" : ` --mutant "${mutant}"`}`;
}
