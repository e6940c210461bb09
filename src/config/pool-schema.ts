// What can be configured of a pool: its backends, how one is chosen, how they are checked, how long they may
// take. Part of schema.ts.

import { z } from "zod";
import * as address from "./address.ts";
import * as http from "./http-values.ts";
import { balance, panicThreshold, slowStart, sticky } from "./balance-schema.ts";
import { count, duration, either, kindOf } from "./fields.ts";
import { list, name, section, statusRanges, text, yesOrNo } from "./fields.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Defaults of health checks, which the cross-checks need where the file is silent. */
export const CHECK_DEFAULTS = { interval: "1s", timeout: "500ms" };

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
  weight: count({ from: 0, to: 256, noun: "a weight" })
    .prefault(1)
    .describe(
      "Its share of the requests, relative to the other backends. With 0 it gets no new clients; those with a sticky cookie for it may stay.",
    ),
  backup: yesOrNo()
    .prefault(false)
    .describe("Serves only when none of the pool's other backends can; several backups share by weight."),
});

const healthTiming = {
  interval: duration({ fromMs: 50, toMs: HOUR })
    .prefault(CHECK_DEFAULTS.interval)
    .describe("From one check to the next."),
  timeout: duration({ fromMs: 10, toMs: MINUTE })
    .prefault(CHECK_DEFAULTS.timeout)
    .describe("A check without an answer by then has failed. At most the interval."),
  rise: count({ from: 1, to: 100 }).prefault(2).describe("Good checks in a row that bring a backend back."),
  fall: count({ from: 1, to: 100 }).prefault(2).describe("Bad checks in a row that take a backend down."),
};

const health = kindOf(
  [
    section({
      kind: z.literal("tcp").describe("Good when the backend accepts a connection."),
      ...healthTiming,
    }),
    section({
      kind: z.literal("http").describe("Good when the backend answers a GET with an expected status."),
      path: text({ title: "path", write: "a path, such as /health", read: http.readPath })
        .prefault("/")
        .describe("What the check asks for."),
      host: z
        .exactOptional(
          text({ title: "host", write: "a host, such as www.example.lan", read: http.readHostField }),
        )
        .describe("Sent as Host. The backend's address when absent."),
      expectedStatus: statusRanges()
        .prefault("200-399")
        .describe('The good status codes: `200`, `"200-399"`, or a list of such.'),
      ...healthTiming,
    }),
    section({ kind: z.literal("none").describe("No checks: the backend always counts as up.") }),
  ],
  { example: "{ kind: tcp }" },
);

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
  )
    .min(1, { error: "The list is empty. Add a backend, such as 192.168.1.21:8080." })
    .describe("Who answers. A backend is an address, or a map when it needs a name or a weight."),
  health: health
    .prefault({ kind: "tcp" })
    .describe("How the backends are checked. Both nodes check for themselves."),
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
});
