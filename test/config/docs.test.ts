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
  assert.equal(lines.length - shorter.length, 7);
  assert.deepEqual(expectConfig(shorter.join("\n")), expectConfig(example));
});

test("the groups in docs/configuration.md fit into the example configuration", () => {
  const docs = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");
  const [, groups] = /```yaml\n(virtualAddresses:\n[^`]*)```/.exec(docs) ?? [];
  assert.ok(groups !== undefined, "the documentation shows groups");
  const config = expectConfig(example.replace(/^virtualAddresses:\n( .*\n)+/m, groups));
  assert.deepEqual(
    config.groups.map(({ name, priorities }) => [name, priorities]),
    [
      ["web", { "pi-a": 150, "pi-b": 100 }],
      ["mail", { "pi-a": 100, "pi-b": 150 }],
    ],
  );
});
