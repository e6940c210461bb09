// What one node tells the other, each advertisement interval and at once when it changes. It is a
// state, not an event: a lost or repeated one does no harm, because the next says the same again.
// The words follow RFC 9568; parseAdvertisement is the only door for what comes off the wire.

/** `claiming`: has decided to be active, its hooks are still running. `leaving`: resigned, releases or drains. */
export type PeerRole = "starting" | "standby" | "claiming" | "active" | "leaving" | "fault";

/** `offer`: an active asks its peer to take over. `request`: a standby asks to be given the role. */
export type Intent = "none" | "offer" | "request";

export interface Advertisement {
  readonly node: string;
  readonly role: PeerRole;
  /** 1 to 254; 0 = resigning (RFC 9568 6.4.3): the peer need not wait out the active-down interval. */
  readonly priority: number;
  /** The newest claim that this node knows of. */
  readonly epoch: number;
  /** Could claim at this moment: healthy, has listened long enough, not leaving. */
  readonly ready: boolean;
  readonly intent: Intent;
  readonly configHash: string;
}

const ROLES: ReadonlySet<unknown> = new Set<PeerRole>([
  "starting",
  "standby",
  "claiming",
  "active",
  "leaving",
  "fault",
]);
const INTENTS: ReadonlySet<unknown> = new Set<Intent>(["none", "offer", "request"]);

/** An Advertisement out of parsed JSON; undefined when any field is missing, of a wrong type or out of range. */
export function parseAdvertisement(value: unknown): Advertisement | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { node, role, priority, epoch, ready, intent, configHash } = value as Record<string, unknown>;
  if (typeof node !== "string" || node.length === 0 || node.length > 64) return undefined;
  if (typeof priority !== "number" || !Number.isInteger(priority) || priority < 0 || priority > 254) {
    return undefined;
  }
  if (typeof epoch !== "number" || !Number.isSafeInteger(epoch) || epoch < 0) return undefined;
  if (typeof ready !== "boolean") return undefined;
  if (typeof configHash !== "string" || configHash.length > 64) return undefined;
  if (!ROLES.has(role) || !INTENTS.has(intent)) return undefined;
  return { node, role: role as PeerRole, priority, epoch, ready, intent: intent as Intent, configHash };
}
