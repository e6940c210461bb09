// What is known of one backend at one moment, as the control process tells it to the workers: the sum of what
// checks found, agents said and operators ordered. Whoever finds out more adds a field here.

/**
 * Whether a backend gets new requests:
 *
 *   up           yes
 *   suspect      while none is up; its last check failed
 *   down         no: `fall` checks failed, or its agent says so
 *   drain        no; what is in flight ends in peace. By an operator or its agent
 *   maintenance  no; taken out of service by an operator or its agent
 *   ejected      no, for a while: requests failed on it in a row
 */
export type BackendHealth = "up" | "suspect" | "down" | "drain" | "maintenance" | "ejected";

export interface BackendState {
  readonly health: BackendHealth;
  /** In place of the configured weight, 0 to 256; absent: nobody ordered one. */
  readonly weight?: number;
  /** Of the weight, configured or ordered; absent: 100. 0: no new clients. */
  readonly weightPercent?: number;
  /**
   * How long ago it really recovered: was down by its checks or its agent, and then up. Counted when the state
   * was sent. Absent when it never did; a start, a reload and a failover are no recovery.
   */
  readonly recoveredAgoMs?: number;
}

/** What it gets, of the configured weight, when it does not start slowly. */
export function weightNow(
  { weight, weightPercent = 100 }: Pick<BackendState, "weight" | "weightPercent">,
  configured: number,
): number {
  return ((weight ?? configured) * weightPercent) / 100;
}

/** Of a backend that nobody has looked at. */
export const ASSUMED_UP: BackendState = { health: "up" };
