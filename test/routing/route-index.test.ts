// The index leaves out routes that could not match, and no other: with it the same route is found as by trying all of
// them in order, which is what explainRoute does.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { RequestFacts, type RoutedHead } from "../../src/routing/request-facts.ts";
import { RouteIndex } from "../../src/routing/route-index.ts";
import { explainRoute, factsOf, findRoute, type RouteTable } from "../../src/routing/route.ts";
import { request, routes } from "./routes.ts";

const HOSTS = ["a.lan", "b.lan", "x.a.lan", "[::1]", "192.0.2.1"];
const PATHS = [
  "/",
  "/v1",
  "/v1/x",
  "/v1x",
  "/v2/",
  "/V1",
  "/%76%31",
  "//v1//x",
  "/v2/../v1",
  "/v1/.",
  "/%2fv1",
];

/** What may stand beside each key of a match. */
const CONDITIONS = {
  host: [
    ...HOSTS.map((host) => JSON.stringify(host)),
    '"*.lan"',
    '["a.lan", "*.a.lan"]',
    '["b.lan", "a.lan"]',
  ],
  path: [
    "/",
    "/v1",
    "/v1/x",
    "/v2",
    '["/v1", "/v2"]',
    '["/v1", "/"]',
    ...["/", "/v1", "/v1/x", "/v2/"].map((path) => `{ exact: ${path} }`),
    ...["^/v", "x$", "[0-9]", "(?i)^/V[12]"].map((regex) => `{ regex: '${regex}' }`),
    "[/v1/x, { regex: '[3-9]' }]",
  ],
  method: ["GET", "POST", "[POST, GET]"],
  header: ["{ x-beta: on }", '{ X-Beta: "*" }', "{ x-beta: { prefix: o } }", "{ x-user: big, x-beta: on }"],
  cookie: ["{ group: a }", "{ group: { prefix: b } }", '{ seen: "*" }'],
  query: ['{ v: "1" }', '{ v: "*" }', '{ debug: "*" }'],
  client: ["192.0.2.1", "192.0.2.0/24", "[10.0.0.0/8, 192.0.0.0/8]", '"2001:db8::/32"'],
  language: ["de", "fr", "[de, en]"],
};

const anyMatch = fc
  .uniqueArray(
    fc.oneof(
      ...Object.entries(CONDITIONS).map(([key, values]) =>
        fc.tuple(fc.constant(key), fc.constantFrom(...values)),
      ),
    ),
    { minLength: 1, maxLength: 3, selector: ([key]) => key },
  )
  .map((some) => `{ match: { ${some.map(([key, value]) => `${key}: ${value}`).join(", ")} }, pool: web }`);

const FIELDS = [
  [],
  ["x-beta: on"],
  ["X-Beta: of"],
  ["x-user: big", "x-beta: no", "X-BETA: on"],
  ["cookie: group=a; seen="],
  ["cookie: seen=1", "Cookie: group=b2"],
  ["accept-language: fr;q=0.5, de"],
];
const CLIENTS = ["192.0.2.1", "192.0.3.1", "10.1.2.3", "2001:db8::1", "203.0.113.9"];

describe("the index of routes", () => {
  test("finds the route that trying them in order finds", () => {
    let found = 0;
    const asked = fc.record({
      method: fc.constantFrom("GET", "POST", "PUT"),
      host: fc.constantFrom(...HOSTS, "A.LAN:80", "c.lan", ".a.lan", "xa.lan", ""),
      target: fc.constantFrom(...PATHS, "/other", "/?/v1", "/v1?v=1", "/?v=2&v=1&v=2&debug", "*"),
      fields: fc.constantFrom(...FIELDS),
      clientAddress: fc.constantFrom(...CLIENTS),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(anyMatch, { minLength: 8, maxLength: 30 }),
        fc.array(asked, { minLength: 60, maxLength: 60 }),
        (lines, requests) => {
          const table = routes(...lines);
          for (const { method, host, target, fields, clientAddress } of requests) {
            const head = { ...request(`${method} x${target}`, ...fields), authority: host };
            const facts = factsOf(table, head, { clientAddress });
            const tried = explainRoute(table, facts).find(({ missed }) => missed === null)?.route ?? null;
            assert.equal(findRoute(table, facts), tried, JSON.stringify(head));
            if (tried !== null && table.index !== null) found += 1;
          }
        },
      ),
      { numRuns: 150 },
    );
    assert.ok(found > 1000, `${String(found)} routes were found by an index`);
  });

  test("tries only the routes that have something in common with the request, by whatever they name", () => {
    const kinds = [
      (n: number) => `host: h${String(n)}.lan`,
      (n: number) => `host: "*.h${String(n)}.lan"`,
      (n: number) => `host: app.lan, path: /p${String(n)}`,
      (n: number) => `path: /p, host: h${String(n)}.lan`,
      (n: number) => `path: { exact: "/p${String(n)}/x" }`,
      (n: number) => `path: { regex: "^/r${String(n)}/[0-9]+$" }`,
      (n: number) => `header: { x-feature-${String(n)}: on }`,
      (n: number) => `header: { x-feature: f${String(n)} }`,
      (n: number) => `method: GET, cookie: { group: g${String(n)} }`,
      (n: number) => `path: /p, query: { v: "${String(n)}" }`,
      (n: number) => `client: 10.${String(n)}.0.0/16`,
    ];
    const asking = [
      request("GET h7.lan/other"),
      request("GET x.h7.lan/other"),
      request("GET app.lan/p7/x"),
      request("GET h7.lan/p/x"),
      request("GET x.lan/p7/x"),
      request("GET x.lan/r7/123"),
      request("GET x.lan/", "X-Feature-7: on", "accept: text/html"),
      request("GET x.lan/", "x-feature: f7"),
      request("GET x.lan/", "cookie: a=b; group=g7"),
      request("GET x.lan/p?a=b&v=7"),
      request("GET x.lan/"),
    ];
    for (const [index, head] of asking.entries()) {
      const lines = Array.from(
        { length: 40 },
        (_, n) => `{ match: { ${kinds[index]?.(n) ?? ""} }, pool: a }`,
      );
      const table = routes(...lines);
      assert.deepEqual(lookUp(table, head), { found: 7, tried: [7] }, lines[7]);
    }
  });

  test("tries a route once, however often a client repeats what it names", () => {
    const kinds: readonly (readonly [string, (n: number) => string, RoutedHead])[] = [
      [
        "a parameter",
        (n) => `query: { v: { prefix: "a${String(n)}" } }`,
        request(`GET x.lan/?${repeated("v=b", 500).join("&")}`),
      ],
      [
        "a parameter and its value",
        (n) => `query: { v: "1", w: "1" }, path: [/p${String(n)}, { regex: x }]`,
        request(`GET x.lan/?${repeated("v=1", 500).join("&")}`),
      ],
      [
        "a field",
        (n) => `header: { x-beta: { prefix: "a${String(n)}" } }`,
        request("GET x.lan/", ...repeated("x-beta: b", 90)),
      ],
      [
        "a field and its value",
        (n) => `header: { x-beta: on, x-user: u${String(n)} }, method: [PUT, POST]`,
        request("GET x.lan/", ...repeated("X-Beta: on", 90)),
      ],
    ];
    for (const [what, matchOf, head] of kinds) {
      const table = routes(...Array.from({ length: 10 }, (_, n) => `{ match: { ${matchOf(n)} }, pool: a }`));
      const { found, tried } = lookUp(table, head);
      assert.equal(found, 10, what);
      assert.deepEqual(tried, [...new Set(tried)], what);
    }
  });

  test("asks for the parameters and cookies that the request has, not for all that routes name", (t) => {
    const asked = (["parameters", "cookie"] as const).map((what) =>
      t.mock.method(RequestFacts.prototype, what),
    );
    const table = routes(
      ...Array.from({ length: 20 }, (_, n) => `{ match: { query: { v${String(n)}: "1" } }, pool: a }`),
      ...Array.from({ length: 20 }, (_, n) => `{ match: { cookie: { c${String(n)}: "1" } }, pool: a }`),
    );
    const head = request("GET x.lan/?v9=2&v8=2&x=1", "cookie: c7=1; y=1; c6=2");
    assert.deepEqual(lookUp(table, head), { found: 27, tried: [27] });
    const names = asked.flatMap(({ mock }) => mock.calls.map(({ arguments: [name] }) => name));
    assert.deepEqual(new Set(names), new Set(["v9", "v8", "c7", "c6"]));
  });

  test("is made for many routes only", () => {
    assert.equal(routes("{ match: { host: a.lan }, pool: a }", "{ pool: b }").index, null);
  });
});

function repeated(what: string, times: number): string[] {
  return Array.from({ length: times }, () => what);
}

/** What the index finds for a client of 10.7.0.1, and which routes it tries for that. */
function lookUp(table: RouteTable, head: RoutedHead): { readonly found: number; readonly tried: number[] } {
  const tried: number[] = [];
  const counted = table.routes.map(({ config, conditions }, number) => ({
    config,
    conditions: [{ wants: "", finds: () => "", holds: () => tried.push(number) > 0 }, ...conditions],
  }));
  const found = new RouteIndex(counted).find(factsOf(table, head, { clientAddress: "10.7.0.1" }));
  return { found, tried };
}
