// A pool at work: the pure state that chooses, and the backends that the choice means. Backends live
// on by name through reloads, so that counters and connections do.

import type { PoolConfig, PoolTimeouts } from "../config/config.ts";
import type { BackendCounters } from "../protocol/worker.ts";
import {
  type PoolHealth,
  type PoolState,
  chooseBackend,
  configurePool,
  updateHealth,
} from "../routing/pool.ts";
import { Backend } from "./backend.ts";
import type { Context } from "./context.ts";

export class Pool {
  timeouts: PoolTimeouts;
  private readonly context: Context;
  private readonly name: string;
  /** Every backend that was ever configured: one that comes back counts on. */
  private readonly backends = new Map<string, Backend>();
  private state: PoolState;

  constructor(context: Context, config: PoolConfig, health: PoolHealth) {
    this.context = context;
    this.name = config.name;
    this.timeouts = config.timeouts;
    this.state = configurePool(config, health, null);
    this.configure(config, health);
  }

  configure(config: PoolConfig, health: PoolHealth): void {
    this.timeouts = config.timeouts;
    this.state = configurePool(config, health, this.state);
    const gone = new Set(this.backends.keys());
    for (const backend of config.backends) {
      gone.delete(backend.name);
      const known = this.backends.get(backend.name);
      if (known === undefined) this.backends.set(backend.name, new Backend(this.context, this.name, backend));
      else known.configure(backend);
    }
    for (const name of gone) this.backends.get(name)?.retire();
  }

  setHealth(health: PoolHealth): void {
    this.state = updateHealth(this.state, health);
  }

  /** It left the configuration. */
  retire(): void {
    this.state = { ...this.state, candidates: [] };
    for (const backend of this.backends.values()) backend.retire();
  }

  /** It is in the configuration: pools are never empty there. */
  get isConfigured(): boolean {
    return this.state.candidates.length > 0;
  }

  /** The next backend in turn that was not tried; null when nobody is left. */
  choose(tried: readonly Backend[]): Backend | null {
    const candidate = chooseBackend(this.state, ({ name }) => {
      return tried.length === 0 || !tried.some((backend) => backend.name === name);
    });
    return candidate === null ? null : (this.backends.get(candidate.name) ?? null);
  }

  /** Of the backends in the configuration. */
  get counters(): Record<string, BackendCounters> {
    return Object.fromEntries(
      this.state.candidates.map(({ name }) => [name, this.backends.get(name)?.counters ?? NO_COUNTERS]),
    );
  }
}

const NO_COUNTERS: BackendCounters = { activeConnections: 0, requests: 0, failures: 0 };
