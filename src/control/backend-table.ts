// The table of backends that workers and the election go by: what the health checks found and who is ejected, with
// what an operator ordered on top.

import type { ListenerConfig, PoolConfig } from "../config/config.ts";
import type { RouteAction } from "../config/route-config.ts";
import type { HealthTable } from "../protocol/worker.ts";
import { ASSUMED_UP, type BackendState } from "../routing/backend-state.ts";

/** What operators ordered for one backend. */
export interface BackendOrders {
  /** null: it is ready. */
  readonly state: "drain" | "maintenance" | null;
  /** In place of the configured one; null: none is ordered. */
  readonly weight: number | null;
}

/** The table with what was ordered, whatever the health. */
export function orderTable(
  pools: readonly PoolConfig[],
  health: HealthTable,
  ordersFor: (pool: string, backend: string) => BackendOrders,
): HealthTable {
  return Object.fromEntries(
    pools.map(({ name: pool, backends }) => [
      pool,
      Object.fromEntries(
        backends.map(({ name }) => [name, follow(health[pool]?.[name] ?? ASSUMED_UP, ordersFor(pool, name))]),
      ),
    ]),
  );
}

/** Maintenance is the stronger one: what an agent says does not end it, nor does an order to drain end the agent's. */
function follow(state: BackendState, { state: ordered, weight }: BackendOrders): BackendState {
  const health =
    ordered === null || (ordered === "drain" && state.health === "maintenance") ? state.health : ordered;
  return { ...state, health, ...(weight !== null && { weight }) };
}

/** Without the pools that get copies of requests alone: they answer nobody. */
export function poolsThatAnswer(
  pools: readonly PoolConfig[],
  listeners: readonly ListenerConfig[],
): readonly PoolConfig[] {
  const routes = listeners.flatMap((listener) => listener.routes);
  const shadows = new Set(routes.flatMap(({ mirror }) => mirror?.pool ?? []));
  for (const { action } of routes) for (const pool of poolsOf(action)) shadows.delete(pool);
  return pools.filter(({ name }) => !shadows.has(name));
}

function poolsOf(action: RouteAction): readonly string[] {
  switch (action.kind) {
    case "pool":
      return [action.pool];
    case "split":
      return [
        ...action.shares.map(({ pool }) => pool),
        ...(action.override === null ? [] : [action.override.pool]),
      ];
    case "redirect":
    case "respond":
      return [];
  }
}

/**
 * Why this node could answer no request: every backend of every checked pool is down. undefined when one is not, or
 * when nothing is checked (DESIGN section 5, rule 9). A backend whose agent says drain or maint has been reached.
 */
export function noBackendProblem(pools: readonly PoolConfig[], health: HealthTable): string | undefined {
  const states = pools
    .filter((pool) => pool.health.kind !== "none")
    .flatMap(({ name: pool, backends }) => backends.map(({ name }) => health[pool]?.[name] ?? ASSUMED_UP));
  if (states.length === 0 || states.some(({ health: is }) => is !== "down")) return undefined;
  return `none of ${String(states.length)} backends can be reached from here`;
}
