// Looks at every backend of every pool in turn, and tells when the state of one changes. checked-backend.ts has
// what is known of each.

import type { PoolConfig } from "../config/config.ts";
import type { HealthTable } from "../protocol/worker.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { type BackendCheckStatus, type Change, CheckedBackend, UNCHECKED } from "./checked-backend.ts";

/** First looks are spread over this time: soon, and not in one burst that heartbeats would wait for. */
const FIRST_LOOKS_MS = { atLeast: 20, perBackend: 2, atMost: 1000 } as const;

/** Agents may tell another weight with each line; the workers hear of all of them together. */
const WEIGHTS_MS = 100;

export interface HealthCheckerOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** 0 <= random() < 1 */
  readonly random: () => number;
  /** Relative programs and files of checks stand there. */
  readonly configDir: string;
  /** An operator has it in maintenance: it is not looked at, and what was known of it is forgotten. */
  readonly isInMaintenance: (pool: string, backend: string) => boolean;
  /** The whole table, after each change of any backend. */
  readonly onChange: (table: HealthTable) => void;
}

export class HealthChecker {
  readonly #options: HealthCheckerOptions;
  /** By pool and backend, in the order of the configuration. */
  #pools = new Map<string, Map<string, CheckedBackend>>();
  /** As of the last configuration or order. */
  #resting: ReadonlySet<CheckedBackend> = new Set();
  #config: readonly PoolConfig[] = [];
  #weightsTimer: NodeJS.Timeout | undefined;

  constructor(options: HealthCheckerOptions) {
    this.#options = options;
  }

  /**
   * Checks these pools from now on. A backend that keeps its pool, name and address keeps what is known of it, however
   * it is checked. Does not call onChange: the caller hands table() on together with the new configuration.
   */
  configure(pools: readonly PoolConfig[]): void {
    this.stop();
    const previous = this.#pools;
    this.#config = pools;
    const options = this.#backendOptions(firstLooksMs(pools));
    this.#pools = new Map(
      pools.map((pool) => {
        const backends = pool.backends.map((backend) => {
          const known = previous.get(pool.name)?.get(backend.name);
          const same = known?.isSameAs(backend) === true ? known : undefined;
          return [backend.name, new CheckedBackend(pool, backend, same, options)] as const;
        });
        return [pool.name, new Map(backends)];
      }),
    );
    this.#resting = new Set(this.#backendsInMaintenance());
    for (const backend of this.#backends()) if (!this.#resting.has(backend)) backend.start();
  }

  /** After an order: rests those that are in maintenance now, and looks at once at those that no longer are. */
  noteOrders(): void {
    const resting = new Set<CheckedBackend>();
    for (const pool of this.#config) {
      const backends = this.#pools.get(pool.name);
      for (const config of pool.backends) {
        const known = backends?.get(config.name);
        if (backends === undefined || known === undefined) continue;
        const shallRest = this.#options.isInMaintenance(pool.name, config.name);
        const isResting = this.#resting.has(known);
        if (shallRest === isResting) {
          if (isResting) resting.add(known);
          continue;
        }
        known.stop();
        const options = { ...this.#backendOptions(FIRST_LOOKS_MS.atLeast), isBack: isResting };
        const anew = new CheckedBackend(pool, config, undefined, options);
        backends.set(config.name, anew);
        if (shallRest) resting.add(anew);
        else anew.start();
      }
    }
    this.#resting = resting;
  }

  /** The state of every backend of every pool. */
  table(): HealthTable {
    return Object.fromEntries(
      [...this.#pools].map(([pool, backends]) => [
        pool,
        Object.fromEntries([...backends].map(([name, backend]) => [name, backend.state()])),
      ]),
    );
  }

  /** What is known of one backend; one that is not configured is up. */
  status(pool: string, backend: string): BackendCheckStatus {
    return this.#pools.get(pool)?.get(backend)?.status() ?? UNCHECKED;
  }

  /** A request failed on this backend: look at it now instead of at the next interval. */
  noteFailure(pool: string, backend: string): void {
    this.#pools.get(pool)?.get(backend)?.hasten();
  }

  /** Closes all timers, connections and programs. The table stays as it is. */
  stop(): void {
    clearTimeout(this.#weightsTimer);
    this.#weightsTimer = undefined;
    for (const backend of this.#backends()) backend.stop();
  }

  #backendOptions(firstWithinMs: number) {
    const onChange = (change: Change): void => {
      this.#tell(change);
    };
    return { ...this.#options, firstWithinMs, onChange };
  }

  #backendsInMaintenance(): readonly CheckedBackend[] {
    return [...this.#pools].flatMap(([pool, backends]) =>
      [...backends].flatMap(([name, backend]) =>
        this.#options.isInMaintenance(pool, name) ? [backend] : [],
      ),
    );
  }

  #backends(): readonly CheckedBackend[] {
    return [...this.#pools.values()].flatMap((backends) => [...backends.values()]);
  }

  #tell(change: Change): void {
    if (change === "weight") {
      this.#weightsTimer ??= setTimeout(() => {
        this.#tell("health");
      }, WEIGHTS_MS);
      return;
    }
    // It tells the weights too.
    clearTimeout(this.#weightsTimer);
    this.#weightsTimer = undefined;
    this.#options.onChange(this.table());
  }
}

function firstLooksMs(pools: readonly PoolConfig[]): number {
  const { atLeast, perBackend, atMost } = FIRST_LOOKS_MS;
  const count = pools.reduce((sum, { backends }) => sum + backends.length, 0);
  return Math.min(atMost, Math.max(atLeast, count * perBackend));
}
