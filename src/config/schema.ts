// What can be configured: the YAML of a configuration file, key by key, with defaults, ranges and
// meaning. docs/configuration.md and docs/vipair.schema.json are generated from here (npm run docs).
// What concerns several keys at once stands in cross-checks.ts; config.ts is what comes out in the end.

import { z } from "zod";
import * as address from "./address.ts";
import * as http from "./http-values.ts";
import { choice, count, countOrAuto, countOrUnlimited, duration, either, kindOf } from "./fields.ts";
import { list, name, named } from "./fields.ts";
import { section, size, sizeOrUnlimited, statusRanges, text } from "./fields.ts";
import { GROUPS_HINT, GROUPS_MAX, pair, virtualAddresses } from "./pair-schema.ts";
import { ok } from "./reading.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const KIB = 1024;
const MIB = 1024 * KIB;
const TIB = 1024 * 1024 * MIB;

/** Defaults of health checks, which the cross-checks need where the file is silent. */
export const CHECK_DEFAULTS = { interval: "1s", timeout: "500ms" };

// ---------------------------------------------------------------- listeners

const route = section({
  match: section({
    host: z
      .exactOptional(
        text({ title: "host name", write: "a host name, such as api.example.lan", read: http.readRouteHost }),
      )
      .describe(
        "The host that the request names, without a port. A leading `*.` stands for one or more labels.",
      ),
    path: z
      .exactOptional(text({ title: "path", write: "a path, such as /v1", read: http.readPathPrefix }))
      .describe("The path or a part of it from the left: `/v1` matches `/v1` and `/v1/x`, not `/v10`."),
    method: z
      .exactOptional(text({ title: "method", write: "a method, such as GET", read: http.readMethod }))
      .describe("The request method, in capitals."),
  })
    .prefault({})
    .describe(
      "What a request must be to take this route. All given keys must match; none given matches every request.",
    ),
  pool: text({ title: "name of a pool", write: "the name of a pool, such as web", read: ok }).describe(
    "The pool that answers.",
  ),
});

const listener = section({
  name: name().describe("Names the listener in logs and status."),
  bind: text({
    title: "address:port or vip:port",
    write: "address and port, such as 0.0.0.0:80",
    read: address.readBind,
  }).describe(
    'Where clients connect. `0.0.0.0:80` is every IPv4 address, `"[::]:80"` (in quotes) every IPv6 one. `vip:80` is the virtual addresses alone, open only while this node is active.',
  ),
  protocol: choice(["http"]).prefault("http").describe("What clients speak."),
  pool: z
    .exactOptional(text({ title: "name of a pool", write: "the name of a pool, such as web", read: ok }))
    .describe("Short for one route that sends everything to this pool. Either this or `routes`."),
  routes: z
    .exactOptional(
      list(route, "routes").min(1, { error: "The list is empty. Add a route, or use pool instead." }),
    )
    .describe("Tried in order; the first that matches decides. A request that none matches is answered 404."),
  timeouts: section({
    head: duration({ fromMs: 100, toMs: 10 * MINUTE })
      .prefault("10s")
      .describe("From the first byte of a request to the end of its head; then 408."),
    idle: duration({ fromMs: 100, toMs: 24 * HOUR })
      .prefault("60s")
      .describe("How long a connection stays open between two requests."),
  })
    .prefault({})
    .describe("How long clients may take."),
  limits: section({
    head: size({ fromBytes: KIB, toBytes: MIB })
      .prefault("16KiB")
      .describe("Request line and header fields of one request together; a longer head is answered 431."),
    requestLine: size({ fromBytes: 128, toBytes: MIB })
      .prefault("8KiB")
      .describe(
        "Method, target and version of one request together; a longer line is answered 414. The head holds it, so `head` is a limit as well.",
      ),
    fields: count({ from: 8, to: 10_000 })
      .prefault(100)
      .describe("Header fields of one request; more are answered 431."),
    body: sizeOrUnlimited({ fromBytes: 1, toBytes: TIB })
      .prefault("unlimited")
      .describe("The body of one request; a longer one is answered 413."),
    connections: countOrUnlimited({ from: 1, to: 1_000_000 })
      .prefault("unlimited")
      .describe(
        "Client connections open at once. Each worker takes an equal share of them, rounded up, since the kernel spreads connections evenly; one that comes when the share of its worker is used is answered 503 and closed before it has asked.",
      ),
    connectionsPerAddress: countOrUnlimited({ from: 1, to: 1_000_000 })
      .prefault("unlimited")
      .describe(
        "Client connections open at once from one address, or from one /64 network of IPv6. Each worker counts for itself, so an address that is lucky gets as many in every worker; one more is answered 429 and closed before it has asked. `trustedProxies` are not counted.",
      ),
    requestsPerConnection: countOrUnlimited({ from: 1, to: 1_000_000 })
      .prefault("unlimited")
      .describe(
        "Requests on one connection. The last one is answered like the others, with `Connection: close`.",
      ),
  })
    .prefault({})
    .describe("How much clients may send."),
  trustedProxies: list(
    text({
      title: "address or block of addresses",
      write: "a block of addresses, such as 10.0.0.0/8",
      read: address.readCidr,
    }),
    "addresses or blocks of addresses",
  )
    .prefault([])
    .describe(
      "Proxies in front of vipair. Their forwarded fields (X-Forwarded-For and its kin) are believed and extended; everyone else's are overwritten.",
    ),
  underscoreHeaders: choice(["drop", "pass", "refuse"])
    .prefault("drop")
    .describe(
      "What becomes of request fields with `_` in their name. Many backends take `X_Forwarded_For` for `X-Forwarded-For`, so a client could say who it is. `drop` leaves the field out, `refuse` answers 400, `pass` is for backends that tell the two apart.",
    ),
  trace: choice(["refuse", "pass"])
    .prefault("refuse")
    .describe(
      "TRACE requests. A backend that answers them shows the client every field that proxies have added. `refuse` answers 501; CONNECT is always refused.",
    ),
}).meta({ oneOf: [{ required: ["pool"] }, { required: ["routes"] }] });

// ---------------------------------------------------------------- pools

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
  weight: count({ from: 1, to: 256, noun: "a weight" })
    .prefault(1)
    .describe("Its share of the requests, relative to the other backends."),
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

const pool = section({
  balance: choice(["round-robin"])
    .prefault("round-robin")
    .describe("How a backend is chosen. `round-robin` takes them in turn, by weight, evenly spread."),
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

// ---------------------------------------------------------------- the file

/** Keys that stand elsewhere. */
const TOP_HINTS = {
  ...Object.fromEntries(Object.keys(pair.shape).map((key) => [key, "Unknown key. It stands under pair."])),
  groups: GROUPS_HINT,
};

export const configFile = section(
  {
    pair: z
      .exactOptional(pair)
      .describe(
        "The two nodes and how they watch each other. Without `pair` and `virtualAddresses` one node balances alone.",
      ),
    virtualAddresses: virtualAddresses
      .prefault([])
      .describe(
        `The addresses that move between the nodes: a list of addresses, which one node holds all of, or a list of at most ${String(GROUPS_MAX)} groups, each with an active node of its own.`,
      ),
    listeners: list(listener, "listeners")
      .min(1, { error: "The list is empty. Add a listener: name, bind and pool." })
      .describe("Where clients connect, and which pool answers them."),
    pools: named(pool, "pools").describe("The sets of backends, by name."),
    workers: countOrAuto({ from: 1, to: 64 })
      .prefault("auto")
      .describe("How many processes carry the traffic. `auto` is one per core."),
    logging: section({
      level: choice(["debug", "info", "warn", "error"])
        .prefault("info")
        .describe("The least important lines that are logged."),
    })
      .prefault({})
      .describe("What goes to the journal."),
    shutdownGrace: duration({ fromMs: 0, toMs: 10 * MINUTE })
      .prefault("10s")
      .describe("How long requests in flight may go on when vipair is stopped."),
  },
  { hints: TOP_HINTS },
).meta({
  title: "vipair configuration",
  dependentRequired: { pair: ["virtualAddresses"], virtualAddresses: ["pair"] },
});

/** A configuration file that kept to the schema: units resolved, defaults filled in. */
export type ConfigFile = z.output<typeof configFile>;
