// A found scenario made as small as it can be while it still breaks the same rule: events are left out, the
// weather cleared, the settings made ordinary, one after the other, until nothing more can go. What remains is
// the story to tell, and the data to keep in regressions.ts.

import { play, type RunOptions } from "./run.ts";
import { CALM, type Scenario } from "./scenario.ts";

const PLAIN: readonly (readonly (keyof Scenario)[])[] = [
  ["hooks"],
  ["loop"],
  ["network"],
  ["preempt", "preemptDelayMs"],
  ["priorities"],
  ["startsAt"],
  ["stopGraceMs"],
  ["roleChangesMax"],
  ["arbiter"],
  ["claim"],
  ["leaseMs"],
  ["intervalMs"],
];

/** The rule is what stands before the first colon. */
function ruleOf(scenario: Scenario, options: RunOptions): string | undefined {
  return play(scenario, options)?.split(/[\n:]/)[0];
}

/** Throws when the scenario breaks nothing. */
export function shrink(scenario: Scenario, options: RunOptions = {}): Scenario {
  const rule = ruleOf(scenario, options);
  if (rule === undefined) throw new Error(`seed ${String(scenario.seed)} breaks nothing`);
  let smallest = scenario;
  for (;;) {
    const smaller = candidates(smallest).find((candidate) => ruleOf(candidate, options) === rule);
    if (smaller === undefined) return smallest;
    smallest = smaller;
  }
}

function candidates(scenario: Scenario): readonly Scenario[] {
  const fewer = scenario.events.map((_, index) => {
    return { ...scenario, events: scenario.events.toSpliced(index, 1) };
  });
  const plainer = PLAIN.filter((keys) =>
    keys.some((key) => JSON.stringify(scenario[key]) !== JSON.stringify(CALM[key])),
  ).map((keys) => {
    return { ...scenario, ...Object.fromEntries(keys.map((key) => [key, CALM[key]])) };
  });
  const healedAt = Math.max(0, ...scenario.events.map(({ time, fault }) => time + fault.forMs));
  const shorter = healedAt < scenario.healedAt ? [{ ...scenario, healedAt }] : [];
  return [...fewer, ...shorter, ...plainer];
}
