// The file that init writes, as the operator finds it when they have gone on with it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { writeConfig } from "../../../src/cli/pairing/new-config.ts";
import { editText } from "../../../src/cli/config-file.ts";

const PAIR = {
  kind: "network",
  name: "pi-a",
  address: "192.168.1.11",
  priority: 150,
  vip: "192.168.1.50",
  prefixLength: 24,
  interface: "eth0",
  isLoopback: false,
  gateway: "192.168.1.1",
  port: 80,
  backends: [],
} as const;

test("what it says is still true when a backend has been added", () => {
  const edited = editText(
    writeConfig(PAIR),
    [{ kind: "append", to: ["pools", "web", "backends"], value: "192.168.1.21:8080" }],
    "vipair.yaml",
  );
  assert.ok(edited.kind !== "problems");
  assert.match(edited.text, /^ +backends: \[?192\.168\.1\.21:8080\]?$/m);
  assert.doesNotMatch(edited.text, /none yet/);
});
