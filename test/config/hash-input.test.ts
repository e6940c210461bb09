import assert from "node:assert/strict";
import { test } from "node:test";
import { configHashInput } from "../../src/config/hash-input.ts";
import { changed, expectConfig, PAIR_YAML } from "./pair-yaml.ts";
import type { Change } from "./pair-yaml.ts";

const ADDRESS = "{ address: 192.168.1.50/24, interface: eth0 }";

const hashInput = (...changes: readonly Change[]): string =>
  configHashInput(expectConfig(changed(PAIR_YAML, ...changes)));

test("comments, layout, key order and defaults written out do not change the hash input", () => {
  const otherwise = hashInput(
    ["{ address: 192.168.1.11, priority: 150 }", "{ priority: 150, address: 192.168.1.11 } # the big one"],
    ["  secret: a", "  port: 7946\n  secret: a"],
  );
  assert.equal(otherwise, hashInput());
});

test("the hash input has no trace of the secret, neither of its text nor of its file", () => {
  assert.doesNotMatch(hashInput(), /secret/);
  assert.equal(hashInput(["secret: a secret of the pair", "secretFile: /etc/secret"]), hashInput());
});

test("a node that is called secret is no secret: its addresses and priorities change the hash input", () => {
  for (const name of ["secret", "secretFile"]) {
    const node: readonly Change[] = [
      ["pi-a:", `${name}:`],
      ["  secret: a", `  paths: [{ ${name}: 10.0.0.1, pi-b: 10.0.0.2 }]\n  secret: a`],
      [ADDRESS, `{ group: web, priorities: { ${name}: 7 }, addresses: [${ADDRESS}] }`],
    ];
    assert.notEqual(hashInput(...node), hashInput(...node, ["10.0.0.1", "10.0.0.3"]));
    assert.notEqual(hashInput(...node), hashInput(...node, [`${name}: 7`, `${name}: 8`]));
    assert.doesNotMatch(hashInput(...node), /a secret of the pair/);
  }
});

test("a group that is what a plain list of addresses means has the same hash input", () => {
  const spelledOut: Change = [
    ADDRESS,
    `{ group: default, priorities: { pi-b: 100, pi-a: 150 }, preempt: false, addresses: [${ADDRESS}] }`,
  ];
  assert.equal(hashInput(spelledOut), hashInput());
});

test("any other value changes the hash input", () => {
  const changes: readonly Change[] = [
    ["priority: 150", "priority: 151"],
    ["1.50/24", "1.50/25"],
    ["vip:80", "vip:81"],
    ["1.22:8080", "1.22:8081"],
    ["  web:\n", "  web:\n    timeouts: { connect: 3s }\n"],
    ...[
      "arbiter: { kind: none }",
      "arbiter: { kind: gateway, address: 192.168.1.1 }",
      "paths: [{ pi-a: 10.0.0.1, pi-b: 10.0.0.2 }]",
      "roleChangesPerMinute: 5",
      "track: [{ name: dns, tcp: 127.0.0.1:53, weight: 60 }]",
      "track: [{ name: dns, tcp: 127.0.0.1:53, fault: true }]",
      "vitals: { disk: { above: 90 } }",
      "notify: { on-active: /bin/true }",
      "notify: { on-fault: /bin/true }",
    ].map((line): Change => ["  secret:", `  ${line}\n  secret:`]),
    [ADDRESS, `{ group: web, addresses: [${ADDRESS}] }`],
    [ADDRESS, `{ group: default, priorities: { pi-b: 200 }, addresses: [${ADDRESS}] }`],
    [ADDRESS, `{ group: default, preempt: true, addresses: [${ADDRESS}] }`],
  ];
  const inputs = changes.map((change) => hashInput(change));
  assert.equal(new Set([hashInput(), ...inputs]).size, changes.length + 1);
});
