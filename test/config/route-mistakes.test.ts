// Each mistake in a route, one a row: the route, and the error for it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ALONE_YAML, changed, errorsOf } from "./pair-yaml.ts";

/** What is wrong with a listener whose routes are these. */
function mistakesIn(route: string): readonly string[] {
  return errorsOf(changed(ALONE_YAML, ["pool: web }", `routes: [{ ${route} }] }`]));
}

function expectMistakes(rows: readonly (readonly [route: string, error: string])[]): void {
  for (const [route, error] of rows) {
    test(`${JSON.stringify(route)} → ${error}`, () => {
      assert.deepEqual(mistakesIn(route), [error]);
    });
  }
}

test("a field with an underscore may decide where those are passed", () => {
  const route = "routes: [{ match: { header: { x_beta: '*' } }, pool: web }, { pool: web }]";
  assert.deepEqual(errorsOf(changed(ALONE_YAML, ["pool: web }", `underscoreHeaders: pass, ${route} }`])), []);
});

describe("what a route matches", () => {
  expectMistakes([
    [
      "match: { header: { x_beta: '*' } }, pool: web",
      "2:66  listeners[0].routes[0].match.header.x_beta: Fields with _ in their name do not come in. Use underscoreHeaders: pass on the listener, or another field.",
    ],
    [
      "split: { pools: { web: 1 }, by: { header: X_User } }",
      "2:89  listeners[0].routes[0].split.by.header: Fields with _ in their name do not come in. Use underscoreHeaders: pass on the listener, or another field.",
    ],
    [
      "split: { pools: { web: 1 }, override: { header: x_beta, pool: web } }",
      "2:95  listeners[0].routes[0].split.override.header: Fields with _ in their name do not come in. Use underscoreHeaders: pass on the listener, or another field.",
    ],
    [
      "match: { header: x }, pool: web",
      "2:64  listeners[0].routes[0].match.header: This is not a map. Write a map of fields, such as { x-beta-user: yes }.",
    ],
    [
      "match: { path: { regex: '(a' } }, pool: web",
      '2:71  listeners[0].routes[0].match.path.regex: "(a" is not a regular expression in the syntax of RE2, which has no look-around and no references back: missing closing ): `(a`.',
    ],
    [
      "match: { path: { regex: '(?=a)' } }, pool: web",
      '2:71  listeners[0].routes[0].match.path.regex: "(?=a)" is not a regular expression in the syntax of RE2, which has no look-around and no references back: invalid or unsupported Perl syntax: `(?=`.',
    ],
    [
      "match: { path: { regex: '((a|b?){30}){30}' } }, pool: web",
      '2:71  listeners[0].routes[0].match.path.regex: "((a|b?){30}){30}" is too long or repeats too much: it makes 5462 steps, where 1024 are allowed. Use a shorter one, smaller numbers, or + and *.',
    ],
    [
      "match: { path: {} }, pool: web",
      "2:56  listeners[0].routes[0].match.path: Write one of prefix, exact and regex.",
    ],
    [
      "match: { path: { exact: /a, prefix: /b } }, pool: web",
      "2:56  listeners[0].routes[0].match.path: Write one of prefix, exact and regex.",
    ],
    [
      "match: { path: [] }, pool: web",
      "2:56  listeners[0].routes[0].match.path: The list is empty. Add a path, such as /v1, or leave the key out.",
    ],
    [
      "match: { path: { exact: a } }, pool: web",
      '2:71  listeners[0].routes[0].match.path.exact: "a" is not a path. Begin it with "/".',
    ],
    [
      "match: { path: { exakt: /a } }, pool: web",
      '2:64  listeners[0].routes[0].match.path.exakt: Unknown key. Did you mean "exact"?',
    ],
    [
      "match: { header: { 'x y': 1 } }, pool: web",
      '2:66  listeners[0].routes[0].match.header["x y"]: "x y" is not a name. Use letters, digits and hyphens.',
    ],
    ...["header", "query", "cookie"].map(
      (key) =>
        [
          `match: { ${key}: {} }, pool: web`,
          `2:56  listeners[0].routes[0].match.${key}: The map is empty, so it matches everything. Add what must be there, or leave the key out.`,
        ] as const,
    ),
    [
      "match: { header: { Host: a.lan } }, pool: web",
      '2:66  listeners[0].routes[0].match.header.Host: "Host" need not be the host that is asked for (RFC 9112 3.2.2). Use match.host.',
    ],
    [
      "match: { header: { x: 1 } }, pool: web",
      '2:69  listeners[0].routes[0].match.header.x: 1 is a number. Write the value, "*" for any, or { prefix: … }.',
    ],
    [
      "match: { client: 10.0.0.1/8 }, pool: web",
      '2:64  listeners[0].routes[0].match.client: "10.0.0.1/8" has bits set behind its prefix. Use 10.0.0.0/8 for the network, or 10.0.0.1/32 for the one address.',
    ],
    [
      "match: { language: deutsch_ }, pool: web",
      '2:66  listeners[0].routes[0].match.language: "deutsch_" is not a language. Use a tag, such as de or pt-BR.',
    ],
    [
      "match: { host: [] }, pool: web",
      "2:56  listeners[0].routes[0].match.host: The list is empty. Add a host name, such as api.example.lan, or leave the key out.",
    ],
    [
      "match: { host: ['a b'] }, pool: web",
      '2:63  listeners[0].routes[0].match.host[0]: "a b" is not a host. Use a name such as api.example.lan or *.example.lan.',
    ],
    ...["*.10.0.0.1", "*.[::1]", "[10.0.0.1]", "[a.lan]"].map(
      (host) =>
        [
          `match: { host: "${host}" }, pool: web`,
          `2:62  listeners[0].routes[0].match.host: "${host}" is not a host. Use a name such as api.example.lan or *.example.lan.`,
        ] as const,
    ),
    [
      "match: { method: [get] }, pool: web",
      '2:65  listeners[0].routes[0].match.method[0]: "get" is not a method: methods are capitals. Use GET.',
    ],
  ]);
});

describe("where a route leads", () => {
  expectMistakes([
    [
      "pool: web, redirect: { to: / }",
      "2:58  listeners[0].routes[0].redirect: There is pool as well. Keep one of the two.",
    ],
    ["pol: web", '2:47  listeners[0].routes[0].pol: Unknown key. Did you mean "pool"?'],
    [
      "split: { pools: { web: 0 } }",
      "2:56  listeners[0].routes[0].split.pools: All weights are 0: nobody would get anywhere. Give one pool a weight.",
    ],
    [
      "split: { pools: {} }",
      "2:56  listeners[0].routes[0].split.pools: The map is empty. Add pools and their weights, such as { stable: 95, canary: 5 }.",
    ],
    [
      "split: { pools: { web: 1, wib: 2 } }",
      '2:73  listeners[0].routes[0].split.pools.wib: There is no pool "wib". Did you mean "web"?',
    ],
    [
      "split: { pools: { web: 1001 } }",
      "2:70  listeners[0].routes[0].split.pools.web: 1001 is not a weight. Use 0 to 1000.",
    ],
    [
      "split: { pools: { web: 1 }, by: ip }",
      '2:79  listeners[0].routes[0].split.by: "ip" is text. Write client, or a map with cookie or header.',
    ],
    [
      "split: { pools: { web: 1 }, by: { cookie: a, header: b } }",
      "2:75  listeners[0].routes[0].split.by: Write one of cookie and header.",
    ],
    [
      "split: { pools: { web: 1 }, by: {} }",
      "2:75  listeners[0].routes[0].split.by: Write one of cookie and header.",
    ],
    [
      "split: { pools: { web: 1 }, override: { header: x, pool: wob } }",
      '2:104  listeners[0].routes[0].split.override.pool: There is no pool "wob". Did you mean "web"?',
    ],
    [
      "redirect: { to: example.com }",
      '2:63  listeners[0].routes[0].redirect.to: "example.com" leads nowhere. Begin it with https://, http:// or "/", such as https://${request.host}${request.uri}.',
    ],
    [
      "redirect: { to: //example.com/ }",
      '2:63  listeners[0].routes[0].redirect.to: "//example.com/" leads nowhere. Begin it with https://, http:// or "/", such as https://${request.host}${request.uri}.',
    ],
    [
      "redirect: { to: 'https://${request.hst}/' }",
      "2:63  listeners[0].routes[0].redirect.to: There is no variable ${request.hst}. Did you mean ${request.host}?",
    ],
    [
      "redirect: { to: '/a b' }",
      '2:63  listeners[0].routes[0].redirect.to: "/a b" has characters that a URL cannot have; percent-encode them, such as %20 for a space.',
    ],
    [
      "redirect: { to: '/${request.uri' }",
      '2:63  listeners[0].routes[0].redirect.to: "/${request.uri" has a ${ without its }. Add it.',
    ],
    [
      "redirect: { to: /, status: 304 }",
      "2:74  listeners[0].routes[0].redirect.status: Use 301, 302, 303, 307 or 308.",
    ],
    [
      "redirect: {}",
      "2:47  listeners[0].routes[0].redirect.to: Missing. Write a URL, such as https://${request.host}${request.uri}.",
    ],
    [
      "respond: { status: 100 }",
      "2:66  listeners[0].routes[0].respond.status: 100 is not a status. Use 200 to 599.",
    ],
    [
      "respond: { status: 204, body: x }",
      "2:71  listeners[0].routes[0].respond.body: Answers with this status have no body. Remove it.",
    ],
    [
      "respond: { status: 205, body: x }",
      "2:71  listeners[0].routes[0].respond.body: Answers with this status have no body. Remove it.",
    ],
    [
      "respond: { contentType: text }",
      '2:71  listeners[0].routes[0].respond.contentType: "text" is not a media type. Use one, such as text/html or application/json.',
    ],
    [
      "name: a b, pool: web",
      '2:53  listeners[0].routes[0].name: "a b" is not a name. Use up to 64 letters, digits, ".", "_" and "-", the first a letter or digit.',
    ],
    [
      "pool: web, split: { pools: { web: 1 } }",
      "2:58  listeners[0].routes[0].split: There is pool as well. Keep one of the two.",
    ],
    ["respond: { body: 5 }", "2:64  listeners[0].routes[0].respond.body: 5 is a number. Write a text."],
  ]);
});

describe("what a route changes", () => {
  expectMistakes([
    [
      "pool: web, rewrite: { request: { set: { Host: x } } }",
      '2:87  listeners[0].routes[0].rewrite.request.set.Host: "Host" is not for a rewrite. Use rewrite.host.',
    ],
    [
      'pool: web, rewrite: { request: { set: { x: "a\\nb" } } }',
      '2:90  listeners[0].routes[0].rewrite.request.set.x: "a\\nb" has characters that a header field cannot have.',
    ],
    [
      "pool: web, rewrite: { request: { remove: [Content-Length] } }",
      '2:89  listeners[0].routes[0].rewrite.request.remove[0]: "Content-Length" is not for a rewrite. It is that of the body.',
    ],
    [
      "pool: web, rewrite: { path: v1 }",
      '2:75  listeners[0].routes[0].rewrite.path: "v1" is not a path. Begin it with "/".',
    ],
    [
      "pool: web, rewrite: { path: '/a?b' }",
      '2:75  listeners[0].routes[0].rewrite.path: "/a?b" is more than a path. The query goes on as it came.',
    ],
    [
      "pool: web, rewrite: { host: 'a/b' }",
      '2:75  listeners[0].routes[0].rewrite.host: "a/b" has characters that a host cannot have.',
    ],
    [
      "pool: web, rewrite: { request: { set: { X-A: 'a', x-a: 'b' } } }",
      '2:97  listeners[0].routes[0].rewrite.request.set.x-a: "x-a" is listeners[0].routes[0].rewrite.request.set.X-A already. Remove one, or use add.',
    ],
    [
      "redirect: { to: / }, rewrite: { response: { add: { Location: /x } } }",
      "2:98  listeners[0].routes[0].rewrite.response.add.Location: The redirect has a Location. Use redirect.to.",
    ],
    [
      "respond: {}, rewrite: { response: { set: { content-type: text/html } } }",
      "2:90  listeners[0].routes[0].rewrite.response.set.content-type: The answer has a Content-Type. Use respond.contentType.",
    ],
    [
      "respond: {}, rewrite: { response: { remove: [Date] } }",
      "2:92  listeners[0].routes[0].rewrite.response.remove[0]: Answers of vipair have a Date of its own. Leave it.",
    ],
    [
      "respond: {}, rewrite: { path: /x }",
      "2:71  listeners[0].routes[0].rewrite.path: No backend gets the request: the route has respond. Remove path.",
    ],
    [
      "pool: web, rewrite: { response: { add: { 'x-a': '${client.adress}' } } }",
      "2:95  listeners[0].routes[0].rewrite.response.add.x-a: There is no variable ${client.adress}. Did you mean ${client.address}?",
    ],
    [
      "pool: web, rewrite: { request: { set: [a] } }",
      "2:80  listeners[0].routes[0].rewrite.request.set: This is not a map. Write a map of fields, such as { x-from: vipair }.",
    ],
  ]);
});

describe("where copies go", () => {
  expectMistakes([
    [
      "pool: web, mirror: { pool: shadow }",
      '2:74  listeners[0].routes[0].mirror.pool: There is no pool "shadow". Add it to pools, or use web.',
    ],
    [
      "pool: web, mirror: { pool: web }",
      '2:74  listeners[0].routes[0].mirror.pool: The route leads to "web" already, which would do everything twice. Use another pool.',
    ],
    [
      "split: { pools: { web: 1 } }, mirror: { pool: web, share: 5 }",
      '2:93  listeners[0].routes[0].mirror.pool: The route leads to "web" already, which would do everything twice. Use another pool.',
    ],
    [
      "redirect: { to: /x }, mirror: { pool: web }",
      "2:69  listeners[0].routes[0].mirror: No backend gets the request: the route has redirect. Remove mirror.",
    ],
    [
      "pool: web, mirror: shadow",
      '2:66  listeners[0].routes[0].mirror: "shadow" is text. Write a map of settings (pool, share).',
    ],
    [
      "pool: web, mirror: { share: 5 }",
      "2:58  listeners[0].routes[0].mirror.pool: Missing. Write the name of a pool, such as web.",
    ],
  ]);
});

test("a share of copies is 1 to 100 percent", () => {
  for (const share of ["0", "101", "0.5", "10%"]) {
    const [, found = ""] = mistakesIn(`pool: web, mirror: { pool: web, share: ${share} }`);
    assert.match(found, /mirror\.share: .*(Use 1 to 100|a whole number, 1 to 100)\.$/);
  }
});

test("an expression that would explode in other engines is fine in ours", () => {
  assert.deepEqual(mistakesIn("match: { path: { regex: '(a+)+$' } }, pool: web"), []);
});
