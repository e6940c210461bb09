// The moves from one phase to another that several decisions share, each with all that it owes: hooks to
// run, facts to forget, a line in the log, an answer to the operator.

import type { Lease } from "./state.ts";
import { leaseGoneMs, LEASE_TRUST, OFFER_MS, reunionMs, START_WAIT_MS } from "./timing.ts";
import {
  forgotten,
  freshWords,
  holdsAddress,
  isContender,
  isFresh,
  log,
  pairIntervalMs,
  peerDownMs,
  peerName,
  type Turn,
  update,
} from "./turn.ts";

/** Starts over: nothing that was known of the peer counts any more. */
export function listen(turn: Turn, reason: string): void {
  const { settings, now } = turn;
  log(turn, "info", "listening", { reason });
  update(turn, {
    phase: {
      kind: "listening",
      until: now + peerDownMs(turn),
      aloneAt: now + reunionMs(settings.priority, pairIntervalMs(turn)),
      giveUpAt: now + START_WAIT_MS,
    },
    peer: forgotten(turn),
  });
}

export function standBy(turn: Turn): void {
  const vacantSince = isContender(turn.state.peer) && isFresh(turn) ? undefined : turn.now;
  update(turn, { phase: { kind: "standby", vacantSince } });
}

export function enterFault(turn: Turn): void {
  const detail = turn.state.faults.map(({ cause, detail: text }) => `${cause}: ${text}`).join("; ");
  log(turn, "error", "fault", { reason: detail, was: turn.state.phase.kind });
  refuseSwitchover(turn, `this node is in fault: ${detail}`);
  releaseIfHeld(turn);
  update(turn, { phase: { kind: "fault" }, offer: undefined, requestUntil: undefined });
}

/** Holds the address only for what is still open, no longer than it may. */
export function leave(
  turn: Turn,
  lease: Lease,
  { handedOver, reason }: { readonly handedOver: boolean; readonly reason: string },
): void {
  const { settings, now } = turn;
  // Handed over: two leases may overlap for one lease period, so this one is renewed no more. The peer's may
  // have begun as early as the offer, if words about it were held up.
  const { offer } = turn.state;
  const offeredAt = offer === undefined ? Infinity : offer.until - OFFER_MS;
  const until = handedOver
    ? Math.min(lease.from + LEASE_TRUST * settings.leaseMs, offeredAt + settings.leaseMs)
    : now + settings.stopGraceMs;
  log(turn, "info", "leaving", { reason, handedOver, forMs: Math.round(until - now) });
  turn.effects.push({ kind: "drain" });
  if (handedOver) answerDone(turn);
  update(turn, { phase: { kind: "leaving", lease, until, handedOver }, offer: undefined });
}

export function yieldAddress(turn: Turn): void {
  const said = freshWords(turn);
  log(turn, "warn", "yielding", {
    to: peerName(turn.settings),
    epoch: said?.epoch ?? 0,
    reason: "the peer wants the address, too, and ranks higher",
    was: turn.state.phase.kind,
  });
  releaseIfHeld(turn);
  standBy(turn);
  update(turn, { offer: undefined });
}

export function releaseIfHeld(turn: Turn): void {
  if (!holdsAddress(turn.state.phase)) return;
  turn.effects.push({ kind: "release" });
  // The kernel removes it at the latest then, whatever becomes of the hook. Counted from now, not from the last
  // good renewal: a claim or renewal that is running, or has failed, may have set the lease since.
  update(turn, { releasing: { until: turn.now + leaseGoneMs(turn.settings) } });
}

/** The operator's order is carried out. */
export function answerDone(turn: Turn): void {
  if (turn.state.switchover === "none") return;
  turn.effects.push({ kind: "switchover-done" });
  update(turn, { switchover: "none" });
}

export function refuseSwitchover(turn: Turn, reason: string): void {
  if (turn.state.switchover === "none") return;
  turn.effects.push({ kind: "switchover-refused", reason });
  update(turn, { switchover: "none" });
}
