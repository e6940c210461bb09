// Ejects backends: workers tell when requests fail on one in a row, and here it is decided for all of them, since the
// limits are the pool's and not a worker's. routing/outlier.ts says what follows; this keeps the time, applies it to
// the table of backends, and tells.

import type { PoolConfig } from "../config/config.ts";
import type { EjectionStatus } from "../protocol/status.ts";
import type { HealthTable } from "../protocol/worker.ts";
import type { BackendState } from "../routing/backend-state.ts";
import * as outlier from "../routing/outlier.ts";
import type { Ends, FullRow, OutlierMember, OutlierState } from "../routing/outlier.ts";
import { isHealthy } from "../routing/panic.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";

/** A backend that fails and must stay is told of once in this time. */
const SPARED_LOG_PAUSE_MS = 10_000;

export interface OutliersOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** The backends of a pool as they are now, with ejections and orders. */
  readonly members: (pool: PoolConfig) => readonly OutlierMember[];
  /** Somebody was ejected, or came back. */
  readonly onChange: () => void;
}

/** A worker's word. */
export interface RowReport {
  readonly pool: string;
  readonly backend: string;
  readonly row: FullRow;
}

interface WatchedPool {
  readonly config: PoolConfig;
  state: OutlierState;
  readonly sparedLoggedAt: Map<string, number>;
}

export class Outliers {
  readonly #options: OutliersOptions;
  /** Those with outliers in their configuration, by name. */
  #pools = new Map<string, WatchedPool>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: OutliersOptions) {
    this.#options = options;
  }

  /**
   * Ejects in these pools from now on. A backend that keeps its pool, name and address stays ejected. Does not call
   * onChange: the caller hands the table on together with the new configuration.
   */
  configure(pools: readonly PoolConfig[]): void {
    const previous = this.#pools;
    this.#pools = new Map(
      pools
        .filter(({ outliers }) => outliers !== null)
        .map((config) => {
          const known = previous.get(config.name);
          const state =
            known === undefined
              ? outlier.NOBODY_EJECTED
              : outlier.keepRecords(known.state, (name) => hasSameBackend(known.config, config, name));
          return [config.name, { config, state, sparedLoggedAt: new Map<string, number>() }];
        }),
    );
    this.#reconsider();
    this.#schedule();
  }

  /** For good: workers that drain may still tell of rows, and nobody waits for the end of an ejection any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#pools.clear();
  }

  /** A worker has counted a row of failures. */
  judge({ pool: name, backend, row }: RowReport): void {
    const pool = this.#pools.get(name);
    const settings = pool?.config.outliers;
    if (pool === undefined || settings === undefined || settings === null) return;
    const { clock, log, members, onChange } = this.#options;
    const nowMs = clock();
    const { panicThreshold } = pool.config;
    const verdict = outlier.judgeRow(
      pool.state,
      { backend, row, nowMs },
      { settings, members: members(pool.config), panicThreshold },
    );
    switch (verdict.kind) {
      case "out-already":
        return;
      case "spared":
        if (nowMs - (pool.sparedLoggedAt.get(backend) ?? -Infinity) < SPARED_LOG_PAUSE_MS) return;
        pool.sparedLoggedAt.set(backend, nowMs);
        log.warn(
          { pool: name, backend, failure: row.reason, reason: verdict.reason },
          "a backend fails and is not ejected",
        );
        return;
      case "ejected": {
        const { reason, count, untilMs, sinceMs } = verdict.ejection;
        pool.state = verdict.state;
        log.warn(
          { pool: name, backend, reason, forMs: Math.round(untilMs - sinceMs), ejection: count },
          "backend ejected",
        );
        this.#schedule();
        onChange();
      }
    }
  }

  /** Checks or agents have found something. Ejections may end; onChange is not called. */
  noteChecks(found: HealthTable): void {
    this.#end((pool, nowMs) =>
      outlier.noteChecks(pool.state, (backend) => found[pool.config.name]?.[backend]?.health ?? "up", nowMs),
    );
    this.#reconsider();
  }

  /** Operators have ordered something: forgets what is known of backends that they work on. onChange is not called. */
  followOrders(isWorkedOn: (pool: string, backend: string) => boolean): void {
    for (const [name, pool] of this.#pools) {
      pool.state = outlier.keepRecords(pool.state, (backend) => !isWorkedOn(name, backend));
    }
    this.#reconsider();
    this.#schedule();
  }

  /** What checks and agents found, and who is ejected. */
  apply(found: HealthTable): HealthTable {
    if (this.#pools.size === 0) return found;
    return Object.fromEntries(
      Object.entries(found).map(([pool, backends]) => [
        pool,
        Object.fromEntries(
          Object.entries(backends).map(([name, state]) => [name, this.#follow(pool, name, state)]),
        ),
      ]),
    );
  }

  /** null: it is not ejected. */
  status(pool: string, backend: string): EjectionStatus | null {
    const state = this.#pools.get(pool)?.state ?? outlier.NOBODY_EJECTED;
    const ejection = outlier.ejectionOf(state, backend);
    if (ejection === null) return null;
    const { reason, count, untilMs } = ejection;
    return { reason, count, remainingMs: Math.max(0, Math.round(untilMs - this.#options.clock())) };
  }

  #follow(pool: string, backend: string, state: BackendState): BackendState {
    const ejected = this.#pools.get(pool)?.state ?? outlier.NOBODY_EJECTED;
    return outlier.isEjected(ejected, backend) && isHealthy(state.health)
      ? { ...state, health: "ejected" }
      : state;
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const endMs = Math.min(
      Infinity,
      ...[...this.#pools.values()].map(({ state }) => outlier.nextEndMs(state)),
    );
    if (endMs === Infinity) return;
    this.#timer = setTimeout(
      () => {
        const hasEnded = this.#end((pool, nowMs) => outlier.endEjections(pool.state, nowMs));
        this.#reconsider();
        this.#schedule();
        if (hasEnded) this.#options.onChange();
      },
      Math.max(1, Math.ceil(endMs - this.#options.clock())),
    );
  }

  /** To be called after each change: the limits hold at every moment. */
  #reconsider(): void {
    this.#end(({ config, state }, nowMs) => {
      const { outliers: settings, panicThreshold } = config;
      if (settings === null) return { state, ended: [] };
      const members = this.#options.members(config);
      return outlier.reconsider(state, nowMs, { settings, members, panicThreshold });
    });
  }

  /** In every pool. True: somebody is no longer ejected. */
  #end(ends: (pool: WatchedPool, nowMs: number) => Ends): boolean {
    const { clock, log } = this.#options;
    let hasEnded = false;
    for (const [name, pool] of this.#pools) {
      const { state, ended } = ends(pool, clock());
      pool.state = state;
      for (const { backend, reason } of ended)
        log.info({ pool: name, backend, reason }, "backend no longer ejected");
      if (ended.length > 0) hasEnded = true;
    }
    return hasEnded;
  }
}

function hasSameBackend(before: PoolConfig, after: PoolConfig, name: string): boolean {
  const [old, anew] = [before, after].map(({ backends }) => backends.find((one) => one.name === name));
  return old !== undefined && anew !== undefined && old.host === anew.host && old.port === anew.port;
}
