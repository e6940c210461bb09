// The admin API: HTTP + JSON on a Unix socket in the runtime directory, mode 0600. Paths and bodies
// are named here once, for the server in admin/ and the commands in cli/.
//
//   GET  /v1/status      -> 200 Status
//   POST /v1/switchover  SwitchoverOrder -> 200 SwitchoverResult, 409 AdminError when the pair cannot switch now
//   POST /v1/standby     MaintenanceOrder -> 200 MaintenanceResult, 409 AdminError
//   POST /v1/resume      MaintenanceOrder -> 200 ResumeResult, 409 AdminError
//   POST /v1/drain       DrainOrder -> 200 DrainResult, 409 AdminError

/** File name of the admin socket inside the runtime directory. */
export const ADMIN_SOCKET = "admin.sock";

export const ADMIN_PATHS = {
  status: "/v1/status",
  switchover: "/v1/switchover",
  standby: "/v1/standby",
  resume: "/v1/resume",
  drain: "/v1/drain",
} as const;

export interface SwitchoverOrder {
  /** Absent: the only group. */
  readonly group?: string;
  /** Even if the peer is not ready. */
  readonly force: boolean;
}

export interface SwitchoverResult {
  /** The node that is active now. */
  readonly active: string;
  /** From the order to the new active's first advertisement as active. */
  readonly tookMs: number;
}

export interface MaintenanceOrder {
  /** Absent: the node that is asked. */
  readonly node?: string;
  /** `standby` only: let go even if the peer cannot take over. */
  readonly force: boolean;
}

export interface MaintenanceResult {
  readonly node: string;
  /** The peer has stored it, too. */
  readonly replicated: boolean;
  /** What is still to come, in a sentence; null when all is done. */
  readonly pending: string | null;
}

export interface ResumeResult {
  readonly node: string;
  /** What kept the node back until now, as far as the node that was asked knows. */
  readonly ended: "maintenance" | "damping" | "nothing";
  /** The peer knows it, too. */
  readonly replicated: boolean;
}

export interface DrainOrder {
  readonly pool: string;
  readonly backend: string;
  /** false: it gets new requests again. */
  readonly draining: boolean;
}

export interface DrainResult {
  /** The peer has stored it, too. */
  readonly replicated: boolean;
}

export interface AdminError {
  /** A sentence for a person: what went wrong and what to do. */
  readonly error: string;
}
