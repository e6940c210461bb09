// What a node knows and is, as far as the election goes; and what goes in and out of step().
// Every moment is monotonic milliseconds of this node's own clock; nothing here is ever compared with
// the other node's clock.

import type { ClaimMode } from "../config/config.ts";
import type { Advertisement } from "./advertisement.ts";

export interface Settings {
  /** The group of addresses that this election is about (RFC 9568: the virtual router). */
  readonly group: string;
  readonly node: string;
  /** Undefined: the pair has no second node yet. */
  readonly peer: string | undefined;
  /** 1 to 254, as configured; impairments lower it. */
  readonly priority: number;
  /** From the configuration: ranks a peer that cannot be understood. Without a second node it counts for nothing. */
  readonly peerPriority: number;
  readonly intervalMs: number;
  readonly leaseMs: number;
  /** How much later than that a kernel may remove the address: `expiryLateMs` of timing.ts. */
  readonly expiryLateMs: number;
  readonly claim: ClaimMode;
  readonly preempt: boolean;
  readonly preemptDelayMs: number;
  readonly configHash: string;
  /** Whether somebody else is asked who of the two is cut off (rule 6). */
  readonly arbiter: boolean;
  /** A node that gained or lost the active role more often than this in a minute stays where it is. */
  readonly roleChangesMax: number;
  /** How long a stopping node may hold the address while its last requests end. */
  readonly stopGraceMs: number;
}

/**
 *                 peer known, one active-down listened
 *   listening ───────────────────────────────────────▶ standby ◀───────────────┐
 *      ▲  ▲                                            │  │                    │
 *      │  │ recovered               claim: safe        │  │ claim: fast,       │ released
 *      │  └──────── fault       ┌──────────────────────┘  │ offer accepted     │
 *      │              ▲         ▼                         ▼                    │
 *      │              │    awaiting-lease ───────────▶ claiming                │
 *      │              │ fault   predecessor's lease       │ claimed            │
 *      │              │         has ended                 ▼                    │
 *      │              └──────────────────────────────── active ────────────▶ leaving ──▶ stopped
 *      └──────────── may have lost the lease, isolated ───┘   handed over, or stop
 *
 * Not drawn: claim: safe passes through `announcing` before `claiming` while the peer lives; whoever was silent for
 * too long, or hears its arbiter again, listens again.
 */
export type Phase =
  | ListeningPhase
  /** `vacantSince`: since when no active is known to us; undefined while one is. */
  | { readonly kind: "standby"; readonly vacantSince: number | undefined }
  /** claim: safe. The predecessor is gone; its lease may still run until `claimAt`. */
  | {
      readonly kind: "awaiting-lease";
      readonly claimAt: number;
      readonly reason: string;
      /** An operator insists: neither silence nor the arbiter are asked any more. */
      readonly forced: boolean;
    }
  /** claim: safe. The peer lives and could claim, too: the hooks wait until it says that it has heard of the claim. */
  | { readonly kind: "announcing"; readonly epoch: number; readonly vacancy: Vacancy }
  /** The hooks run. */
  | { readonly kind: "claiming"; readonly epoch: number; readonly since: number; readonly vacancy: Vacancy }
  | ActivePhase
  /** Holds the address only for connections that are still open. */
  | {
      readonly kind: "leaving";
      readonly lease: Lease;
      readonly until: number;
      /** The peer is active: the lease is not renewed any more. */
      readonly handedOver: boolean;
    }
  /** May not hold the address; `State.faults` says why. */
  | { readonly kind: "fault" }
  | { readonly kind: "stopped" };

/**
 * May not claim: has not heard enough. Leaves when `until` has passed and the peer is known; when `aloneAt` has
 * passed and the arbiter answers; or at `giveUpAt`.
 */
export interface ListeningPhase {
  readonly kind: "listening";
  readonly until: number;
  /** A peer that is there would have been heard by then, so that the arbiter's word suffices. */
  readonly aloneAt: number;
  readonly giveUpAt: number;
}

/** Why the address is free for this node. */
export interface Vacancy {
  /** For people. */
  readonly reason: string;
  /** An operator wants it so. */
  readonly ordered: boolean;
  /** Whatever silence and the arbiter say. */
  readonly forced?: true;
  /** The active offered it and still serves. */
  readonly handover: boolean;
  /** A lease of the predecessor may still run. */
  readonly mayHold: boolean;
}

export interface ActivePhase {
  readonly kind: "active";
  readonly epoch: number;
  readonly lease: Lease;
  /** Moments still to come at which to tell the network again where the address is; ascending. */
  readonly announceAt: readonly number[];
  /** When a preferred peer that has been ready all the time is offered the role (preempt). */
  readonly preemptAt: number | undefined;
  /** When the address vanished though its lease was good, within the last minute. */
  readonly lossesAt: readonly number[];
  /** It has vanished, and the hooks bring it back right now. */
  readonly reclaiming: boolean;
  /** An operator insisted: being cut off is no reason to let go, until the peer or the arbiter is heard. */
  readonly forced: boolean;
}

export interface Lease {
  /** Start of the hook that last set it: it lives until `from + leaseMs` at least. */
  readonly from: number;
  readonly renewAt: number;
  /** A hook is setting it right now. */
  readonly renewing: boolean;
  /** The last hook that should have set it failed: it is no good, and not merely late. */
  readonly failing: boolean;
}

/** What is known of the peer. Silence is derived: `heard` a long time ago. */
export type Peer =
  | { readonly kind: "unknown" }
  /** There was no second node when this one started, and none has shown itself since. */
  | { readonly kind: "absent" }
  | { readonly kind: "heard"; readonly said: Advertisement; readonly at: number }
  /** Its machine refused a connection, last `at`: no vipair runs there. `mayHold`: its lease may still run. */
  | {
      readonly kind: "dead";
      readonly mayHold: boolean;
      /** Those were its last words, so that its hook may run yet. */
      readonly wasClaiming: boolean;
      readonly everHeard: boolean;
      readonly at: number;
    }
  /** It answers but cannot be understood. */
  | {
      readonly kind: "estranged";
      readonly problem: string;
      readonly wasClaiming: boolean;
      readonly at: number;
    };

/** Two files may differ, as they do while somebody changes them, so each node tells the other its own times. */
export interface PeerTimes {
  /** The peer's advertisement interval. */
  readonly intervalMs: number;
  /** So long after its last renewal the peer's lease has ended: the longest that may still run there. */
  readonly leaseGoneMs: number;
  /** The peer says a shorter one by now: until then an earlier life of it may have left the longer one in its kernel. */
  readonly longerUntil: number | undefined;
}

export interface Fault {
  /** What raised it; one fault per cause. */
  readonly cause: string;
  readonly detail: string;
  /** Ends by itself then; undefined: when `recovered` says so. */
  readonly until: number | undefined;
  /** An opinion (a tracked check), which flap damping may overrule; the others are facts. */
  readonly soft: boolean;
}

/** What makes this node the worse of the two, though it could serve. */
export interface Impairment {
  /** One impairment per cause. */
  readonly cause: string;
  readonly detail: string;
  /** 1 to 253: taken off the priority. */
  readonly weight: number;
}

/** What is known of the arbiter. `missing`: there is nobody to ask, so nobody is waited for. */
export type Arbiter =
  | { readonly kind: "missing" }
  | { readonly kind: "unheard" }
  | { readonly kind: "answered"; readonly at: number };

/** The peer was asked to take over. */
export interface Offer {
  readonly until: number;
  /** An operator wants it so, or this node ends. */
  readonly ordered: boolean;
  /** Whatever the peer says of itself. */
  readonly forced: boolean;
}

/** `waiting`: as soon as the peer takes over. `now`: at once, whatever becomes of the service. */
export type Maintenance = "off" | "waiting" | "now";

export type SwitchoverOrder = "none" | "ordered" | "forced";

export interface State {
  readonly phase: Phase;
  /** The newest claim of the pair that this node knows of. Only grows. */
  readonly epoch: number;
  readonly peer: Peer;
  /** One of the pair has been active since this node began, as far as it knows: only then is who answers for the address known. */
  readonly wasHeld: boolean;
  /** What the peer's words have told of its times since this node began; undefined: nothing was heard yet. */
  readonly peerTimes: PeerTimes | undefined;
  readonly faults: readonly Fault[];
  readonly impairments: readonly Impairment[];
  readonly arbiter: Arbiter;
  /** An operator has taken this node out of service (rule 12). */
  readonly maintenance: Maintenance;
  /** When the active role was gained or lost without an order, within the last minute. */
  readonly roleChangesAt: readonly number[];
  /** Too many of those: until then, at the earliest, nothing is done on a mere guess or opinion. */
  readonly dampedUntil: number | undefined;
  /** Claims that failed since one succeeded. */
  readonly failedClaims: number;
  /** The address was just given up; it may still be on the interface until then, at the latest. */
  readonly releasing: { readonly until: number } | undefined;
  readonly advertiseAt: number;
  readonly said: Advertisement | undefined;
  readonly offer: Offer | undefined;
  /** After an offer that nobody ordered and the peer did not take: not again before then. */
  readonly offerAgainAt: number | undefined;
  /** A switchover was ordered on this standby: the active is asked for the role until then. */
  readonly requestUntil: number | undefined;
  /** What an operator waits for. */
  readonly switchover: SwitchoverOrder;
  /** SIGTERM was given: the way out is `leaving`, then `stopped`. */
  readonly stopping: boolean;
  /**
   * This process woke late: since when it has slept, at the longest. Until the messages that waited are read
   * the peer is not judged.
   */
  readonly stalledSince: number | undefined;
  /** When it had read them: from then on others had a chance to be heard. Of several times since they were heard last, the first. */
  readonly chanceFrom: {
    /** Of the peer. */
    readonly peer: number;
    /** Of any of the two, the peer and the arbiter. */
    readonly either: number;
  };
  /** When step() last ran. */
  readonly at: number;
}

export type Input =
  | { readonly kind: "advertisement"; readonly advertisement: Advertisement }
  /** `everHeard` false: it never spoke since our start, so a firewall may be what refuses. Absent: true. */
  | { readonly kind: "peer-dead"; readonly everHeard?: boolean }
  | { readonly kind: "peer-estranged"; readonly problem: string }
  /** The moment nextDeadline() named has come (or nothing happened: always safe to give). */
  | { readonly kind: "deadline" }
  /** Every message that waited when `read-queue` was asked for has been given. */
  | { readonly kind: "queue-read" }
  | { readonly kind: "fault"; readonly cause: string; readonly detail: string; readonly soft?: boolean }
  | { readonly kind: "impaired"; readonly cause: string; readonly detail: string; readonly weight: number }
  /** Ends the fault and the impairment of this cause. */
  | { readonly kind: "recovered"; readonly cause: string }
  | { readonly kind: "arbiter-answered" }
  /** There is nobody who could be asked. */
  | { readonly kind: "arbiter-missing" }
  /** The hooks have added the address; the lease counts from `startedAt`. */
  | { readonly kind: "claimed"; readonly epoch: number; readonly startedAt: number }
  | { readonly kind: "claim-failed"; readonly epoch: number; readonly reason: string }
  | { readonly kind: "renewed"; readonly startedAt: number }
  /** `gone`: the address was not on the interface any more. */
  | { readonly kind: "renew-failed"; readonly gone: boolean; readonly reason: string }
  /** The address has vanished from the interface, and it was not this node that removed it. */
  | { readonly kind: "address-gone"; readonly reason: string }
  /** The hooks have removed the address. */
  | { readonly kind: "released" }
  /** While leaving: no connection is open any more. */
  | { readonly kind: "drained" }
  /** `force`: even if the peer is not ready, or, on a standby, if the active is not heard. */
  | { readonly kind: "switchover"; readonly force?: boolean }
  /** `force`: do not wait for a peer that takes over. */
  | { readonly kind: "maintenance"; readonly on: boolean; readonly force?: boolean }
  /** An operator ends flap damping. */
  | { readonly kind: "resume" }
  | { readonly kind: "stop" };

export type LogLevel = "info" | "warn" | "error";

export type Effect =
  | { readonly kind: "advertise"; readonly advertisement: Advertisement }
  /** `probe`: make sure first that nobody answers for the address, as the peer cannot be asked. */
  | { readonly kind: "claim"; readonly epoch: number; readonly handover: boolean; readonly probe: boolean }
  | { readonly kind: "renew" }
  | { readonly kind: "announce" }
  | { readonly kind: "release" }
  /** End client connections politely; answer with `drained`. */
  | { readonly kind: "drain" }
  /** This process was stalled: give every message that waits, then `queue-read`. */
  | { readonly kind: "read-queue" }
  | { readonly kind: "switchover-done" }
  | { readonly kind: "switchover-refused"; readonly reason: string }
  | {
      readonly kind: "log";
      readonly level: LogLevel;
      readonly event: string;
      readonly subject: Readonly<Record<string, string | number | boolean>>;
    };

export interface Step {
  readonly state: State;
  readonly effects: readonly Effect[];
}
