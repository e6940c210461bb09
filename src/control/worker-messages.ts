// The door for what workers say. Workers handle hostile bytes; if one is ever taken over, what it
// sends must not be able to harm the control process, which may run as root.

import type { BackendCounters, BreakerReport, FromWorker } from "../protocol/worker.ts";
import type { MirrorCounters, PoolCounters, WorkerCounters } from "../protocol/worker.ts";
import type { FullRow } from "../routing/outlier.ts";

/** Reasons are for people and for the log; this many characters are enough. */
const REASON_LENGTH_MAX = 200;

/** A FromWorker out of what came over the channel; undefined when it is none. */
export function parseFromWorker(value: unknown): FromWorker | undefined {
  if (!isRecord(value)) return undefined;
  const { kind, socketId, counters, pool, backend, reason } = value;
  switch (kind) {
    case "ready":
      return { kind };
    case "listening":
    case "closed":
      return typeof socketId === "string" ? { kind, socketId } : undefined;
    case "report": {
      const parsed = parseCounters(counters);
      return parsed && { kind, counters: parsed };
    }
    case "backend-failure":
      if (typeof pool !== "string" || typeof backend !== "string" || typeof reason !== "string")
        return undefined;
      return { kind, pool, backend, reason: reason.slice(0, REASON_LENGTH_MAX) };
    case "failure-row": {
      const parsed = parseRow(value.row);
      if (typeof pool !== "string" || typeof backend !== "string" || parsed === undefined) return undefined;
      return { kind, pool, backend, row: parsed };
    }
    default:
      return undefined;
  }
}

function parseCounters(value: unknown): WorkerCounters | undefined {
  if (!isRecord(value) || !isRecord(value.backends)) return undefined;
  const { connections, requests, refusedConnections } = value;
  if (!isCount(connections) || !isCount(requests) || !isCount(refusedConnections)) return undefined;
  const mirrors = parseMirrors(value.mirrors);
  if (mirrors === undefined) return undefined;
  const breakers = parseBreakers(value.breakers);
  if (breakers === undefined) return undefined;
  const pools: [string, Record<string, BackendCounters>][] = [];
  for (const [poolName, pool] of Object.entries(value.backends)) {
    if (!isRecord(pool)) return undefined;
    const backends: [string, BackendCounters][] = [];
    for (const [name, backend] of Object.entries(pool)) {
      if (!isRecord(backend)) return undefined;
      const { activeConnections, requests: sent, failures } = backend;
      if (!isCount(activeConnections) || !isCount(sent) || !isCount(failures)) return undefined;
      backends.push([name, { activeConnections, requests: sent, failures }]);
    }
    pools.push([poolName, Object.fromEntries(backends)]);
  }
  const poolCounters = parsePools(value.pools);
  if (poolCounters === undefined) return undefined;
  return {
    connections,
    requests,
    refusedConnections,
    mirrors,
    backends: Object.fromEntries(pools),
    pools: poolCounters,
    breakers,
  };
}

function parsePools(value: unknown): Record<string, PoolCounters> | undefined {
  if (!isRecord(value)) return undefined;
  const pools: [string, PoolCounters][] = [];
  for (const [name, pool] of Object.entries(value)) {
    if (!isRecord(pool)) return undefined;
    const { queued, overflows, retries, retriesRefused, reconnects } = pool;
    if (!isCount(queued) || !isCount(overflows) || !isCount(retries)) return undefined;
    if (!isCount(retriesRefused) || !isCount(reconnects)) return undefined;
    pools.push([name, { queued, overflows, retries, retriesRefused, reconnects }]);
  }
  return Object.fromEntries(pools);
}

function parseBreakers(value: unknown): readonly BreakerReport[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const parsed = value.map(parseBreaker);
  return parsed.includes(undefined) ? undefined : parsed.filter((one) => one !== undefined);
}

function parseBreaker(value: unknown): BreakerReport | undefined {
  if (!isRecord(value)) return undefined;
  const { pool, backend, phase, reason, trialsInMs } = value;
  if (typeof pool !== "string" || typeof backend !== "string" || typeof reason !== "string") return undefined;
  if ((phase !== "open" && phase !== "half-open") || !isCount(trialsInMs)) return undefined;
  return { pool, backend, phase, reason: reason.slice(0, REASON_LENGTH_MAX), trialsInMs };
}

function parseRow(value: unknown): FullRow | undefined {
  if (!isRecord(value)) return undefined;
  const { kind, length, reason } = value;
  if ((kind !== "5xx" && kind !== "failures") || !isCount(length) || typeof reason !== "string")
    return undefined;
  return { kind, length, reason: reason.slice(0, REASON_LENGTH_MAX) };
}

function parseMirrors(value: unknown): MirrorCounters | undefined {
  if (!isRecord(value)) return undefined;
  const { sent, dropped } = value;
  return isCount(sent) && isCount(dropped) ? { sent, dropped } : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
