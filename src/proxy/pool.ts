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
import { type Place, Queue, type Queueable, type QueuedPool } from "./queue.ts";
import { Retries } from "./retries.ts";
import { type Bond, Sticky } from "./sticky.ts";

/** A request that wants a backend. */
export interface PoolRequest {
  readonly head: RequestHead;
  /** Of who asked, perhaps behind a proxy of ours. */
  readonly clientAddress: string;
  /** From the cookie of a sticky pool; null: there is none. */
  readonly bond: Bond | null;
  /** The backends that it shall not get: they had it, or could not be connected to. */
  readonly tried: readonly Backend[];
}

export class Pool implements Asker<Candidate>, QueuedPool {
  timeouts: PoolTimeouts;
  /** The policy wants to know how long backends take. */
  isTiming: boolean;
  /** null: every request is balanced for itself. */
  sticky: Sticky | null;
  readonly retries: Retries;
  /** null: no backend was ever limited. */
  private queue: Queue | null = null;
  /** It is in the configuration. */
  isConfigured = true;
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
  /** It has not waited: whoever does goes first. */
  private isNew = false;

  constructor(context: Context, config: PoolConfig, health: PoolHealth, stickyKey: Uint8Array) {
    this.context = context;
    this.timeouts = config.timeouts;
    this.isTiming = isTimed(config);
    this.sticky = createSticky(config, stickyKey);
    this.retries = new Retries(config.retry);
    this.hasBreakers = config.circuitBreaker !== null;
    this.configured = this.equip(config);
    this.state = this.createState(config, health, null);
    this.configureQueue(config);
  }

  configure(config: PoolConfig, health: PoolHealth, stickyKey: Uint8Array): void {
    this.isConfigured = true;
    this.timeouts = config.timeouts;
    this.isTiming = isTimed(config);
    this.sticky = createSticky(config, stickyKey);
    this.retries.settings = config.retry;
    this.hasBreakers = config.circuitBreaker !== null;
    this.configured = this.equip(config);
    this.configureQueue(config);
    this.follow(this.createState(config, health, this.state));
  }

  /** One that is not needed any more empties itself, and stays as it is. */
  private configureQueue({ queue }: PoolConfig): void {
    if (queue !== null) (this.queue ??= new Queue(this.context, this)).configure(queue);
    for (const backend of this.configured) backend.queue = this.queue;
  }

  /** Requests and tunnels that backends have now of this worker, and requests that wait for them. */
  get active(): number {
    const waiting = this.queue?.length ?? 0;
    return this.configured.reduce((sum, { load }) => sum + load.active, waiting);
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
    this.queue?.reconsider();
  }

  /** It left the configuration. */
  retire(): void {
    this.isConfigured = false;
    this.state = { ...this.state, candidates: [], tiers: [] };
    this.configured = [];
    for (const backend of this.backends.values()) backend.retire();
    this.queue?.reconsider();
  }

  /** The backend whose turn it is to get this request; null when nobody is left, or others wait for one already. */
  choose(request: PoolRequest): Backend | null {
    if (this.queue === null || this.queue.length === 0) return this.pick(request);
    const own = boundTo(request);
    if (own !== null && this.queue.isWanted(own)) return null;
    this.isNew = true;
    const backend = this.pick(request);
    this.isNew = false;
    return backend;
  }

  /**
   * A place in the queue for a request that `choose` had nobody for, until `until` at the latest. "full": the queue is;
   * null: waiting would not help.
   */
  queueUp(request: Queueable, until: number): Place | "full" | null {
    if (this.queue === null) return null;
    const own = boundTo(request);
    const wanted = own !== null && this.queue.isWanted(own) ? own : this.wantedBy(request);
    return wanted === null ? null : (this.queue.join(request, { wanted, until }) ?? "full");
  }

  /** See QueuedPool. */
  pick(request: PoolRequest): Backend | null {
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
      // Its own backend is full: it waits for it.
      if (this.queue !== null && this.request !== null && this.wantedBy(this.request) === bond.backend)
        return null;
    }
    return chooseBackend(this.state, this, this.moment);
  }

  /** See QueuedPool: who would get it if they were not full. */
  wantedBy({ bond, tried }: PoolRequest): string | null {
    const asker: Asker<Candidate> = {
      accepts: ({ index }) => {
        const backend = this.configured[index];
        if (backend === undefined || tried.includes(backend) || this.isBroken(backend)) return false;
        return backend.isFull || this.isPromised(backend, bond) || this.isAwaited(backend, bond);
      },
      hashKey: () => null,
    };
    if (bond !== null && !isIdleBackup(this.state, bond.backend)) {
      const known = chooseNamed(this.state, bond.backend, asker);
      if (known !== null) return known.name;
      if (this.sticky?.config.fallback === "refuse") return null;
    }
    return this.state.tiers.some(({ entries }) => entries.some((one) => asker.accepts(one))) ? "" : null;
  }

  /** See Asker. */
  accepts({ index }: Candidate): boolean {
    const backend = this.configured[index];
    if (backend?.isFull !== false) return false;
    if (this.isBroken(backend)) return false;
    const bond = this.request?.bond ?? null;
    if (this.isPromised(backend, bond) || (this.isNew && this.isAwaited(backend, bond))) return false;
    const tried = this.request?.tried ?? [];
    return tried.length === 0 || !tried.some((one) => one === backend);
  }

  /** Clients that are bound to it wait for it: the room that it has is theirs. */
  private isPromised({ name }: Backend, bond: Bond | null): boolean {
    return this.queue !== null && bond?.backend !== name && this.queue.isWanted(name);
  }

  /** Whoever waits for any backend would take its room; clients that are bound to it go before them. */
  private isAwaited(backend: Backend, bond: Bond | null): boolean {
    return this.queue !== null && bond?.backend !== backend.name && this.queue.isAwaited(backend);
  }

  /** Its circuit breaker lets nobody through now. */
  private isBroken({ watch }: Backend): boolean {
    return this.hasBreakers && watch?.accepts(this.moment.nowMs) === false;
  }

  /** See Asker. */
  hashKey(): string | null {
    return this.request === null ? null : readHashKey(this.state.balance, this.request);
  }

  get counters(): PoolCounters {
    const { count: retries, refused: retriesRefused, reconnects } = this.retries;
    const { length: queued = 0, overflows = 0 } = this.queue ?? {};
    return { queued, overflows, retries, retriesRefused, reconnects };
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

/** The backend that it would wait for alone; null: any. */
function boundTo({ bond, tried }: PoolRequest): string | null {
  return bond === null || tried.some(({ name }) => name === bond.backend) ? null : bond.backend;
}

function isTimed({ balance }: PoolConfig): boolean {
  return balance.kind === "least-response-time";
}

function createSticky({ name: pool, sticky: config, backends }: PoolConfig, key: Uint8Array): Sticky | null {
  if (config === null) return null;
  return new Sticky({ config, pool, key, backends: backends.map(({ name }) => name) });
}
