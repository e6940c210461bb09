// Which requests a route's match holds for, which route decides, and what `vipair route` can say of it. Routes
// are written as an operator writes them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { hostOf, type RoutedHead } from "../../src/routing/request-facts.ts";
import { explainRoute, factsOf, findRoute, type RouteTable } from "../../src/routing/route.ts";
import { request, routes } from "./routes.ts";

const ASKED = "GET API.example.lan:8080/v1/x?q";

const CASES: readonly (readonly [holds: boolean, match: string, asked?: string, ...fields: string[]])[] = [
  [true, "{}"],
  [true, "{ host: api.example.lan }"],
  [true, "{ host: API.Example.lan }"],
  [false, "{ host: example.lan }"],
  [true, '{ host: "*.example.lan" }'],
  [true, '{ host: "*.lan" }'],
  [false, '{ host: "*.example.lan" }', "GET example.lan/"],
  [false, '{ host: "*.example.lan" }', "GET .example.lan/"],
  [false, '{ host: "*.example.lan" }', "GET evilexample.lan/"],
  [true, "{ host: example.lan }", "GET example.lan./"],
  [false, "{ host: example.lan }", "GET /"],
  [true, "{ host: [www.example.lan, api.example.lan] }"],
  [true, '{ host: "[fd00::1]" }', "GET [fd00::1]:80/"],
  [true, '{ host: "FD00:0:0::1" }', "GET [fd00::1]/"],
  [true, "{ host: 10.0.0.1 }", "GET 10.0.0.1:80/"],
  [true, "{ path: / }"],
  [true, "{ path: /v1 }"],
  [true, "{ path: /v1 }", "GET a/v1"],
  [true, "{ path: /v1 }", "GET a/v1?q"],
  [true, "{ path: /v1 }", "GET a/v1/"],
  [false, "{ path: /v1 }", "GET a/v10"],
  [false, "{ path: / }", "OPTIONS *"],
  [true, "{ path: { prefix: /v1 } }"],
  [true, "{ path: { exact: /v1/x } }"],
  [false, "{ path: { exact: /v1/x } }", "GET a/v1/x/"],
  [false, "{ path: { exact: /v1 } }"],
  [true, '{ path: { regex: "^/v[0-9]+/x$" } }'],
  [true, '{ path: { regex: "x" } }'],
  [false, '{ path: { regex: "^/v[0-9]+/$" } }'],
  [false, '{ path: { regex: "q" } }'],
  [true, "{ path: [/v2, { exact: /v1/x }] }"],
  // Other spellings of a path are that path.
  [true, "{ path: /admin }", "GET a/%61dmin"],
  [true, "{ path: /admin }", "GET a//admin"],
  [true, "{ path: /admin }", "GET a/public/../admin/x"],
  [true, "{ path: /admin }", "GET a/public/%2e%2E/admin"],
  [true, "{ path: /admin }", "GET a/./admin"],
  [true, "{ path: /admin }", "GET a/../../admin"],
  // So are other spellings in the file.
  [true, "{ path: /%7euser }", "GET a/~user/x"],
  [true, "{ path: /a%2fb }", "GET a/a%2Fb"],
  [true, "{ path: /a/../admin/. }", "GET a/admin/x"],
  [false, "{ path: /a/../admin/. }", "GET a/administer"],
  [true, "{ path: { exact: //a//b } }", "GET a/a/b"],
  [true, "{ path: /admin }", "GET a/admin//../x"],
  [true, "{ path: /admin }", "GET a/admin//%2e%2e/x"],
  [false, "{ path: /admin }", "GET a/admin/../public"],
  [false, "{ path: /admin }", "GET a/%2fadmin"],
  [false, "{ path: /admin }", "GET a/%2561dmin"],
  [true, "{ method: GET }"],
  [true, "{ method: [POST, GET] }"],
  [false, "{ method: POST }"],
  [false, "{ host: api.example.lan, path: /v2 }"],
  [true, "{ header: { x-beta: on } }", ASKED, "X-Beta: on"],
  [false, "{ header: { x-beta: on } }", ASKED, "X-Beta: On"],
  [false, "{ header: { x-beta: on } }", ASKED, "X-Beta-2: on"],
  [false, "{ header: { x-beta: on } }"],
  [true, '{ header: { X-Beta: "*" } }', ASKED, "x-beta:"],
  [true, "{ header: { accept: { prefix: text/ } } }", ASKED, "Accept: image/png", "Accept: text/html"],
  [false, "{ header: { accept: { prefix: text/ } } }", ASKED, "Accept: image/png, text/html"],
  [false, '{ header: { x-a: "1", x-b: "2" } }', ASKED, "X-A: 1"],
  [true, '{ header: { x-a: "1", x-b: "2" } }', ASKED, "X-A: 1", "X-B: 2"],
  [true, "{ query: { version: beta } }", "GET a/?x=1&version=beta"],
  [true, "{ query: { version: beta 2 } }", "GET a/?version=beta+2"],
  [true, "{ query: { version: bêta } }", "GET a/?version=b%C3%AAta"],
  [true, '{ query: { version: "*" } }', "GET a/?version"],
  [false, '{ query: { version: "*" } }', "GET a/?Version=1"],
  [false, "{ query: { version: beta } }", "GET a/version=beta"],
  [true, "{ cookie: { beta: on } }", ASKED, "Cookie: a=b; beta=on", "Cookie: beta=off"],
  [false, "{ cookie: { beta: on } }", ASKED, "Cookie: beta=off; beta=on"],
  [false, "{ cookie: { beta: on } }", ASKED, "Cookie: xbeta=on"],
  [true, "{ cookie: { beta: on } }", ASKED, 'Cookie: beta="on"'],
  [true, "{ client: 10.0.0.0/8 }"],
  [true, "{ client: [192.168.0.0/16, 10.1.2.3] }"],
  [false, "{ client: 10.1.2.4 }"],
  [false, '{ client: "fd00::/8" }'],
  [true, "{ language: de }", ASKED, "Accept-Language: de-CH, en;q=0.8"],
  [false, "{ language: de }", ASKED, "Accept-Language: en"],
  [false, "{ language: de }"],
  [false, "{ language: de }", ASKED, "Accept-Language: de;q=0"],
];
for (const [holds, match, asked = ASKED, ...fields] of CASES) {
  test(`${match} ${holds ? "holds" : "does not hold"} for ${[asked, ...fields].join(" | ")}`, () => {
    const table = routes(`{ match: ${match}, pool: a }`);
    const facts = factsOf(table, request(asked, ...fields), { clientAddress: "10.1.2.3" });
    assert.equal(findRoute(table, facts) !== null, holds);
    const [verdict] = explainRoute(table, facts);
    assert.equal(verdict?.missed === null, holds);
  });
}

/** Name of the route that decides; null: none. */
function taken(table: RouteTable, head: RoutedHead): string | null {
  return findRoute(table, factsOf(table, head, { clientAddress: "10.1.2.3" }))?.config.name ?? null;
}

test("the first route that matches decides", () => {
  const table = routes("{ match: { path: /v1 }, pool: a }", "{ name: rest, pool: b }");
  assert.equal(taken(table, request(ASKED)), "routes[0]");
  assert.equal(taken(table, request("GET a/")), "rest");
  assert.equal(taken(routes("{ match: { path: /v1 }, pool: a }"), request("GET a/")), null);
});

test("a language is the client's first choice among all that the routes name", () => {
  const table = routes(
    "{ name: german, match: { language: de }, pool: a }",
    "{ name: french, match: { language: [fr, fr-CA] }, pool: b }",
    "{ name: english, match: { language: en }, pool: c }",
    "{ name: rest, pool: c }",
  );
  const choice = (accepted: string) => taken(table, request(ASKED, `Accept-Language: ${accepted}`));
  assert.equal(choice("fr;q=1, de;q=0.5"), "french");
  assert.equal(choice("de;q=0.5, fr-CA"), "french");
  assert.equal(choice("en, de;q=0.9"), "english");
  assert.equal(choice("it, de;q=0.1"), "german");
  assert.equal(choice("it"), "rest");
  assert.equal(choice(";;;,=q"), "rest");
  // To look at all that fits into a head would be work for the asking.
  assert.equal(choice(`${"xx,".repeat(100)}de`), "german");
  assert.equal(choice(`${"xx,".repeat(5000)}de`), "rest");
  assert.equal(choice("x".repeat(5000)), "rest");
  assert.equal(taken(table, request(ASKED)), "rest");
});

test("an explanation names the first condition that failed on each route, and ends with the one taken", () => {
  const table = routes(
    "{ match: { path: { exact: /login }, method: POST }, pool: a }",
    "{ match: { path: { exact: /login }, header: { x-beta: on } }, pool: a }",
    "{ match: { path: /v1 }, pool: b }",
    "{ pool: c }",
  );
  const facts = factsOf(table, request("GET a/v1/x", "X-Beta: off"), { clientAddress: "10.1.2.3" });
  assert.deepEqual(
    explainRoute(table, facts).map(({ missed }) => missed),
    [
      { wants: "method POST", finds: "the method is GET" },
      { wants: "path exactly /login", finds: "the path is /v1/x" },
      null,
    ],
  );
});

for (const [match, wants, finds, asked = ASKED, ...fields] of [
  ["{ host: [a.lan, '*.b.lan'] }", "host a.lan or *.b.lan", "the host is api.example.lan"],
  ["{ host: a.lan }", "host a.lan", "there is no host", "GET /"],
  ["{ path: [/a, { regex: b$ }] }", "path /a or below or like b$", "the path is /v1/x"],
  ["{ client: 192.0.2.0/24 }", "client in 192.0.2.0/24", "the client is 10.1.2.3"],
  ["{ header: { X-Beta: on } }", "header x-beta: on", "there is no header x-beta"],
  [
    "{ header: { x-beta: { prefix: o } } }",
    "header x-beta beginning with o",
    "header x-beta is no",
    ASKED,
    "X-Beta: no",
  ],
  ["{ cookie: { beta: '*' } }", "cookie beta", "there is no cookie beta"],
  ["{ cookie: { beta: on } }", "cookie beta: on", "cookie beta is off", ASKED, "Cookie: beta=off"],
  ["{ query: { v: '2' } }", "query parameter v: 2", "query parameter v is 1", "GET a/?v=1&v=3"],
  [
    "{ language: [de, fr] }",
    "language de or fr",
    "the client names none of the languages here",
    ASKED,
    "Accept-Language: en",
  ],
] as const) {
  test(`${match} is explained for ${[asked, ...fields].join(" | ")}`, () => {
    const table = routes(`{ match: ${match}, pool: a }`);
    const facts = factsOf(table, request(asked, ...fields), { clientAddress: "10.1.2.3" });
    assert.deepEqual(explainRoute(table, facts)[0]?.missed, { wants, finds });
  });
}

test("a language that the client likes better than the route's is named", () => {
  const table = routes("{ match: { language: de }, pool: a }", "{ match: { language: en }, pool: b }");
  const facts = factsOf(table, request(ASKED, "Accept-Language: en, de;q=0.5"), {
    clientAddress: "10.1.2.3",
  });
  assert.deepEqual(
    explainRoute(table, facts).map(({ missed }) => missed?.finds),
    ["the client's choice is en", undefined],
  );
});

test("an IPv6 host keeps its brackets, loses its port and has one spelling", () => {
  assert.equal(hostOf("[0:0::0:1]:80"), "[::1]");
  assert.equal(hostOf("[2001:DB8:0:0::1]"), "[2001:db8::1]");
  assert.equal(hostOf("[v1.x]"), "[v1.x]");
  assert.equal(hostOf("[::1]:80"), "[::1]");
  assert.equal(hostOf("[::1]"), "[::1]");
});
