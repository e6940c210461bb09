// The table of backends that workers and the election go by: what the health checks found, with what an
// operator ordered on top.

import type { PoolConfig } from "../config/config.ts";
import type { HealthTable } from "../protocol/worker.ts";
import { ASSUMED_UP } from "../routing/backend-state.ts";

/** The table with the drained backends marked so, whatever their health. */
export function drainTable(
  pools: readonly PoolConfig[],
  health: HealthTable,
  isDrained: (pool: string, backend: string) => boolean,
): HealthTable {
  return Object.fromEntries(
    pools.map(({ name: pool, backends }) => [
      pool,
      Object.fromEntries(
        backends.map(({ name }) => {
          const state = health[pool]?.[name] ?? ASSUMED_UP;
          return [name, isDrained(pool, name) ? { ...state, health: "drain" } : state];
        }),
      ),
    ]),
  );
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
