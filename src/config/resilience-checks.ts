// What must be true between the values by which a pool bears failures. Part of pool-checks.ts.

import type { Mistake } from "./mistake.ts";
import { formatDuration, readDuration } from "./quantity.ts";
import { duplicates, type Spot } from "./spot.ts";

/** Retries that could never happen, times that cut each other, limits and queues without each other. */
export function checkResilience(pool: Spot, workers: Spot): readonly Mistake[] {
  return [...checkRetry(pool), ...checkLimits(pool.at("backends").items, workers), ...checkQueue(pool)];
}

function checkRetry(pool: Spot): readonly Mistake[] {
  const retry = pool.at("retry");
  const on = retry.at("on");
  const causes = on.items.map(({ value }) => value);
  const found: Mistake[] = [
    ...duplicates(
      on.items,
      ({ value }) => String(value),
      (cause, first) => `${cause} is ${first} already. Remove one.`,
    ),
  ];
  if (Array.isArray(on.value)) {
    const isSendingAgain = causes.some((cause) => cause !== "connect");
    const attempts = retry.at("attempts");
    if (attempts.value === 1 && isSendingAgain) {
      found.push(attempts.mistake("With 1 attempt nothing is sent again. Use 2 or more, or on: [connect]."));
    }
    if (typeof attempts.value === "number" && attempts.value > 1 && !isSendingAgain) {
      found.push(
        attempts.mistake(
          "Without reset, timeout or a status in on, nothing is sent again: each backend is tried once. Leave attempts out, or add to on.",
        ),
      );
    }
  }
  if (retry.has("perTry") && !causes.includes("timeout")) {
    found.push(
      retry
        .at("perTry")
        .mistake("It ends a try, and nothing is tried again then. Add timeout to on, or use total."),
    );
  }
  const budget = retry.at("budget");
  if (budget.at("percent").value === 0 && budget.at("floor").value === 0) {
    found.push(budget.mistake("It allows nothing. Raise one of the two, or use on: [connect]."));
  }
  return [...found, ...checkTimes(pool)];
}

function checkTimes(pool: Spot): readonly Mistake[] {
  const total = pool.at("retry").at("total");
  const totalMs = total.read(readDuration);
  if (totalMs === undefined) return [];
  const parts = [
    ["perTry", pool.at("retry").at("perTry")],
    ["timeout of the queue", pool.at("queue").at("timeout")],
  ] as const;
  return parts.flatMap(([name, part]) => {
    const partMs = part.read(readDuration);
    if (partMs === undefined || partMs <= totalMs) return [];
    return [
      part.mistake(
        `The ${name} (${formatDuration(partMs)}) is longer than the total (${formatDuration(totalMs)}) of retry. Lower it, or raise total.`,
      ),
    ];
  });
}

/** Each worker takes its part, and none of them nothing. */
function checkLimits(backends: readonly Spot[], workers: Spot): readonly Mistake[] {
  const count = workers.value;
  if (typeof count !== "number") return [];
  return backends.flatMap((backend) => {
    const limit = backend.at("maxConnections");
    if (typeof limit.value !== "number" || limit.value < 1 || limit.value >= count) return [];
    return [
      limit.mistake(
        `Each of the ${String(count)} workers takes at least 1. Use ${String(count)} or more, or fewer workers.`,
      ),
    ];
  });
}

function checkQueue(pool: Spot): readonly Mistake[] {
  const queue = pool.at("queue");
  if (queue.value === undefined || pool.at("backends").items.some(isLimited)) return [];
  return [
    queue.mistake(
      "Nobody would wait in it, as no backend has maxConnections. Give them some, or remove the queue.",
      "key",
    ),
  ];
}

/** A misspelling of the key has been reported, and one mistake is enough. */
function isLimited(backend: Spot): boolean {
  return backend.mentions("maxConnections", ["name", "address", "weight", "backup", "health"])
    ? backend.at("maxConnections").value !== "unlimited"
    : false;
}
