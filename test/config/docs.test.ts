import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { test } from "node:test";
import { generatedDocs } from "../../scripts/generate-docs.ts";
import { expectConfig } from "./pair-yaml.ts";

const example = readFileSync(new URL("../../docs/example.yaml", import.meta.url), "utf8");

for (const { url, text } of generatedDocs()) {
  test(`docs/${basename(url.pathname)} says what the schema says`, () => {
    assert.equal(readFileSync(url, "utf8"), text, "it is stale: run `npm run docs`");
  });
}

test("the example configuration is a good one", () => {
  assert.equal(expectConfig(example).pools.length, 2);
});

test("what the example configuration marks as a default may be left out", () => {
  const lines = example.split("\n");
  const shorter = lines.filter((line) => !line.endsWith("# default"));
  assert.equal(lines.length - shorter.length, 6);
  assert.deepEqual(expectConfig(shorter.join("\n")), expectConfig(example));
});
