import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { test } from "node:test";
import { generatedDocs } from "../../scripts/generate-docs.ts";
import { expectConfig } from "./pair-yaml.ts";

const docs = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");
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
  const shorter = lines.filter((line) => !/# default(;|$)/.test(line));
  assert.equal(lines.length - shorter.length, 7);
  assert.deepEqual(expectConfig(shorter.join("\n")), expectConfig(example));
});

test("what the example configuration leaves to the reader to put in use is good too", () => {
  const inUse = example.replaceAll(/^( *)#: /gm, "$1");
  const { pair } = expectConfig(inUse);
  assert.deepEqual(pair?.paths[1]?.addresses, { "pi-a": "10.0.0.1", "pi-b": "10.0.0.2" });
  assert.deepEqual(
    pair.track.map(({ name }) => name),
    ["dns"],
  );
});

const variablesIn = (text: string) => [...new Set(text.match(/VIPAIR_[A-Z_]+/g))].toSorted();

test("docs/configuration.md names every variable that a notify hook gets, and no other", () => {
  const source = readFileSync(new URL("../../src/control/notifier.ts", import.meta.url), "utf8");
  const [, prose = ""] = docs.split("## What notify hooks are told\n");
  const [section = ""] = prose.split("\n## ");
  assert.notDeepEqual(variablesIn(section), []);
  assert.deepEqual(variablesIn(section), variablesIn(source));
});

test("the groups in docs/configuration.md fit into the example configuration", () => {
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
