// A pool at work: the pure state that chooses, and the backends that the choice means. Backends live
// on by name through reloads, so that counters and connections do.

import type { PoolConfig, PoolTimeouts } from "../config/config.ts";
import type { RequestHead } from "../http1/request.ts";
import type { BackendCounters, BreakerReport, PoolCounters } from "../protocol/worker.ts";
import type { Asker, Moment } from "../routing/policies.ts";
import {
  type Candidate,
  type PoolHealth,
  type PoolState,
  chooseBackend,
  chooseNamed,
  configurePool,
  isIdleBackup,
  updateHealth,
} from "../routing/pool.ts";
import { monotonicClock } from "../system/clock.ts";
import { Backend } from "./backend.ts";
import type { Context } from "./context.ts";
import { readHashKey } from "./hash-key.ts";
import { Retries } from "./retries.ts";
import { type Bond, Sticky } from "./sticky.ts";

/** A request that wants a backend. */
export interface PoolRequest {
  readonly head: RequestHead;
  /** Of who asked, perhaps behind a proxy of ours. */
  readonly clientAddress: string;
  /** From the cookie of a sticky pool; null: there is none. */
  readonly bond: Bond | null;
  /** The backends that it was sent to already. */
  readonly tried: readonly Backend[];
}

export class Pool implements Asker<Candidate> {
  timeouts: PoolTimeouts;
  /** The policy wants to know how long backends take. */
  isTiming: boolean;
  /** null: every request is balanced for itself. */
  sticky: Sticky | null;
  readonly retries: Retries;
  /** Requests of routes that lead elsewhere, whose copies are here or about to be. */
  mirrors = 0;
  private hasBreakers: boolean;
  private readonly context: Context;
  /** Every backend that was ever configured: one that comes back counts on. */
  private readonly backends = new Map<string, Backend>();
  /** Those that are configured, in that order. */
  private configured: readonly Backend[];
  private state: PoolState;
  /** Used again for each choice. */
  private readonly moment: Moment = { nowMs: 0, random: Math.random };
  /** The one that a backend is being chosen for. */
  private request: PoolRequest | null = null;

  constructor(context: Context, config: PoolConfig, health: PoolHealth, stickyKey: Uint8Array) {
    this.context = context;
    this.timeouts = config.timeouts;
    this.isTiming = isTimed(config);
    this.sticky = createSticky(config, stickyKey);
    this.retries = new Retries(config.retry);
    this.hasBreakers = config.circuitBreaker !== null;
    this.configured = this.equip(config);
    this.state = this.createState(config, health, null);
  }

  configure(config: PoolConfig, health: PoolHealth, stickyKey: Uint8Array): void {
    this.timeouts = config.timeouts;
    this.isTiming = isTimed(config);
    this.sticky = createSticky(config, stickyKey);
    this.retries.settings = config.retry;
    this.hasBreakers = config.circuitBreaker !== null;
    this.configured = this.equip(config);
    this.follow(this.createState(config, health, this.state));
  }

  /** Requests and tunnels that backends have now of this worker. */
  get active(): number {
    return this.configured.reduce((sum, { load }) => sum + load.active, 0);
  }

  setHealth(health: PoolHealth): void {
    this.follow(updateHealth(this.state, health, monotonicClock()));
  }

  private follow(state: PoolState): void {
    const ejected = this.state.candidates.filter((candidate) => candidate.health === "ejected");
    this.state = state;
    for (const { name } of ejected) {
      const isBack = state.candidates.some((one) => one.name === name && one.health !== "ejected");
      if (isBack) this.backends.get(name)?.watch?.beginAnew();
    }
  }

  /** It left the configuration. */
  retire(): void {
    this.state = { ...this.state, candidates: [], tiers: [] };
    this.configured = [];
    for (const backend of this.backends.values()) backend.retire();
  }

  /** It is in the configuration: pools are never empty there. */
  get isConfigured(): boolean {
    return this.configured.length > 0;
  }

  /** The backend whose turn it is to get this request; null when nobody is left. */
  choose(request: PoolRequest): Backend | null {
    this.request = request;
    this.moment.nowMs = this.context.timers.nowMs;
    const candidate = this.chooseCandidate(request.bond);
    this.request = null;
    return candidate === null ? null : (this.configured[candidate.index] ?? null);
  }

  private chooseCandidate(bond: Bond | null): Candidate | null {
    if (bond !== null && !isIdleBackup(this.state, bond.backend)) {
      const known = chooseNamed(this.state, bond.backend, this);
      if (known !== null || this.sticky?.config.fallback === "refuse") return known;
    }
    return chooseBackend(this.state, this, this.moment);
  }

  /** See Asker. */
  accepts({ index }: Candidate): boolean {
    const backend = this.configured[index];
    if (this.hasBreakers && backend?.watch?.accepts(this.moment.nowMs) === false) return false;
    const tried = this.request?.tried ?? [];
    return tried.length === 0 || !tried.some((one) => one === backend);
  }

  /** See Asker. */
  hashKey(): string | null {
    return this.request === null ? null : readHashKey(this.state.balance, this.request);
  }

  get counters(): PoolCounters {
    const { count: retries, refused: retriesRefused } = this.retries;
    return { queued: 0, overflows: 0, retries, retriesRefused };
  }

  /** Of the backends in the configuration. */
  get backendCounters(): Record<string, BackendCounters> {
    return Object.fromEntries(this.configured.map((backend) => [backend.name, backend.counters]));
  }

  /** Circuit breakers that are not closed. */
  get breakers(): readonly BreakerReport[] {
    return this.configured.flatMap(({ watch }) => watch?.report ?? []);
  }

  /** The backends of a configuration; those that are not in it any more retire. */
  private equip(config: PoolConfig): readonly Backend[] {
    const gone = new Set(this.backends.keys());
    const configured = config.backends.map((backend) => {
      gone.delete(backend.name);
      const known = this.backends.get(backend.name);
      known?.configure(config, backend);
      const used = known ?? new Backend(this.context, config, backend);
      this.backends.set(backend.name, used);
      return used;
    });
    for (const name of gone) this.backends.get(name)?.retire();
    return configured;
  }

  private createState(config: PoolConfig, health: PoolHealth, previous: PoolState | null): PoolState {
    const loads = this.configured.map(({ load }) => load);
    return configurePool(config, health, { previous, loads, nowMs: monotonicClock() });
  }
}

function isTimed({ balance }: PoolConfig): boolean {
  return balance.kind === "least-response-time";
}

function createSticky({ name: pool, sticky: config, backends }: PoolConfig, key: Uint8Array): Sticky | null {
  if (config === null) return null;
  return new Sticky({ config, pool, key, backends: backends.map(({ name }) => name) });
}
