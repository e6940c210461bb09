// The admin API: HTTP + JSON on a Unix socket in the runtime directory, mode 0600. Paths and bodies
// are named here once, for the server in admin/ and the commands in cli/.
//
//   GET  /v1/status      -> 200 Status
//   POST /v1/switchover  -> 200 SwitchoverResult, 409 AdminError when the pair cannot switch now

/** File name of the admin socket inside the runtime directory. */
export const ADMIN_SOCKET = "admin.sock";

export const ADMIN_PATHS = { status: "/v1/status", switchover: "/v1/switchover" } as const;

export interface SwitchoverResult {
  /** The node that is active now. */
  readonly active: string;
  /** From the order to the new active's first advertisement as active. */
  readonly tookMs: number;
}

export interface AdminError {
  /** A sentence for a person: what went wrong and what to do. */
  readonly error: string;
}
