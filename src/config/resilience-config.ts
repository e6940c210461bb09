// How a pool bears that a backend fails or is full, after parsing. Durations are milliseconds.

/** When a request goes to a backend again. docs/resilience.md tells what each means. */
export interface RetryConfig {
  /** How often a request is sent at the most, the first time included; 1 to 10. */
  readonly attempts: number;
  readonly on: RetryOn;
  /** Of one attempt, until the head of its answer; Infinity: what the pool's timeouts say. */
  readonly perTryMs: number;
  /** Of all of them together; Infinity: none. */
  readonly totalMs: number;
  /** Of a request's body, what is kept to be sent again. */
  readonly bodyBytes: number;
  readonly budget: RetryBudget;
}

export interface RetryOn {
  readonly connect: boolean;
  readonly reset: boolean;
  readonly timeout: boolean;
  /** Of answers; empty: none. */
  readonly statuses: readonly number[];
}

/** Envoy's retry budget. */
export interface RetryBudget {
  /** Of the requests that are active. */
  readonly percent: number;
  /** So many are allowed however few are active. */
  readonly floor: number;
}

/** Where requests wait that found all backends full. */
export interface QueueConfig {
  /** Over all workers; 0: nobody waits. */
  readonly length: number;
  readonly timeoutMs: number;
}
