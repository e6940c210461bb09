// Cores that are broken on purpose, to show that the invariants bite: the real core, with what it knows or
// hears bent just before it decides.

import type { Input, Settings, State } from "../../src/election/state.ts";

export const MUTANTS = [
  "claims without listening",
  "renews an expired lease",
  "ignores the tie-break",
  "does not wait for the lease",
  "waits for its own lease only",
  "judges by its own interval only",
  "does not wait anew for one that died",
  "skips the queue",
  "judges as soon as it wakes",
  "ignores the arbiter",
  "doubts the arbiter",
  "claims during maintenance",
  "forgets damping",
  "forgets a change at restart",
] as const;

export type Mutant = (typeof MUTANTS)[number];

export function mutateState(mutant: Mutant | undefined, state: State, now: number): State {
  if (mutant === undefined) return state;
  const { phase } = state;
  if (mutant === "claims without listening" && phase.kind === "listening") {
    return { ...state, phase: { kind: "standby", vacantSince: now } };
  }
  if (mutant === "renews an expired lease" && phase.kind === "active") {
    return { ...state, phase: { ...phase, lease: { ...phase.lease, from: now } } };
  }
  if (mutant === "claims during maintenance" && phase.kind === "standby") {
    return { ...state, maintenance: "off" };
  }
  if (state.peerTimes !== undefined) {
    if (mutant === "waits for its own lease only") {
      return { ...state, peerTimes: { ...state.peerTimes, leaseGoneMs: 0 } };
    }
    if (mutant === "judges by its own interval only") {
      return { ...state, peerTimes: { ...state.peerTimes, intervalMs: 0 } };
    }
  }
  if (mutant === "judges as soon as it wakes")
    return { ...state, chanceFrom: { peer: -Infinity, either: -Infinity } };
  if (mutant === "forgets damping") return { ...state, dampedUntil: undefined };
  return state;
}

export function mutateSettings(mutant: Mutant | undefined, settings: Settings): Settings {
  if (mutant === "ignores the arbiter") return { ...settings, arbiter: false };
  if (mutant === "does not wait for the lease") return { ...settings, claim: "fast" };
  return settings;
}

export function mutateInput(mutant: Mutant | undefined, input: Input, { phase }: State): Input {
  const isDeath = input.kind === "peer-dead" && phase.kind === "awaiting-lease";
  if (mutant === "does not wait anew for one that died" && isDeath) return { kind: "deadline" };
  if (mutant === "doubts the arbiter" && input.kind === "arbiter-answered") return { kind: "deadline" };
  if (mutant !== "ignores the tie-break" || input.kind !== "advertisement") return input;
  const isContender = input.advertisement.role === "active" || input.advertisement.role === "claiming";
  if (!isContender) return input;
  return { ...input, advertisement: { ...input.advertisement, epoch: 0, priority: 0 } };
}
