// What can be configured of the choice among a pool's backends. Part of pool-schema.ts.

import { z } from "zod";
import { choice, count, duration, either, kindOf, section, text, wordOf, yesOrNo } from "./fields.ts";
import { readPath } from "./http-values.ts";
import { type Reading, invalid, ok, quote } from "./reading.ts";

const SECOND = 1000;
const DAY = 24 * 60 * 60 * SECOND;

/** RFC 9110 5.6.2: what names of fields and of cookies are made of. */
const TOKEN = /^[!#$%&'*+.^_`|~A-Za-z0-9-]{1,64}$/;

const headerName = () =>
  text({
    title: "name of a header field",
    write: "the name of a header field, such as x-user",
    read: (written) =>
      TOKEN.test(written)
        ? ok(written.toLowerCase())
        : invalid(`${quote(written)} is not the name of a header field. Use one, such as x-user.`),
  });

const cookieName = () =>
  text({
    title: "name of a cookie",
    write: "the name of a cookie, such as session",
    read: (written) =>
      TOKEN.test(written)
        ? ok(written)
        : invalid(`${quote(written)} is not the name of a cookie. Use one, such as session.`),
  });

/** What other balancers call them, and what needs more than a word. */
const OTHER_WORDS = {
  "header-hash": "header-hash needs a header. Write { kind: header-hash, header: x-user }.",
  "cookie-hash": "cookie-hash needs a cookie. Write { kind: cookie-hash, cookie: session }.",
  ...sameAs("round-robin", ["rr", "wrr", "static-rr", "weighted-round-robin"]),
  ...sameAs("least-connections", ["leastconn", "least_conn", "least-request", "least_request"]),
  ...sameAs("least-response-time", ["least_time", "least-time", "peak-ewma", "ewma"]),
  ...sameAs("source-hash", ["source", "ip_hash", "ip-hash"]),
  ...sameAs("uri-hash", ["uri", "url-hash"]),
  ...sameAs("random", ["p2c"]),
};

function sameAs(meant: string, others: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    others.map((other) => [other, `${quote(other)} is not known here. Did you mean ${meant}?`]),
  );
}

export const balance = either(
  wordOf(
    ["round-robin", "least-connections", "least-response-time", "random", "first", "source-hash", "uri-hash"],
    { hints: OTHER_WORDS },
  ),
  kindOf(
    [
      section({
        kind: z
          .literal("header-hash")
          .describe("Requests with the same value of a header field go together."),
        header: headerName().describe("The header field. Requests without it take turns."),
      }),
      section({
        kind: z.literal("cookie-hash").describe("Requests with the same value of a cookie go together."),
        cookie: cookieName().describe(
          "The cookie, which is the application's own. Requests without it take turns.",
        ),
      }),
      section({
        kind: z.literal("uri-hash").describe("Requests for the same path go together."),
        query: yesOrNo().prefault(false).describe('Whether the part behind the "?" counts too.'),
      }),
    ],
    { example: "{ kind: header-hash, header: x-user }" },
  ),
  { write: "a policy, such as round-robin, or a map such as { kind: header-hash, header: x-user }" },
)
  .meta({ title: "a policy, or a map, see below" })
  .prefault("round-robin")
  .describe(
    "How a backend is chosen. `round-robin` takes them in turn, by weight, evenly spread; `least-connections` takes the one with the fewest active requests; `least-response-time` the faster one of two, `random` the less loaded one of two; `first` the first in the list; `source-hash`, `uri-hash`, `header-hash` and `cookie-hash` the same one for the same client address, path, header field or cookie. See [balancing.md](balancing.md).",
  );

export const sticky = z
  .exactOptional(
    section({
      cookie: z
        .exactOptional(cookieName())
        .describe(
          "The cookie's name: one that neither the application nor another sticky pool of the same host uses. `vipair-` and the name of the pool when absent.",
        ),
      ttl: text<number | null>({
        title: "session, or duration, 1s to 8760h",
        write: "session, or a duration with a unit, such as 1h",
        read: readTtl,
      })
        .prefault("session")
        .describe(
          "How long a client that stays away keeps its backend. `session` is as long as the browser keeps the cookie.",
        ),
      path: text({ title: "path", write: "a path, such as /", read: readCookiePath })
        .prefault("/")
        .describe("Clients send the cookie with requests for this path and what is below it."),
      secure: either(yesOrNo(), automatic(), { write: "true, false or auto" })
        .meta({ title: "true, false or auto" })
        .prefault("auto")
        .describe(
          "Whether clients send the cookie over https alone. `auto` is true for those who got it over https.",
        ),
      httpOnly: yesOrNo().prefault(true).describe("Whether the cookie is hidden from scripts in the page."),
      sameSite: choice(["lax", "strict", "none"])
        .prefault("lax")
        .describe("Whether clients send the cookie with requests that begin on other sites."),
      fallback: choice(["another", "refuse"])
        .prefault("another")
        .describe(
          "What becomes of a client whose backend is down or draining: it gets another one, or 503 until its own is back.",
        ),
    }),
  )
  .describe(
    "Brings a client back to the backend that it had, by a signed cookie that holds on both nodes. Without this key every request is balanced for itself.",
  );

function automatic() {
  return text<"auto">({
    title: "auto",
    write: "true, false or auto",
    pattern: "^auto$",
    read: (written) =>
      written === "auto"
        ? { kind: "ok", value: written }
        : invalid(`${quote(written)} is not known here. Use true, false or auto.`),
  });
}

const readDuration = duration({ fromMs: SECOND, toMs: 365 * DAY });

function readTtl(written: string): Reading<number | null> {
  if (written === "session") return ok(null);
  const read = readDuration.safeParse(written);
  return read.success ? ok(read.data) : invalid(read.error.issues[0]?.message ?? "Write session.");
}

/** RFC 6265 4.1.1: a semicolon would end the attribute. */
function readCookiePath(written: string): Reading<string> {
  const path = readPath(written);
  if (path.kind === "ok" && /[;?]/.test(written)) {
    return invalid(`${quote(written)} cannot be the path of a cookie. Leave out ";" and "?".`);
  }
  return path;
}

export const slowStart = duration({ fromMs: 0, toMs: DAY })
  .prefault("0s")
  .describe(
    "How long a backend that comes back from a failure takes to get its full share: linear from 10 % of its weight. Not at start, reload or failover. `0s` is at once.",
  );

export const panicThreshold = z
  .exactOptional(count({ from: 0, to: 100, noun: "a percentage" }))
  .describe(
    "When less than this percentage of the backends is healthy, all are used as if they were, because the few would break down, or the checks be wrong. `0` is never. When absent, `30`, and `0` in pools of fewer than 3 backends.",
  );
