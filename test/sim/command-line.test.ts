// The simulator's own command line, which people type when a run has failed.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

function sim(...args: readonly string[]): { readonly status: number | null; readonly stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
}

test("what the simulator does not understand is answered by the reason, a usage line, and exit 2", () => {
  const mistakes: readonly (readonly [readonly string[], RegExp])[] = [
    [["--sead", "7"], /^Unknown option '--sead'/],
    [["--seed", "x"], /^--seed x: it must be a whole number from 1 on$/m],
    [["--runs", "0"], /^--runs 0: it must be/],
    [["--mutant", "sleeps"], /^no such mutant: sleeps; there are claims without listening,/],
  ];
  for (const [args, reason] of mistakes) {
    const { status, stderr } = sim(...args);
    assert.equal(status, 2);
    assert.match(stderr, reason);
    assert.match(stderr, /\nusage: npm run sim -- .*--seed N.*\n$/);
    assert.ok(!stderr.includes("    at "), "no stack");
  }
});
