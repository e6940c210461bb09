// One step in the making: the state so far and the effects so far, and the questions that learning,
// deciding and speaking all ask of it.

import { type Advertisement, IMPAIRMENT_MAX } from "./advertisement.ts";
import type { Effect, Fault, Impairment, LogLevel, Peer, Phase, Settings, State } from "./state.ts";
import {
  activeDownMs,
  ARBITER_LOST_MS,
  ARBITER_SILENT,
  ARBITER_VOUCHES,
  arbiterIntervalMs,
  deathMemoryMs,
  refusalMemoryMs,
} from "./timing.ts";

export interface Turn {
  readonly settings: Settings;
  readonly now: number;
  state: State;
  readonly effects: Effect[];
}

/** What a question about the node needs. */
export type Knowledge = Pick<Turn, "settings" | "state" | "now">;

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

/** Of a peer nothing that was known counts any more; that there has never been one stays true. */
export function forgotten({ state: { peer } }: Turn): Peer {
  return peer.kind === "absent" ? peer : { kind: "unknown" };
}

/** The peer's name, for people. */
export function peerName({ peer }: Settings): string {
  return peer ?? "the second node";
}

/** Has decided to hold the address. */
export function isContender(peer: Peer): boolean {
  return peer.kind === "heard" && (peer.said.role === "active" || peer.said.role === "claiming");
}

/** By its last words that were understood. */
export function wasClaiming(peer: Peer): boolean {
  switch (peer.kind) {
    case "unknown":
    case "absent":
      return false;
    case "heard":
      return peer.said.role === "claiming";
    case "dead":
    case "estranged":
      return peer.wasClaiming;
  }
}

/**
 * The advertisement interval by which silence is judged. RFC 9568 6.1 takes the active's (Active_Adver_Interval); here it
 * is the longer of the two, so that files that differ move no role (rule 11).
 */
export function pairIntervalMs({ settings, state: { peerTimes } }: Omit<Knowledge, "now">): number {
  return Math.max(settings.intervalMs, peerTimes?.intervalMs ?? 0);
}

/** This node's active-down interval, as long as the peer's interval makes it. */
export function peerDownMs(knowledge: Omit<Knowledge, "now">): number {
  return activeDownMs(knowledge.settings.priority, pairIntervalMs(knowledge));
}

/** Heard within the active-down interval. */
export function isFresh(turn: Turn): boolean {
  const { peer } = turn.state;
  return peer.kind === "heard" && turn.now - peer.at < peerDownMs(turn);
}

/** What a peer that is in touch says; undefined when it is not. */
export function freshWords(turn: Turn): Advertisement | undefined {
  const { peer } = turn.state;
  return peer.kind === "heard" && isFresh(turn) ? peer.said : undefined;
}

export function isPeerReady(turn: Turn): boolean {
  return freshWords(turn)?.ready === true;
}

/** Something of the peer's machine has come here lately, if only a refusal: the network between the two works. */
export function isInTouch(turn: Turn): boolean {
  const { peer } = turn.state;
  switch (peer.kind) {
    case "unknown":
    case "absent":
      return false;
    case "heard":
      return isFresh(turn);
    case "dead":
    case "estranged":
      return turn.now - peer.at < refusalMemoryMs(turn.settings.priority, pairIntervalMs(turn));
  }
}

/** No vipair ran there a moment ago, and one that has started since claims nothing yet. */
export function isPeerDown({ settings, now, state: { peer } }: Knowledge): boolean {
  return peer.kind === "dead" && now - peer.at < deathMemoryMs(settings.peerPriority, settings.intervalMs);
}

/** Somebody else answers this node right now, or there is nobody to ask: rule 6 does not forbid to claim. */
export function arbiterVouches({ settings, now, state: { arbiter } }: Turn): boolean {
  if (!settings.arbiter || arbiter.kind === "missing") return true;
  return (
    arbiter.kind === "answered" && now - arbiter.at < ARBITER_VOUCHES * arbiterIntervalMs(settings.intervalMs)
  );
}

export function isArbiterSilent({ settings, now, state: { arbiter } }: Turn): boolean {
  if (!settings.arbiter || arbiter.kind === "missing") return false;
  return (
    arbiter.kind === "unheard" || now - arbiter.at >= ARBITER_SILENT * arbiterIntervalMs(settings.intervalMs)
  );
}

/** Rule 5: until then the peer's silence says nothing, because this node could not hear it; -Infinity: it never stood still. */
export function peerChanceUntil(knowledge: Omit<Knowledge, "now">): number {
  return knowledge.state.chanceFrom.peer + pairIntervalMs(knowledge);
}

/** The same of peer and arbiter together; the arbiter answers only who asks. */
export function arbiterChanceUntil({ settings, state: { chanceFrom } }: Omit<Knowledge, "now">): number {
  return chanceFrom.either + ARBITER_SILENT * arbiterIntervalMs(settings.intervalMs);
}

/** When the silence of the arbiter becomes an impairment; undefined: there is none, or it has never answered. */
export function arbiterLostAt({ settings, state: { arbiter, phase } }: Knowledge): number | undefined {
  if (!settings.arbiter || arbiter.kind !== "answered") return undefined;
  return arbiter.at + (holdsAddress(phase) ? ARBITER_LOST_MS.active : ARBITER_LOST_MS.standby);
}

/** Everything that makes this node the worse of the two at this moment. */
export function impairmentsOf(knowledge: Knowledge): readonly Impairment[] {
  const { impairments } = knowledge.state;
  const lostAt = arbiterLostAt(knowledge);
  if (lostAt === undefined || knowledge.now < lostAt) return impairments;
  return [...impairments, ARBITER_LOST];
}

const ARBITER_LOST: Impairment = {
  cause: "arbiter",
  detail: "the arbiter does not answer this node",
  weight: IMPAIRMENT_MAX,
};

/** The sum of all weights that are taken off the priority; 0: the node is well. */
export function impairmentOf(knowledge: Knowledge): number {
  const sum = impairmentsOf(knowledge).reduce((total, { weight }) => total + weight, 0);
  return Math.min(sum, IMPAIRMENT_MAX);
}

/** Effective priority: what the configuration says, less what is wrong; 1 at the least. */
export function priorityOf(knowledge: Knowledge): number {
  return Math.max(1, knowledge.settings.priority - impairmentOf(knowledge));
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

/** Which of the two goes first when neither is active: by what the peer said of itself, or as configured. */
export function outranksPeer(turn: Turn): boolean {
  const { settings } = turn;
  const { node, peer } = settings;
  const said = freshWords(turn);
  if (said === undefined || said.priority === 0) {
    const { priority, peerPriority } = settings;
    return outranks({ epoch: 0, priority, node }, { epoch: 0, priority: peerPriority, node: peer ?? "" });
  }
  return outranks({ epoch: 0, priority: priorityOf(turn), node }, { ...said, epoch: 0 });
}

/** The address is, or may be, on our interface by our own doing. */
export function holdsAddress(
  phase: Phase,
): phase is Extract<Phase, { kind: "claiming" | "active" | "leaving" }> {
  return phase.kind === "claiming" || phase.kind === "active" || phase.kind === "leaving";
}
