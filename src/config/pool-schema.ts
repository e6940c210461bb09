// What can be configured of a pool: its backends, how one is chosen, how they are checked, how long they may
// take. Part of schema.ts.

import { z } from "zod";
import * as address from "./address.ts";
import { balance, panicThreshold, slowStart, sticky } from "./balance-schema.ts";
import { agent, backendCheck, health } from "./check-schema.ts";
import { count, duration, either } from "./fields.ts";
import { list, name, section, text, yesOrNo } from "./fields.ts";
import { maxConnections, queue, retry } from "./resilience-schema.ts";
import { circuitBreaker, outliers } from "./passive-schema.ts";
import { WEIGHT_MAX } from "./weight-order.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const backendAddress = () =>
  text({
    title: "address:port",
    write: "address and port, such as 192.168.1.21:8080",
    read: address.readBackendAddress,
  });

const backend = section({
  name: z
    .exactOptional(name())
    .describe("Names the backend in logs and status; unique in its pool. Its address when absent."),
  address: backendAddress().describe(
    "Where the backend listens: host name, IPv4 or bracketed IPv6 address, and port.",
  ),
  weight: count({ from: 0, to: WEIGHT_MAX, noun: "a weight" })
    .prefault(1)
    .describe(
      "Its share of the requests, relative to the other backends. With 0 it gets no new clients; those with a sticky cookie for it may stay.",
    ),
  backup: yesOrNo()
    .prefault(false)
    .describe("Serves only when none of the pool's other backends can; several backups share by weight."),
  maxConnections,
  health: z
    .exactOptional(backendCheck)
    .describe("Where its checks differ from those of the other backends of the pool."),
});

export const pool = section({
  balance,
  sticky,
  slowStart,
  panicThreshold,
  backends: list(
    either(backendAddress(), backend, {
      write: "address and port, such as 192.168.1.21:8080, or a map with an address",
    }),
    "backends",
  ).describe(
    "Who answers. A backend is an address, or a map when it needs a name or a weight. While the list is empty (`[]`), requests get 503.",
  ),
  health: health
    .prefault({ kind: "tcp" })
    .describe("How the backends are checked. Both nodes check for themselves."),
  agent: z
    .exactOptional(agent)
    .describe(
      "Each backend has an agent that is asked how much it can take, as HAProxy's agent-check: see [health.md](health.md).",
    ),
  outliers,
  circuitBreaker,
  timeouts: section({
    connect: duration({ fromMs: 10, toMs: MINUTE })
      .prefault("2s")
      .describe("Until a backend accepts a connection; then the next backend is tried."),
    response: duration({ fromMs: 10, toMs: 24 * HOUR })
      .prefault("30s")
      .describe("From the end of the request to the head of the response; then 504."),
    body: duration({ fromMs: 100, toMs: 24 * HOUR })
      .prefault("30s")
      .describe("The longest pause within a body, in either direction."),
    tunnelIdle: duration({ fromMs: SECOND, toMs: 7 * 24 * HOUR })
      .prefault("1h")
      .describe("The longest silence on an upgraded connection, such as a WebSocket."),
  })
    .prefault({})
    .describe("How long backends may take."),
  retry,
  queue,
});
