// How many connections the workers of this node have to backends, for whoever waits until the last one of a drained
// backend has gone: on this node, or on the other one.

import { backendOrderKey } from "./backend-orders.ts";
import type { Workers } from "./workers.ts";

/** So long an operator waits for connections to be counted. */
const COUNT_TIMEOUT_MS = 1000;

/** By the keys of orders; 0 for a backend that is not configured here. */
export async function countConnections(
  workers: Workers,
  keys: readonly string[],
): Promise<readonly number[]> {
  const { backends } = await workers.report({ timeoutMs: COUNT_TIMEOUT_MS });
  const counts = new Map<string, number>();
  for (const [pool, counted] of Object.entries(backends)) {
    for (const [backend, { activeConnections }] of Object.entries(counted)) {
      counts.set(backendOrderKey({ pool, backend }), activeConnections);
    }
  }
  return keys.map((key) => counts.get(key) ?? 0);
}
