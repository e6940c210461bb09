// What a rewrite makes of targets, hosts and fields, and where redirects lead.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { normalizePath, resolveTarget } from "../../src/routing/path.ts";
import { renderLocation, type Rewrite, type Surroundings } from "../../src/routing/rewrite.ts";
import { factsOf, findRoute } from "../../src/routing/route.ts";
import { request, routes } from "./routes.ts";

const AROUND: Surroundings = {
  scheme: "https",
  listener: "web",
  route: "api",
  node: "pi-a",
  requestId: () => "id-1",
};

function rewritten(route: string, line: string, ...fields: readonly string[]) {
  const table = routes(route);
  const facts = factsOf(table, request(line, ...fields), { clientAddress: "10.1.2.3" });
  const rewrite = findRoute(table, facts)?.rewrite as Rewrite;
  return {
    target: rewrite.target(facts, AROUND),
    host: rewrite.host(facts, AROUND),
    request: rewrite.request?.lines(facts, AROUND),
    drops: [...(rewrite.request?.drops ?? [])],
    response: rewrite.response?.lines(facts, AROUND),
  };
}

const TARGETS: readonly (readonly [match: string, path: string, asked: string, becomes: string])[] = [
  ["/v1", "/api", "/v1/x?q=1", "/api/x?q=1"],
  ["/v1", "/api", "/v1", "/api"],
  ["/v1", "/api", "/v1?q", "/api?q"],
  ["/v1", "/", "/v1/x", "/x"],
  ["/v1", "/", "/v1", "/"],
  ["/", "/api", "/x", "/api/x"],
  ["/v1", "/api/", "/v1/x", "/api/x"],
  ["{ exact: /old }", "/new", "/old?x", "/new?x"],
  ['{ regex: "^/v[0-9]+" }', "/api", "/v12/x", "/api/x"],
  ["/v1", "/${request.method}/${listener.name}", "/v1/x", "/GET/web/x"],
  // A path that is rewritten goes on in the form that was compared.
  ["/v1", "/api", "//v1/./a/../x", "/api/x"],
  // What a rewrite leaves has no dot segments either: the backend must not see another path than vipair.
  ['{ regex: "^/v[0-9]" }', "/", "/v1../admin", "/admin"],
  ['{ regex: "^/v[0-9]" }', "/", "/v1./x?a/../b", "/x?a/../b"],
  ["/in", "/v2${request.path}", "/a/../../in", "/v2/in"],
];
for (const [match, path, asked, becomes] of TARGETS) {
  test(`with path ${match} and rewrite.path ${path}, ${asked} becomes ${becomes}`, () => {
    const route = `{ match: { path: ${match} }, rewrite: { path: "${path}" }, pool: a }`;
    assert.equal(rewritten(route, `GET x${asked}`).target, becomes);
  });
}

test("without a path to match the new one stands in front; OPTIONS * stays", () => {
  const route = "{ rewrite: { path: /api }, pool: a }";
  assert.equal(rewritten(route, "GET x/y?z").target, "/api/y?z");
  assert.equal(rewritten(route, "OPTIONS x*").target, "*");
});

function targetOf(line: string): string {
  return rewritten("{ rewrite: { host: b.lan }, pool: a }", line).target;
}

test("a target that is not rewritten goes on as it was written, but for dot segments", () => {
  assert.equal(targetOf("GET x//a/%61/.x?../y"), "//a/%61/.x?../y");
  assert.equal(targetOf("GET x//a/../%61?q/../r"), "//a?q/../r");
});

test("a target with dot segments goes on as browsers resolve it", () => {
  const segment = fc.constantFrom("", ".", "..", "a", "%2e", "%2E%2e", "b.c", "..d", "%2f");
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 8 }), (segments) => {
      const path = `/${segments.join("/")}`;
      const resolved = resolveTarget(`${path}?q`);
      assert.equal(
        new URL(`http://h${resolved}`).pathname.toUpperCase(),
        new URL(`http://h${path}`).pathname.toUpperCase(),
      );
      assert.equal(resolveTarget(resolved), resolved);
    }),
  );
});

test("fields are removed, set and added, with variables", () => {
  const changes = rewritten(
    '{ name: api, pool: a, rewrite: { host: "${request.host}.internal", request: { remove: [Cookie], set: { X-Client: "${client.address}" }, add: { X-Id: "${request.id} on ${node.name}" } }, response: { set: { x-route: "${route.name}" } } } }',
    "GET API.lan:8080/p?q",
  );
  assert.deepEqual(changes, {
    target: "/p?q",
    host: "api.lan.internal",
    request: "X-Client: 10.1.2.3\r\nX-Id: id-1 on pi-a\r\n",
    drops: ["cookie", "x-client"],
    response: "x-route: api\r\n",
  });
});

function location(to: string, line: string): string {
  const table = routes(`{ redirect: { to: "${to}" } }`);
  const action = table.routes[0]?.config.action;
  assert.ok(action?.kind === "redirect");
  return renderLocation(action.to, factsOf(table, request(line), { clientAddress: "10.1.2.3" }), AROUND);
}

test("variables tell the path that the routes compared, without dot segments", () => {
  const route =
    '{ rewrite: { request: { set: { x-uri: "${request.uri}", x-path: "${request.path}" } } }, pool: a }';
  const { request: lines } = rewritten(route, "GET x/public/%2e%2e//admin?a/../b");
  assert.equal(lines, "x-uri: //admin?a/../b\r\nx-path: //admin\r\n");
});

test("a redirect keeps host, path and query", () => {
  assert.equal(
    location("https://${request.host}${request.uri}", "GET A.lan:80/x?y=1"),
    "https://a.lan/x?y=1",
  );
  assert.equal(location("/new?from=${request.path}", "GET a/old?x"), "/new?from=/old");
});

test("no request makes a redirect to a path lead to another host", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[/\\.a-z]{0,12}$/), (rest) => {
      const to = location("${request.uri}", `GET a/${rest}`);
      assert.ok(/^\/(?![/\\])/.test(to), to);
    }),
  );
});

test("a normalized path has no dot segments, no empty ones, and stays as it is", () => {
  const segment = fc.constantFrom("", ".", "..", "a", "%2e", "%2E%2e", "%61", "%2f", "b.c", "..d");
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 8 }), (segments) => {
      const path = normalizePath(`/${segments.join("/")}`);
      assert.ok(path.startsWith("/") && !path.includes("//"), path);
      assert.ok(!path.split("/").some((part) => part === "." || part === ".."), path);
      assert.equal(normalizePath(path), path);
    }),
  );
});
