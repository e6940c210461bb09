import assert from "node:assert/strict";
import { test } from "node:test";
import type { RouteMatch } from "../../src/config/config.ts";
import { findRoute, hostOf, matchesRoute } from "../../src/routing/route.ts";

const REQUEST = { authority: "API.example.lan:8080", target: "/v1/x?q", method: "GET" };

const CASES: readonly (readonly [holds: boolean, match: RouteMatch, request?: Partial<typeof REQUEST>])[] = [
  [true, {}],
  [true, { host: "api.example.lan" }],
  [false, { host: "example.lan" }],
  [true, { host: "*.example.lan" }],
  [true, { host: "*.lan" }],
  [false, { host: "*.example.lan" }, { authority: "example.lan" }],
  [false, { host: "*.example.lan" }, { authority: ".example.lan" }],
  [true, { host: "example.lan" }, { authority: "example.lan." }],
  [false, { host: "example.lan" }, { authority: "" }],
  [true, { path: "/" }],
  [true, { path: "/v1" }],
  [true, { path: "/v1" }, { target: "/v1" }],
  [true, { path: "/v1" }, { target: "/v1?q" }],
  [false, { path: "/v1" }, { target: "/v10" }],
  [true, { path: "/v1/" }, { target: "/v1/a" }],
  [false, { path: "/v1/" }, { target: "/v1" }],
  [false, { path: "/" }, { target: "*" }],
  [true, { method: "GET" }],
  [false, { method: "POST" }],
  [false, { host: "api.example.lan", path: "/v2" }],
];
for (const [holds, match, request = {}] of CASES) {
  const asked = { ...REQUEST, ...request };
  test(`${JSON.stringify(match)} ${holds ? "holds" : "does not hold"} for ${asked.authority}${asked.target}`, () => {
    assert.equal(matchesRoute(match, asked), holds);
  });
}

test("the first route that matches decides", () => {
  const routes = [
    { match: { path: "/v1" }, pool: "api" },
    { match: {}, pool: "web" },
  ];
  assert.equal(findRoute(routes, REQUEST)?.pool, "api");
  assert.equal(findRoute(routes, { ...REQUEST, target: "/" })?.pool, "web");
  assert.equal(findRoute(routes.slice(0, 1), { ...REQUEST, target: "/" }), null);
});

test("an IPv6 host keeps its brackets and loses its port", () => {
  assert.equal(hostOf("[::1]:80"), "[::1]");
  assert.equal(hostOf("[::1]"), "[::1]");
});
