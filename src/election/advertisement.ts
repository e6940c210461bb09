// What one node tells the other, each advertisement interval and at once when it changes. It is a
// state, not an event: a lost or repeated one does no harm, because the next says the same again.
// The words follow RFC 9568; parseAdvertisement is the only door for what comes off the wire.

import { INTERVAL_MS, LEASE_MS } from "../config/config.ts";
import { expiryLateMs, leaseGoneMs } from "./timing.ts";

/**
 * `listening`: may not claim yet. `claiming`: has decided to be active, its hooks are still running.
 * `awaiting-lease`: hears no active, and claims when the lease of the last one has ended (claim: safe).
 * `leaving`: has resigned but may still have the address. `fault`, `maintenance`, `stopped`: has not, and does
 * not want it.
 */
export type PeerRole =
  | "listening"
  | "standby"
  | "awaiting-lease"
  | "claiming"
  | "active"
  | "leaving"
  | "fault"
  | "maintenance"
  | "stopped";

/**
 * `offer`: an active asks its peer to take over; `order`: the same, because an operator wants it or the node
 * ends. `request`: a standby asks to be given the role.
 */
export type Intent = "none" | "offer" | "order" | "request";

export interface Advertisement {
  /** The group of addresses that this is about. */
  readonly group: string;
  readonly node: string;
  readonly role: PeerRole;
  /**
   * 1 to 254, impairments taken off; 0 = resigning (RFC 9568 6.4.3): the peer need not wait out the
   * active-down interval.
   */
  readonly priority: number;
  /** 0 to 253: the weights of all that makes the node worse than it could be; 0 = it is well. */
  readonly impairment: number;
  /** It has changed roles too often, and wants to stay what it is unless ordered. */
  readonly damped: boolean;
  /** The newest claim that this node knows of. */
  readonly epoch: number;
  /** The epoch of the peer's claim that this node has heard of last; 0: the peer claims nothing, as far as it knows. */
  readonly heard: number;
  /** Could claim at this moment: healthy, has listened long enough, not leaving. */
  readonly ready: boolean;
  readonly intent: Intent;
  readonly configHash: string;
  /** The sender's advertisement interval (RFC 9568 5.2.7): its silence is judged by that. */
  readonly intervalMs: number;
  /** So long after its last renewal the lease of the sender has ended for certain: the receiver's file may say another. */
  readonly leaseGoneMs: number;
}

const LEASE_GONE_MS = {
  from: leaseGoneMs({ leaseMs: LEASE_MS.from, expiryLateMs: expiryLateMs(1) }),
  to: leaseGoneMs({ leaseMs: LEASE_MS.to, expiryLateMs: expiryLateMs(2) }),
} as const;

const ROLES: ReadonlySet<string> = new Set<PeerRole>([
  "listening",
  "standby",
  "awaiting-lease",
  "claiming",
  "active",
  "leaving",
  "fault",
  "maintenance",
  "stopped",
]);
const INTENTS: ReadonlySet<string> = new Set<Intent>(["none", "offer", "order", "request"]);

/** The weights of all impairments count no further: the lowest priority of a node that serves is 1. */
export const IMPAIRMENT_MAX = 253;

function isPeerRole(value: unknown): value is PeerRole {
  return typeof value === "string" && ROLES.has(value);
}

function isIntent(value: unknown): value is Intent {
  return typeof value === "string" && INTENTS.has(value);
}

function isWholeNumber(
  value: unknown,
  { from = 0, to }: { readonly from?: number; readonly to: number },
): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= from && value <= to;
}

function isShortText(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= 64;
}

/** An Advertisement out of parsed JSON; undefined when any field is missing, of a wrong type or out of range. */
export function parseAdvertisement(value: unknown): Advertisement | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const words: Partial<Record<string, unknown>> = { ...value };
  const { group, node, role, priority, impairment, damped, epoch, heard, ready, intent, configHash } = words;
  const { intervalMs, leaseGoneMs: goneMs } = words;
  if (!isShortText(group) || !isShortText(node) || !isShortText(configHash)) return undefined;
  if (!isPeerRole(role) || !isIntent(intent)) return undefined;
  if (!isWholeNumber(priority, { to: 254 })) return undefined;
  if (!isWholeNumber(epoch, { to: Number.MAX_SAFE_INTEGER })) return undefined;
  if (!isWholeNumber(heard, { to: Number.MAX_SAFE_INTEGER })) return undefined;
  if (!isWholeNumber(impairment, { to: IMPAIRMENT_MAX })) return undefined;
  if (typeof ready !== "boolean" || typeof damped !== "boolean") return undefined;
  if (!isWholeNumber(intervalMs, INTERVAL_MS) || !isWholeNumber(goneMs, LEASE_GONE_MS)) return undefined;
  return {
    group,
    node,
    role,
    priority,
    impairment,
    damped,
    epoch,
    heard,
    ready,
    intent,
    configHash,
    intervalMs,
    leaseGoneMs: goneMs,
  };
}
