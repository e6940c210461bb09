// What operators ordered for single backends while the pair runs: drained, in maintenance, another weight. The
// orders themselves are run-time changes, kept and replicated elsewhere; here is what their keys and values mean,
// which ones make sense, and what follows from them for the table of backends.
//
//   drain/POOL/BACKEND    false: ready; true: drained; 2: in maintenance. One key, so that the last order wins, and a
//                         peer that does not know maintenance yet takes it for a drain
//   weight/POOL/BACKEND   the weight, 0 to 256, with fractions when it was ordered as a share; false: as configured

import type { PoolConfig } from "../config/config.ts";
import { noSuch } from "../config/nearest.ts";
import { readWeightOrder, WEIGHT_MAX } from "../config/weight-order.ts";
import { type Change, type ChangeValue, compareChanges } from "../election/changes.ts";
import type { BackendName, BackendOrder } from "../protocol/admin.ts";
import type { BackendOrderStatus } from "../protocol/status.ts";
import type { HealthTable } from "../protocol/worker.ts";
import { orderTable } from "./backend-table.ts";
import type { BackendOrders as Ordered } from "./backend-table.ts";
import { weightNow } from "../routing/backend-state.ts";
import { isHealthy } from "../routing/panic.ts";
import type { BackendCheckStatus } from "./checked-backend.ts";
import type { ChangeOutcome } from "./maintenance.ts";

/** Any other number is a state of a later release: the backend gets nothing new, as drained. */
const IN_MAINTENANCE = 2;

const NOTHING_ORDERED: Ordered = { state: null, weight: null };

export type BackendOrderOutcome =
  | {
      readonly kind: "done";
      readonly replicated: boolean;
      readonly warning: string | null;
      /** Configured, or ordered. */
      readonly weight: number;
    }
  | { readonly kind: "refused"; readonly reason: string };

export interface BackendOrdersOptions {
  readonly pools: () => readonly PoolConfig[];
  /** What the checks found, and who is ejected. */
  readonly health: () => HealthTable;
  readonly find: (key: string) => Change | undefined;
  readonly set: (key: string, value: ChangeValue) => Promise<ChangeOutcome>;
}

export class BackendOrders {
  readonly #options: BackendOrdersOptions;

  constructor(options: BackendOrdersOptions) {
    this.#options = options;
  }

  /** What the checks found and who is ejected, with what operators ordered on top. */
  table(): HealthTable {
    const { pools, health } = this.#options;
    return orderTable(pools(), health(), (pool, backend) => this.#ordered({ pool, backend }));
  }

  /** Nobody looks at it as long as it is. */
  isInMaintenance(name: BackendName): boolean {
    return this.#ordered(name).state === "maintenance";
  }

  /** The pools with those of their backends that are not in maintenance. */
  poolsInService(): readonly PoolConfig[] {
    return this.#options.pools().map((pool) => ({
      ...pool,
      backends: pool.backends.filter(({ name }) => !this.isInMaintenance({ pool: pool.name, backend: name })),
    }));
  }

  /** Whether the configuration has the backend that the change is about. */
  isNamed(key: string): boolean {
    return this.#options.pools().some(({ name: pool, backends }) =>
      backends.some(({ name: backend }) => {
        const name = { pool, backend };
        return key === backendOrderKey(name) || key === weightKey(name);
      }),
    );
  }

  /** What status tells of a backend, with what is ordered for it. */
  status(
    name: BackendName,
    found: BackendCheckStatus,
  ): BackendCheckStatus & { readonly order: BackendOrderStatus | null } {
    const { state, weight } = this.#ordered(name);
    const [first, second] = [this.#options.find(backendOrderKey(name)), this.#options.find(weightKey(name))];
    const last = state === null ? second : weight === null ? first : newer(first, second);
    if (last === undefined || (state === null && weight === null)) return { ...found, order: null };
    const order = { state, weight, node: last.node };
    return state === null
      ? { ...found, order }
      : { ...found, state, reason: `ordered on ${first?.node ?? last.node}`, order };
  }

  /** What is ordered for it now, or why there is no such backend. */
  stateOf(
    name: BackendName,
  ):
    | { readonly kind: "known"; readonly state: Ordered["state"] }
    | { readonly kind: "refused"; readonly reason: string } {
    const found = this.#findBackend(name);
    return found.kind === "refused" ? found : { kind: "known", state: this.#ordered(name).state };
  }

  /** Stored here, and on the peer if it is in touch; the same order again changes nothing. */
  async give(order: BackendOrder): Promise<BackendOrderOutcome> {
    const found = this.#findBackend(order);
    if (found.kind === "refused") return found;
    const change =
      "weight" in order
        ? readWeight(order, found.weight)
        : { value: valueOf(order.state), key: backendOrderKey(order) };
    if (typeof change === "string") return { kind: "refused", reason: change };
    const outcome = await this.#options.set(change.key, change.value);
    if (outcome.kind === "refused") return outcome;
    const weight = this.#ordered(order).weight ?? found.weight;
    return {
      kind: "done",
      replicated: outcome.replicated,
      warning: this.#warningAbout(order, weight),
      weight,
    };
  }

  #ordered(name: BackendName): Ordered {
    const state = this.#options.find(backendOrderKey(name))?.value;
    const weight = this.#options.find(weightKey(name))?.value;
    if (state === undefined && weight === undefined) return NOTHING_ORDERED;
    return { state: stateIn(state), weight: weightIn(weight) };
  }

  #findBackend({
    pool: poolName,
    backend,
  }: BackendName):
    | { readonly kind: "found"; readonly weight: number }
    | { readonly kind: "refused"; readonly reason: string } {
    const pools = this.#options.pools();
    const pool = pools.find(({ name }) => name === poolName);
    if (pool === undefined) {
      const names = pools.map(({ name }) => name);
      return { kind: "refused", reason: noSuch("pool", poolName, names) };
    }
    const found = pool.backends.find(({ name }) => name === backend);
    if (found !== undefined) return { kind: "found", weight: found.weight };
    const names = pool.backends.map(({ name }) => name);
    return { kind: "refused", reason: noSuch(`backend of pool ${pool.name}`, backend, names) };
  }

  /** An operator may mean it; but nobody should find out from the clients. */
  #warningAbout(order: BackendOrder, weight: number): string | null {
    const takes = "weight" in order ? weight === 0 : order.state !== "ready";
    if (!takes) return null;
    const table = this.table()[order.pool] ?? {};
    const pool = this.#options.pools().find(({ name }) => name === order.pool);
    const isServed = pool?.backends.some(({ name, weight: configured }) => {
      const state = table[name];
      if (state === undefined) return configured > 0;
      return weightNow(state, configured) > 0 && isHealthy(state.health);
    });
    return isServed === true ? null : `no backend of pool ${order.pool} gets new requests now`;
  }
}

/** The run-time change that says whether a backend gets requests. */
export function backendOrderKey({ pool, backend }: BackendName): string {
  return `drain/${pool}/${backend}`;
}

function weightKey({ pool, backend }: BackendName): string {
  return `weight/${pool}/${backend}`;
}

/** Changes about backends; others belong to the pair, or to a later release. */
export function isAboutBackend(key: string): boolean {
  return key.startsWith("drain/") || key.startsWith("weight/");
}

function valueOf(state: "drain" | "maintenance" | "ready"): ChangeValue {
  return state === "maintenance" ? IN_MAINTENANCE : state === "drain";
}

function stateIn(value: ChangeValue | undefined): Ordered["state"] {
  if (value === undefined || value === false) return null;
  return value === IN_MAINTENANCE ? "maintenance" : "drain";
}

function weightIn(value: ChangeValue | undefined): number | null {
  return typeof value === "number" && value >= 0 && value <= WEIGHT_MAX ? value : null;
}

/** A share is of the configured weight as it is now, as HAProxy's `set weight` has it: both nodes get one number. */
function readWeight(
  order: BackendName & { readonly weight: string },
  configured: number,
): { readonly key: string; readonly value: ChangeValue } | string {
  const read = readWeightOrder(order.weight);
  if (read.kind === "invalid") return read.problem;
  const key = weightKey(order);
  switch (read.value.kind) {
    case "reset":
      return { key, value: false };
    case "absolute":
      return { key, value: read.value.weight };
    case "percent": {
      const value = (configured * read.value.percent) / 100;
      if (value <= WEIGHT_MAX) return { key, value };
      return `${order.weight} of ${String(configured)} is more than ${String(WEIGHT_MAX)}`;
    }
  }
}

function newer(a: Change | undefined, b: Change | undefined): Change | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareChanges(a, b) > 0 ? a : b;
}
