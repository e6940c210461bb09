// The simulator bites: cores that are broken on purpose are caught, each by a rule that is about what is broken.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Mutant } from "./mutant.ts";
import { runSeed } from "./run.ts";

/** Each is stopped at its first failure, and most are caught within fifty. */
const SEEDS_MAX = 10_000;

const RULES: Readonly<Record<Mutant, RegExp>> = {
  "claims without listening": /^rule 8/,
  "renews an expired lease": /^rule 4/,
  "ignores the tie-break": /^rule 7|both active|two leases/,
  "does not wait for the lease": /^claim: safe/,
  "waits for its own lease only": /^claim: safe/,
  "judges by its own interval only": /^no role changes on a steady network/,
  "does not wait anew for one that died": /^claim: safe/,
  "skips the queue": /^rule 5: a stalled process reads/,
  "judges as soon as it wakes": /^rule 5: who stood still/,
  "ignores the arbiter": /^rule 6/,
  "doubts the arbiter": /takes over in time|could take over/,
  "claims during maintenance": /^rule 12|^maintenance/,
  "forgets damping": /^a damped node/,
  "forgets a change at restart": /never lost|^maintenance/,
};

suite("the invariants bite", () => {
  for (const [mutant, rule] of Object.entries(RULES) as [Mutant, RegExp][]) {
    test(`a core that ${mutant} is caught within ${String(SEEDS_MAX)} seeds`, (context) => {
      const { seed, message } = firstFailure(mutant);
      assert.match(message, rule);
      assert.ok(message.includes(`replay: npm run sim -- --seed ${String(seed)} --mutant "${mutant}"`));
      context.diagnostic(`caught by seed ${String(seed)}`);
    });
  }
});

function firstFailure(mutant: Mutant): { readonly seed: number; readonly message: string } {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    try {
      runSeed(seed, { mutant });
    } catch (error) {
      return { seed, message: error instanceof Error ? error.message : String(error) };
    }
  }
  return assert.fail(`${mutant}: not caught by ${String(SEEDS_MAX)} seeds`);
}
