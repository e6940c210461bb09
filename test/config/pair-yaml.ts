// A small whole configuration that the tests of this folder change in one place at a time.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config } from "../../src/config/config.ts";
import { formatConfigError, parseConfig } from "../../src/config/parse.ts";

export const PAIR_YAML = `\
pair:
  nodes:
    pi-a: { address: 192.168.1.11, priority: 150 }
    pi-b: { address: 192.168.1.12 }
  secret: a secret of the pair
virtualAddresses:
  - { address: 192.168.1.50/24, interface: eth0 }
listeners:
  - name: web
    bind: vip:80
    pool: web
pools:
  web:
    backends: [192.168.1.21:8080, 192.168.1.22:8080]
`;

export const ALONE_YAML = `\
listeners:
  - { name: web, bind: 0.0.0.0:80, pool: web }
pools:
  web: { backends: [192.168.1.21:8080] }
`;

/** The text to find and what to put in its place. */
export type Change = readonly [from: string, to: string];

export function changed(yaml: string, ...changes: readonly Change[]): string {
  return changes.reduce((text, [from, to]) => {
    assert.ok(text.includes(from), `the configuration has no ${JSON.stringify(from)}`);
    return text.replace(from, () => to);
  }, yaml);
}

export function expectConfig(yaml: string): Config {
  const parsed = parseConfig(yaml, "vipair.yaml");
  assert.deepEqual(parsed.kind === "invalid" ? parsed.errors.map(formatConfigError) : [], []);
  assert.equal(parsed.kind, "config");
  return parsed.config;
}

/** The formatted errors, without the file name in front. */
export function errorsOf(yaml: string): readonly string[] {
  const parsed = parseConfig(yaml, "vipair.yaml");
  if (parsed.kind === "config") return [];
  return parsed.errors.map((error) => formatConfigError(error).replace(/^vipair\.yaml:/, ""));
}

/** A test for each row: this change to the good file makes this one error. */
export function expectEach(
  yaml: string,
  rows: readonly (readonly [from: Change[0], to: Change[1], error: string])[],
): void {
  for (const [from, to, error] of rows) {
    test(`${to === "" ? `without ${from}` : to} → ${error}`, () => {
      assert.deepEqual(errorsOf(changed(yaml, [from, to])), [error]);
    });
  }
}
