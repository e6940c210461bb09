// What crosses the border between the control process and a worker, over the IPC channel of fork().
// The control process decides (which listeners are open, which backends are up); a worker proxies and
// counts. Handles (listening sockets, stray connections) travel as the second argument of send().

import type { AccessLogConfig, ListenerConfig, PoolConfig } from "../config/config.ts";
import type { BackendState } from "../routing/backend-state.ts";
import type { FullRow } from "../routing/outlier.ts";

/** The part of the configuration that a worker needs. Immutable; a new one replaces it whole. */
export interface WorkerConfig {
  /** Name of the node, for logs and the Via-like fields. */
  readonly node: string;
  readonly listeners: readonly ListenerConfig[];
  readonly pools: readonly PoolConfig[];
  readonly logLevel: string;
  /** Seals the cookies of sticky pools: the same on both nodes of a pair. Never to be shown. */
  readonly stickyKey: Uint8Array;
  /** With an absolute file; null: no access log. */
  readonly accessLog: AccessLogConfig | null;
  /** How many workers share the connections, and so the limits on them. */
  readonly workers: number;
  readonly errorPages: ErrorPages;
}

/** By listener, and there by status (`503`) or class (`5xx`). A listener without pages is not named. */
export type ErrorPages = ReadonlyMap<string, ReadonlyMap<string, ErrorPage>>;

export interface ErrorPage {
  readonly contentType: string;
  readonly body: string;
}

/** health[pool][backend]; a backend that is not named is up. */
export type HealthTable = Readonly<Record<string, Readonly<Record<string, BackendState>>>>;

export type ToWorker =
  /** Replaces config and health; keeps listening sockets, client connections and counters by name. */
  | { readonly kind: "configure"; readonly config: WorkerConfig; readonly health: HealthTable }
  | { readonly kind: "health"; readonly health: HealthTable }
  /** With a net.Server handle that is bound and listening. `socketId` names it in later messages. */
  | { readonly kind: "listen"; readonly listener: string; readonly socketId: string }
  /** With a net.Socket handle, paused: a connection that the control process accepted before it let go. */
  | { readonly kind: "connection"; readonly listener: string }
  /**
   * Stop accepting on this socket; end idle connections, and the others politely (`Connection: close`)
   * as their exchange ends. `graceMs` later cut what is left (0: at once). Answered by `closed` when
   * the last connection that came in through this socket has gone.
   */
  | { readonly kind: "close"; readonly socketId: string; readonly graceMs: number }
  /**
   * These addresses have gone from this machine for good: client connections to them, also those still to be
   * accepted, can be told nothing any more and are cut.
   */
  | { readonly kind: "cut"; readonly addresses: readonly string[] }
  /** Answer with `report` now. */
  | { readonly kind: "report" }
  /** Close every socket as above, then exit 0. */
  | { readonly kind: "drain"; readonly graceMs: number };

export type FromWorker =
  /** Privileges are dropped, messages are read: sockets may come. */
  | { readonly kind: "ready" }
  | { readonly kind: "listening"; readonly socketId: string }
  | { readonly kind: "closed"; readonly socketId: string }
  /** The answer to `report`, and unasked once a second when something changed. */
  | { readonly kind: "report"; readonly counters: WorkerCounters }
  /** A request failed on this backend: a hint for the health checker to look at once. */
  | {
      readonly kind: "backend-failure";
      readonly pool: string;
      readonly backend: string;
      readonly reason: string;
    }
  /**
   * Requests failed on this backend in a row, as many as the pool's `outliers` say; the row begins anew. At most once
   * in a while: one that goes on failing is told of again.
   */
  | {
      readonly kind: "failure-row";
      readonly pool: string;
      readonly backend: string;
      readonly row: FullRow;
    };

/** Totals since this worker started, but for the gauges, which are now. */
export interface WorkerCounters {
  /** Client connections open now. */
  readonly connections: number;
  /** Requests answered, by whomever. */
  readonly requests: number;
  /** Client connections that a limit turned away. */
  readonly refusedConnections: number;
  readonly mirrors: MirrorCounters;
  /** backends[pool][backend] */
  readonly backends: Readonly<Record<string, Readonly<Record<string, BackendCounters>>>>;
  /** pools[pool] */
  readonly pools: Readonly<Record<string, PoolCounters>>;
  /** Circuit breakers that are not closed now. */
  readonly breakers: readonly BreakerReport[];
}

export interface PoolCounters {
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
}

export interface BreakerReport {
  readonly pool: string;
  readonly backend: string;
  readonly phase: "open" | "half-open";
  /** Why it opened. */
  readonly reason: string;
  /** Until it lets requests through on trial, or others than now; 0: at once. */
  readonly trialsInMs: number;
}

/** Of the requests that routes copy to a second pool. */
export interface MirrorCounters {
  /** Copies that left. */
  readonly sent: number;
  /** That did not: no backend, too many at once, too long a body. */
  readonly dropped: number;
}

export interface BackendCounters {
  /** Connections to it that carry a request or a tunnel now. */
  readonly activeConnections: number;
  /** Requests sent to it. */
  readonly requests: number;
  /** Connects refused or timed out, resets, malformed or missing responses. */
  readonly failures: number;
}
