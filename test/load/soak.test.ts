// The soak, short: `npm run soak` takes ten minutes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, soak } from "./soak.ts";

const SECONDS = 15;

test(`${String(SECONDS)} s of all kinds of clients: no request fails, and memory does not grow`, async (t) => {
  const seed = Date.now() % 1_000_000;
  const report = await soak({
    seconds: SECONDS,
    bulkMib: 0,
    seed,
    tell: (line) => {
      t.diagnostic(line);
    },
  });
  t.diagnostic(
    `seed ${String(seed)}, ${String(report.good)} good, grown by ${String(report.grownBytes)} bytes`,
  );
  assert.deepEqual(judge(report), []);
  assert.ok(report.good > 100, String(report.good));
});
