// What can be configured of a listener: where clients connect, what they may send, and where their requests
// go. Part of schema.ts.

import { z } from "zod";
import * as address from "./address.ts";
import { errorPages } from "./error-page-schema.ts";
import { choice, count, countOrUnlimited, duration } from "./fields.ts";
import { list, name, section, size, sizeOrUnlimited, text } from "./fields.ts";
import { poolName, route } from "./route-schema.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const KIB = 1024;
const MIB = 1024 * KIB;
const TIB = 1024 * 1024 * MIB;

export const listener = section({
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
    .exactOptional(poolName())
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
  errorPages: errorPages
    .prefault({})
    .describe(
      "Pages for errors that vipair answers itself, by status (`503`) or class (`5xx`, for all that have no page of their own): a file (.html, .txt, .json or .xml, in UTF-8, at most 64 KiB), or a map with a body. Answers of backends and of `respond` pass as they are. Files are read at the start and at a reload.",
    ),
}).meta({ oneOf: [{ required: ["pool"] }, { required: ["routes"] }] });
