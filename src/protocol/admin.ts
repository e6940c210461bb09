// The admin API: HTTP + JSON on a Unix socket in the runtime directory, mode 0600. Paths and bodies
// are named here once, for the server in admin/ and the commands in cli/.
//
//   GET  /v1/status      -> 200 Status
//   POST /v1/reload      -> 200 ReloadResult, 409 AdminError when the file cannot be used
//   GET  /v1/config      -> 200 ConfigFilesResult, 409 AdminError when the peer cannot be asked
//   POST /v1/config/push ConfigPushOrder -> 200 ConfigPushResult, 409 AdminError
//   POST /v1/switchover  SwitchoverOrder -> 200 SwitchoverResult, 409 AdminError when the pair cannot switch now
//   POST /v1/standby     MaintenanceOrder -> 200 MaintenanceResult, 409 AdminError
//   POST /v1/resume      MaintenanceOrder -> 200 ResumeResult, 409 AdminError
//   POST /v1/backend     BackendOrder -> 200 BackendOrderResult, 409 AdminError
//   POST /v1/connections BackendName -> 200 ConnectionsResult, 409 AdminError

/** File name of the admin socket inside the runtime directory. */
export const ADMIN_SOCKET = "admin.sock";

export const ADMIN_PATHS = {
  status: "/v1/status",
  reload: "/v1/reload",
  config: "/v1/config",
  configPush: "/v1/config/push",
  switchover: "/v1/switchover",
  standby: "/v1/standby",
  resume: "/v1/resume",
  backend: "/v1/backend",
  connections: "/v1/connections",
} as const;

export interface ReloadResult {
  /** Of what is in effect now. */
  readonly configHash: string;
  /** Keys that the file has changed and a restart must apply. */
  readonly needsRestart: readonly string[];
}

export interface ConfigFile {
  readonly node: string;
  /** Absolute, on that node. */
  readonly path: string;
  /** As it is: with an inline secret, if it has one. */
  readonly text: string;
}

/** Both nodes' files as they are on the disks now. */
export interface ConfigFilesResult extends ConfigFile {
  readonly peer: ConfigFile;
}

export interface ConfigPushOrder {
  /** Even over changes there that nobody here has seen. */
  readonly force: boolean;
  /** The peer only says what is wrong with the file. */
  readonly dryRun: boolean;
}

export type ConfigPushResult =
  /** `same`: there is nothing to do. `good`: to a dry run. `peer`: its name. */
  | { readonly kind: "same" | "good"; readonly peer: string }
  | {
      readonly kind: "written";
      readonly peer: ConfigTaken & {
        readonly node: string;
        /** Where its old file is; null when there was none. */
        readonly backup: string | null;
      };
      readonly self: ConfigTaken;
    };

/** What a node made of the file that it has now. */
export interface ConfigTaken {
  /** Why it is not loaded; null when it is. */
  readonly problem: string | null;
  readonly needsRestart: readonly string[];
}

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
  /** Why the node that was asked could not store it, so that a restart may undo it; null when it has. */
  readonly unstored: string | null;
}

export interface BackendName {
  readonly pool: string;
  readonly backend: string;
}

export type BackendOrder = BackendName &
  (
    | { readonly state: "drain" | "maintenance" | "ready" }
    /** `10`, `50%` (of the configured one, as of now) or `reset`. */
    | { readonly weight: string }
  );

export interface BackendOrderResult {
  /** Every node of the pair has stored it. */
  readonly replicated: boolean;
  /** What follows from it that may not be meant, in a sentence; null when nothing does. */
  readonly warning: string | null;
  /** The weight that it has now: configured, or ordered. */
  readonly weight: number;
}

/** Connections to a backend that carry a request or a tunnel now, with the orders for it in effect. */
export interface ConnectionsResult {
  readonly node: string;
  readonly connections: number;
  /** null for a node alone. */
  readonly peer: PeerConnections | null;
  /** What is ordered for the backend; null: it is ready. */
  readonly ordered: "drain" | "maintenance" | null;
}

export interface PeerConnections {
  readonly node: string;
  /** null: the peer does not say. */
  readonly connections: number | null;
  /** Why it does not. */
  readonly problem: string | null;
}

export interface AdminError {
  /** A sentence for a person: what went wrong and what to do. */
  readonly error: string;
}
