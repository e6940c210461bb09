// What can be configured of how a pool bears that a backend fails or is full. Part of pool-schema.ts.

import { z } from "zod";
import { count, countOrUnlimited, duration, either, list, section, size, wordOf } from "./fields.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const MIB = 1024 * 1024;

const retryCause = either(
  wordOf(["connect", "reset", "timeout"], {
    hints: {
      "conn-failure": '"conn-failure" is not known here. Did you mean connect?',
      "connect-failure": '"connect-failure" is not known here. Did you mean connect?',
      "empty-response": '"empty-response" is not known here. Did you mean reset?',
      "response-timeout": '"response-timeout" is not known here. Did you mean timeout?',
      "5xx": '"5xx" is not known here. Name the statuses, such as [502, 503, 504].',
      "gateway-error": '"gateway-error" is not known here. Name the statuses: [502, 503, 504].',
    },
  }),
  count({ from: 400, to: 599, noun: "a status of an answer that could be better" }),
  { write: "connect, reset, timeout, or a status such as 503" },
);

export const retry = section({
  attempts: count({ from: 1, to: 10 })
    .prefault(3)
    .describe(
      "How often a request is sent at the most, the first time included. Backends that cannot be connected to do not count: each of them is tried once.",
    ),
  on: list(retryCause, "causes, such as [connect, reset, 503]")
    .meta({ title: "list of connect, reset, timeout, 400 to 599" })
    .prefault(["connect", "reset"])
    .describe(
      "What is tried again. `connect`: no connection came about; `reset`: it was lost before the answer; `timeout`: no answer came in time; a status: the answer had it. `[]` is nothing.",
    ),
  perTry: z
    .exactOptional(duration({ fromMs: 10, toMs: 24 * HOUR }))
    .describe(
      "How long one try may take until the head of its answer, from when the whole request was there. When absent, `timeouts.connect` and `timeouts.response` alone.",
    ),
  total: z
    .exactOptional(duration({ fromMs: 10, toMs: 24 * HOUR }))
    .describe(
      "How long all tries together may take, waiting in the queue included, until the head of the answer; then 504. From when the whole request was there. When absent, there is no such limit.",
    ),
  bodyBytes: size({ fromBytes: 0, toBytes: 16 * MIB })
    .prefault("64KiB")
    .describe(
      "The longest request body that is kept to be sent again. With a longer one a request is not sent again once its backend has got some of it.",
    ),
  budget: section({
    percent: count({ from: 0, to: 100, noun: "a percentage" })
      .prefault(20)
      .describe("Of the pool's active requests, so many at the most are being sent again at a time."),
    floor: count({ from: 0, to: 10_000 }).prefault(3).describe("So many always may, in each worker."),
  })
    .prefault({})
    .describe(
      "Keeps retries from burying backends that have too much to do already. As Envoy's retry budget. Requests that no backend has got do not count.",
    ),
})
  .prefault({})
  .describe(
    "When a request that failed goes to another backend, or to the same one if there is no other: before any byte of an answer has reached the client, and only if sending it twice does no harm. See [resilience.md](resilience.md).",
  );

export const maxConnections = countOrUnlimited({ from: 1, to: 1_000_000 })
  .prefault("unlimited")
  .describe(
    "How many requests and tunnels it has at a time at the most; more wait in the pool's `queue`. Each worker takes its part, but at least 1. HAProxy's `maxconn`.",
  );

export const queue = z
  .exactOptional(
    section({
      length: count({ from: 0, to: 1_000_000 })
        .prefault(1024)
        .describe("How many requests wait at the most; one more gets 503. With `0` nobody waits."),
      timeout: duration({ fromMs: 10, toMs: HOUR })
        .prefault("5s")
        .describe("How long a request waits at the most; then 503."),
    }),
  )
  .describe(
    "Where requests wait while all backends that may take them have as many as `maxConnections` allows. Clients with a sticky cookie for a backend go first there. When absent and needed, it has its defaults.",
  );
