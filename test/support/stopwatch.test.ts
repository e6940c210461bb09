import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Stopwatch } from "./stopwatch.ts";

function standStill(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test("what took longer than its limit fails, however often the watch is read", async (t) => {
  const stopwatch = new Stopwatch(t);
  await sleep(50);
  for (let reads = 0; reads < 3; reads += 1) {
    assert.throws(() => {
      stopwatch.assertBelow(100, 10_000);
    }, /took 10000 ms, limit 100 ms/);
  }
});

test("the time that the machine stood still is on top of the limit, once", async (t) => {
  const stopwatch = new Stopwatch(t);
  await sleep(20);
  standStill(300);
  stopwatch.assertBelow(100, 350);
  await sleep(20);
  stopwatch.assertBelow(100, 350);
  assert.throws(() => {
    stopwatch.assertBelow(100, 100_000);
  });
});
