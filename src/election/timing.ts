// How long to wait before judging: the two formulas of RFC 9568 section 6.1, and the waits that RFC 9568
// has no words for. Milliseconds in, milliseconds out.

/** Skew_Time: the higher the priority, the shorter; it orders nodes that time out together. */
export function skewMs(priority: number, intervalMs: number): number {
  return ((256 - priority) * intervalMs) / 256;
}

/** Active_Down_Interval: this long without an advertisement means that the active is gone. */
export function activeDownMs(priority: number, intervalMs: number): number {
  return 3 * intervalMs + skewMs(priority, intervalMs);
}

/** So many active-down intervals a node leaves a vacant address to a peer that ranks higher. */
export const VACANCY_ACTIVE_DOWNS = 2;

/** A node that hears nobody at its start waits this long: a switch port may take that time to forward. */
export const START_WAIT_MS = 30_000;

/** How often the arbiter is asked: with each advertisement, within what a gateway and a child process bear. */
export function arbiterIntervalMs(intervalMs: number): number {
  return Math.min(Math.max(intervalMs, 50), 1000);
}

/** The arbiter vouches for this node with an answer that is no older than so many of its intervals. */
export const ARBITER_VOUCHES = 2;
/** After so many without an answer it is silent. */
export const ARBITER_SILENT = 3;

/**
 * A node whose arbiter is silent for so long while it hears its peer is worse off than one whose arbiter
 * answers. An active waits longer, so that a gateway that died is silent to both by then, and nothing moves.
 */
export const ARBITER_LOST_MS = { standby: 2000, active: 5000 } as const;

/**
 * Two nodes that a network lets talk again have found each other after this time: a dial that hangs in the old
 * silence runs out, the pace of dialling passes, and a handshake with a busy process takes its time.
 */
export function reunionMs(priority: number, intervalMs: number): number {
  const redialMs = 2 * Math.max(intervalMs, 200) + 2 * Math.min(Math.max(intervalMs, 100), 1000);
  return activeDownMs(priority, intervalMs) + redialMs + 500;
}

/** The share of a lease after which it is not trusted any more: the rest is for slow hooks and clock drift. */
export const LEASE_TRUST = 0.8;

/**
 * How late a kernel may remove an address whose lease has ended. One that has removed an address, or was given one, looks
 * again a second later at the earliest (ADDRCONF_TIMER_FUZZ_MAX of Linux; decision 0019): so where a machine has
 * several virtual addresses, the lease of one may end in the second after that of another.
 */
export function expiryLateMs(addresses: number): number {
  return addresses > 1 ? 1000 : 0;
}

/** A lease that is set now has ended so long from now, on the other node's clock, too. In whole milliseconds. */
export function leaseGoneMs({ leaseMs, expiryLateMs: lateMs }: LeaseTimes): number {
  return Math.round(leaseMs * LEASE_MARGIN) + lateMs;
}

interface LeaseTimes {
  readonly leaseMs: number;
  readonly expiryLateMs: number;
}

/** How much longer than a lease a careful successor waits: clocks drift, hooks start late. */
const LEASE_MARGIN = 1.05;

/** And that much more: a renewal that was running when its process died sets the lease as late as that. */
export const HOOK_SLACK_MS = 300;
/** The same of a claim, which may ask the network for a second first; a claim hook that runs for longer is ended. */
export const CLAIM_SLACK_MS = 2000;

/** An estranged peer shows that it lives with each redial, at most 1 s apart; after this it is taken for silent. */
export const REDIAL_MEMORY_MS = 3000;

/**
 * A refusal (of a dead peer) or a rejection (of an estranged one) proves for so long that the network between the
 * machines works: they come with each redial, once in an advertisement interval (100 ms to 1 s).
 */
export function refusalMemoryMs(priority: number, intervalMs: number): number {
  const redialMs = Math.min(Math.max(intervalMs, 100), 1000);
  return Math.min(activeDownMs(priority, intervalMs) + redialMs, REDIAL_MEMORY_MS);
}

/**
 * So long after a refusal nobody can be active on that machine: whoever starts there waits for a reunion before it
 * claims. On a network that loses packets a few dials in a row may stay without an answer.
 */
export function deathMemoryMs(peerPriority: number, intervalMs: number): number {
  return Math.min(reunionMs(peerPriority, intervalMs), REDIAL_MEMORY_MS);
}

/** How long a peer may take to accept the role: its hooks time out after 2 s. */
export const OFFER_MS = 3000;

/** How long a node that was forced to let go leaves the address to the peer. */
export const FORCED_OFFER_MS = 10_000;
/** An offer that nobody ordered and the peer did not take is made again after this. */
export const OFFER_AGAIN_MS = 30_000;

/**
 * So long two nodes say the same of their configuration before an order about what it does not name is taken back:
 * a word that was held up may be older than a reload, and then newer ones are right behind it.
 */
export const CONFIGS_AGREE_MS = 2000;

/** Role changes are counted over this time, and so long a node that changed too often must keep quiet. */
export const FLAP_WINDOW_MS = 60_000;

/** After a failed claim, so long until the next try. */
export const CLAIM_RETRY_MS = 2000;
/** It doubles with each claim that fails in a row, up to this. */
export const CLAIM_RETRY_MS_MAX = 10_000;

/** After a claim the network is told at these moments (rule 3), once more when the lease of a dead
 *  predecessor has ended for certain, and then each minute. */
export const ANNOUNCE_AFTER_MS: readonly number[] = [0, 200, 1100, 2200, 5000];
export const ANNOUNCE_AFTER_LEASE_MS = 500;
export const ANNOUNCE_EVERY_MS = 60_000;

/** Within this time the address may vanish LOSSES_MAX - 1 times before the node yields (rule 10). */
export const LOSS_WINDOW_MS = 60_000;
export const LOSSES_MAX = 3;
