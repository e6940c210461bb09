// The role goes from one living node to the other, make before break: who asks for it, what makes the other
// ready, and what becomes of an order that cannot be carried out. An active offers; the peer claims; when
// it says that it is active, the old one lets go (claim: safe lets go first).

import { isDamped } from "./damping.ts";
import { leave, refuseSwitchover, releaseIfHeld, standBy } from "./phases.ts";
import type { ActivePhase, Phase } from "./state.ts";
import { FORCED_OFFER_MS, OFFER_AGAIN_MS, OFFER_MS } from "./timing.ts";
import {
  freshWords,
  impairmentOf,
  impairmentsOf,
  isFresh,
  isPeerReady,
  log,
  outranks,
  peerName,
  priorityOf,
  type Turn,
  update,
} from "./turn.ts";
import { claimByForce } from "./vacancy.ts";

/** Offers the role if anything says so. */
export function considerHandover(turn: Turn, phase: ActivePhase): void {
  const { state, now } = turn;
  if (state.stopping) return goAway(turn, phase, { reason: "this node is stopping", waits: false });
  const mayAgain = state.offerAgainAt === undefined || now >= state.offerAgainAt;
  if (state.maintenance !== "off") {
    const waits = state.maintenance === "waiting";
    if (!waits || mayAgain) goAway(turn, phase, { reason: "this node goes into maintenance", waits });
    return;
  }
  if (freshWords(turn)?.intent === "request" && isPeerReady(turn)) {
    return offer(turn, phase, { reason: "the peer was asked to take over", ordered: true });
  }
  if (isDamped(state) || freshWords(turn)?.damped === true || !mayAgain) return;
  if (isWorseThanPeer(turn)) {
    const what = impairmentsOf(turn)
      .map(({ cause, detail }) => `${cause}: ${detail}`)
      .join("; ");
    return offer(turn, phase, { reason: `this node is impaired: ${what}`, ordered: false });
  }
  if (turn.settings.preempt) considerPreemption(turn, phase);
}

function goAway(
  turn: Turn,
  phase: ActivePhase,
  { reason, waits }: { readonly reason: string; readonly waits: boolean },
): void {
  if (isPeerReady(turn)) return offer(turn, phase, { reason, ordered: true });
  if (!waits) leave(turn, phase.lease, { handedOver: false, reason });
}

// Rule 9. Both compared: a peer that suffers from the same is no better, whatever its priority.
function isWorseThanPeer(turn: Turn): boolean {
  const said = freshWords(turn);
  if (said?.ready !== true) return false;
  return impairmentOf(turn) > said.impairment && priorityOf(turn) < said.priority;
}

/** A preferred peer gets the role back when it has been ready for the whole delay. */
function considerPreemption(turn: Turn, phase: ActivePhase): void {
  const { settings, now } = turn;
  const said = freshWords(turn);
  const ours = { epoch: 0, priority: priorityOf(turn), node: settings.node };
  const isWanted = said?.ready === true && outranks({ ...said, epoch: 0 }, ours);
  if (!isWanted) {
    if (phase.preemptAt !== undefined) update(turn, { phase: { ...phase, preemptAt: undefined } });
    return;
  }
  if (phase.preemptAt === undefined) {
    update(turn, { phase: { ...phase, preemptAt: now + settings.preemptDelayMs } });
    return;
  }
  if (now >= phase.preemptAt) {
    const reason = "the peer has a higher priority";
    offer(turn, { ...phase, preemptAt: undefined }, { reason, ordered: false });
  }
}

function offer(
  turn: Turn,
  phase: ActivePhase,
  { reason, ordered }: { readonly reason: string; readonly ordered: boolean },
): void {
  const { settings, now } = turn;
  log(turn, "info", "handing over", { to: peerName(settings), reason });
  update(turn, { phase, offer: { until: now + OFFER_MS, ordered, forced: false } });
  // claim: safe never has two holders: release first, and let the peer claim when it is told so.
  if (settings.claim === "safe") {
    releaseIfHeld(turn);
    standBy(turn);
  }
}

export function expireOffer(turn: Turn): void {
  const { settings, state, now } = turn;
  const { offer: made } = state;
  if (made === undefined) return;
  if (now < made.until && (made.forced || canTakeOver(turn))) return;
  const reason =
    now < made.until
      ? whyNotReady(turn)
      : `${peerName(settings)} did not take over within ${String(made.forced ? FORCED_OFFER_MS : OFFER_MS)} ms; see its log`;
  update(turn, { offer: undefined, offerAgainAt: now + OFFER_AGAIN_MS });
  log(turn, "warn", "the peer did not take over", { peer: peerName(settings), reason });
  refuseSwitchover(turn, reason);
  // A node that must go asks once; then it goes without a successor.
  const mustGo = state.stopping || state.maintenance === "now";
  if (mustGo && state.phase.kind === "active") leave(turn, state.phase.lease, { handedOver: false, reason });
}

/** It may still take the offer: nothing says otherwise. Silence is not judged before the offer ends. */
function canTakeOver(turn: Turn): boolean {
  if (turn.state.peer.kind === "dead") return false;
  const role = freshWords(turn)?.role;
  switch (role) {
    case undefined:
    case "standby":
    case "awaiting-lease":
    case "claiming":
    case "active":
      return true;
    case "listening":
    case "leaving":
    case "fault":
    case "maintenance":
    case "stopped":
      return false;
  }
}

/** Carries out what an operator ordered, or says why not. */
export function answerSwitchover(turn: Turn): void {
  const { state } = turn;
  if (state.switchover === "none") return;
  if (state.offer !== undefined || state.requestUntil !== undefined) return;
  const { phase } = state;
  switch (phase.kind) {
    case "active":
      return switchFromHere(turn, phase);
    case "standby":
    case "awaiting-lease":
    case "listening":
      return switchToHere(turn, phase);
    case "announcing":
    case "claiming":
      // Asked for, and on its way: answered when the claim ends.
      return;
    case "leaving":
    case "fault":
    case "stopped":
      return refuseSwitchover(turn, tryAgain(turn, phase));
  }
}

function switchFromHere(turn: Turn, phase: ActivePhase): void {
  const { settings, state, now } = turn;
  const isForced = state.switchover === "forced";
  if (isPeerReady(turn) && (isForced || !isPeerWorse(turn))) {
    return offer(turn, phase, { reason: "ordered by an operator", ordered: true });
  }
  // Rule 12: a node in maintenance claims nothing, so letting go would help nobody.
  const isPeerOut = freshWords(turn)?.role === "maintenance";
  if (!isForced || isPeerOut) return refuseSwitchover(turn, whyNotReady(turn));
  log(turn, "warn", "letting go", { to: peerName(settings), reason: "forced by an operator" });
  update(turn, { offer: { until: now + FORCED_OFFER_MS, ordered: true, forced: true } });
  releaseIfHeld(turn);
  standBy(turn);
}

function switchToHere(
  turn: Turn,
  phase: Extract<Phase, { kind: "standby" | "awaiting-lease" | "listening" }>,
): void {
  const { settings, state, now } = turn;
  if (state.maintenance !== "off") {
    return refuseSwitchover(turn, `${settings.node} is in maintenance: \`vipair resume\` ends it`);
  }
  // On its way: answered when the claim ends.
  if (phase.kind === "awaiting-lease" && phase.forced) return;
  const said = freshWords(turn);
  if (phase.kind === "standby" && said?.role === "active") {
    return update(turn, { requestUntil: now + OFFER_MS });
  }
  const isTaken = said !== undefined && said.role !== "maintenance" && said.role !== "fault";
  if (state.switchover === "forced" && !isTaken) {
    return claimByForce(turn);
  }
  if (phase.kind !== "standby") return refuseSwitchover(turn, tryAgain(turn, phase));
  refuseSwitchover(turn, "no active peer is in touch to hand over");
}

/** What an operator is told who wants another node to serve. */
const NO_SECOND_NODE = "there is no second node yet: `sudo vipair invite` lets one join";

function tryAgain({ settings }: Turn, { kind }: Phase): string {
  return `${settings.node} is ${kind} now; try again when it is active or standby`;
}

function isPeerWorse(turn: Turn): boolean {
  return (freshWords(turn)?.impairment ?? 0) > impairmentOf(turn);
}

function whyNotReady(turn: Turn): string {
  const { settings, state, now } = turn;
  const { peer } = state;
  switch (peer.kind) {
    case "unknown":
      return `${peerName(settings)} was not heard yet`;
    case "absent":
      return settings.peer === undefined ? NO_SECOND_NODE : `${settings.peer} was not heard yet`;
    case "dead":
      return `vipair does not run on ${settings.peer}`;
    case "estranged":
      return `${peerName(settings)} cannot be understood: ${peer.problem}`;
    case "heard":
  }
  if (!isFresh(turn)) {
    return `${peerName(settings)} was not heard for ${String(Math.round(now - peer.at))} ms`;
  }
  if (peer.said.ready) {
    const points = String(peer.said.impairment);
    return `${peerName(settings)} is worse off than this node (${points} points off its priority); see \`vipair status\` there`;
  }
  return `${peerName(settings)} is not ready: it is ${peer.said.role === "maintenance" ? "in maintenance" : peer.said.role}`;
}
