import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { TestResult } from "./reporter.ts";

/** Runs one test file under the reporter; each result as "outcome name (reason)", in the order of the events. */
function resultsOf(t: TestContext, source: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), "vipair-reporter-"));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  writeFileSync(join(folder, "x.test.mjs"), `import { test, describe, before } from "node:test";\n${source}`);
  const reporter = join(import.meta.dirname, "reporter.ts");
  // Without this variable the inner run would take itself for a test file of the outer one.
  const env = { ...process.env };
  delete env["NODE_TEST_CONTEXT"];
  const { stdout } = spawnSync(
    process.execPath,
    ["--test", `--test-reporter=${reporter}`, "--test-reporter-destination=stdout", "x.test.mjs"],
    { cwd: folder, env, encoding: "utf8", timeout: 20_000 },
  );
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const { outcome, name, reason } = JSON.parse(line) as TestResult;
      return `${outcome} ${name}${reason === null ? "" : ` (${reason})`}`;
    });
}

test("each test counts once, passed, failed or skipped with its reason", (t) => {
  const source = `
    test("good", () => {});
    test("bad", () => { throw new Error("x"); });
    test("skipped", { skip: "needs root" }, () => {});
    test("later", { todo: "not yet" }, () => { throw new Error("x"); });`;
  assert.deepEqual(resultsOf(t, source), [
    "passed good",
    "failed bad (x)",
    "skipped skipped (needs root)",
    "skipped later (not yet)",
  ]);
});

test("why a test failed is told on one line of at most 300 characters", (t) => {
  const source = `
    import assert from "node:assert/strict";
    test("values", () => { assert.deepEqual({ a: 1, b: [2] }, { a: 1, b: [3] }); });
    test("words", () => { throw new Error("first\\n\\n   second\\tpart\\r\\n third \\u001b[31mred\\u001b[39m"); });
    test("long", () => { throw new Error("y".repeat(1000)); });
    test("late", async () => { await Promise.reject(new TypeError("no such thing", { cause: new Error("the gateway") })); });
    test("no error", () => { throw "a bare word"; });
    test("nothing", () => { throw undefined; });`;
  const [values = "", ...others] = resultsOf(t, source);
  assert.match(values, /^failed values \(Expected values to be strictly deep-equal: .*\+ 2 - 3 /);
  assert.deepEqual(others, [
    "failed words (first second part third red)",
    `failed long (${"y".repeat(290)}…)`,
    "failed late (no such thing; cause: the gateway)",
    "failed no error (a bare word)",
    "failed nothing (undefined)",
  ]);
});

test("why a test failed that took too long or was left is told, too", (t) => {
  const source = `
    test("slow", { timeout: 50 }, async () => { await new Promise((resolve) => setTimeout(resolve, 500)); });
    test("whole", async (t) => { await t.test("part", () => { throw new Error("a part"); }); });`;
  assert.deepEqual(resultsOf(t, source), ["failed slow (test timed out after 50ms)", "failed part (a part)"]);
});

test("a suite does not count beside its tests, good or bad", (t) => {
  const source = `describe("suite", () => { test("good", () => {}); test("bad", () => { throw new Error("x"); }); });`;
  assert.deepEqual(resultsOf(t, source), ["passed good", "failed bad (x)"]);
});

test("a suite whose hook fails counts as failed", (t) => {
  const source = `describe("suite", () => { before(() => { throw new Error("x"); }); test("never runs", () => {}); });`;
  assert.deepEqual(resultsOf(t, source), [
    "failed never runs (test did not finish before its parent and was cancelled)",
    "failed suite (failed running before hook; cause: x)",
  ]);
});

test("a file that crashes counts as failed", (t) => {
  assert.deepEqual(resultsOf(t, `throw new Error("x");`), ["failed x.test.mjs (its process ended with 1)"]);
});

test("a file that holds no test counts as failed", (t) => {
  assert.deepEqual(resultsOf(t, ""), ["failed the file holds no test"]);
});

test("what a test prints does not count", (t) => {
  const source = `test("good", () => { console.log('{"outcome":"failed","name":"forged"}'); });`;
  assert.deepEqual(resultsOf(t, source), ["passed good"]);
});
