// Each mistake an operator can make about how a pool balances, one a row.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PoolConfig } from "../../src/config/config.ts";
import { ALONE_YAML, changed, expectConfig, expectEach } from "./pair-yaml.ts";

const BACKENDS = "[192.168.1.21:8080]";
const END = "8080] }";

describe("weights and backups", () => {
  expectEach(ALONE_YAML, [
    [
      BACKENDS,
      "[{ address: a:1, weight: 0 }, { address: a:2, weight: 0 }]",
      "4:10  pools.web.backends: Every weight is 0, so nobody would get a request. Give one of them a weight.",
    ],
    [
      BACKENDS,
      "[{ address: a:1, weight: -1 }]",
      "4:45  pools.web.backends[0].weight: -1 is not a weight. Use 0 to 256.",
    ],
    [
      BACKENDS,
      "[{ address: a:1, backup: true }, { address: a:2, backup: true }]",
      "4:10  pools.web.backends: All of these are backups, of nothing. Leave backup out of those that serve first.",
    ],
    [
      BACKENDS,
      "[{ address: a:1, backup: yes }]",
      '4:45  pools.web.backends[0].backup: "yes" is text. Write true or false.',
    ],
  ]);
});

describe("policies", () => {
  test("may hash a field with an underscore where those are passed", () => {
    expectConfig(
      changed(
        ALONE_YAML,
        [END, "8080], balance: { kind: header-hash, header: x_user } }"],
        ["pool: web }", "underscoreHeaders: pass, pool: web }"],
      ),
    );
  });
  expectEach(ALONE_YAML, [
    [
      END,
      "8080], balance: { kind: header-hash, header: x_user } }",
      "4:79  pools.web.balance.header: Fields with _ in their name do not come in. Use underscoreHeaders: pass on the listener, or another field.",
    ],
    [
      END,
      "8080], balance: leastconn }",
      '4:50  pools.web.balance: "leastconn" is not known here. Did you mean least-connections?',
    ],
    [
      END,
      "8080], balance: constructor }",
      '4:50  pools.web.balance: "constructor" is not known here. Use round-robin, least-connections, least-response-time, random, first, source-hash or uri-hash.',
    ],
    [
      END,
      "8080], balance: header-hash }",
      "4:50  pools.web.balance: header-hash needs a header. Write { kind: header-hash, header: x-user }.",
    ],
    [
      END,
      "8080], balance: { kind: header-hash } }",
      "4:41  pools.web.balance.header: Missing. Write the name of a header field, such as x-user.",
    ],
    [
      END,
      '8080], balance: { kind: header-hash, header: "a b" } }',
      '4:79  pools.web.balance.header: "a b" is not the name of a header field. Use one, such as x-user.',
    ],
    [
      END,
      '8080], balance: { kind: cookie-hash, cookie: "a=b" } }',
      '4:79  pools.web.balance.cookie: "a=b" is not the name of a cookie. Use one, such as session.',
    ],
    [
      END,
      "8080], slowStart: 30 }",
      "4:52  pools.web.slowStart: 30 is a number. Write a duration with a unit, such as 5s.",
    ],
    [
      END,
      "8080], panicThreshold: 101 }",
      "4:57  pools.web.panicThreshold: 101 is not a percentage. Use 0 to 100.",
    ],
  ]);

  test("a hash over more backends than its table can hold evenly is refused", () => {
    const many = Array.from({ length: 1001 }, (_, i) => `a:${String(i + 1)}`).join(", ");
    const yaml = changed(ALONE_YAML, [BACKENDS, `[${many}], balance: uri-hash`]);
    assert.throws(() => expectConfig(yaml), /uri-hash cannot share evenly over 1001 backends/);
  });
});

describe("sticky", () => {
  expectEach(ALONE_YAML, [
    [
      END,
      "8080], sticky: true }",
      "4:49  pools.web.sticky: true is true or false. Write a map of settings (cookie, ttl, path, secure …).",
    ],
    [END, "8080], sticky: { ttl: 0s } }", '4:56  pools.web.sticky.ttl: "0s" is too small. Use 1s to 8760h.'],
    [
      END,
      "8080], sticky: { ttl: forever } }",
      '4:56  pools.web.sticky.ttl: "forever" is not a duration. Write a whole number and a unit: 200ms, 5s, 1m or 1h.',
    ],
    [
      END,
      '8080], sticky: { path: "/a;b" } }',
      '4:57  pools.web.sticky.path: "/a;b" cannot be the path of a cookie. Leave out ";" and "?".',
    ],
    [
      END,
      "8080], sticky: { secure: sometimes } }",
      '4:59  pools.web.sticky.secure: "sometimes" is not known here. Use true, false or auto.',
    ],
    [
      END,
      "8080], sticky: { secure: false, sameSite: none } }",
      "4:59  pools.web.sticky.secure: Browsers refuse a cookie with sameSite none that is not secure. Use auto.",
    ],
    [
      END,
      "8080], sticky: { cookie: __Host-a } }",
      '4:59  pools.web.sticky.cookie: Browsers refuse "__Host-a" unless it is secure. Add secure: true.',
    ],
    [
      END,
      "8080], sticky: { cookie: __Host-a, secure: true, path: /x } }",
      '4:89  pools.web.sticky.path: Browsers refuse "__Host-a" with another path than /. Use /.',
    ],
    [
      END,
      "8080], sticky: {}, balance: { kind: cookie-hash, cookie: vipair-web } }",
      '4:91  pools.web.balance.cookie: "vipair-web" is the cookie of sticky, which the balancer makes itself. Use one of the application, or leave sticky out.',
    ],
    [
      END,
      "8080], sticky: { cookie: s }, balance: { kind: cookie-hash, cookie: s } }",
      '4:102  pools.web.balance.cookie: "s" is the cookie of sticky, which the balancer makes itself. Use one of the application, or leave sticky out.',
    ],
  ]);
});

function poolOf(yaml: string): PoolConfig | undefined {
  return expectConfig(changed(ALONE_YAML, [BACKENDS, yaml])).pools[0];
}

describe("defaults", () => {
  test("panic is off in pools of fewer than 3 backends, backups aside, and else at 30 percent", () => {
    assert.equal(poolOf("[a:1, a:2]")?.panicThreshold, 0);
    assert.equal(poolOf("[a:1, a:2, { address: a:3, backup: true }]")?.panicThreshold, 0);
    assert.equal(poolOf("[a:1, a:2, a:3]")?.panicThreshold, 30);
    assert.equal(poolOf("[a:1, a:2, a:3], panicThreshold: 0")?.panicThreshold, 0);
    assert.equal(poolOf("[a:1], panicThreshold: 70")?.panicThreshold, 70);
  });

  test("sticky needs no settings, and pools of one host have cookies of their own", () => {
    assert.deepEqual(poolOf("[a:1], sticky: {}")?.sticky, {
      cookie: "vipair-web",
      ttlMs: null,
      path: "/",
      secure: "auto",
      httpOnly: true,
      sameSite: "lax",
      fallback: "another",
    });
  });

  test("uri-hash goes by the path, and by the query too if told so", () => {
    assert.deepEqual(poolOf("[a:1], balance: uri-hash")?.balance, { kind: "uri-hash", query: false });
    assert.deepEqual(poolOf("[a:1], balance: { kind: uri-hash, query: true }")?.balance, {
      kind: "uri-hash",
      query: true,
    });
  });
});
