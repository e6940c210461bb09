// An address that is held is looked after: its lease is renewed in time and given up when it may have
// ended, and the network is told where the address is.

import { listen, enterFault, releaseIfHeld, standBy } from "./phases.ts";
import type { Lease, State } from "./state.ts";
import {
  ANNOUNCE_AFTER_LEASE_MS,
  ANNOUNCE_AFTER_MS,
  ANNOUNCE_EVERY_MS,
  CLAIM_RETRY_MS,
  CLAIM_SLACK_MS,
  HOOK_SLACK_MS,
  leaseGoneMs,
  LEASE_TRUST,
} from "./timing.ts";
import { addFault, isPeerReady, log, type Turn, update, wasClaiming } from "./turn.ts";

// Rule 4: a lease of which more than 0.8 has passed may have ended. Renewing it now could create the
// address again under the feet of a successor; so give up, and listen before claiming anything.
export function isLeaseStale({ settings, now }: Pick<Turn, "settings" | "now">, lease: Lease): boolean {
  return now - lease.from >= LEASE_TRUST * settings.leaseMs;
}

export function giveUpStaleLease(turn: Turn, lease: Lease): void {
  const leftAlone = turn.state.phase.kind === "active";
  if (leftAlone) {
    log(turn, "error", "the lease may have ended: this process was frozen, starved, or its hook failed", {
      sinceRenewalMs: Math.round(turn.now - lease.from),
    });
  }
  // Rule 9: whoever cannot renew would claim again and fail again, while its standby waits for ever.
  if (leftAlone && lease.failing && isPeerReady(turn)) return failRenewal(turn);
  releaseIfHeld(turn);
  // While leaving this is the planned end of the handover: the peer is known and active.
  if (leftAlone) listen(turn, "the lease may have ended");
  else standBy(turn);
}

function failRenewal(turn: Turn): void {
  const detail = "the lease could not be renewed; see the log of the hook";
  addFault(turn, { cause: "renewal", detail, until: turn.now + CLAIM_RETRY_MS, soft: false });
  enterFault(turn);
}

/** A careful successor that does not hear us counts on our lease to end: only its own word frees us. */
export function isCountedOn({ state: { peer } }: Pick<Turn, "state">): boolean {
  return peer.kind === "heard" && peer.said.role === "awaiting-lease";
}

/** Renews the lease and tells the network, when either is due. */
export function tendAddress(turn: Turn): void {
  const { phase } = turn.state;
  if (phase.kind !== "active" && phase.kind !== "leaving") return;
  // Rule 5: that word may wait to be read.
  const isUnread = turn.state.stalledSince !== undefined;
  if (!phase.lease.renewing && turn.now >= phase.lease.renewAt && !isCountedOn(turn) && !isUnread) {
    turn.effects.push({ kind: "renew" });
    update(turn, { phase: { ...phase, lease: { ...phase.lease, renewing: true } } });
  }
  const tended = turn.state.phase;
  if (tended.kind !== "active") return;
  const [due] = tended.announceAt;
  if (due === undefined || turn.now < due) return;
  turn.effects.push({ kind: "announce" });
  const later = tended.announceAt.filter((at) => at > turn.now);
  const announceAt = later.length > 0 ? later : [turn.now + ANNOUNCE_EVERY_MS];
  update(turn, { phase: { ...tended, announceAt } });
}

/**
 * How long a lease of the peer runs after its last renewal: what its words said, as its file may differ from this
 * node's, and no less than what this node's own says.
 */
function peerLeaseGoneMs({ settings, state: { peerTimes } }: Turn): number {
  return Math.max(leaseGoneMs(settings), peerTimes?.leaseGoneMs ?? 0);
}

/** When a lease that the peer set just now has ended, however slow its hook was. */
export function leaseGoneAt(turn: Turn): number {
  return turn.now + peerLeaseGoneMs(turn) + hookSlackMs(turn.state);
}

/** How long a hook that the peer started with its last words may run before it sets a lease. */
export function hookSlackMs({ peer }: State): number {
  return wasClaiming(peer) ? CLAIM_SLACK_MS : HOOK_SLACK_MS;
}

/** The moments after a claim, or after a duel, at which the network is told (rule 3); ascending. */
export function announceTimes(turn: Turn): readonly number[] {
  const { leaseMs, expiryLateMs } = turn.settings;
  const longerMs = peerLeaseGoneMs(turn) - leaseGoneMs(turn.settings);
  return [...ANNOUNCE_AFTER_MS, leaseMs + expiryLateMs + longerMs + ANNOUNCE_AFTER_LEASE_MS]
    .map((ms) => turn.now + ms)
    .toSorted((a, b) => a - b);
}
