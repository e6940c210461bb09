import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as fc from "fast-check";
import { unifiedDiff } from "../../src/cli/line-diff.ts";

function diff(from: string, to: string): string {
  return unifiedDiff({ name: "a", text: from }, { name: "b", text: to });
}

test("equal texts have no diff", () => {
  assert.equal(diff("a\nb\n", "a\nb\n"), "");
});

test("a change stands between three lines before and after it", () => {
  assert.equal(
    diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n"),
    "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8",
  );
});

test("two changes far from each other are two hunks, near ones are one", () => {
  const lines = Array.from({ length: 30 }, (_, index) => `${String(index)}\n`);
  const changed = (...at: readonly number[]) =>
    lines.map((line, index) => (at.includes(index) ? "x\n" : line)).join("");
  const heads = (text: string) => diff(lines.join(""), text).match(/^@@.*@@$/gm);
  assert.deepEqual(heads(changed(5, 20)), ["@@ -3,7 +3,7 @@", "@@ -18,7 +18,7 @@"]);
  assert.deepEqual(heads(changed(5, 11)), ["@@ -3,13 +3,13 @@"]);
});

test("the lack of a newline at the end is a difference", () => {
  assert.equal(diff("a\n", "a"), "--- a\n+++ b\n@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file");
});

test("a text that comes from nothing, and one that goes", () => {
  assert.equal(diff("", "a\n"), "--- a\n+++ b\n@@ -0,0 +1 @@\n+a");
  assert.equal(diff("a\n", ""), "--- a\n+++ b\n@@ -1 +0,0 @@\n-a");
});

function many(name: string): string {
  return Array.from({ length: 20_000 }, (_, index) => `${name}${String(index)}\n`).join("");
}

test("texts that have nothing in common are shown as replaced, and soon", () => {
  const lines = diff(many("a"), many("b")).split("\n");
  assert.equal(lines.length, 40_003);
});

const hasPatch = spawnSync("patch", ["--version"]).status === 0;

test(
  "patch(1) makes the second text of the first",
  { skip: hasPatch ? false : "patch is not installed" },
  (t) => {
    const folder = mkdtempSync(join(tmpdir(), "vipair-diff-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "a");
    const text = fc
      .array(fc.constantFrom("a", "b", "c", "", "pair:"), { maxLength: 25 })
      .chain((lines) => fc.constantFrom(lines.join("\n"), lines.map((line) => `${line}\n`).join("")));
    fc.assert(
      fc.property(text, text, (from, to) => {
        // An empty file is removed by patch.
        fc.pre(from !== to && from !== "" && to !== "");
        writeFileSync(file, from);
        const { status, stderr, stdout } = spawnSync("patch", ["--quiet", "--no-backup-if-mismatch", file], {
          input: `${diff(from, to)}\n`,
          encoding: "utf8",
        });
        assert.equal(status, 0, stdout + stderr);
        assert.equal(readFileSync(file, "utf8"), to);
      }),
      { numRuns: 200 },
    );
  },
);
