// Looks at every backend of every pool in turn, and tells when the health of one changes.

import type { BackendConfig, PoolConfig } from "../config/config.ts";
import type { HealthTable } from "../protocol/worker.ts";
import type { BackendHealth } from "../routing/backend-state.ts";
import { UNKNOWN } from "../routing/health.ts";
import type { Health } from "../routing/health.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { probeBackend } from "./probe.ts";
import type { ProbeResult } from "./probe.ts";
import { RepeatedCheck } from "./repeated-check.ts";

/** A backend whose health is about to change is checked this often, or each interval if that is shorter. */
const CHANGING_INTERVAL_MS = 200;

export interface HealthCheckerOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** 0 <= random() < 1 */
  readonly random: () => number;
  /** The whole table, after each change of any backend. */
  readonly onChange: (table: HealthTable) => void;
}

export class HealthChecker {
  readonly #options: HealthCheckerOptions;
  /** By pool and backend, in the order of the configuration. */
  #pools = new Map<string, Map<string, CheckedBackend>>();

  constructor(options: HealthCheckerOptions) {
    this.#options = options;
  }

  /**
   * Checks these pools from now on. A backend that keeps its pool, name and address keeps its health.
   * Does not call onChange: the caller hands table() on together with the new configuration.
   */
  configure(pools: readonly PoolConfig[]): void {
    const previous = this.#pools;
    this.#pools = new Map();
    for (const pool of pools) {
      const backends = new Map<string, CheckedBackend>();
      this.#pools.set(pool.name, backends);
      for (const backend of pool.backends) {
        const known = previous.get(pool.name)?.get(backend.name);
        known?.stop();
        const same = known?.isSameAs(backend) === true ? known : undefined;
        const checked = new CheckedBackend(pool, backend, same, this.#options, () => {
          this.#options.onChange(this.table());
        });
        backends.set(backend.name, checked);
      }
    }
    for (const [pool, backends] of previous) {
      for (const [name, backend] of backends) if (!this.#pools.get(pool)?.has(name)) backend.stop();
    }
    for (const backends of this.#pools.values()) for (const backend of backends.values()) backend.start();
  }

  /** The state of every backend of every pool. */
  table(): HealthTable {
    return Object.fromEntries(
      [...this.#pools].map(([pool, backends]) => [
        pool,
        Object.fromEntries(
          [...backends].map(([name, backend]) => [name, { health: backend.status().state }]),
        ),
      ]),
    );
  }

  /** State of one backend, and why it is not up; a backend that is not configured is up. */
  status(pool: string, backend: string): BackendCheckStatus {
    return this.#pools.get(pool)?.get(backend)?.status() ?? { state: "up", reason: null };
  }

  /** A request failed on this backend: look at it now instead of at the next interval. */
  noteFailure(pool: string, backend: string): void {
    this.#pools.get(pool)?.get(backend)?.hasten();
  }

  /** Closes all timers and connections. The table stays as it is. */
  stop(): void {
    for (const backends of this.#pools.values()) for (const backend of backends.values()) backend.stop();
  }
}

export interface BackendCheckStatus {
  readonly state: BackendHealth;
  readonly reason: string | null;
}

class CheckedBackend {
  readonly #pool: string;
  readonly #backend: BackendConfig;
  readonly #options: HealthCheckerOptions;
  readonly #onChange: () => void;
  /** undefined: nobody looks at this backend. */
  readonly #check: RepeatedCheck | undefined;
  #reason: string | null = null;

  /** `known`: the same backend under an earlier configuration; what had been found out about it stays. */
  constructor(
    pool: PoolConfig,
    backend: BackendConfig,
    known: CheckedBackend | undefined,
    options: HealthCheckerOptions,
    onChange: () => void,
  ) {
    this.#pool = pool.name;
    this.#backend = backend;
    this.#options = options;
    this.#onChange = onChange;
    const { health } = pool;
    if (health.kind === "none") return;
    this.#reason = known?.status().reason ?? null;
    this.#check = new RepeatedCheck({
      timing: { ...health, changingIntervalMs: Math.min(health.intervalMs, CHANGING_INTERVAL_MS) },
      health: known?.health ?? UNKNOWN,
      clock: options.clock,
      random: options.random,
      look: (abort) => probeBackend(backend, health, abort),
      onLook: (result, before, after) => {
        this.#note(result, stateOf(before), stateOf(after));
      },
    });
  }

  isSameAs({ host, port }: BackendConfig): boolean {
    return this.#backend.host === host && this.#backend.port === port;
  }

  get health(): Health {
    return this.#check?.health ?? UNKNOWN;
  }

  status(): BackendCheckStatus {
    return { state: stateOf(this.health), reason: this.#reason };
  }

  start(): void {
    this.#check?.start();
  }

  stop(): void {
    this.#check?.stop();
  }

  hasten(): void {
    this.#check?.hasten();
  }

  #note(result: ProbeResult, before: BackendHealth, state: BackendHealth): void {
    if (state === "up") this.#reason = null;
    else if (result.kind === "bad") this.#reason = result.reason;
    if (state === before) return;
    const subject = { pool: this.#pool, backend: this.#backend.name };
    if (state === "up") this.#options.log.info(subject, "backend up");
    else this.#options.log.warn({ ...subject, reason: this.#reason }, `backend ${state}`);
    this.#onChange();
  }
}

function stateOf(health: Health): BackendHealth {
  return health.kind === "unknown" ? "up" : health.kind;
}
