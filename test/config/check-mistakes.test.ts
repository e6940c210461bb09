// Each mistake in the checks of a pool, one a row: what is changed in a good file, and the error for it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ALONE_YAML, changed, errorsOf, expectConfig, expectEach } from "./pair-yaml.ts";

const BACKENDS = "backends: [192.168.1.21:8080]";
const YAML = changed(ALONE_YAML, [BACKENDS, `${BACKENDS}, health: { kind: tcp }`]);

/** Rows of `health: …` and the error behind the place of the pool. */
function expectHealth(rows: readonly (readonly [health: string, error: string])[]): void {
  expectEach(
    YAML,
    rows.map(([health, error]) => ["health: { kind: tcp }", `health: ${health}`, error] as const),
  );
}

describe("contradictions", () => {
  expectHealth([
    [
      "{ kind: http, expectedBody: ok, json: { healthy: ok } }",
      "4:81  pools.web.health.json: There is expectedBody as well. Keep one of the two.",
    ],
    [
      "{ kind: http, method: HEAD, expectedBody: ok }",
      "4:77  pools.web.health.expectedBody: A HEAD is answered without a body. Use method: GET.",
    ],
    [
      "{ kind: https, method: HEAD, json: { healthy: ok } }",
      "4:78  pools.web.health.json: A HEAD is answered without a body. Use method: GET.",
    ],
    [
      "{ kind: tcp, interval: 1s, timeout: 2s }",
      "4:85  pools.web.health.timeout: The timeout (2s) is longer than the interval (1s). Lower the timeout, or check less often.",
    ],
    [
      "{ kind: tcp, fastInterval: 2s }",
      "4:76  pools.web.health.fastInterval: The fast interval (2s) is longer than the interval (1s). Use a shorter one, or leave it out.",
    ],
    [
      "{ kind: tcp, send: x }",
      "4:62  pools.web.health.send: Nobody looks at the answer. Add expect: what the backend must say, or leave send out.",
    ],
    [
      "{ kind: tcp, expectedBody: x }",
      "4:62  pools.web.health.expectedBody: Unknown key. Use expect: a tcp check has no body.",
    ],
    [
      "{ kind: tcp, path: /health }",
      "4:62  pools.web.health.path: Unknown key. It belongs to kind: http and kind: https.",
    ],
    [
      "{ kind: http, verify: false }",
      "4:63  pools.web.health.verify: Unknown key. It belongs to kind: https.",
    ],
    [
      "{ kind: http, expect: ok }",
      "4:63  pools.web.health.expect: Unknown key. Use expectedBody for what must be in the answer.",
    ],
    [
      "{ kind: exec, command: /bin/true, port: 80 }",
      "4:83  pools.web.health.port: Unknown key. The program is told the backend's port.",
    ],
    [
      "{ kind: https, verify: false, ca: x.pem }",
      "4:79  pools.web.health.ca: With verify: false no certificate is looked at. Keep one of the two.",
    ],
    [
      "{ kind: http, json: {} }",
      "4:63  pools.web.health.json: There is no rule. Add healthy, unhealthy or degraded.",
    ],
    [
      "{ kind: http, json: { healthy: ok, degradedWeight: 10 } }",
      "4:84  pools.web.health.json.degradedWeight: Nothing says when a backend is degraded. Add degraded: a rule.",
    ],
    [
      "{ kind: http, json: { healthy: 'cpu > 90', unhealthy: 'cpu>90' } }",
      "4:92  pools.web.health.json.unhealthy: The same rule as healthy, so no backend could ever be up. Turn one of the two around.",
    ],
    [
      "{ kind: http, json: { unhealthy: cpu > 90, degraded: (cpu > 90) } }",
      "4:92  pools.web.health.json.degraded: The same rule as unhealthy, and a backend that is down cannot be degraded. Use another rule for one of the two.",
    ],
    [
      "{ kind: http, expectedStatus: 204, expectedBody: ok }",
      "4:84  pools.web.health.expectedBody: Answers with these statuses have no body. Add another to expectedStatus.",
    ],
    [
      "{ kind: http, expectedStatus: [204, '304'], json: { healthy: ok } }",
      "4:93  pools.web.health.json: Answers with these statuses have no body. Add another to expectedStatus.",
    ],
    ["{ kind: none, port: 80 }", "4:63  pools.web.health.port: Unknown key. Known here: kind."],
  ]);
});

describe("values", () => {
  expectHealth([
    [
      "{ kind: http, json: { unhealthy: 'cpu > 90 or' } }",
      '4:82  pools.web.health.json.unhealthy: At character 12 of "cpu > 90 or": A field or a constant is missing: The rule ends here.',
    ],
    [
      "{ kind: http, expectedBody: { regex: 'a[^e]{200}e' } }",
      '4:86  pools.web.health.expectedBody.regex: "a[^e]{200}e" is too long or repeats too much: it makes 204 steps, where 128 are allowed. Use a shorter one, smaller numbers, or + and *.',
    ],
    [
      "{ kind: http, expectedBody: { regex: '(a' } }",
      '4:86  pools.web.health.expectedBody.regex: "(a" is not a regular expression in the syntax of RE2, which has no look-around and no references back: missing closing ): `(a`.',
    ],
    [
      String.raw`{ kind: tcp, send: '\q', expect: ok }`,
      String.raw`4:68  pools.web.health.send: "\\q" has a backslash that begins nothing. Write \r, \n, \t, \0, \x1f for a byte, or \\ for a backslash.`,
    ],
    ["{ kind: tcp, expect: '' }", '4:70  pools.web.health.expect: "" is nothing. Leave it out.'],
    [
      "{ kind: http, method: CONNECT }",
      '4:71  pools.web.health.method: "CONNECT" asks for no page. Use GET, say.',
    ],
    [
      "{ kind: http, expectedHeaders: { 'x y': a } }",
      '4:82  pools.web.health.expectedHeaders["x y"]: "x y" is not the name of a header field. Use one, such as x-ready.',
    ],
    [
      "{ kind: http, expectedHeaders: { x: ' a' } }",
      '4:85  pools.web.health.expectedHeaders.x: " a" cannot be the value of a header field. Leave spaces around it and controls out.',
    ],
    [
      "{ kind: https, serverName: 192.168.1.1 }",
      '4:76  pools.web.health.serverName: "192.168.1.1" is not a host name. Use the one in the certificate, such as www.example.lan.',
    ],
    [
      "{ kind: exec, command: check -v }",
      '4:72  pools.web.health.command: "check -v" has spaces, and there is no shell to part them. Write a list: [check, -v].',
    ],
    [
      "{ kind: exec }",
      "4:41  pools.web.health.command: Missing. Write the path of a program, or a list of program and arguments, such as [/usr/local/bin/check-web, --fast].",
    ],
    ["{ kind: https, verify: no }", '4:72  pools.web.health.verify: "no" is text. Write true or false.'],
  ]);
});

describe("what one backend has otherwise", () => {
  expectEach(YAML, [
    [
      "[192.168.1.21:8080], health: { kind: tcp }",
      "[{ address: 192.168.1.21:8080, health: { host: x } }]",
      "4:61  pools.web.backends[0].health.host: The checks of this pool are of kind tcp and have no host. Leave it out.",
    ],
    [
      "[192.168.1.21:8080], health: { kind: tcp }",
      "[{ address: 192.168.1.21:8080, health: { port: 1 } }], health: { kind: none }",
      "4:61  pools.web.backends[0].health.port: The checks of this pool are of kind none and have no port. Leave it out.",
    ],
    [
      "[192.168.1.21:8080], health: { kind: tcp }",
      "[{ address: 192.168.1.21:8080, health: { agentPort: 1 } }]",
      "4:61  pools.web.backends[0].health.agentPort: No agent is asked. Add agent: { port: … } to the pool, or leave it out.",
    ],
    [
      "[192.168.1.21:8080], health: { kind: tcp }",
      "[{ address: 192.168.1.21:8080, health: { method: HEAD } }], health: { kind: http, json: { healthy: ok } }",
      "4:69  pools.web.backends[0].health.method: A HEAD is answered without a body, and the check needs one. Use GET.",
    ],
    [
      "health: { kind: tcp }",
      "agent: { port: 9999, interval: 100ms }",
      "4:72  pools.web.agent.interval: The timeout (500ms) is longer than the interval (100ms). Lower the timeout, or check less often.",
    ],
    [
      "health: { kind: tcp }",
      "agent: {}",
      "4:41  pools.web.agent.port: Missing. Write a whole number, 1 to 65535.",
    ],
  ]);
});

test("a file full of mistakes tells them all", () => {
  const health =
    "{ kind: https, verify: false, ca: a, json: { healthy: a =, degraded: b }, expectedBody: x }";
  assert.equal(errorsOf(changed(YAML, ["{ kind: tcp }", health])).length, 3);
});

test("everything that a check can have, and what is left out", () => {
  const yaml = `\
listeners: [{ name: web, bind: 0.0.0.0:80, pool: page }]
pools:
  page:
    backends: [{ name: a, address: 10.0.0.1:80, health: { port: 81, host: a.lan, path: /a, method: POST, agentPort: 9 } }]
    health:
      kind: https
      path: /health?full
      method: GET
      host: www.lan
      port: 8443
      expectedStatus: [200, 204-299]
      expectedHeaders: { X-Ready: "*", x-name: Ärger }
      json: { healthy: ok, degraded: disk > 90, degradedWeight: 25 }
      verify: true
      serverName: WWW.lan
      ca: ca.pem
      interval: 10s
      fastInterval: 1s
      downInterval: 1m
      timeout: 2s
      rise: 3
      fall: 4
    agent: { port: 9999, send: 'web\\n', interval: 3s, timeout: 1s }
  wire:
    backends: [10.0.0.1:6379]
    health: { kind: tcp, send: 'é\\x00\\\\', expect: { regex: '\\+PONG' }, interval: 100ms, timeout: 100ms }
  program:
    backends: [10.0.0.1:1]
    health: { kind: exec, command: [check, -v, ""] }
`;
  const [page, wire, program] = expectConfig(yaml).pools;
  assert.deepEqual(page?.backends[0]?.check, {
    port: 81,
    host: "a.lan",
    path: "/a",
    method: "POST",
    agentPort: 9,
  });
  assert.deepEqual(page.health, {
    kind: "https",
    path: "/health?full",
    method: "GET",
    host: "www.lan",
    port: 8443,
    expectedStatus: [
      { from: 200, to: 200 },
      { from: 204, to: 299 },
    ],
    expectedHeaders: { "x-ready": null, "x-name": "Ärger" },
    json: { healthy: "ok", degraded: "disk > 90", degradedWeightPercent: 25 },
    tls: { verify: true, serverName: "www.lan", caFile: "ca.pem" },
    intervalMs: 10_000,
    fastIntervalMs: 1000,
    downIntervalMs: 60_000,
    timeoutMs: 2000,
    rise: 3,
    fall: 4,
  });
  assert.deepEqual(page.agent, { port: 9999, send: "web\n", intervalMs: 3000, timeoutMs: 1000 });
  assert.deepEqual(wire?.health, {
    kind: "tcp",
    dialogue: { send: "\u{c3}\u{a9}\0\\", expect: { kind: "regex", regex: "\\+PONG" } },
    intervalMs: 100,
    fastIntervalMs: 100,
    downIntervalMs: 100,
    timeoutMs: 100,
    rise: 2,
    fall: 2,
  });
  assert.equal(wire.agent, undefined);
  assert.deepEqual(program?.health, {
    kind: "exec",
    command: ["check", "-v", ""],
    intervalMs: 1000,
    fastIntervalMs: 200,
    downIntervalMs: 1000,
    timeoutMs: 500,
    rise: 2,
    fall: 2,
  });
});
