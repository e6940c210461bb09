// What a node does, given what it knows and what time it is. Every rule of DESIGN's pair section that is a
// decision stands here or in the files that this one asks (vacancy, handover, lease, damping); each is
// written as "if this holds now, then", so it does not matter which input made it true. The order of the
// checks is their precedence: faults, the lease, the stop, the phase.

import { expireDamping, isDamped } from "./damping.ts";
import { answerSwitchover, considerHandover, expireOffer } from "./handover.ts";
import { giveUpStaleLease, isLeaseStale, tendAddress } from "./lease.ts";
import {
  enterFault,
  leave,
  listen,
  refuseSwitchover,
  releaseIfHeld,
  standBy,
  yieldAddress,
} from "./phases.ts";
import type { ActivePhase, ListeningPhase, Phase, State } from "./state.ts";
import {
  arbiterChanceUntil,
  arbiterVouches,
  freshWords,
  isArbiterSilent,
  isContender,
  isInTouch,
  isPeerDown,
  isPeerReady,
  log,
  outranks,
  peerName,
  pairIntervalMs,
  priorityOf,
  type Turn,
  update,
} from "./turn.ts";
import { decideAnnouncing, decideStandby } from "./vacancy.ts";

/** No chain of phases that can happen at one moment is longer. */
const PASSES_MAX = 8;

/** Decides until nothing changes any more: one decision may open the way for the next. */
export function decide(turn: Turn): void {
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    const before = turn.state;
    decideOnce(turn);
    if (turn.state === before) return;
  }
}

function decideOnce(turn: Turn): void {
  expire(turn);
  const { phase } = turn.state;
  if (phase.kind === "stopped") return;
  if (hasWeightyFault(turn.state) && phase.kind !== "fault" && !turn.state.stopping) return enterFault(turn);
  if ((phase.kind === "active" || phase.kind === "leaving") && isLeaseStale(turn, phase.lease)) {
    return giveUpStaleLease(turn, phase.lease);
  }
  if (turn.state.stopping && phase.kind !== "active" && phase.kind !== "leaving") {
    return stopNow(turn);
  }
  answerSwitchover(turn);
  const answered = turn.state.phase;
  switch (answered.kind) {
    case "fault":
      if (turn.state.faults.length === 0) listen(turn, "recovered");
      return;
    case "listening":
      return decideListening(turn, answered);
    case "standby":
    case "awaiting-lease":
      return decideStandby(turn, answered);
    case "announcing":
      if (isBeaten(turn, answered.epoch)) return yieldAddress(turn);
      return decideAnnouncing(turn, answered);
    case "claiming":
      if (isBeaten(turn, answered.epoch)) yieldAddress(turn);
      return;
    case "active":
      return decideActive(turn, answered);
    case "leaving":
      return decideLeaving(turn, answered);
    case "stopped":
  }
}

/** What ends by itself, ends. */
function expire(turn: Turn): void {
  const { state, now } = turn;
  if (state.faults.some(({ until }) => until !== undefined && now >= until)) {
    update(turn, { faults: state.faults.filter(({ until }) => until === undefined || now < until) });
  }
  if (state.releasing !== undefined && now >= state.releasing.until) update(turn, { releasing: undefined });
  if (state.requestUntil !== undefined && now >= state.requestUntil) {
    update(turn, { requestUntil: undefined });
    refuseSwitchover(turn, `${turn.settings.peer} did not hand over in time`);
  }
  expireDamping(turn);
  expireOffer(turn);
}

/** A damped active does not leave because of an opinion. */
function hasWeightyFault(state: State): boolean {
  const ignoresOpinions = isDamped(state) && state.phase.kind === "active";
  return state.faults.some(({ soft }) => !(soft && ignoresOpinions));
}

/** Rule 8: no claim before one active-down interval of listening, nor before the network works. */
function decideListening(turn: Turn, phase: ListeningPhase): void {
  const { settings, state, now } = turn;
  if (now < phase.until) return;
  if (state.peer.kind === "absent") {
    // Nobody else serves, so in the end this node does, whoever is silent.
    if (!arbiterVouches(turn) && now < phase.giveUpAt) return;
    return standBy(turn);
  }
  const isLate = now >= phase.aloneAt;
  // The first connection of a pair may stall before there is a second one, and that is not yet a silent active.
  const { peer } = state;
  const isFaint = peer.kind === "heard" && isContender(peer) && now - peer.at >= 2 * pairIntervalMs(turn);
  if (isFaint && !isLate) return;
  const isVouchedFor =
    settings.arbiter && state.arbiter.kind === "answered" && isLate && arbiterVouches(turn);
  if (!isInTouch(turn) && !isFaint && !isVouchedFor && now < phase.giveUpAt) return;
  standBy(turn);
  log(turn, "info", "standby", { peer: state.peer.kind, reason: "listened long enough" });
}

/** A peer that is in touch wants the address, too, and ranks higher. */
function isBeaten(turn: Turn, epoch: number): boolean {
  const said = freshWords(turn);
  if (said === undefined || !isContender(turn.state.peer)) return false;
  return outranks(said, { epoch, priority: priorityOf(turn), node: turn.settings.node });
}

function decideActive(turn: Turn, phase: ActivePhase): void {
  if (isBeaten(turn, phase.epoch)) {
    const said = freshWords(turn);
    if (turn.state.offer === undefined) return yieldAddress(turn);
    if (said?.role === "active") {
      return leave(turn, phase.lease, { handedOver: true, reason: "the peer has taken over" });
    }
    // It is claiming on our own offer: hold until it holds.
  }
  if (!phase.forced && isIsolated(turn)) {
    // Rule 5: whom it could not hear it hears now, if at all. Until then nothing is done that a successor could suffer from.
    if (turn.now >= arbiterChanceUntil(turn)) leaveToOthers(turn);
    return;
  }
  if (turn.state.offer === undefined) considerHandover(turn, phase);
  // One that leaves has its own rules.
  if (turn.state.phase.kind === "active") tendAddress(turn);
}

// Rule 6: the peer may have taken over where everybody can see it; here nobody can. Without a peer nobody has.
function isIsolated(turn: Turn): boolean {
  if (turn.state.peer.kind === "absent") return false;
  if (turn.state.stalledSince !== undefined || isPeerDown(turn)) return false;
  return isArbiterSilent(turn) && !isInTouch(turn);
}

function leaveToOthers(turn: Turn): void {
  log(turn, "error", "isolated: neither the peer nor the arbiter answers", { peer: peerName(turn.settings) });
  releaseIfHeld(turn);
  update(turn, { offer: undefined });
  listen(turn, "this node is the one that is cut off");
}

function decideLeaving(turn: Turn, phase: Extract<Phase, { kind: "leaving" }>): void {
  const isContested = !phase.handedOver && freshWords(turn) !== undefined && isContender(turn.state.peer);
  const isOrphaned = phase.handedOver && turn.state.peer.kind === "dead";
  // A careful successor has come up meanwhile, and waits for us.
  const isAwaited = turn.settings.claim === "safe" && isPeerReady(turn);
  if (turn.now < phase.until && !isContested && !isOrphaned && !isAwaited) {
    if (!phase.handedOver) tendAddress(turn);
    return;
  }
  releaseIfHeld(turn);
  standBy(turn);
  log(turn, "info", "released", { peer: peerName(turn.settings) });
}

/** Not active (any more): release what a claim may have added, and wait for the hooks to say so. */
function stopNow(turn: Turn): void {
  const { phase } = turn.state;
  if (phase.kind === "claiming") {
    releaseIfHeld(turn);
    standBy(turn);
    return;
  }
  if (turn.state.releasing !== undefined) return;
  refuseSwitchover(turn, "this node is stopping");
  log(turn, "info", "stopped", { reason: "this node was told to stop" });
  update(turn, { phase: { kind: "stopped" } });
}
