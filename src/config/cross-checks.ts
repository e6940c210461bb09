// What must be true between the values of a configuration: names that refer, names and addresses that
// must differ, keys that need or exclude each other. The checks look at the values as they were
// written, wrong ones among them, and say nothing where something is missing or malformed: the
// schema has reported that already.

import { checkListeners } from "./listener-checks.ts";
import type { Mistake } from "./mistake.ts";
import { checkPair } from "./pair-checks.ts";
import { checkPools } from "./pool-checks.ts";
import { Spot } from "./spot.ts";

/** Every contradiction between values of the file. */
export function crossCheck(file: unknown): readonly Mistake[] {
  const top = new Spot(file, []);
  return [...checkPair(top), ...checkListeners(top), ...checkPools(top)];
}
