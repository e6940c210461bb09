// What can be configured of a route. Part of schema.ts; which keys exclude each other stands in route-checks.ts.

import { z } from "zod";
import * as address from "./address.ts";
import * as http from "./http-values.ts";
import { choice, count, either, list, name, section, text } from "./fields.ts";
import { ok, type Reading } from "./reading.ts";
import { readRegex } from "./regex.ts";
import * as value from "./route-values.ts";

/** One, or a list of them. */
function oneOrMore<T extends z.core.$ZodType>(
  item: T,
  { title, noun, write }: { readonly title: string; readonly noun: string; readonly write: string },
) {
  return either(
    item,
    list(item, noun).min(1, { error: `The list is empty. Add ${write}, or leave the key out.` }),
    { write: `${write}, or a list of them` },
  ).meta({ title });
}

/** A map from names, which `readName` judges, to items. */
function byName<T extends z.core.$ZodType>(
  item: T,
  {
    write,
    readName = value.readToken,
  }: { readonly write: string; readonly readName?: (text: string) => Reading<string> },
) {
  const key = z.string().superRefine((written, context) => {
    const reading = readName(written);
    if (reading.kind === "invalid") context.addIssue({ code: "custom", message: reading.problem });
  });
  return z.record(key, item, {
    error: ({ input }) =>
      input === null || input === undefined ? `Empty. Write ${write}.` : `This is not a map. Write ${write}.`,
  });
}

export const poolName = () =>
  text({ title: "name of a pool", write: "the name of a pool, such as web", read: ok });

const wanted = (noun: string) =>
  either(
    text({ title: "text, or * for any", write: `the ${noun}, or "*" for any`, read: value.readWanted }),
    section({
      prefix: text({ title: "text", write: "the beginning of it", read: value.readWanted }).describe(
        "How it must begin.",
      ),
    }),
    { write: `the ${noun}, "*" for any, or { prefix: … }` },
  ).meta({ title: "text, `*`, or map with `prefix`" });

const pathForms = {
  prefix: z
    .exactOptional(text({ title: "path", write: "a path, such as /v1", read: http.readPathPrefix }))
    .describe("On segment borders: `/v1` matches `/v1` and `/v1/x`, not `/v10`."),
  exact: z
    .exactOptional(text({ title: "path", write: "a path, such as /v1/login", read: value.readExactPath }))
    .describe("This path alone."),
  regex: z
    .exactOptional(text({ title: "regular expression", write: "a regular expression", read: readRegex }))
    .describe(
      "In the syntax of RE2, found anywhere in the path: begin it with `^`, end it with `$`. It runs in time linear in the path.",
    ),
};

const match = section({
  host: z
    .exactOptional(
      oneOrMore(
        text({ title: "host name", write: "a host name, such as api.example.lan", read: http.readRouteHost }),
        {
          title: "host name, or a list of them",
          noun: "host names",
          write: "a host name, such as api.example.lan",
        },
      ),
    )
    .describe(
      "The host that the request names, without a port; or a list, one of which must match. A leading `*.` stands for one or more labels.",
    ),
  path: z
    .exactOptional(
      oneOrMore(
        either(
          text({ title: "path", write: "a path, such as /v1", read: http.readPathPrefix }),
          section(pathForms),
          { write: "a path, such as /v1, or a map with one of prefix, exact and regex" },
        ),
        { title: "path or map, see below, or a list of them", noun: "paths", write: "a path, such as /v1" },
      ),
    )
    .describe(
      "The path or a part of it from the left: `/v1` matches `/v1` and `/v1/x`, not `/v10`. A map says it in another way: `{ exact: /v1/login }`, `{ regex: ^/v[0-9]+/ }`. Of a list, one must match. Paths are compared as a careful server would read them: percent-encoded letters decoded, `.` and `..` resolved, slashes in a row as one. The request goes on as it came, with its dot segments resolved.",
    ),
  method: z
    .exactOptional(
      oneOrMore(text({ title: "method", write: "a method, such as GET", read: http.readMethod }), {
        title: "method, or a list of them",
        noun: "methods",
        write: "a method, such as GET",
      }),
    )
    .describe("The request method, in capitals; or a list, one of which must match."),
  header: z
    .exactOptional(
      byName(wanted("value"), {
        write: "a map of fields, such as { x-beta-user: yes }",
        readName: value.readMatchedField,
      }),
    )
    .describe(
      'Header fields, all of which must match: a value, `"*"` for any, or `{ prefix: … }`. Names are compared without regard to capitals. Of a field with several lines one must match.',
    ),
  query: z
    .exactOptional(
      byName(wanted("value"), {
        write: "a map of parameters, such as { version: beta }",
        readName: value.readWanted,
      }),
    )
    .describe("Parameters of the query, decoded, all of which must match, as for `header`."),
  cookie: z
    .exactOptional(byName(wanted("value"), { write: "a map of cookies, such as { beta: on }" }))
    .describe("Cookies, all of which must match, as for `header`."),
  client: z
    .exactOptional(
      oneOrMore(
        text({
          title: "address or block of addresses",
          write: "a block of addresses, such as 10.0.0.0/8",
          read: address.readCidr,
        }),
        {
          title: "address or block of addresses, or a list of them",
          noun: "addresses or blocks of addresses",
          write: "a block of addresses, such as 10.0.0.0/8",
        },
      ),
    )
    .describe(
      "Where the client is: an address, a block, or a list, one of which must hold it. Behind one of `trustedProxies` the client is the last address in X-Forwarded-For that is not a trusted proxy's.",
    ),
  language: z
    .exactOptional(
      oneOrMore(text({ title: "language tag", write: "a language, such as de", read: value.readLanguage }), {
        title: "language tag, or a list of them",
        noun: "languages",
        write: "a language, such as de",
      }),
    )
    .describe(
      "The client's first choice (Accept-Language) among all languages that the routes of the listener name; so name the language of the last route, too. Requests without that field match no language.",
    ),
})
  .prefault({})
  .describe(
    "What a request must be to take this route. All given keys must match; none given matches every request.",
  );

const fieldChanges = (of: string) =>
  section({
    set: byName(text({ title: "text with variables", write: "a value", read: value.readFieldValue }), {
      write: "a map of fields, such as { x-from: vipair }",
      readName: value.readChangeableField,
    })
      .prefault({})
      .describe(`Fields that the ${of} has afterwards, in place of those of the same name.`),
    add: byName(text({ title: "text with variables", write: "a value", read: value.readFieldValue }), {
      write: "a map of fields, such as { x-from: vipair }",
      readName: value.readChangeableField,
    })
      .prefault({})
      .describe("Fields beside those of the same name."),
    remove: list(
      text({ title: "name of a field", write: "the name of a field", read: value.readChangeableField }),
      "names of fields",
    )
      .prefault([])
      .describe("Fields that go."),
  }).prefault({});

const override = section({
  header: text({
    title: "name of a field",
    write: "the name of a header field",
    read: value.readToken,
  }).describe("A request with this header field goes to `pool`, whatever its share."),
  value: wanted("value")
    .prefault("*")
    .describe('What the field must say: a value, `"*"` for any, or `{ prefix: … }`.'),
  pool: poolName().describe("One of the pools of the split, or another one."),
});

const split = section({
  pools: byName(count({ from: 0, to: 1000, noun: "a weight" }), {
    write: "a map of weights, such as { stable: 95, canary: 5 }",
    readName: ok,
  }).describe("The pools and their weights: `{ stable: 95, canary: 5 }`. A pool of weight 0 gets nobody."),
  by: either(
    choice(["client"]),
    section({
      cookie: z
        .exactOptional(
          text({ title: "name of a cookie", write: "the name of a cookie", read: value.readToken }),
        )
        .describe(
          "The cookie of the application that tells its users apart. Who has none yet counts by address.",
        ),
      header: z
        .exactOptional(
          text({ title: "name of a field", write: "the name of a field", read: value.readToken }),
        )
        .describe("The header field that tells them apart. Requests without it count by address."),
    }),
    { write: "client, or a map with cookie or header" },
  )
    .meta({ title: "client, or map, see below" })
    .prefault("client")
    .describe(
      "Who is one person, and stays in one pool: `client` is one address; or `{ cookie: NAME }`, `{ header: NAME }`. When weights change, only as many move as must.",
    ),
  override: z.exactOptional(override).describe("Lets testers choose their pool."),
});

const redirect = section({
  to: text({
    title: "URL or path, with variables",
    write: "a URL, such as https://${request.host}${request.uri}",
    read: value.readRedirect,
  }).describe("Where to: `https://${request.host}${request.uri}`, or a path."),
  status: z
    .literal([301, 302, 303, 307, 308], { error: "Use 301, 302, 303, 307 or 308." })
    .meta({ title: "301, 302, 303, 307 or 308" })
    .prefault(302)
    .describe("301 and 308 are for ever: browsers keep them. 307 and 308 keep the method."),
});

const respond = section({
  status: count({ from: 200, to: 599, noun: "a status" }).prefault(200).describe("The status of the answer."),
  body: z
    .exactOptional(text({ title: "text", write: "a text", read: value.readOwnBody }))
    .describe("The answer's body, in UTF-8."),
  contentType: text({
    title: "media type",
    write: "a media type, such as text/html",
    read: value.readMediaType,
  })
    .prefault("text/plain; charset=utf-8")
    .describe("What the body is."),
});

const rewrite = section({
  path: z
    .exactOptional(
      text({ title: "path with variables", write: "a path, such as /", read: value.readNewPath }),
    )
    .describe(
      "Stands in place of what the route's `path` matched: with `path: /v1` and `/api`, `/v1/x` becomes `/api/x`. Without a `path` to match it is put in front.",
    ),
  host: z
    .exactOptional(text({ title: "host with variables", write: "a host", read: value.readNewHost }))
    .describe("The Host that the backend is told. X-Forwarded-Host still says what the client asked for."),
  request: fieldChanges("request").describe(
    "Header fields of the request. Variables: `${client.address}`, `${request.id}`, `${request.method}`, `${request.scheme}`, `${request.host}`, `${request.path}`, `${request.query}`, `${request.uri}`, `${listener.name}`, `${route.name}`, `${node.name}`.",
  ),
  response: fieldChanges("response").describe("Header fields of the response, with the same variables."),
});

const mirror = section({
  pool: poolName().describe("The pool that gets the copies."),
  share: count({ from: 1, to: 100, noun: "a percentage" })
    .prefault(100)
    .describe("Percent of the requests, by lot."),
});

export const route = section({
  name: z
    .exactOptional(name())
    .describe(
      "Names the route in `vipair route`, and as `${route.name}` in rewrites. `routes[0]` and so on when absent.",
    ),
  match,
  pool: z
    .exactOptional(poolName())
    .describe("The pool that answers. Either this, `split`, `redirect` or `respond`."),
  split: z
    .exactOptional(split)
    .describe("Several pools, each with its share of the clients, for canary and blue/green."),
  redirect: z.exactOptional(redirect).describe("Sends the client elsewhere."),
  respond: z.exactOptional(respond).describe("Answers at once, without a backend."),
  rewrite: z.exactOptional(rewrite).describe("What is changed in the heads on their way."),
  mirror: z
    .exactOptional(mirror)
    .describe(
      "Copies of requests go to another pool as well, and its answers to nobody: see [routing.md](routing.md#mirroring).",
    ),
});
