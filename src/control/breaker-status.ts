// The circuit breakers of one backend in all workers, summed up for people.

import type { BackendName } from "../protocol/admin.ts";
import type { BreakerStatus } from "../protocol/status.ts";
import type { BreakerReport } from "../protocol/worker.ts";

/** null: closed everywhere. The reason is that of the worker whose trials come first. */
export function breakerStatus(
  reports: readonly BreakerReport[],
  { pool, backend }: BackendName,
): BreakerStatus | null {
  const own = reports.filter((report) => report.pool === pool && report.backend === backend);
  const [first] = own.toSorted((a, b) => a.trialsInMs - b.trialsInMs);
  if (first === undefined) return null;
  const open = own.filter(({ phase }) => phase === "open");
  return {
    openWorkers: open.length,
    halfOpenWorkers: own.length - open.length,
    reason: first.reason,
    trialsInMs: open.length === 0 ? null : Math.min(...open.map(({ trialsInMs }) => trialsInMs)),
  };
}
