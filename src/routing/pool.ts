// What a worker knows of a pool when it chooses a backend: who belongs to it, who is healthy, and
// whose turn it is. The policy orders the candidates, the caller accepts one; health and "already
// tried" never reach the policy.

import type { PoolConfig } from "../config/config.ts";
import { ASSUMED_UP, type BackendHealth, type BackendState } from "./backend-state.ts";
import { takeTurn } from "./round-robin.ts";

/** One backend as a candidate. `credit` is the policy's memory; it survives health and reloads. */
export interface Candidate {
  readonly name: string;
  /** As configured, and as the state of the backend makes it. 0: it is not chosen. */
  readonly configuredWeight: number;
  readonly weight: number;
  readonly health: BackendHealth;
  credit: number;
}

/** Replaced when the configuration or health changes; the credits in it move with every choice. */
export interface PoolState {
  readonly balance: PoolConfig["balance"];
  readonly candidates: readonly Candidate[];
}

/** health[backend]; a backend that is not named is up. */
export type PoolHealth = Readonly<Record<string, BackendState>>;

/** The state for a configuration; `previous` lends what it knows of backends of the same name. */
export function configurePool(
  config: Pick<PoolConfig, "balance" | "backends">,
  health: PoolHealth,
  previous: PoolState | null,
): PoolState {
  const known = new Map((previous?.candidates ?? []).map((candidate) => [candidate.name, candidate]));
  return {
    balance: config.balance,
    candidates: config.backends.map(({ name, weight }) => ({
      name,
      configuredWeight: weight,
      ...readState(health, name, weight),
      credit: known.get(name)?.credit ?? 0,
    })),
  };
}

/** The same pool with other health. */
export function updateHealth(pool: PoolState, health: PoolHealth): PoolState {
  return {
    balance: pool.balance,
    candidates: pool.candidates.map((candidate) => ({
      ...candidate,
      ...readState(health, candidate.name, candidate.configuredWeight),
    })),
  };
}

/** Own properties only: a backend may be called "constructor". */
function readState(
  pool: PoolHealth,
  name: string,
  configuredWeight: number,
): Pick<Candidate, "health" | "weight"> {
  const { health, weightPercent = 100 } = (Object.hasOwn(pool, name) ? pool[name] : undefined) ?? ASSUMED_UP;
  return { health, weight: (configuredWeight * weightPercent) / 100 };
}

/**
 * Chooses among the backends that are up and that the caller accepts; among the suspect ones when
 * there is none of those (a suspect backend may serve, a refusal certainly does not). Never one that
 * is down or drained, or that weighs nothing. null: nobody is left.
 */
export function chooseBackend(pool: PoolState, accept: (candidate: Candidate) => boolean): Candidate | null {
  return chooseIn(pool, "up", accept) ?? chooseIn(pool, "suspect", accept);
}

function chooseIn(
  pool: PoolState,
  health: BackendHealth,
  accept: (candidate: Candidate) => boolean,
): Candidate | null {
  switch (pool.balance) {
    case "round-robin":
      return takeTurn(
        pool.candidates,
        (candidate) => candidate.health === health && candidate.weight > 0 && accept(candidate),
      );
  }
}
