// What can be configured of conclusions from the requests themselves: ejection, circuit breakers. Part of
// pool-schema.ts.

import { count, countOrOff, duration, either, section, wordOf } from "./fields.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Defaults that the cross-checks need where the file is silent. */
export const OUTLIER_DEFAULTS = {
  consecutive5xx: 5,
  consecutiveFailures: 5,
  baseEjection: "30s",
  maxEjection: "5m",
  maxEjectionPercent: 50,
} as const;

const OFF = wordOf(["off"], {
  hints: { on: '"on" is not known here. Write {}, which is with the defaults.' },
}).transform(() => null);

function row(key: "consecutive5xx" | "consecutiveFailures") {
  return countOrOff({ from: 1, to: 1000 }).prefault(OUTLIER_DEFAULTS[key]);
}

export const outliers = either(
  OFF,
  section(
    {
      consecutive5xx: row("consecutive5xx").describe(
        "So many responses with a status of 500 or above in a row eject a backend. One with another status ends the row.",
      ),
      consecutiveFailures: row("consecutiveFailures").describe(
        "So many requests in a row without a proper response eject a backend: connections that were refused, timed out or were reset, responses that were malformed or did not come in time. A response, whatever its status, ends the row.",
      ),
      baseEjection: duration({ fromMs: 100, toMs: HOUR })
        .prefault(OUTLIER_DEFAULTS.baseEjection)
        .describe(
          "How long the first ejection lasts; the second one twice as long, the third one three times, and so on. For each such time that the backend has been well the number falls by one.",
        ),
      maxEjection: duration({ fromMs: 100, toMs: 24 * HOUR })
        .prefault(OUTLIER_DEFAULTS.maxEjection)
        .describe("No ejection lasts longer."),
      maxEjectionPercent: count({ from: 1, to: 100, noun: "a percentage" })
        .prefault(OUTLIER_DEFAULTS.maxEjectionPercent)
        .describe(
          "No more than this percentage of the backends are ejected at the same time. The last one that could serve never is, nor one without which the pool would [panic](balancing.md#panic).",
        ),
    },
    {
      synonyms: {
        consecutive5xxErrors: "consecutive5xx",
        consecutive_5xx: "consecutive5xx",
        consecutiveGatewayErrors: "consecutive5xx",
        consecutiveConnectFailures: "consecutiveFailures",
        consecutiveLocalOriginFailures: "consecutiveFailures",
        consecutive_local_origin_failure: "consecutiveFailures",
        maxFails: "consecutiveFailures",
        max_fails: "consecutiveFailures",
        failTimeout: "baseEjection",
        fail_timeout: "baseEjection",
        baseEjectionTime: "baseEjection",
        base_ejection_time: "baseEjection",
        maxEjectionTime: "maxEjection",
        max_ejection_time: "maxEjection",
        max_ejection_percent: "maxEjectionPercent",
      },
      hints: {
        interval: "Unknown key. Rows of failures are judged at once, not at an interval.",
      },
    },
  ),
  { write: "off, or a map such as { consecutive5xx: 5 }" },
)
  .meta({ title: "off, or a map, see below" })
  .prefault("off")
  .describe(
    "Leaves out for a while a backend on which requests fail in a row, whatever its checks say: Envoy's outlier detection, nginx's `max_fails`. `{}` is with the defaults. See [health.md](health.md#ejection).",
  );

export const circuitBreaker = either(
  OFF,
  section(
    {
      failureRate: count({ from: 1, to: 100, noun: "a percentage" })
        .prefault(50)
        .describe(
          "Opens when at least this percentage of the requests within `window` failed: a status of 500 or above, or no proper response.",
        ),
      minimumRequests: count({ from: 1, to: 100_000 })
        .prefault(20)
        .describe("Fewer requests of a worker within `window` decide nothing."),
      window: duration({ fromMs: SECOND, toMs: 10 * MINUTE })
        .prefault("10s")
        .describe("How far back requests count; it moves in tenths."),
      open: duration({ fromMs: 100, toMs: HOUR })
        .prefault("5s")
        .describe("How long a breaker stays open before it lets requests through on trial."),
      trials: count({ from: 1, to: 100 })
        .prefault(3)
        .describe(
          "So many requests a half-open breaker lets through, in each worker. All of them good close it, one failure opens it again.",
        ),
    },
    {
      synonyms: {
        failureRateThreshold: "failureRate",
        minimumNumberOfCalls: "minimumRequests",
        slidingWindowSize: "window",
        waitDurationInOpenState: "open",
        fallbackDuration: "open",
        permittedNumberOfCallsInHalfOpenState: "trials",
      },
      hints: {
        maxConnections: "Unknown key. Envoy's circuit breakers are limits: see maxConnections of a backend.",
        maxRequests: "Unknown key. Envoy's circuit breakers are limits: see maxConnections of a backend.",
      },
    },
  ),
  { write: "off, or a map such as { failureRate: 50 }" },
)
  .meta({ title: "off, or a map, see below" })
  .prefault("off")
  .describe(
    "Stops sending requests to a backend while too many of them fail, even to the last one: who asks is told at once, and the backend gets time. `{}` is with the defaults. See [health.md](health.md#circuit-breaker).",
  );
