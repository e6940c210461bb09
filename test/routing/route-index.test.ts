// The index leaves out routes that could not match, and no other: with it the same route is found as by trying all of
// them in order, which is what explainRoute does.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { explainRoute, factsOf, findRoute } from "../../src/routing/route.ts";
import { request, routes } from "./routes.ts";

const CLIENT = { clientAddress: "192.0.2.1" };
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

const anyMatch = fc
  .record(
    {
      host: fc.constantFrom(
        ...HOSTS.map((host) => JSON.stringify(host)),
        '"*.lan"',
        '["a.lan", "*.a.lan"]',
        '["b.lan", "a.lan"]',
      ),
      path: fc.oneof(
        fc.constantFrom("/", "/v1", "/v1/x", "/v2", '["/v1", "/v2"]', '["/v1", "/"]', "{ regex: ^/v }"),
        fc.constantFrom("/", "/v1", "/v1/x", "/v2/").map((path) => `{ exact: ${path} }`),
      ),
      method: fc.constantFrom("GET", "POST"),
    },
    { requiredKeys: [] },
  )
  .filter((match) => Object.keys(match).length > 0)
  .map((match) => {
    const keys = Object.entries(match).map(([key, value]) => `${key}: ${value}`);
    return `{ match: { ${keys.join(", ")} }, pool: web }`;
  });

describe("the index of routes", () => {
  test("finds the route that trying them in order finds", () => {
    let found = 0;
    fc.assert(
      fc.property(fc.array(anyMatch, { minLength: 8, maxLength: 30 }), (lines) => {
        const table = routes(...lines);
        for (const host of [...HOSTS, "A.LAN:80", "c.lan", ""]) {
          for (const path of [...PATHS, "/other", "/?/v1"]) {
            const facts = factsOf(table, { ...request(`GET x${path}`), authority: host }, CLIENT);
            const tried = explainRoute(table, facts).find(({ missed }) => missed === null)?.route ?? null;
            assert.equal(findRoute(table, facts), tried, `${host}${path}`);
            if (tried !== null && table.index !== null) found += 1;
          }
        }
      }),
      { numRuns: 100 },
    );
    assert.ok(found > 1000, `${String(found)} routes were found by an index`);
  });

  test("goes by hosts or by paths, whichever more routes name; a request for the whole server is no path", () => {
    const byHost = routes(
      ...Array.from({ length: 9 }, (_, n) => `{ match: { host: h${String(n)}.lan }, pool: a }`),
    );
    assert.equal(byHost.index?.by, "host");
    const byPath = routes(
      ...Array.from({ length: 9 }, (_, n) => `{ match: { path: /p${String(n)} }, pool: a }`),
      "{ match: { method: OPTIONS }, pool: b }",
    );
    assert.equal(byPath.index?.by, "segment");
    const facts = factsOf(byPath, request("OPTIONS a.lan*"), CLIENT);
    assert.deepEqual(findRoute(byPath, facts)?.config.action, { kind: "pool", pool: "b" });
    assert.equal(routes("{ match: { host: a.lan }, pool: a }", "{ pool: b }").index, null);
  });
});
