import assert from "node:assert/strict";
import { test } from "node:test";
import { configHashInput } from "../../src/config/hash-input.ts";
import { changed, expectConfig, PAIR_YAML } from "./pair-yaml.ts";
import type { Change } from "./pair-yaml.ts";

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

test("any other value changes the hash input", () => {
  const changes: readonly Change[] = [
    ["priority: 150", "priority: 151"],
    ["1.50/24", "1.50/25"],
    ["vip:80", "vip:81"],
    ["1.22:8080", "1.22:8081"],
    ["  web:\n", "  web:\n    timeouts: { connect: 3s }\n"],
  ];
  const inputs = changes.map((change) => hashInput(change));
  assert.equal(new Set([hashInput(), ...inputs]).size, changes.length + 1);
});
