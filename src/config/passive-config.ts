// What is concluded from the requests themselves, after parsing. Part of config.ts. docs/health.md tells how the two
// differ and when to use which.

/** Backends on which requests fail in a row are left out for a while; for all workers, at most so many of a pool. */
export interface OutlierConfig {
  /** Responses with status 500 or above in a row; null: they eject nobody. */
  readonly consecutive5xx: number | null;
  /** Requests without a proper response in a row; null: they eject nobody. */
  readonly consecutiveFailures: number | null;
  /** The first ejection; the next ones are two, three … times as long. */
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  /** Of the pool's backends that may be ejected at the same time. */
  readonly maxEjectionPercent: number;
}

/** A backend on which too large a share of the requests fails gets none for a while, and then a few on trial. */
export interface CircuitBreakerConfig {
  /** Percent of the requests within the window. */
  readonly failureRate: number;
  /** Fewer within the window decide nothing. */
  readonly minimumRequests: number;
  readonly windowMs: number;
  /** From opening to the first trial. */
  readonly openMs: number;
  /** Requests that a half-open breaker lets through; all of them good: closed. */
  readonly trials: number;
}
