// Sums what workers counted. Totals must never go back, so what a dead worker had counted is kept.

import type { BackendCounters, WorkerCounters } from "../protocol/worker.ts";

export const NO_COUNTERS: WorkerCounters = {
  connections: 0,
  requests: 0,
  refusedConnections: 0,
  mirrors: { sent: 0, dropped: 0 },
  backends: {},
  breakers: [],
};

/** One WorkerCounters over many workers: totals and gauges added up, backends by name. */
export function sumCounters(all: readonly WorkerCounters[]): WorkerCounters {
  let connections = 0;
  let requests = 0;
  let refusedConnections = 0;
  const mirrors = { sent: 0, dropped: 0 };
  const pools = new Map<string, Map<string, BackendCounters>>();
  for (const counters of all) {
    connections += counters.connections;
    requests += counters.requests;
    refusedConnections += counters.refusedConnections;
    mirrors.sent += counters.mirrors.sent;
    mirrors.dropped += counters.mirrors.dropped;
    for (const [poolName, backends] of Object.entries(counters.backends)) {
      const pool = pools.get(poolName) ?? new Map<string, BackendCounters>();
      pools.set(poolName, pool);
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
  const backends = Object.fromEntries([...pools].map(([name, pool]) => [name, Object.fromEntries(pool)]));
  const breakers = all.flatMap((counters) => counters.breakers);
  return { connections, requests, refusedConnections, mirrors, backends, breakers };
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
  const { requests, refusedConnections, mirrors } = counters;
  return { connections: 0, requests, refusedConnections, mirrors, backends, breakers: [] };
}
