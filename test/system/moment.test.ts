import assert from "node:assert/strict";
import { test } from "node:test";
import { Moment } from "../../src/system/moment.ts";

test("a moment follows the wall clock when that is set, and reads the same as long as it is not", () => {
  let now = 5000;
  let wall = Date.parse("2026-11-20T03:00:00.000Z");
  const moment = new Moment(
    () => now,
    () => wall,
  );
  now += 20_000;
  wall += 20_000;
  assert.equal(moment.format(), "2026-11-20T03:00:00.000Z");

  wall = Date.parse("2026-11-21T12:01:27.000Z");
  assert.equal(moment.format(), "2026-11-21T12:01:07.000Z", "20 s ago, as the clock now says");

  // The two clocks are never read in the same instant.
  now += 60_000;
  wall += 60_004;
  assert.equal(moment.format(), "2026-11-21T12:01:07.000Z");
});
