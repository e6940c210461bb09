// Whether the address is free for this node, and why: all that a standby needs to know before it claims.

import { isDamped } from "./damping.ts";
import { leaseGoneAt } from "./lease.ts";
import { answerDone, standBy } from "./phases.ts";
import type { Phase, Vacancy } from "./state.ts";
import { REDIAL_MEMORY_MS, skewMs, VACANCY_ACTIVE_DOWNS } from "./timing.ts";
import {
  arbiterVouches,
  freshWords,
  isContender,
  isInTouch,
  log,
  outranksPeer,
  pairIntervalMs,
  peerChanceUntil,
  peerDownMs,
  type Turn,
  update,
} from "./turn.ts";

type Waiting = Extract<Phase, { kind: "standby" | "awaiting-lease" }>;

export function decideStandby(turn: Turn, phase: Waiting): void {
  const { settings, now, state } = turn;
  if (state.stalledSince !== undefined) return;
  if (state.offer !== undefined) {
    // claim: safe released first. What was offered is not taken back before the offer expires.
    if (freshWords(turn)?.role === "active") {
      answerDone(turn);
      update(turn, { offer: undefined });
    }
    return;
  }
  if (phase.kind === "awaiting-lease" && phase.forced && state.maintenance === "off") {
    if (now >= phase.claimAt) claim(turn, FORCED);
    return;
  }
  const vacancy = state.maintenance === "off" ? findVacancy(turn, phase) : undefined;
  if (vacancy === undefined) {
    if (phase.kind === "awaiting-lease") standBy(turn);
    return;
  }
  if (settings.claim === "safe" && vacancy.mayHold) {
    if (phase.kind === "standby") {
      return awaitLease(turn, { reason: vacancy.reason, forced: false });
    }
    if (now < phase.claimAt) return;
  }
  claim(turn, vacancy);
}

/** An operator wants this node active, whatever is known of the peer. */
const FORCED: Vacancy = {
  reason: "forced by an operator",
  ordered: true,
  forced: true,
  handover: false,
  mayHold: true,
};

/** claim: safe waits for the lease of the predecessor even then. */
export function claimByForce(turn: Turn): void {
  if (turn.settings.claim === "safe") awaitLease(turn, { reason: FORCED.reason, forced: true });
  else claim(turn, FORCED);
}

function awaitLease(
  turn: Turn,
  { reason, forced }: { readonly reason: string; readonly forced: boolean },
): void {
  const { phase } = turn.state;
  const claimAt = phase.kind === "awaiting-lease" ? phase.claimAt : leaseGoneAt(turn);
  log(turn, "info", "waiting for the predecessor's lease to end", { reason });
  update(turn, { phase: { kind: "awaiting-lease", claimAt, reason, forced } });
}

function claim(turn: Turn, vacancy: Vacancy): void {
  const { state } = turn;
  const epoch = state.epoch + 1;
  // A peer that was heard has told enough of the pair. One that never spoke may be active behind a firewall.
  const { peer } = state;
  const probe = peer.kind === "dead" ? !peer.everHeard : peer.kind !== "heard";
  if (couldCross(turn, vacancy)) {
    log(turn, "info", "announcing a claim", { epoch, reason: vacancy.reason });
    return update(turn, { phase: { kind: "announcing", epoch, vacancy }, epoch });
  }
  runClaim(turn, { epoch, vacancy, probe });
}

function runClaim(
  turn: Turn,
  { epoch, vacancy, probe }: { readonly epoch: number; readonly vacancy: Vacancy; readonly probe: boolean },
): void {
  const { reason, handover } = vacancy;
  log(turn, "info", "claiming", { epoch, reason, handover });
  // As long as nobody of the pair has held the address, whoever answers for it is a stranger, and a second is no outage.
  turn.effects.push({ kind: "claim", epoch, handover, probe: probe || !turn.state.wasHeld });
  update(turn, {
    phase: { kind: "claiming", epoch, since: turn.now, vacancy },
    epoch,
    releasing: undefined,
    requestUntil: undefined,
  });
}

/**
 * The peer might claim in the same moment, and the words of one or the other might be held up: also the word that
 * it is well again, or back from maintenance.
 */
function couldCross(turn: Turn, { mayHold }: Vacancy): boolean {
  if (turn.settings.claim === "fast" || mayHold) return false;
  const role = freshWords(turn)?.role;
  return role !== undefined && role !== "stopped";
}

/** Until the peer has heard of the claim, or is silent, or wants it more. */
export function decideAnnouncing(
  turn: Turn,
  { epoch, vacancy }: Extract<Phase, { kind: "announcing" }>,
): void {
  const said = freshWords(turn);
  const isOutdated = turn.state.epoch > epoch;
  if (said === undefined || isOutdated || turn.state.maintenance !== "off") return standBy(turn);
  if (isContender(turn.state.peer) || said.role === "leaving" || said.heard !== epoch) return;
  runClaim(turn, { epoch, vacancy, probe: false });
}

/** A reason that the clock gave, and nobody's word: the peer may live where this node cannot hear it. */
function guess(turn: Turn, reason: string): Vacancy | undefined {
  // Rule 6: whoever hears neither peer nor arbiter is the one that is cut off.
  if (!arbiterVouches(turn) || isDamped(turn.state)) return undefined;
  return { reason, ordered: false, handover: false, mayHold: true };
}

function fact(reason: string, { mayHold }: { readonly mayHold: boolean }): Vacancy {
  return { reason, ordered: false, handover: false, mayHold };
}

/**
 * The peer says that it holds nothing, and counts that by its own file. If its hook failed, what an earlier life with
 * a longer lease has left may be there still.
 */
function mayKeepLonger({ now, state: { peerTimes } }: Turn): boolean {
  return peerTimes?.longerUntil !== undefined && now < peerTimes.longerUntil;
}

/** Why the address is free for us now; undefined when it is not. */
function findVacancy(turn: Turn, phase: Waiting): Vacancy | undefined {
  const { settings, now, state } = turn;
  const activeDown = peerDownMs(turn);
  const since = phase.kind === "standby" ? (phase.vacantSince ?? now) : -Infinity;
  const { peer } = state;
  switch (peer.kind) {
    case "unknown":
      return guess(turn, "nothing was heard of the peer since the start");
    case "absent":
      return fact("there is no second node", { mayHold: false });
    case "dead":
      return isInTouch(turn)
        ? fact("the peer's process is dead", peer)
        : guess(turn, "the peer's process was dead, and now its machine is silent");
    case "estranged":
      // It lives, so exactly one of the two may claim, and both must come to the same answer without a word.
      if (now - peer.at >= REDIAL_MEMORY_MS) {
        return guess(turn, "the peer, which was not understood, is silent");
      }
      return outranksPeer(turn) && now >= since + activeDown
        ? fact("the peer is not understood and ranks lower", { mayHold: true })
        : undefined;
    case "heard":
  }
  const silentMs = now - peer.at;
  if (silentMs >= activeDown) {
    // Whoever awaits its lease has judged it silent before.
    if (phase.kind === "standby" && now < peerChanceUntil(turn)) return undefined;
    return guess(turn, `no advertisement for ${String(Math.round(silentMs))} ms`);
  }
  if (settings.claim === "safe" && mayKeepLonger(turn)) return undefined;
  const { said } = peer;
  const isOffered = said.intent === "offer" || said.intent === "order";
  const ordered = said.intent === "order";
  switch (said.role) {
    case "claiming":
      return undefined;
    case "active":
      return isOffered && settings.claim === "fast"
        ? { reason: "switchover", ordered, handover: true, mayHold: false }
        : undefined;
    case "leaving":
      // It may renew its lease until it has drained; being careful means to wait until it says that it is through.
      if (settings.claim === "safe") return undefined;
      // RFC 9568 6.4.3: after priority 0, one skew time.
      return now >= since + skewMs(settings.priority, pairIntervalMs(turn))
        ? { reason: "the active resigned", ordered, handover: false, mayHold: true }
        : undefined;
    case "fault":
      return fact("the peer is in fault", { mayHold: false });
    case "maintenance":
      return { ...fact("the peer is in maintenance", { mayHold: false }), ordered: true };
    case "stopped":
      return fact("the peer is stopped", { mayHold: false });
    case "listening":
    case "standby":
    case "awaiting-lease":
      if (isOffered) return { reason: "switchover", ordered, handover: false, mayHold: false };
      // Neither is active. The one that ranks higher goes first; the other gives it time to listen and to
      // claim. With only one active-down interval both would claim in the same moment. Even the first waits
      // an interval: after a silence TCP delivers old words first, and the newest follow at once.
      return now >= since + (outranksPeer(turn) ? pairIntervalMs(turn) : VACANCY_ACTIVE_DOWNS * activeDown)
        ? fact("no node is active", { mayHold: false })
        : undefined;
  }
}
