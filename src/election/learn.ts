// What an input teaches: facts go into the state, and nothing is decided here (see decide.ts), with one
// exception that cannot wait: an address that vanished is claimed again in the same breath.

import type { Advertisement } from "./advertisement.ts";
import { announceTimes, answerDone } from "./decide.ts";
import type { Input, Lease, Settings } from "./state.ts";
import { CLAIM_RETRY_MS, CLAIM_RETRY_MS_MAX, LOSS_WINDOW_MS, LOSSES_MAX } from "./timing.ts";
import { addFault, isContender, isFresh, log, type Turn, update } from "./turn.ts";

export function learn(turn: Turn, input: Input): void {
  const { phase, faults } = turn.state;
  switch (input.kind) {
    case "advertisement":
      return hear(turn, input.advertisement);
    case "peer-dead":
      return learnDeath(turn, { everHeard: input.everHeard ?? true });
    case "peer-estranged":
      return update(turn, { peer: { kind: "estranged", problem: input.problem, at: turn.now } });
    case "fault":
      return addFault(turn, { cause: input.cause, detail: input.detail, until: undefined });
    case "recovered":
      return update(turn, { faults: faults.filter(({ cause }) => cause !== input.cause) });
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
    case "released":
      return update(turn, { releasing: undefined });
    case "drained":
      if (phase.kind === "leaving") update(turn, { phase: { ...phase, until: turn.now } });
      return;
    case "switchover":
      return update(turn, { switchoverOrdered: true });
    case "stop":
      return update(turn, { stopping: true });
    case "deadline":
    case "queue-read":
  }
}

function hear(turn: Turn, said: Advertisement): void {
  const { settings, now } = turn;
  const before = turn.state.peer;
  const wasInTouch = isFresh(turn);
  // What waited while this process stood still may be as old as that. That the peer was active then is as
  // good as news; that it was not active is no news at all.
  const isActive = said.role === "active" || said.role === "claiming";
  const at = isActive ? now : (turn.state.stalledSince ?? now);
  const peer = { kind: "heard", said, at } as const;
  update(turn, { peer, epoch: Math.max(turn.state.epoch, said.epoch) });
  const { phase } = turn.state;
  switch (phase.kind) {
    case "standby":
    case "awaiting-lease": {
      if (isContender(peer)) return update(turn, { phase: { kind: "standby", vacantSince: undefined } });
      const wasHeld = phase.kind === "standby" && phase.vacantSince === undefined;
      if (wasHeld) update(turn, { phase: { kind: "standby", vacantSince: now } });
      return;
    }
    case "active":
      // Rule 7: two actives that meet decide within one round trip, so answer at once; and when the other
      // has given up, tell the network again, as it may have learnt the other's place. One that comes back
      // from silence may have been active unheard.
      if (isContender(peer)) update(turn, { advertiseAt: now });
      else if (isContender(before) || !wasInTouch)
        update(turn, { phase: { ...phase, announceAt: announceTimes(settings, now) } });
      return;
    case "listening":
    case "claiming":
    case "leaving":
    case "fault":
    case "stopped":
  }
}

function learnDeath(turn: Turn, { everHeard }: { readonly everHeard: boolean }): void {
  const { peer } = turn.state;
  if (peer.kind === "dead") return;
  // Its connections told its newest words up to its end, so a peer in touch that was no contender had no lease.
  const hadNone =
    peer.kind === "heard" && isFresh(turn) && !isContender(peer) && peer.said.role !== "leaving";
  log(turn, "warn", "the peer's process is dead", { peer: turn.settings.peer });
  update(turn, { peer: { kind: "dead", mayHold: !hadNone, everHeard } });
}

function freshLease({ leaseMs }: Settings, startedAt: number): Lease {
  return { from: startedAt, renewAt: startedAt + leaseMs / 4, renewing: false, failing: false };
}

function learnClaimFailed(turn: Turn, reason: string): void {
  const { failedClaims } = turn.state;
  const waitMs = Math.min(CLAIM_RETRY_MS * 2 ** failedClaims, CLAIM_RETRY_MS_MAX);
  update(turn, { failedClaims: failedClaims + 1 });
  addFault(turn, { cause: "claim", detail: reason, until: turn.now + waitMs });
}

function learnClaimed(turn: Turn, { epoch, startedAt }: Extract<Input, { kind: "claimed" }>): void {
  const { settings, now } = turn;
  const { phase } = turn.state;
  const lease = freshLease(settings, startedAt);
  const announceAt = announceTimes(settings, now);
  update(turn, { failedClaims: 0 });
  if (phase.kind === "active" && phase.epoch === epoch) {
    // Claimed again after it had vanished (rule 10).
    return update(turn, { phase: { ...phase, lease, announceAt } });
  }
  if (phase.kind !== "claiming" || phase.epoch !== epoch) return;
  update(turn, { phase: { kind: "active", epoch, lease, announceAt, preemptAt: undefined, lossesAt: [] } });
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
  // Rule 10: a DHCP client, a network manager or a person removed it.
  const lossesAt = [...phase.lossesAt.filter((at) => now - at < LOSS_WINDOW_MS), now];
  log(turn, "error", "the address vanished from the interface", { reason, times: lossesAt.length });
  update(turn, { phase: { ...phase, lossesAt } });
  if (lossesAt.length < LOSSES_MAX) {
    turn.effects.push({ kind: "claim", epoch: phase.epoch, handover: false, probe: false });
    return;
  }
  const detail = `something removed the virtual address ${String(lossesAt.length)} times in a minute: ${reason}`;
  addFault(turn, { cause: "address", detail, until: now + LOSS_WINDOW_MS });
}
