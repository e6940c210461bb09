import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { formatConfigError, parseConfig } from "../../src/config/parse.ts";
import { ALONE_YAML, changed, errorsOf, expectConfig, PAIR_YAML } from "./pair-yaml.ts";

const EVERY_KEY_YAML = `\
pair:
  nodes:
    a: { address: fd00::A, priority: 254 }
    b: { address: "fd00:0:0::b", priority: 1 }
  secretFile: secret
  port: 7000
  acceptConfig: false
  advertisementInterval: 20ms
  preempt: true
  preemptDelay: 1m
  claim: safe
  lease: 1s
  hook: hooks/vip
  arbiter: { kind: gateway, address: "FE80::1" }
  paths: [{ b: 10.0.0.2, a: 10.0.0.1 }, { a: fd01::A, b: fd01::b }]
  roleChangesPerMinute: 6
  track:
    - { name: dns, tcp: "[::1]:53", interval: 5s, timeout: 2s, rise: 1, fall: 3, weight: 60 }
    - { name: web, http: "http://LocalHost:8080", fault: true }
    - { name: disk, exec: checks/disk, weight: 1 }
    - { name: named, exec: [/usr/bin/pgrep, -x, named], weight: 253 }
  vitals:
    interval: 1m
    temperature: { above: 75, weight: 20 }
    memory: { above: 90 }
    disk: { weight: 0 }
    underVoltage: { weight: 60 }
  notify: { on-active: hooks/active, on-standby: /bin/true, on-fault: hooks/with space }
virtualAddresses:
  - group: web
    priorities: { a: 200 }
    addresses: [{ address: fd00::50/64, interface: br-lan.10 }, { address: 10.0.0.50/24, interface: eth1 }]
  - { group: mail, priorities: { a: 100, b: 200 }, preempt: false, addresses: [{ address: fd00::51/64, interface: eth0 }] }
listeners:
  - name: web
    bind: "[::]:80"
    routes:
      - { match: { host: "*.Example.LAN", path: /v1, method: GET }, pool: api }
      - { pool: api }
    timeouts: { head: 5s, idle: 2m }
    limits: { head: 8KiB, requestLine: 4KiB, fields: 50, body: 10MiB, connections: 1000, connectionsPerAddress: 20, requestsPerConnection: 500 }
    trustedProxies: [10.0.0.0/8, 192.168.1.1]
    underscoreHeaders: refuse
    trace: pass
pools:
  api:
    balance: { kind: header-hash, header: X-User }
    sticky: { cookie: back, ttl: 1h, path: /v1, secure: true, httpOnly: false, sameSite: none, fallback: refuse }
    slowStart: 30s
    panicThreshold: 50
    outliers: { consecutive5xx: 3, consecutiveFailures: off, baseEjection: 1s, maxEjection: 2s, maxEjectionPercent: 60 }
    circuitBreaker: { failureRate: 40, minimumRequests: 9, window: 1m, open: 2s, trials: 4 }
    backends:
      - { name: big, address: "[fd00::21]:8080", weight: 3, maxConnections: 20 }
      - Web-1.lan:80
      - { name: spare, address: "10.0.0.9:80", weight: 0, backup: true }
    health:
      { kind: http, path: "/health?x=1", host: www.example.lan, expectedStatus: [200, 300-399], interval: 2s, timeout: 2s, rise: 1, fall: 3 }
    timeouts: { connect: 1s, response: 2s, body: 3s, tunnelIdle: 4s }
    retry: { attempts: 5, on: [reset, timeout, 503], perTry: 1s, total: 3s, bodyBytes: 1KiB, budget: { percent: 10, floor: 1 } }
    queue: { length: 7, timeout: 2s }
  rest: { backends: [localhost:1], health: { kind: none } }
workers: 2
logging: { level: debug, access: { file: logs/access.log } }
shutdownGrace: 1s
`;

/** Of a check that says nothing of it. */
const TIMING = {
  intervalMs: 1000,
  fastIntervalMs: 200,
  downIntervalMs: 1000,
  timeoutMs: 500,
  rise: 2,
  fall: 2,
} as const;

/** How a pool balances that says nothing about it. */
const PLAIN_BALANCE = {
  balance: { kind: "round-robin" },
  sticky: null,
  slowStartMs: 0,
  panicThreshold: 0,
  outliers: null,
  circuitBreaker: null,
} as const;

/** How a pool bears failures that says nothing about it. */
const PLAIN_RESILIENCE = {
  retry: {
    attempts: 3,
    on: { connect: true, reset: true, timeout: false, statuses: [] },
    perTryMs: Infinity,
    totalMs: Infinity,
    bodyBytes: 65_536,
    budget: { percent: 20, floor: 3 },
  },
  queue: null,
} as const;

describe("what a configuration means", () => {
  test("a pool may be without backends for now", () => {
    const [web] = expectConfig(changed(ALONE_YAML, ["[192.168.1.21:8080]", "[]"])).pools;
    assert.deepEqual(web?.backends, []);
  });

  test("a node alone needs listeners and pools; everything else has a default", () => {
    assert.deepEqual(expectConfig(ALONE_YAML), {
      workers: "auto",
      virtualAddresses: [],
      groups: [],
      listeners: [
        {
          name: "web",
          bind: { kind: "address", host: "0.0.0.0", port: 80 },
          protocol: "http",
          routes: [
            {
              name: "routes[0]",
              match: {},
              action: { kind: "pool", pool: "web" },
              rewrite: null,
              mirror: null,
            },
          ],
          timeouts: { headMs: 10_000, idleMs: 60_000 },
          limits: {
            headBytes: 16_384,
            requestLineBytes: 8192,
            fields: 100,
            bodyBytes: null,
            connections: null,
            connectionsPerAddress: null,
            requestsPerConnection: null,
          },
          trustedProxies: [],
          underscoreHeaders: "drop",
          trace: "refuse",
          errorPages: {},
        },
      ],
      pools: [
        {
          name: "web",
          ...PLAIN_BALANCE,
          ...PLAIN_RESILIENCE,
          backends: [
            { name: "192.168.1.21:8080", host: "192.168.1.21", port: 8080, weight: 1, isBackup: false },
          ],
          health: { kind: "tcp", ...TIMING },
          timeouts: { connectMs: 2000, responseMs: 30_000, bodyMs: 30_000, tunnelIdleMs: 3_600_000 },
        },
      ],
      logging: { level: "info", access: { file: null } },
      shutdownGraceMs: 10_000,
    });
  });

  test("a pair needs two nodes, a secret and a virtual address; everything else has a default", () => {
    const config = expectConfig(PAIR_YAML);
    assert.deepEqual(config.pair, {
      nodes: [
        { name: "pi-a", address: "192.168.1.11", priority: 150 },
        { name: "pi-b", address: "192.168.1.12", priority: 100 },
      ],
      secret: "a secret of the pair",
      port: 7946,
      acceptConfig: true,
      advertisementIntervalMs: 200,
      preempt: false,
      preemptDelayMs: 30_000,
      claim: "fast",
      leaseMs: 2000,
      arbiter: { kind: "gateway" },
      paths: [{ addresses: { "pi-a": "192.168.1.11", "pi-b": "192.168.1.12" } }],
      roleChangesPerMinute: 4,
      track: [],
      vitals: {
        intervalMs: 10_000,
        temperature: { above: 80, weight: 10 },
        memory: { above: 95, weight: 10 },
        disk: { above: 95, weight: 10 },
        underVoltage: { weight: 10 },
      },
      notify: {},
    });
    assert.deepEqual(config.virtualAddresses, [
      { address: "192.168.1.50", prefixLength: 24, interface: "eth0", group: "default" },
    ]);
    assert.deepEqual(config.groups, [
      { name: "default", priorities: { "pi-a": 150, "pi-b": 100 }, preempt: false },
    ]);
    assert.deepEqual(config.listeners[0]?.bind, { kind: "vip", port: 80 });
  });

  test("a pair may have one node, until the second has joined", () => {
    const config = expectConfig(changed(PAIR_YAML, ["    pi-b: { address: 192.168.1.12 }\n", ""]));
    assert.deepEqual(config.pair?.nodes, [{ name: "pi-a", address: "192.168.1.11", priority: 150 }]);
    assert.deepEqual(config.pair.paths, [{ addresses: { "pi-a": "192.168.1.11" } }]);
    assert.deepEqual(config.groups, [{ name: "default", priorities: { "pi-a": 150 }, preempt: false }]);
  });

  test("every key that is given is heard", () => {
    const config = expectConfig(EVERY_KEY_YAML);
    assert.deepEqual(config, {
      pair: {
        nodes: [
          { name: "a", address: "fd00::a", priority: 254 },
          { name: "b", address: "fd00::b", priority: 1 },
        ],
        secretFile: "secret",
        port: 7000,
        acceptConfig: false,
        advertisementIntervalMs: 20,
        preempt: true,
        preemptDelayMs: 60_000,
        claim: "safe",
        leaseMs: 1000,
        hook: "hooks/vip",
        arbiter: { kind: "gateway", address: "fe80::1" },
        paths: [
          { addresses: { a: "fd00::a", b: "fd00::b" } },
          { addresses: { a: "10.0.0.1", b: "10.0.0.2" } },
          { addresses: { a: "fd01::a", b: "fd01::b" } },
        ],
        roleChangesPerMinute: 6,
        track: [
          {
            name: "dns",
            check: { kind: "tcp", host: "::1", port: 53 },
            intervalMs: 5000,
            timeoutMs: 2000,
            rise: 1,
            fall: 3,
            effect: { kind: "weight", weight: 60 },
          },
          {
            name: "web",
            check: { kind: "http", url: "http://localhost:8080/" },
            intervalMs: 1000,
            timeoutMs: 1000,
            rise: 2,
            fall: 2,
            effect: { kind: "fault" },
          },
          {
            name: "disk",
            check: { kind: "exec", command: ["checks/disk"] },
            intervalMs: 1000,
            timeoutMs: 1000,
            rise: 2,
            fall: 2,
            effect: { kind: "weight", weight: 1 },
          },
          {
            name: "named",
            check: { kind: "exec", command: ["/usr/bin/pgrep", "-x", "named"] },
            intervalMs: 1000,
            timeoutMs: 1000,
            rise: 2,
            fall: 2,
            effect: { kind: "weight", weight: 253 },
          },
        ],
        vitals: {
          intervalMs: 60_000,
          temperature: { above: 75, weight: 20 },
          memory: { above: 90, weight: 10 },
          disk: { above: 95, weight: 0 },
          underVoltage: { weight: 60 },
        },
        notify: { onActive: "hooks/active", onStandby: "/bin/true", onFault: "hooks/with space" },
      },
      virtualAddresses: [
        { address: "fd00::50", prefixLength: 64, interface: "br-lan.10", group: "web" },
        { address: "10.0.0.50", prefixLength: 24, interface: "eth1", group: "web" },
        { address: "fd00::51", prefixLength: 64, interface: "eth0", group: "mail" },
      ],
      groups: [
        { name: "web", priorities: { a: 200, b: 1 }, preempt: true },
        { name: "mail", priorities: { a: 100, b: 200 }, preempt: false },
      ],
      listeners: [
        {
          name: "web",
          bind: { kind: "address", host: "::", port: 80 },
          protocol: "http",
          routes: [
            {
              name: "routes[0]",
              match: {
                hosts: ["*.example.lan"],
                paths: [{ kind: "prefix", text: "/v1" }],
                methods: ["GET"],
              },
              action: { kind: "pool", pool: "api" },
              rewrite: null,
              mirror: null,
            },
            {
              name: "routes[1]",
              match: {},
              action: { kind: "pool", pool: "api" },
              rewrite: null,
              mirror: null,
            },
          ],
          timeouts: { headMs: 5000, idleMs: 120_000 },
          limits: {
            headBytes: 8192,
            requestLineBytes: 4096,
            fields: 50,
            bodyBytes: 10_485_760,
            connections: 1000,
            connectionsPerAddress: 20,
            requestsPerConnection: 500,
          },
          trustedProxies: ["10.0.0.0/8", "192.168.1.1/32"],
          underscoreHeaders: "refuse",
          trace: "pass",
          errorPages: {},
        },
      ],
      pools: [
        {
          name: "api",
          balance: { kind: "header-hash", header: "x-user" },
          sticky: {
            cookie: "back",
            ttlMs: 3_600_000,
            path: "/v1",
            secure: "always",
            httpOnly: false,
            sameSite: "none",
            fallback: "refuse",
          },
          slowStartMs: 30_000,
          panicThreshold: 50,
          outliers: {
            consecutive5xx: 3,
            consecutiveFailures: null,
            baseEjectionMs: 1000,
            maxEjectionMs: 2000,
            maxEjectionPercent: 60,
          },
          circuitBreaker: {
            failureRate: 40,
            minimumRequests: 9,
            windowMs: 60_000,
            openMs: 2000,
            trials: 4,
          },
          backends: [
            { name: "big", host: "fd00::21", port: 8080, weight: 3, isBackup: false, maxConnections: 20 },
            { name: "web-1.lan:80", host: "web-1.lan", port: 80, weight: 1, isBackup: false },
            { name: "spare", host: "10.0.0.9", port: 80, weight: 0, isBackup: true },
          ],
          health: {
            kind: "http",
            path: "/health?x=1",
            host: "www.example.lan",
            method: "GET",
            expectedStatus: [
              { from: 200, to: 200 },
              { from: 300, to: 399 },
            ],
            expectedHeaders: {},
            intervalMs: 2000,
            fastIntervalMs: 200,
            downIntervalMs: 2000,
            timeoutMs: 2000,
            rise: 1,
            fall: 3,
          },
          timeouts: { connectMs: 1000, responseMs: 2000, bodyMs: 3000, tunnelIdleMs: 4000 },
          retry: {
            attempts: 5,
            on: { connect: false, reset: true, timeout: true, statuses: [503] },
            perTryMs: 1000,
            totalMs: 3000,
            bodyBytes: 1024,
            budget: { percent: 10, floor: 1 },
          },
          queue: { length: 7, timeoutMs: 2000 },
        },
        {
          name: "rest",
          ...PLAIN_BALANCE,
          ...PLAIN_RESILIENCE,
          backends: [{ name: "localhost:1", host: "localhost", port: 1, weight: 1, isBackup: false }],
          health: { kind: "none" },
          timeouts: { connectMs: 2000, responseMs: 30_000, bodyMs: 30_000, tunnelIdleMs: 3_600_000 },
        },
      ],
      workers: 2,
      logging: { level: "debug", access: { file: "logs/access.log" } },
      shutdownGraceMs: 1000,
    });
  });

  test("an http check takes any answer from 200 to 399 for good unless told otherwise", () => {
    const yaml = changed(ALONE_YAML, ["8080]", "8080], health: { kind: http }"]);
    assert.deepEqual(expectConfig(yaml).pools[0]?.health, {
      kind: "http",
      path: "/",
      method: "GET",
      expectedStatus: [{ from: 200, to: 399 }],
      expectedHeaders: {},
      ...TIMING,
    });
  });

  test("pools, nodes and backends keep the order of the file", () => {
    const yaml = changed(ALONE_YAML, [
      "web: { backends: [192.168.1.21:8080] }",
      "web: { backends: [z:1, a:1, m:1] }\n  b: { backends: [b:1] }\n  a: { backends: [a:1] }",
    ]);
    const { pools } = expectConfig(yaml);
    assert.deepEqual(
      pools.map(({ name }) => name),
      ["web", "b", "a"],
    );
    assert.deepEqual(
      pools[0]?.backends.map(({ host }) => host),
      ["z", "a", "m"],
    );
  });

  test("an anchor and its aliases stand for the same value", () => {
    const yaml = changed(ALONE_YAML, [
      "web: { backends: [192.168.1.21:8080] }",
      "web: &web { backends: [192.168.1.21:8080] }\n  other: *web",
    ]);
    const [web, other] = expectConfig(yaml).pools;
    assert.deepEqual({ ...other, name: "web" }, web);
  });
});

describe("mistakes", () => {
  test("an error says file, line, column, path, what is wrong and what to do", () => {
    const parsed = parseConfig(changed(PAIR_YAML, ["1.22:8080", "1.22:80800"]), "/etc/vipair/vipair.yaml");
    assert.equal(parsed.kind, "invalid");
    assert.deepEqual(parsed.errors, [
      {
        file: "/etc/vipair/vipair.yaml",
        line: 14,
        column: 35,
        path: "pools.web.backends[1]",
        message: '"80800" is not a port. Use 1 to 65535.',
      },
    ]);
    assert.deepEqual(parsed.errors.map(formatConfigError), [
      '/etc/vipair/vipair.yaml:14:35  pools.web.backends[1]: "80800" is not a port. Use 1 to 65535.',
    ]);
  });

  test("ten mistakes in one file are reported as ten, each at its place, in the order of the file", () => {
    const yaml = `\
pair:
  nodes:
    pi-a: { address: 192.168.1.11, priority: 300 }
    pi-b: { address: 192.168.1.300 }
  secret: too short
  advertisementInterval: 200
virtualAddresses:
  - { address: 192.168.1.50, interface: eth0 }
listeners:
  - name: web
    bind: vip:80
    rutes:
      - pool: web
    pool: wbe
  - { name: web, bind: "0.0.0.0:0", pool: web }
pools:
  web:
    backends:
      - { address: 192.168.1.21:80800 }
`;
    assert.deepEqual(errorsOf(yaml), [
      "3:46  pair.nodes.pi-a.priority: 300 is not a priority. Use 1 to 254.",
      '4:22  pair.nodes.pi-b.address: "192.168.1.300" is not an IP address. Use IPv4 or IPv6, such as 192.168.1.11 or fd00::11.',
      "5:11  pair.secret: The secret is too short. Use at least 16 characters.",
      "6:26  pair.advertisementInterval: 200 is a number. Write a duration with a unit, such as 5s.",
      '8:16  virtualAddresses[0].address: "192.168.1.50" has no prefix length. Write it as 192.168.1.50/24, with the prefix length of the network.',
      '12:5  listeners[0].rutes: Unknown key. Did you mean "routes"?',
      '14:11  listeners[0].pool: There is no pool "wbe". Did you mean "web"?',
      '15:13  listeners[1].name: "web" is listeners[0].name already. Use another name.',
      '15:24  listeners[1].bind: "0" is not a port. Use 1 to 65535.',
      '19:20  pools.web.backends[0].address: "80800" is not a port. Use 1 to 65535.',
    ]);
  });

  test("the mistakes of every part of a pair come at once, those in wrong values and those between values", () => {
    const yaml = changed(
      PAIR_YAML,
      [
        "  secret:",
        `\
  arbiter: { kind: gateway, address: 192.168.1.11 }
  paths: [{ pi-a: 10.0.0.1, pi-b: fd00::1 }, { pi-a: 10.0.0.1, db: 10.0.0.3 }]
  roleChangesPerMinute: often
  track:
    - { name: a, exec: "x y", tcp: 127.0.0.1, http: "https://a", timeout: 9s, fall: 3 }
    - { name: a, exec: [80, "\\0"], weight: 300, fault: true }
    - { script: x, rise: 0 }
  vitals: { interval: 1, disk: { above: 10 }, cpu: {} }
  notify: { on-backup: x, on-fault: "" }
  secret:`,
      ],
      [
        "  - { address: 192.168.1.50/24, interface: eth0 }",
        `\
  - { group: web, priorities: { pi-c: 300 }, addresses: [{ address: 10.0.0.9, interface: eth0 }] }
  - { group: web, prempt: true, addresses: [{ address: 192.168.1.11/24, interface: eth0 }] }
  - { name: mail, addresses: [] }
  - { address: 192.168.1.50/24, interface: eth0 }`,
      ],
    );
    assert.deepEqual(
      errorsOf(yaml).map((error) => error.replace(/: .*$/, "")),
      [
        "5:38  pair.arbiter.address",
        "6:35  pair.paths[0].pi-b",
        "6:46  pair.paths[1]",
        "6:54  pair.paths[1].pi-a",
        "6:64  pair.paths[1].db",
        "7:25  pair.roleChangesPerMinute",
        "9:7  pair.track[0]",
        "9:24  pair.track[0].exec",
        "9:31  pair.track[0].tcp",
        "9:36  pair.track[0].tcp",
        "9:47  pair.track[0].http",
        "9:53  pair.track[0].http",
        "9:75  pair.track[0].timeout",
        "10:15  pair.track[1].name",
        "10:25  pair.track[1].exec[0]",
        "10:29  pair.track[1].exec[1]",
        "10:44  pair.track[1].weight",
        "10:49  pair.track[1].fault",
        "11:7  pair.track[2].name",
        "11:7  pair.track[2]",
        "11:9  pair.track[2].script",
        "11:26  pair.track[2].rise",
        "12:23  pair.vitals.interval",
        "12:41  pair.vitals.disk.above",
        "12:47  pair.vitals.cpu",
        "13:13  pair.notify.on-backup",
        "13:37  pair.notify.on-fault",
        "16:33  virtualAddresses[0].priorities.pi-c",
        "16:39  virtualAddresses[0].priorities.pi-c",
        "16:69  virtualAddresses[0].addresses[0].address",
        "17:14  virtualAddresses[1].group",
        "17:19  virtualAddresses[1].prempt",
        "17:56  virtualAddresses[1].addresses[0].address",
        "18:7  virtualAddresses[2].name",
        "18:19  virtualAddresses[2].addresses",
        "19:5  virtualAddresses[3]",
      ],
    );
  });

  test("a secret is never repeated in an error", () => {
    for (const secret of [
      "hunter2",
      "1234567890123456",
      `'${"hunter2 ".repeat(100)}'`,
      "[hunter2]",
      "true",
    ]) {
      const errors = errorsOf(changed(PAIR_YAML, ["a secret of the pair", secret]));
      assert.notEqual(errors.length, 0, secret);
      assert.doesNotMatch(errors.join(), /hunter|1234/);
    }
  });

  test("no text makes the parser throw, and every error has a place in the file", () => {
    const word = fc.constantFrom(...WORDS);
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 200 }),
      fc.array(word, { maxLength: 40 }).map((words) => words.join("")),
    );
    fc.assert(
      fc.property(text, (yaml) => expectErrorsInside(yaml)),
      { numRuns: 500 },
    );
  });

  test("no change to a good file makes the parser throw, and every error has a place in the file", () => {
    const piece = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom("\n", "[]", "{}", ": ", "- ", "~", "*x", "0"),
    );
    const change = fc.tuple(fc.nat(EVERY_KEY_YAML.length), fc.nat(12), piece);
    const mutated = fc
      .tuple(fc.constantFrom(PAIR_YAML, EVERY_KEY_YAML), fc.array(change, { minLength: 1, maxLength: 4 }))
      .map(([good, changes]) =>
        changes.reduce<string>((text, [place, cut, added]) => {
          const at = place % (text.length + 1);
          return text.slice(0, at) + added + text.slice(at + cut);
        }, good),
      );
    fc.assert(
      fc.property(mutated, (yaml) => expectErrorsInside(yaml)),
      { numRuns: 500 },
    );
  });
});

/** What YAML is made of. */
const WORDS = [
  ..."a pools web *a &a !!x null 80 [ ] { } : ? , # | > << ' \"".split(" "),
  ..." ;\n;\n  ;\t;- ;: ;---\n;...\n;%YAML 1.1\n;\u0000;\uFEFF;\r".split(";"),
];

function expectErrorsInside(yaml: string): void {
  const parsed = parseConfig(yaml, "vipair.yaml");
  if (parsed.kind === "config") return;
  assert.notEqual(parsed.errors.length, 0);
  const lines = yaml.split("\n");
  for (const { line, column, message } of parsed.errors) {
    assert.ok(line >= 1 && line <= lines.length, `line ${String(line)} of ${String(lines.length)}`);
    assert.ok(
      column >= 1 && column <= (lines[line - 1] ?? "").length + 1,
      `column ${String(column)}: ${message}`,
    );
    // zod's and JavaScript's own words.
    assert.doesNotMatch(message, /invalid input|expected .* received|undefined|\[object/i);
  }
}
