// What the package for a Raspberry Pi brings runs here, under an emulator where this machine is another one. It takes minutes of processor time, and
// gets only what other tests leave.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const SCRIPT = join(import.meta.dirname, "../../scripts/test-arm64.sh");
const WITHIN_MS = 1_100_000;
/** What the script ends with where it cannot run. */
const SKIPPED = 77;

test(
  "the runtime for arm64, vipair check and the tests of the pure folders run",
  { timeout: WITHIN_MS },
  (t) => {
    const { status, stdout, stderr } = spawnSync(SCRIPT, {
      encoding: "utf8",
      timeout: WITHIN_MS,
      maxBuffer: 64 * 1024 * 1024,
    });
    if (status === SKIPPED) {
      t.skip(stderr.trim());
      return;
    }
    console.log(stdout);
    assert.equal(status, 0, stderr);
  },
);
