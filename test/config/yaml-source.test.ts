import assert from "node:assert/strict";
import { test } from "node:test";
import { ALONE_YAML, changed, errorsOf, expectConfig, PAIR_YAML } from "./pair-yaml.ts";

test("a file without anything in it is said to be empty", () => {
  const empty = ["1:1  The file is empty. docs/example.yaml is a start."];
  assert.deepEqual(errorsOf(""), empty);
  assert.deepEqual(errorsOf("# only a comment\n"), empty);
});

test("a file that is no map is told what to write", () => {
  const advice = "Write a map of settings (pair, virtualAddresses, listeners, pools …).";
  assert.deepEqual(errorsOf("- a\n- b\n"), [`1:1  This is a list. ${advice}`]);
  assert.deepEqual(errorsOf("\n  hello\n"), [`2:3  "hello" is text. ${advice}`]);
  assert.deepEqual(errorsOf("---\n"), [`1:4  Empty. ${advice}`]);
});

test("a file of more than 1 MiB is refused before it is parsed", () => {
  assert.deepEqual(errorsOf("a".repeat(1024 * 1024 + 1)), [
    "1:1  The file is larger than 1 MiB. That is not a vipair configuration.",
  ]);
});

test("aliases of aliases are refused before they fill the memory", () => {
  const levels = Array.from(
    { length: 20 },
    (_, n) => `l${String(n + 1)}: &l${String(n + 1)} [${`*l${String(n)},`.repeat(9)}]`,
  );
  const [error, ...rest] = errorsOf(`l0: &l0 [1, 2, 3]\n${levels.join("\n")}\n`);
  assert.match(error ?? "", /More than 100 aliases/);
  assert.deepEqual(rest, []);
});

test("an alias inside its own anchor is refused", () => {
  assert.match(errorsOf("pools: &a { x: *a }\n").join(), /Nested too deeply/);
});

test("ten thousand brackets are refused", () => {
  assert.match(errorsOf("[".repeat(10_000)).join(), /Nested too deeply|Not valid YAML/);
});

test("ten thousand unknown keys are ten thousand errors", () => {
  const keys = Array.from({ length: 10_000 }, (_, n) => `k${String(n)}: 1`).join("\n");
  assert.equal(errorsOf(keys).length, 10_000 + 2);
});

test("Windows line ends and a byte order mark change nothing", () => {
  assert.deepEqual(expectConfig(`\uFEFF${PAIR_YAML.replaceAll("\n", "\r\n")}`), expectConfig(PAIR_YAML));
  const wrong = changed(PAIR_YAML, ["vip:80", "vip:0"]);
  assert.deepEqual(errorsOf(wrong.replaceAll("\n", "\r\n")), errorsOf(wrong));
});

test("a mistake behind an alias is shown where it was written", () => {
  const yaml = changed(ALONE_YAML, [
    "8080] }",
    "8080], health: &h { kind: tcp, rise: 0 } }\n  api: { backends: [a:1], health: *h }",
  ]);
  assert.deepEqual(errorsOf(yaml), [
    "4:71  pools.web.health.rise: 0 is not possible here. Use 1 to 100.",
    "4:71  pools.api.health.rise: 0 is not possible here. Use 1 to 100.",
  ]);
});

test("one slip makes one error", () => {
  const slips = [
    changed(ALONE_YAML, ["pools:", "poools:"]),
    changed(ALONE_YAML, ["pool: web", "pol: web"]),
    changed(PAIR_YAML, ["secret:", "secert:"]),
    changed(PAIR_YAML, ["virtualAddresses:", "virtual_addresses:"]),
    changed(PAIR_YAML, ["pair:", "piar:"]),
    changed(PAIR_YAML, ["{ address: 192.168.1.12", "{ adress: 192.168.1.12"]),
  ];
  for (const yaml of slips) assert.equal(errorsOf(yaml).length, 1, errorsOf(yaml).join("\n"));
});
