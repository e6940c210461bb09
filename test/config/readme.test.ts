// The first configuration that a person sees must be one that vipair takes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parseConfig } from "../../src/config/parse.ts";

test("the configuration in the README has no mistake", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const [, text] = /```yaml\n([^`]*)```/.exec(readme) ?? [];
  assert.ok(text !== undefined, "the README shows a configuration");
  const parsed = parseConfig(text, "README.md");
  assert.equal(parsed.kind, "config", JSON.stringify(parsed));
});
