// The retry budget: Envoy's rule.

import assert from "node:assert/strict";
import { test } from "node:test";
import { hasBudget } from "../../src/routing/retry-budget.ts";

/** How many of so many active requests may be sent again at a time. */
function allowed(active: number, budget: { readonly percent: number; readonly floor: number }): number {
  let retrying = 0;
  while (hasBudget({ retrying, active }, budget)) retrying += 1;
  return retrying;
}

test("a fifth of the active requests may be sent again, and three however few there are", () => {
  const budget = { percent: 20, floor: 3 };
  for (const [active, expected] of [
    [1, 3],
    [15, 3],
    [19, 3],
    [20, 4],
    [24, 4],
    [25, 5],
    [1000, 200],
  ] as const) {
    assert.equal(allowed(active, budget), expected, `${String(active)} active`);
  }
});

test("without a percentage the floor is all there is, without both nothing", () => {
  assert.equal(allowed(1000, { percent: 0, floor: 2 }), 2);
  assert.equal(allowed(1000, { percent: 0, floor: 0 }), 0);
});
