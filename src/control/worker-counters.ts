// Sums what workers counted. Totals must never go back, so what a dead worker had counted is kept.

import type { BackendCounters, PoolCounters, WorkerCounters } from "../protocol/worker.ts";

export const NO_COUNTERS: WorkerCounters = {
  connections: 0,
  requests: 0,
  refusedConnections: 0,
  mirrors: { sent: 0, dropped: 0 },
  backends: {},
  pools: {},
  breakers: [],
};

/** Of a pool that nobody has counted yet. */
export const NO_POOL_COUNTERS: PoolCounters = {
  queued: 0,
  overflows: 0,
  retries: 0,
  retriesRefused: 0,
  reconnects: 0,
};

/** One WorkerCounters over many workers: totals and gauges added up, backends by name. */
export function sumCounters(all: readonly WorkerCounters[]): WorkerCounters {
  let connections = 0;
  let requests = 0;
  let refusedConnections = 0;
  const byPool = new Map<string, Map<string, BackendCounters>>();
  const mirrors = { sent: 0, dropped: 0 };
  for (const counters of all) {
    connections += counters.connections;
    requests += counters.requests;
    refusedConnections += counters.refusedConnections;
    mirrors.sent += counters.mirrors.sent;
    mirrors.dropped += counters.mirrors.dropped;
    for (const [poolName, backends] of Object.entries(counters.backends)) {
      const pool = byPool.get(poolName) ?? new Map<string, BackendCounters>();
      byPool.set(poolName, pool);
      for (const [name, more] of Object.entries(backends)) {
        const sum = pool.get(name) ?? { activeConnections: 0, requests: 0, failures: 0 };
        pool.set(name, {
          activeConnections: sum.activeConnections + more.activeConnections,
          requests: sum.requests + more.requests,
          failures: sum.failures + more.failures,
        });
      }
    }
  }
  const backends = Object.fromEntries([...byPool].map(([name, pool]) => [name, Object.fromEntries(pool)]));
  const breakers = all.flatMap((counters) => counters.breakers);
  return { connections, requests, refusedConnections, mirrors, backends, pools: sumPools(all), breakers };
}

function sumPools(all: readonly WorkerCounters[]): WorkerCounters["pools"] {
  const pools = new Map<string, PoolCounters>();
  for (const counters of all) {
    for (const [name, more] of Object.entries(counters.pools)) {
      const sum = pools.get(name) ?? NO_POOL_COUNTERS;
      pools.set(name, {
        queued: sum.queued + more.queued,
        overflows: sum.overflows + more.overflows,
        retries: sum.retries + more.retries,
        retriesRefused: sum.retriesRefused + more.retriesRefused,
        reconnects: sum.reconnects + more.reconnects,
      });
    }
  }
  return Object.fromEntries(pools);
}

/** What remains of a worker's counters when it is gone: the totals, not the gauges. */
export function withoutGauges(counters: WorkerCounters): WorkerCounters {
  const backends = Object.fromEntries(
    Object.entries(counters.backends).map(([poolName, pool]) => [
      poolName,
      Object.fromEntries(
        Object.entries(pool).map(([name, backend]) => [name, { ...backend, activeConnections: 0 }]),
      ),
    ]),
  );
  const pools = Object.fromEntries(
    Object.entries(counters.pools).map(([name, pool]) => [name, { ...pool, queued: 0 }]),
  );
  const { requests, refusedConnections, mirrors } = counters;
  return { connections: 0, requests, refusedConnections, mirrors, backends, pools, breakers: [] };
}
