// Looks at every backend of every pool in turn, and tells when the health of one changes. Each backend
// has its own timer and at most one probe under way; routing/health.ts judges what the probes find.

import type { BackendConfig, HealthConfig, PoolConfig } from "../config/config.ts";
import type { BackendHealth, HealthTable } from "../protocol/worker.ts";
import { isChanging, judgeCheck, UNKNOWN } from "../routing/health.ts";
import type { Health } from "../routing/health.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { probeBackend } from "./probe.ts";
import type { ActiveHealth, ProbeResult } from "./probe.ts";

/** First checks of all backends are spread over this time: soon, and not in one burst. */
const FIRST_CHECKS_MS = 20;
/** A backend whose health is about to change is checked this often, or each interval if that is shorter. */
const CHANGING_INTERVAL_MS = 200;
/** However many requests fail: a hint starts no check sooner than this after the last. */
const HINTED_INTERVAL_MS = 100;
/** Intervals are shortened by up to this share, so that checks of two nodes and many backends drift apart. */
const JITTER = 0.1;

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
        const checked = new CheckedBackend(pool, backend, this.#options, () => {
          this.#options.onChange(this.table());
        });
        if (known?.isSameAs(backend) === true) checked.adopt(known);
        backends.set(backend.name, checked);
      }
    }
    for (const [pool, backends] of previous) {
      for (const [name, backend] of backends) if (!this.#pools.get(pool)?.has(name)) backend.stop();
    }
    for (const backends of this.#pools.values()) for (const backend of backends.values()) backend.start();
  }

  /** The health of every backend of every pool. */
  table(): HealthTable {
    return Object.fromEntries(
      [...this.#pools].map(([pool, backends]) => [
        pool,
        Object.fromEntries([...backends].map(([name, backend]) => [name, backend.status().state])),
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
  readonly #check: HealthConfig;
  readonly #options: HealthCheckerOptions;
  readonly #onChange: () => void;
  #health: Health = UNKNOWN;
  #reason: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  #probe: AbortController | undefined;
  #lastProbeMs = Number.NEGATIVE_INFINITY;

  constructor(pool: PoolConfig, backend: BackendConfig, options: HealthCheckerOptions, onChange: () => void) {
    this.#pool = pool.name;
    this.#backend = backend;
    this.#check = pool.health;
    this.#options = options;
    this.#onChange = onChange;
  }

  isSameAs({ host, port }: BackendConfig): boolean {
    return this.#backend.host === host && this.#backend.port === port;
  }

  /** Takes over what a predecessor had found out, unless nobody would look at the backend again. */
  adopt(predecessor: CheckedBackend): void {
    if (this.#check.kind === "none") return;
    this.#health = predecessor.#health;
    this.#reason = predecessor.#reason;
  }

  status(): BackendCheckStatus {
    return { state: stateOf(this.#health), reason: this.#reason };
  }

  start(): void {
    this.#schedule(this.#options.random() * FIRST_CHECKS_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#probe?.abort();
    this.#probe = undefined;
  }

  hasten(): void {
    // A probe under way will tell; its own successor comes soon if it fails.
    if (this.#probe !== undefined) return;
    const sinceLastMs = this.#options.clock() - this.#lastProbeMs;
    this.#schedule(Math.max(0, HINTED_INTERVAL_MS - sinceLastMs));
  }

  #schedule(delayMs: number): void {
    const check = this.#check;
    if (check.kind === "none") return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(check), delayMs);
  }

  async #look(check: ActiveHealth): Promise<void> {
    const probe = new AbortController();
    this.#probe = probe;
    this.#lastProbeMs = this.#options.clock();
    const result = await probeBackend(this.#backend, check, probe.signal);
    if (probe.signal.aborted) return;
    this.#probe = undefined;
    this.#judge(result, check);
    const intervalMs = isChanging(this.#health)
      ? Math.min(check.intervalMs, CHANGING_INTERVAL_MS)
      : check.intervalMs;
    this.#schedule(intervalMs * (1 - JITTER * this.#options.random()));
  }

  #judge(result: ProbeResult, check: ActiveHealth): void {
    const before = stateOf(this.#health);
    const health = judgeCheck(this.#health, result.kind === "good", check);
    this.#health = health;
    const state = stateOf(health);
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
