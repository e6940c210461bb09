// What a node tells about itself over the admin socket: `vipair status --json` prints a Status as it is.

import type { BackendHealth } from "../routing/backend-state.ts";
import type { MirrorCounters } from "./worker.ts";

/** The roles people see. `standby` includes a node that is still starting. */
export type Role = "active" | "standby" | "fault";

/** A node with several groups is `active` when it is so in any of them, and in `fault` when it is so in all. */
export interface Status {
  readonly node: string;
  readonly role: Role;
  /** Why the node is in fault, or what it waits for; null when there is nothing to say. */
  readonly reason: string | null;
  /** Grows with each claim of the pair; 0 before the first. */
  readonly epoch: number;
  /** When the role was taken; ISO 8601, UTC. */
  readonly since: string;
  /** 1 to 254, as configured; null for a node alone. */
  readonly priority: number | null;
  /** null for a node alone, and for a pair that has no second node yet. */
  readonly peer: PeerStatus | null;
  readonly virtualAddresses: readonly VirtualAddressStatus[];
  /** One unless the virtual addresses are split into groups; none for a node alone. */
  readonly groups: readonly GroupStatus[];
  /** Nodes that an operator has taken out of service. */
  readonly maintenance: readonly string[];
  /** null for a node alone. */
  readonly arbiter: ArbiterStatus | null;
  /** The tracked checks of this node. */
  readonly checks: readonly CheckStatus[];
  readonly listeners: readonly ListenerStatus[];
  readonly workers: readonly WorkerStatus[];
  readonly pools: readonly PoolStatus[];
  /** Requests answered since the control process started. */
  readonly requests: number;
  /** Client connections turned away by a limit of their listener, since then. */
  readonly refusedConnections: number;
  /** Of the requests that routes copy to a second pool, since then. */
  readonly mirrors: MirrorCounters;
  readonly version: string;
  /** First 12 hex digits of the SHA-256 of the configuration without its secrets. */
  readonly configHash: string;
  readonly uptimeMs: number;
}

export interface PeerStatus {
  readonly node: string;
  /** "unknown" until it was heard. */
  readonly role: Role | "unknown";
  readonly connected: boolean;
  /** null until it was heard. */
  readonly lastHeardMs: number | null;
  /** null until it was heard. */
  readonly configMatches: boolean | null;
  /** Whose file has changed since both nodes had the same, by what they have read; null: not known. */
  readonly newerFile: NewerFile;
  /** What is wrong with the link in words a person can act on; null when nothing is. */
  readonly problem: string | null;
  /** The heartbeat paths; the pair is in touch while any one is connected. */
  readonly paths: readonly PathStatus[];
}

export type NewerFile = "self" | "peer" | "both" | "neither" | null;

export interface PathStatus {
  /** This node's address. */
  readonly self: string;
  readonly peer: string;
  readonly connected: boolean;
  readonly lastHeardMs: number | null;
  readonly problem: string | null;
}

/** A group of virtual addresses with its own election. */
export interface GroupStatus {
  readonly name: string;
  readonly role: Role;
  readonly reason: string | null;
  readonly epoch: number;
  /** When the role was taken; ISO 8601, UTC. */
  readonly since: string;
  /** 1 to 254, as configured. */
  readonly priority: number;
  /** 1 to 254, impairments taken off. */
  readonly effectivePriority: number;
  readonly impairments: readonly ImpairmentStatus[];
  /** It changed roles too often and stays where it is. */
  readonly damped: boolean;
  readonly peerRole: Role | "unknown";
  readonly virtualAddresses: readonly VirtualAddressStatus[];
}

export interface ImpairmentStatus {
  readonly cause: string;
  readonly detail: string;
  /** Taken off the priority. */
  readonly weight: number;
}

export interface ArbiterStatus {
  /** null: none is configured, or no gateway was found. */
  readonly address: string | null;
  /** How it is asked. */
  readonly method: "arp" | "ndp" | "icmp" | null;
  /** null: it has never answered. */
  readonly lastAnswerMs: number | null;
  readonly problem: string | null;
}

export interface CheckStatus {
  readonly name: string;
  /** null before the first result. */
  readonly failing: boolean | null;
  readonly detail: string;
}

export interface VirtualAddressStatus {
  readonly address: string;
  readonly interface: string;
  readonly held: boolean;
}

export interface ListenerStatus {
  readonly name: string;
  /** As configured: "0.0.0.0:80", "vip:80". */
  readonly bind: string;
  readonly open: boolean;
  /** Why it is not open though it should be; null otherwise. */
  readonly problem: string | null;
}

export interface WorkerStatus {
  readonly pid: number;
  readonly uptimeMs: number;
  readonly connections: number;
}

export interface PoolStatus {
  readonly name: string;
  /** Requests that wait now until a backend has room. */
  readonly queued: number;
  /** Requests that found the queue full, or waited in vain. */
  readonly overflows: number;
  /** Attempts behind the first one of their requests. */
  readonly retries: number;
  /** Requests that failed because the retry budget was spent. */
  readonly retriesRefused: number;
  /** Requests that went once more as the kept connection that they were sent on had closed unheard; no retries. */
  readonly reconnects: number;
  /** Why all backends are used as if they were healthy; null: they are not. */
  readonly panic: string | null;
  readonly backends: readonly BackendStatus[];
}

export interface BackendStatus {
  readonly name: string;
  readonly address: string;
  readonly state: BackendHealth;
  /** Why it is not up; null when it is. */
  readonly reason: string | null;
  /** As configured. */
  readonly weight: number;
  /** What operators ordered for it; null: nothing. */
  readonly order: BackendOrderStatus | null;
  /** Of that weight, or of the one that was ordered, by its checks and its agent. 0: no new requests. */
  readonly weightPercent: number;
  /** Why its checks find it degraded; null when they do not. */
  readonly degraded: string | null;
  /** null before the first, and without checks. */
  readonly lastCheck: LastCheck | null;
  /** null without one. */
  readonly agent: AgentStatus | null;
  /** null: it is not ejected. */
  readonly ejection: EjectionStatus | null;
  /** null: closed in all workers, or none is configured. */
  readonly breaker: BreakerStatus | null;
  readonly activeConnections: number;
  readonly requests: number;
  readonly failures: number;
}

/** Left out for a while because requests failed on it in a row. */
export interface EjectionStatus {
  readonly reason: string;
  /** Its ejections that count, this one included; each makes the next one longer. */
  readonly count: number;
  readonly remainingMs: number;
}

/** Each worker has its own; those of other workers are closed. */
export interface BreakerStatus {
  readonly openWorkers: number;
  readonly halfOpenWorkers: number;
  /** Why it opened, in the worker that tries first. */
  readonly reason: string;
  /** Until the first trials of an open one; null: none is open. */
  readonly trialsInMs: number | null;
}

export interface BackendOrderStatus {
  /** null: it is ready. */
  readonly state: "drain" | "maintenance" | null;
  /** In place of the configured one; null: none is ordered. */
  readonly weight: number | null;
  /** The node on which the last of it was ordered. */
  readonly node: string;
}

export interface LastCheck {
  readonly agoMs: number;
  readonly durationMs: number;
  readonly good: boolean;
  /** Status of the response, exit code of the program; null where there was none. */
  readonly code: number | null;
  /** What a rule asked for and was not told; null when there is nothing to say. */
  readonly doubt: string | null;
}

export interface AgentStatus {
  /** Its last line; null: it has said none. */
  readonly said: string | null;
  /** null: it has said none. */
  readonly agoMs: number | null;
  /** Why it was not heard or not understood the last time; null otherwise. */
  readonly problem: string | null;
}
