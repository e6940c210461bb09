import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { formatDuration, formatSize, readDuration, readSize } from "../../src/config/quantity.ts";
import type { Reading } from "../../src/config/reading.ts";

test("a duration has a whole number and a unit", () => {
  assert.deepEqual(
    ["0ms", "200ms", "5s", "1m", "2h"].map((text) => valueOf(readDuration(text))),
    [0, 200, 5000, 60_000, 7_200_000],
  );
  const bad = ["", "5", "s", "1.5s", "-1s", "5 s", " 5s", "5S", "5sec", "1m30s", "0x5s", "٥s"];
  assert.deepEqual(
    bad.filter((text) => readDuration(text).kind !== "invalid"),
    [],
  );
});

test("a size has a whole number and a unit of 1024", () => {
  assert.deepEqual(
    ["0B", "16KiB", "1MiB", "2GiB"].map((text) => valueOf(readSize(text))),
    [0, 16_384, 1_048_576, 2_147_483_648],
  );
  const bad = ["", "16", "16KB", "16K", "16kib", "1.5MiB", "-1B"];
  assert.deepEqual(
    bad.filter((text) => readSize(text).kind !== "invalid"),
    [],
  );
});

test("every duration and every size is read as it was written", () => {
  fc.assert(
    fc.property(fc.nat(10 ** 12), (value) => {
      assert.deepEqual(readDuration(formatDuration(value)), { kind: "ok", value });
      assert.deepEqual(readSize(formatSize(value)), { kind: "ok", value });
    }),
  );
});

test("a duration is written with the largest unit that needs no fraction", () => {
  assert.deepEqual(
    [0, 20, 1500, 90_000, 60_000, 3_600_000].map(formatDuration),
    "0ms 20ms 1500ms 90s 1m 1h".split(" "),
  );
});

function valueOf(reading: Reading<number>): number | undefined {
  return reading.kind === "ok" ? reading.value : undefined;
}
