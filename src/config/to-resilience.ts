// From the values of a file that kept to the schema to how a pool bears failures. Part of to-pool.ts.

import type { QueueConfig, RetryConfig } from "./resilience-config.ts";
import type { ConfigFile } from "./schema.ts";

type Pool = ConfigFile["pools"][string];

const QUEUE: QueueConfig = { length: 1024, timeoutMs: 5000 };

export function toRetry({ attempts, on, perTry, total, bodyBytes, budget }: Pool["retry"]): RetryConfig {
  return {
    attempts,
    on: {
      connect: on.includes("connect"),
      reset: on.includes("reset"),
      timeout: on.includes("timeout"),
      statuses: on.filter((cause) => typeof cause === "number"),
    },
    perTryMs: perTry ?? Infinity,
    totalMs: total ?? Infinity,
    bodyBytes,
    budget,
  };
}

/** null: no backend is ever full. */
export function toQueue({ queue, backends }: Pool): QueueConfig | null {
  const isLimited = backends.some(
    (backend) => "maxConnections" in backend && backend.maxConnections !== null,
  );
  if (!isLimited) return null;
  return queue === undefined ? QUEUE : { length: queue.length, timeoutMs: queue.timeout };
}
