// What a node tells about itself over the admin socket: `vipair status --json` prints a Status as it is.

import type { BackendHealth } from "./worker.ts";

/** The roles people see. `standby` includes a node that is still starting. */
export type Role = "active" | "standby" | "fault";

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
  /** null for a node alone. */
  readonly peer: PeerStatus | null;
  readonly virtualAddresses: readonly VirtualAddressStatus[];
  readonly listeners: readonly ListenerStatus[];
  readonly workers: readonly WorkerStatus[];
  readonly pools: readonly PoolStatus[];
  /** Requests answered since the control process started. */
  readonly requests: number;
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
  /** What is wrong with the link in words a person can act on; null when nothing is. */
  readonly problem: string | null;
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
  readonly backends: readonly BackendStatus[];
}

export interface BackendStatus {
  readonly name: string;
  readonly address: string;
  readonly state: BackendHealth;
  /** Why it is not up; null when it is. */
  readonly reason: string | null;
  readonly weight: number;
  readonly activeConnections: number;
  readonly requests: number;
  readonly failures: number;
}
