// One step in the making: the state so far and the effects so far, and the questions that learning,
// deciding and speaking all ask of it.

import type { Advertisement } from "./advertisement.ts";
import type { Effect, Fault, LogLevel, Peer, Phase, Settings, State } from "./state.ts";
import { activeDownMs } from "./timing.ts";

export interface Turn {
  readonly settings: Settings;
  readonly now: number;
  state: State;
  readonly effects: Effect[];
}

export function log(
  turn: Turn,
  level: LogLevel,
  event: string,
  subject: Readonly<Record<string, string | number | boolean>>,
): void {
  turn.effects.push({ kind: "log", level, event, subject });
}

export function update(turn: Turn, change: Partial<State>): void {
  turn.state = { ...turn.state, ...change };
}

/** One fault per cause: a newer one takes the place of the older. */
export function addFault(turn: Turn, fault: Fault): void {
  const others = turn.state.faults.filter(({ cause }) => cause !== fault.cause);
  update(turn, { faults: [...others, fault] });
}

/** Has decided to hold the address. */
export function isContender(peer: Peer): boolean {
  return peer.kind === "heard" && (peer.said.role === "active" || peer.said.role === "claiming");
}

/** Heard within the active-down interval. */
export function isFresh({ settings, now, state: { peer } }: Turn): boolean {
  return peer.kind === "heard" && now - peer.at < activeDownMs(settings.priority, settings.intervalMs);
}

/** What a peer that is in touch says; undefined when it is not. */
export function freshWords(turn: Turn): Advertisement | undefined {
  const { peer } = turn.state;
  return peer.kind === "heard" && isFresh(turn) ? peer.said : undefined;
}

interface Claimant {
  readonly epoch: number;
  readonly priority: number;
  readonly node: string;
}

/** Rule 7: two that both want the address compare (epoch, priority, node name); a total order. */
export function outranks(one: Claimant, other: Claimant): boolean {
  if (one.epoch !== other.epoch) return one.epoch > other.epoch;
  if (one.priority !== other.priority) return one.priority > other.priority;
  return one.node > other.node;
}

/** The address is, or may be, on our interface by our own doing. */
export function holdsAddress(
  phase: Phase,
): phase is Extract<Phase, { kind: "claiming" | "active" | "leaving" }> {
  return phase.kind === "claiming" || phase.kind === "active" || phase.kind === "leaving";
}
