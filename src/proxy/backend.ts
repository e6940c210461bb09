// One backend of a pool, as this worker sees it: its counters and the connections that wait for reuse.

import type { BackendConfig, PoolConfig } from "../config/config.ts";
import type { BackendCounters } from "../protocol/worker.ts";
import type { Pass } from "../routing/circuit-breaker.ts";
import { createLoad, observeResponse } from "../routing/response-time.ts";
import { monotonicClock } from "../system/clock.ts";
import { BackendConnection, type BackendUser } from "./backend-connection.ts";
import { BackendWatch, type WatchSettings } from "./backend-watch.ts";
import type { Context } from "./context.ts";
import type { Queue } from "./queue.ts";

/** Idle connections kept per backend and worker; the longest idle one goes first. */
const IDLE_CONNECTIONS_MAX = 256;
/** Shorter than the keep-alive timeout of common servers (Node 5 s), so that we close first. */
const IDLE_MS_MAX = 4000;
/** How long before the timeout that the backend names itself we stop using a connection. */
const IDLE_MARGIN_MS = 500;
/** A dead backend fails every request; the control process needs to hear it only so often. */
const FAILURE_REPORT_INTERVAL_MS = 100;

/** What was wrong with an attempt, before or behind the head of its answer. */
export interface Fault {
  /**
   * connect: refused, unreachable, timed out: no byte of the request was sent; reset: the connection was lost;
   * malformed: what came is not to be believed; timeout: nothing came, or nothing more, in time.
   */
  readonly kind: "connect" | "reset" | "malformed" | "timeout";
  /** Of the head behind which it went wrong; null: none had come. */
  readonly status: number | null;
  /** In words, for logs. */
  readonly reason: string;
}

/**
 * How an attempt went. A number is the status of its answer; "abandoned": whoever waited for the answer has gone, which
 * says nothing of the backend.
 */
export type Outcome = number | Fault | "abandoned";

export class Backend {
  readonly name: string;
  readonly pool: string;
  host: string;
  port: number;
  private readonly context: Context;
  /** What policies go by. */
  readonly load = createLoad();
  /** Where requests wait for it; null: it is never full. */
  queue: Queue | null = null;
  /** Of its connections, this worker's part; Infinity: unlimited. */
  private connectionsMax = Infinity;
  /** null: its pool neither ejects nor has circuit breakers. */
  watch: BackendWatch | null = null;
  private readonly counts: { requests: number; failures: number };
  /** The last one is the one used last: reuse is LIFO, so that surplus connections age and go. */
  private idle: BackendConnection[] = [];
  private failureReportedAt = -Infinity;
  private isRetired = false;
  /** A connection of an earlier one leads to another address. */
  generation = 0;

  constructor(context: Context, pool: PoolConfig, config: BackendConfig) {
    this.context = context;
    this.pool = pool.name;
    this.name = config.name;
    this.host = config.host;
    this.port = config.port;
    this.counts = { requests: 0, failures: 0 };
    this.observe(pool);
    this.limit(config);
  }

  get counters(): BackendCounters {
    return { activeConnections: this.load.active, ...this.counts };
  }

  /** Of another address nothing is known, and idle connections to it are of no use any more. */
  configure(pool: PoolConfig, config: BackendConfig): void {
    if (config.host !== this.host || config.port !== this.port) {
      this.generation += 1;
      this.closeIdle();
      this.watch = null;
    }
    this.observe(pool);
    this.limit(config);
    this.host = config.host;
    this.port = config.port;
    this.isRetired = false;
  }

  /** It left the configuration: exchanges in flight end, nothing is kept. */
  retire(): void {
    this.isRetired = true;
    this.closeIdle();
  }

  /** An idle connection for this user; null when there is none. */
  takeIdle(user: BackendUser): BackendConnection | null {
    const connection = this.idle.pop() ?? null;
    connection?.reuse(user);
    return connection;
  }

  /** A new connection; the user hears backendConnected or backendLost later. */
  open(user: BackendUser): BackendConnection {
    return new BackendConnection(this, this.context.timers, user);
  }

  /**
   * Ends an exchange's use of a connection that could carry another. `keepAliveTimeoutMs`: what the
   * backend said of its own patience.
   */
  recycle(connection: BackendConnection, keepAliveTimeoutMs: number | null): void {
    const idleMs = Math.min(IDLE_MS_MAX, (keepAliveTimeoutMs ?? Infinity) - IDLE_MARGIN_MS);
    // A write may have failed while the whole answer stood in the kernel: see HearingSocket.
    const isSound = connection.stream.writable && connection.generation === this.generation;
    if (isSound && idleMs > 0 && !this.isRetired) connection.release(idleMs);
    else connection.destroy();
  }

  keepIdle(connection: BackendConnection): void {
    this.idle.push(connection);
    if (this.idle.length > IDLE_CONNECTIONS_MAX) this.idle[0]?.drop();
  }

  forgetIdle(connection: BackendConnection): void {
    const index = this.idle.lastIndexOf(connection);
    if (index !== -1) this.idle.splice(index, 1);
  }

  countRequest(): void {
    this.counts.requests += 1;
    this.context.tally.hasChanged = true;
  }

  /** It has as many requests and tunnels as it may. */
  get isFull(): boolean {
    return this.load.active >= this.connectionsMax;
  }

  countActive(change: 1 | -1): void {
    this.load.active += change;
    this.context.tally.hasChanged = true;
    if (change === -1 && this.queue !== null) this.queue.noteFreed(this);
  }

  /** It answered, or was given up, a request that it had whole since `sentAtMs` (monotonicClock). */
  noteResponse(sentAtMs: number): void {
    const nowMs = monotonicClock();
    observeResponse(this.load, nowMs - sentAtMs, nowMs);
  }

  /** An attempt begins, which its pool has accepted. The pass comes back with its outcome. */
  admit(): Pass {
    return this.watch === null ? 0 : this.watch.admit();
  }

  /**
   * Each attempt says here how it went, as soon as that is known. Once; and a second time, with a fault, if the body was
   * lost behind a head that came.
   */
  noteOutcome(outcome: Outcome, pass: Pass): void {
    if (typeof outcome === "object") this.countFailure(outcome.reason);
    if (this.watch === null) return;
    if (outcome === "abandoned") {
      this.watch.noteAbandoned(pass);
      return;
    }
    const hasOpened =
      typeof outcome === "object"
        ? this.watch.noteFailure(outcome.reason, outcome.status, pass)
        : this.watch.noteStatus(outcome, pass);
    // Whoever waits for this backend alone would wait in vain.
    if (hasOpened) this.queue?.reconsiderSoon();
  }

  /** The whole response of an attempt came, or all of it that is ours to see. */
  noteWhole(): void {
    if (this.watch !== null) this.watch.noteWhole();
  }

  /** Counted, and the health checker is asked to look. */
  private countFailure(reason: string): void {
    this.counts.failures += 1;
    const { tally, timers } = this.context;
    tally.hasChanged = true;
    if (timers.nowMs - this.failureReportedAt < FAILURE_REPORT_INTERVAL_MS) return;
    this.failureReportedAt = timers.nowMs;
    this.context.tell({ kind: "backend-failure", pool: this.pool, backend: this.name, reason });
  }

  /** A limit less than the workers would leave some of them nothing: each has 1 at least. */
  private limit({ maxConnections }: BackendConfig): void {
    this.connectionsMax =
      maxConnections === undefined
        ? Infinity
        : Math.max(1, Math.floor(maxConnections / this.context.workers));
  }

  private observe(settings: WatchSettings): void {
    if (settings.outliers === null && settings.circuitBreaker === null) this.watch = null;
    else if (this.watch?.isFor(settings) !== true)
      this.watch = new BackendWatch(this.context, { pool: this.pool, backend: this.name }, settings);
  }

  private closeIdle(): void {
    const connections = this.idle;
    this.idle = [];
    for (const connection of connections) connection.destroy();
  }
}
