// What an input teaches: facts go into the state, and nothing is decided here (see decide.ts), with one
// exception that cannot wait: an address that vanished is claimed again in the same breath.

import type { Advertisement } from "./advertisement.ts";
import { endDamping } from "./damping.ts";
import { announceTimes, hookSlackMs, isCountedOn, isLeaseStale, leaseGoneAt } from "./lease.ts";
import { answerDone } from "./phases.ts";
import type { Impairment, Input, Lease, PeerTimes, Settings } from "./state.ts";
import {
  CLAIM_RETRY_MS,
  CLAIM_RETRY_MS_MAX,
  LOSS_WINDOW_MS,
  LOSSES_MAX,
  reunionMs,
  START_WAIT_MS,
} from "./timing.ts";
import {
  addFault,
  isArbiterSilent,
  isContender,
  isFresh,
  isInTouch,
  log,
  pairIntervalMs,
  peerDownMs,
  peerName,
  type Turn,
  update,
  wasClaiming,
} from "./turn.ts";

export function learn(turn: Turn, input: Input): void {
  const { phase, faults, impairments } = turn.state;
  switch (input.kind) {
    case "advertisement":
      return hear(turn, input.advertisement);
    case "peer-dead":
      return learnDeath(turn, { everHeard: input.everHeard ?? true });
    case "peer-estranged":
      return learnEstranged(turn, input.problem);
    case "fault": {
      const { cause, detail, soft = false } = input;
      return addFault(turn, { cause, detail, until: undefined, soft });
    }
    case "impaired":
      return learnImpairment(turn, input);
    case "recovered":
      if (impairments.some(({ cause }) => cause === input.cause)) {
        log(turn, "info", "no longer impaired", { cause: input.cause });
      }
      return update(turn, {
        faults: faults.filter(({ cause }) => cause !== input.cause),
        impairments: impairments.filter(({ cause }) => cause !== input.cause),
      });
    case "arbiter-answered":
      return hearArbiter(turn);
    case "arbiter-missing":
      return update(turn, { arbiter: { kind: "missing" } });
    case "claimed":
      return learnClaimed(turn, input);
    case "claim-failed":
      if ((phase.kind !== "claiming" && phase.kind !== "active") || phase.epoch !== input.epoch) return;
      return learnClaimFailed(turn, input.reason);
    case "renewed":
      if (phase.kind !== "active" && phase.kind !== "leaving") return;
      return update(turn, { phase: { ...phase, lease: freshLease(turn.settings, input.startedAt) } });
    case "renew-failed":
      return learnRenewFailed(turn, input);
    case "address-gone":
      return learnLoss(turn, input.reason);
    case "released":
      return update(turn, { releasing: undefined });
    case "drained":
      if (phase.kind === "leaving") update(turn, { phase: { ...phase, until: turn.now } });
      return;
    case "switchover":
      return update(turn, { switchover: input.force === true ? "forced" : "ordered" });
    case "maintenance":
      return learnMaintenance(turn, input);
    case "resume":
      return endDamping(turn, "ended by an operator");
    case "stop":
      return update(turn, { stopping: true });
    case "deadline":
    case "queue-read":
  }
}

function hear(turn: Turn, said: Advertisement): void {
  const { now } = turn;
  const before = turn.state.peer;
  const wasInTouch = isFresh(turn);
  // What waited while this process stood still may be as old as that. That the peer was active then is as
  // good as news; that it was not active is no news at all.
  const isActive = said.role === "active" || said.role === "claiming";
  const at = isActive ? now : (turn.state.stalledSince ?? now);
  const peer = { kind: "heard", said, at } as const;
  const hasClaimedUnheard = said.epoch > turn.state.epoch;
  // Of what was known of the peer before these words.
  const peerTimes = learnTimes(turn, said);
  update(turn, {
    peer,
    peerTimes,
    epoch: Math.max(turn.state.epoch, said.epoch),
    wasHeld: turn.state.wasHeld || said.role === "active",
  });
  endForce(turn);
  const { phase } = turn.state;
  switch (phase.kind) {
    case "standby":
    case "awaiting-lease": {
      if (isContender(peer)) return update(turn, { phase: { kind: "standby", vacantSince: undefined } });
      // An operator's force goes on waiting for the lease, and for nothing else.
      if (phase.kind === "awaiting-lease" && phase.forced) return;
      // A careful node that waited for a silent peer has met it again: now the two decide together who goes first.
      const wasHeld = phase.kind === "awaiting-lease" || phase.vacantSince === undefined;
      if (wasHeld) update(turn, { phase: { kind: "standby", vacantSince: now } });
      return;
    }
    case "active":
      // Rule 7: two actives that meet decide within one round trip, so answer at once; and when the other
      // has given up, tell the network again, as it may have learnt the other's place. One that comes back
      // from silence, or with an epoch that is news, may have been active unheard.
      if (isContender(peer)) update(turn, { advertiseAt: now });
      else if (isContender(before) || !wasInTouch || hasClaimedUnheard)
        update(turn, { phase: { ...phase, announceAt: announceTimes(turn) } });
      return;
    case "listening":
    case "announcing":
    case "claiming":
    case "leaving":
    case "fault":
    case "stopped":
  }
}

/** A peer that was restarted with a shorter lease may have left a longer one in its kernel. */
function learnTimes(turn: Turn, { intervalMs, leaseGoneMs }: Advertisement): PeerTimes {
  const { now } = turn;
  const { peerTimes: known } = turn.state;
  const newest = { intervalMs, leaseGoneMs, longerUntil: undefined };
  if (known === undefined || leaseGoneMs >= known.leaseGoneMs) return newest;
  // Counted from its first word: unheard, the earlier life may have renewed its lease up to its end.
  const longerUntil =
    known.longerUntil ?? (hadNoLease(turn) ? now : now + known.leaseGoneMs + hookSlackMs(turn.state));
  return now < longerUntil ? { intervalMs, leaseGoneMs: known.leaseGoneMs, longerUntil } : newest;
}

/** Its connections told its newest words up to its end, so a peer in touch that was no contender has no lease. */
function hadNoLease(turn: Turn): boolean {
  const { peer, peerTimes } = turn.state;
  if (peerTimes?.longerUntil !== undefined && turn.now < peerTimes.longerUntil) return false;
  if (peer.kind === "dead") return !peer.mayHold;
  return peer.kind === "heard" && isFresh(turn) && !isContender(peer) && peer.said.role !== "leaving";
}

function learnEstranged(turn: Turn, problem: string): void {
  const { peer } = turn.state;
  update(turn, { peer: { kind: "estranged", problem, wasClaiming: wasClaiming(peer), at: turn.now } });
}

function learnDeath(turn: Turn, { everHeard }: { readonly everHeard: boolean }): void {
  const { peer } = turn.state;
  if (peer.kind === "dead") return update(turn, { peer: { ...peer, at: turn.now } });
  const hadNone = hadNoLease(turn);
  log(turn, "warn", "the peer's process is dead", { peer: peerName(turn.settings) });
  update(turn, {
    peer: { kind: "dead", mayHold: !hadNone, wasClaiming: wasClaiming(peer), everHeard, at: turn.now },
  });
  const { phase } = turn.state;
  if (hadNone || phase.kind !== "awaiting-lease") return;
  // It was only silent until now: unheard it may have renewed its lease up to its end.
  update(turn, { phase: { ...phase, claimAt: Math.max(phase.claimAt, leaseGoneAt(turn)) } });
}

/**
 * The network works (again). A node that heard nobody until now may have missed that its peer took over, so the
 * peer gets the time that a reunion takes before the arbiter's word counts.
 */
function hearArbiter(turn: Turn): void {
  const { settings, now } = turn;
  const wasSilent = isArbiterSilent(turn);
  update(turn, { arbiter: { kind: "answered", at: now } });
  endForce(turn);
  // Without a second node nobody may have taken over meanwhile.
  if (!wasSilent || isInTouch(turn) || turn.state.peer.kind === "absent") return;
  const aloneAt = now + reunionMs(settings.priority, pairIntervalMs(turn));
  const { phase } = turn.state;
  switch (phase.kind) {
    case "listening":
      return update(turn, { phase: { ...phase, aloneAt } });
    case "standby":
    case "awaiting-lease":
    case "announcing":
      log(turn, "info", "listening", { reason: "the arbiter answers again" });
      return update(turn, {
        phase: {
          kind: "listening",
          until: now + peerDownMs(turn),
          aloneAt,
          giveUpAt: now + START_WAIT_MS,
        },
        peer: { kind: "unknown" },
      });
    case "claiming":
    case "active":
    case "leaving":
    case "fault":
    case "stopped":
  }
}

/** Somebody is heard again, so that the silence of all would be news. */
function endForce(turn: Turn): void {
  const { phase } = turn.state;
  if (phase.kind === "active" && phase.forced) update(turn, { phase: { ...phase, forced: false } });
}

function learnImpairment(turn: Turn, { cause, detail, weight }: Impairment): void {
  const { impairments } = turn.state;
  const known = impairments.find((other) => other.cause === cause);
  if (known?.weight !== weight) log(turn, "warn", "impaired", { cause, reason: detail, weight });
  const others = impairments.filter((other) => other !== known);
  update(turn, { impairments: [...others, { cause, detail, weight }] });
}

function learnMaintenance(turn: Turn, { on, force }: Extract<Input, { kind: "maintenance" }>): void {
  const { maintenance } = turn.state;
  const isNow = force === true || maintenance === "now";
  const wanted = on ? (isNow ? "now" : "waiting") : "off";
  if (wanted === maintenance) return;
  log(turn, "info", on ? "in maintenance" : "back from maintenance", { was: turn.state.phase.kind });
  update(turn, { maintenance: wanted, offerAgainAt: undefined });
}

function freshLease({ leaseMs }: Settings, startedAt: number): Lease {
  return { from: startedAt, renewAt: startedAt + leaseMs / 4, renewing: false, failing: false };
}

function learnClaimFailed(turn: Turn, reason: string): void {
  const { failedClaims } = turn.state;
  const waitMs = Math.min(CLAIM_RETRY_MS * 2 ** failedClaims, CLAIM_RETRY_MS_MAX);
  update(turn, { failedClaims: failedClaims + 1 });
  addFault(turn, { cause: "claim", detail: reason, until: turn.now + waitMs, soft: false });
}

function learnClaimed(turn: Turn, { epoch, startedAt }: Extract<Input, { kind: "claimed" }>): void {
  const { settings, now } = turn;
  const { phase } = turn.state;
  const lease = freshLease(settings, startedAt);
  const announceAt = announceTimes(turn);
  update(turn, { failedClaims: 0, wasHeld: true });
  if (phase.kind === "active" && phase.epoch === epoch) {
    // Claimed again after it had vanished (rule 10).
    return update(turn, { phase: { ...phase, lease, announceAt, reclaiming: false } });
  }
  if (phase.kind !== "claiming" || phase.epoch !== epoch) return;
  const forced = phase.vacancy.forced === true;
  const rest = { preemptAt: undefined, lossesAt: [], reclaiming: false, forced } as const;
  update(turn, { phase: { kind: "active", epoch, lease, announceAt, ...rest }, offerAgainAt: undefined });
  answerDone(turn);
  log(turn, "info", "active", {
    epoch,
    reason: phase.vacancy.reason,
    claimMs: Math.round(now - phase.since),
  });
}

function learnRenewFailed(turn: Turn, { gone, reason }: Extract<Input, { kind: "renew-failed" }>): void {
  const { settings, now } = turn;
  const { phase } = turn.state;
  if (phase.kind === "leaving") return update(turn, { phase: { ...phase, until: now } });
  if (phase.kind !== "active") return;
  if (!gone) {
    log(turn, "error", "renewal failed", { reason });
    // Again soon; if it never succeeds, the lease guard of rule 4 gives the address up in time.
    const renewAt = now + settings.leaseMs / 10;
    const lease = { ...phase.lease, renewing: false, failing: true, renewAt };
    return update(turn, { phase: { ...phase, lease } });
  }
  learnLoss(turn, reason);
}

/** Rule 10: a DHCP client, a network manager or a person removed it. */
function learnLoss(turn: Turn, reason: string): void {
  const { now } = turn;
  const { phase } = turn.state;
  if (phase.kind === "leaving") return update(turn, { phase: { ...phase, until: now } });
  // One loss is noticed by whoever follows the interface and by the next renewal. And a lease that has run out
  // is no loss (rule 4), nor one that a successor waits for to end: it may hold the address by now.
  if (phase.kind !== "active" || phase.reclaiming) return;
  if (isLeaseStale(turn, phase.lease) || isCountedOn(turn)) return;
  const lossesAt = [...phase.lossesAt.filter((at) => now - at < LOSS_WINDOW_MS), now];
  log(turn, "error", "the address vanished from the interface", { reason, times: lossesAt.length });
  const isLast = lossesAt.length >= LOSSES_MAX;
  update(turn, { phase: { ...phase, lossesAt, reclaiming: !isLast } });
  if (!isLast) {
    turn.effects.push({ kind: "claim", epoch: phase.epoch, handover: false, probe: false });
    return;
  }
  const detail = `something removed the virtual address ${String(lossesAt.length)} times in a minute: ${reason}`;
  addFault(turn, { cause: "address", detail, until: now + LOSS_WINDOW_MS, soft: false });
}
