import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isNotConfigured } from "../../src/config/not-configured.ts";
import { parseConfig } from "../../src/config/parse.ts";

const EXAMPLE = join(import.meta.dirname, "../../scripts/package/vipair.yaml");

test("a file of comments and blank lines is not configured", () => {
  for (const text of ["", "\n", "# a\n\n  # b", "\t\n#"]) assert.equal(isNotConfigured(text), true, text);
});

test("everything else is configured, well or not", () => {
  for (const text of ["pools: {}", "# a\npools:", "---\n", "~", "null # nothing", "a: '#'"]) {
    assert.equal(isNotConfigured(text), false, text);
  }
});

test("the example that the package installs does nothing, and is a configuration when its comment marks are taken away", () => {
  const text = readFileSync(EXAMPLE, "utf8");
  assert.equal(isNotConfigured(text), true);
  const [, example = ""] = /\n#\n((?:# (?: |\w+:).*\n)+)#\n/u.exec(text) ?? [];
  assert.match(example, /virtualAddresses/);
  const parsed = parseConfig(example.replaceAll(/^# /gmu, ""), EXAMPLE);
  assert.deepEqual(parsed.kind === "invalid" ? parsed.errors : [], []);
});
