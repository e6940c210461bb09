// All that the control process knows of backends, put together: what checks and agents find, who is ejected, what
// operators order, in this order; and whether a pool panics. Workers get the table that results, people the status.

import { formatAddress } from "../config/config.ts";
import type { ListenerConfig, PoolConfig } from "../config/config.ts";
import type { Change, ChangeValue } from "../election/changes.ts";
import type { BackendStatus, PoolStatus } from "../protocol/status.ts";
import type { HealthTable, WorkerCounters } from "../protocol/worker.ts";
import { ASSUMED_UP, weightNow } from "../routing/backend-state.ts";
import type { OutlierMember } from "../routing/outlier.ts";
import { describePanic } from "../routing/panic.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { BackendOrders } from "./backend-orders.ts";
import { noBackendProblem, poolsThatAnswer } from "./backend-table.ts";
import { breakerStatus } from "./breaker-status.ts";
import { HealthChecker } from "./health-checker.ts";
import type { ChangeOutcome } from "./maintenance.ts";
import { Outliers } from "./outliers.ts";
import type { RowReport } from "./outliers.ts";
import type { BackendFailure } from "./worker-process.ts";
import { NO_POOL_COUNTERS } from "./worker-counters.ts";

/** Failed requests on one backend are logged once in this time; the counters have them all. */
const FAILURE_LOG_PAUSE_MS = 10_000;

export interface BackendsOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** 0 <= random() < 1 */
  readonly random: () => number;
  readonly configDir: string;
  /** As configured now. */
  readonly pools: () => readonly PoolConfig[];
  readonly listeners: () => readonly ListenerConfig[];
  /** Run-time changes. */
  readonly find: (key: string) => Change | undefined;
  readonly set: (key: string, value: ChangeValue) => Promise<ChangeOutcome>;
  /** The table is another one. */
  readonly onChange: () => void;
}

export class Backends {
  readonly orders: BackendOrders;
  readonly #options: BackendsOptions;
  readonly #health: HealthChecker;
  readonly #outliers: Outliers;
  /** By pool and backend. */
  readonly #failureLoggedAt = new Map<string, number>();
  /** Pools that panic. */
  readonly #panicking = new Set<string>();

  constructor(options: BackendsOptions) {
    this.#options = options;
    const { log, clock, pools, find, set } = options;
    this.#health = new HealthChecker({
      ...options,
      isInMaintenance: (pool, backend) => this.orders.isInMaintenance({ pool, backend }),
      onChange: (found) => {
        this.#outliers.noteChecks(found);
        this.#tell();
      },
    });
    this.#outliers = new Outliers({
      log,
      clock,
      members: (pool) => this.#members(pool, this.table()),
      onChange: () => {
        this.#tell();
      },
    });
    this.orders = new BackendOrders({
      pools,
      health: () => this.#outliers.apply(this.#health.table()),
      find,
      set,
    });
  }

  /** Follows the configuration that is in effect now. The caller hands table() on. */
  configure(): void {
    const pools = this.#options.pools();
    this.#health.configure(pools);
    this.#outliers.configure(pools);
    this.#notePanic();
  }

  /** Ends every check and timer. */
  stop(): void {
    this.#health.stop();
    this.#outliers.stop();
  }

  /** The state of every backend of every pool. */
  table(): HealthTable {
    return this.orders.table();
  }

  /** Orders may have changed. */
  followOrders(): void {
    this.#health.noteOrders();
    this.#outliers.followOrders((pool, backend) => this.orders.isInMaintenance({ pool, backend }));
    this.#tell();
  }

  /** A request failed: the checks look at once. */
  noteFailure(failure: BackendFailure): void {
    const { pool, backend } = failure;
    this.#health.noteFailure(pool, backend);
    const key = `${pool}/${backend}`;
    const now = this.#options.clock();
    if (now - (this.#failureLoggedAt.get(key) ?? -Infinity) < FAILURE_LOG_PAUSE_MS) return;
    this.#failureLoggedAt.set(key, now);
    this.#options.log.warn(failure, "a request failed on a backend");
  }

  /** Requests failed in a row. */
  noteRow(report: RowReport): void {
    this.#outliers.judge(report);
  }

  /** Why this node could answer no request, by what its checks find. */
  problem(): string | undefined {
    const pools = poolsThatAnswer(this.orders.poolsInService(), this.#options.listeners());
    return noBackendProblem(pools, this.#health.table());
  }

  status(counters: WorkerCounters): readonly PoolStatus[] {
    const table = this.table();
    return this.#options.pools().map((pool) => ({
      name: pool.name,
      ...(counters.pools[pool.name] ?? NO_POOL_COUNTERS),
      panic: describePanic(this.#members(pool, table), pool.panicThreshold),
      backends: pool.backends.map((backend) => this.#backendStatus(pool, backend, counters)),
    }));
  }

  #backendStatus(
    { name: pool }: PoolConfig,
    { name: backend, host, port, weight }: PoolConfig["backends"][number],
    counters: WorkerCounters,
  ): BackendStatus {
    const counted = counters.backends[pool]?.[backend];
    const ejection = this.#outliers.status(pool, backend);
    const found = this.#health.status(pool, backend);
    const isEjected = ejection !== null && (found.state === "up" || found.state === "suspect");
    const known = isEjected ? { ...found, state: "ejected" as const, reason: ejection.reason } : found;
    return {
      name: backend,
      address: formatAddress(host, port),
      weight,
      ...this.orders.status({ pool, backend }, known),
      ejection,
      breaker: breakerStatus(counters.breakers, { pool, backend }),
      activeConnections: counted?.activeConnections ?? 0,
      requests: counted?.requests ?? 0,
      failures: counted?.failures ?? 0,
    };
  }

  /** As `table` has them. */
  #members({ name: pool, backends }: PoolConfig, table: HealthTable): readonly OutlierMember[] {
    return backends.map(({ name, weight, isBackup }) => {
      const state = table[pool]?.[name] ?? ASSUMED_UP;
      return { name, isBackup, health: state.health, settledWeight: weightNow(state, weight) };
    });
  }

  #tell(): void {
    this.#notePanic();
    this.#options.onChange();
  }

  #notePanic(): void {
    const { pools, log } = this.#options;
    const table = this.table();
    for (const pool of pools()) {
      const reason = describePanic(this.#members(pool, table), pool.panicThreshold);
      const subject = { pool: pool.name };
      if (reason === null) {
        if (this.#panicking.delete(pool.name)) log.info(subject, "pool no longer in panic");
      } else if (!this.#panicking.has(pool.name)) {
        this.#panicking.add(pool.name);
        log.warn({ ...subject, reason }, "pool in panic");
      }
    }
  }
}
