// When checks are made, in virtual time: the timers are the test's, and so is the clock.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { ProbeResult } from "../../src/control/probe.ts";
import { RepeatedCheck } from "../../src/control/repeated-check.ts";
import type { RepeatedCheckTiming } from "../../src/control/repeated-check.ts";
import { UNKNOWN } from "../../src/routing/health.ts";

const TIMING: RepeatedCheckTiming = {
  intervalMs: 1000,
  fastIntervalMs: 200,
  downIntervalMs: 5000,
  rise: 2,
  fall: 3,
};

interface Rig {
  readonly check: RepeatedCheck;
  /** Lets this much time pass. */
  readonly pass: (ms: number) => Promise<void>;
  /** When looks began, since the last time that this was asked. */
  readonly looks: () => readonly number[];
  result: "good" | "bad";
  /** How long a look takes. */
  lookMs: number;
}

function rig(t: TestContext, { random = () => 0, timing = TIMING, firstWithinMs = 20 } = {}): Rig {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 0;
  let seen: number[] = [];
  const check = new RepeatedCheck({
    timing,
    health: UNKNOWN,
    clock: () => now,
    random,
    firstWithinMs,
    look: async () => {
      seen.push(now);
      const result: ProbeResult = made.result === "good" ? { kind: "good" } : { kind: "bad", reason: "no" };
      if (made.lookMs > 0) await new Promise<void>((resolve) => setTimeout(resolve, made.lookMs));
      return result;
    },
    onLook: () => undefined,
  });
  t.after(() => {
    check.stop();
  });
  const made: Rig = {
    check,
    result: "good",
    lookMs: 0,
    looks: () => {
      const looks = seen;
      seen = [];
      return looks;
    },
    pass: async (ms) => {
      for (let i = 0; i < ms; i += 1) {
        now += 1;
        t.mock.timers.tick(1);
        // A look is a few promises deep.
        for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
      }
    },
  };
  return made;
}

test("a check is made at each interval, the first at once", async (t) => {
  const { check, pass, looks } = rig(t);
  check.start();
  await pass(3500);
  assert.deepEqual(looks(), [1, 1001, 2001, 3001]);
});

test("the interval counts from the end of a check, so that a slow one never overlaps the next", async (t) => {
  const made = rig(t);
  made.lookMs = 300;
  made.check.start();
  await made.pass(3500);
  assert.deepEqual(made.looks(), [1, 1301, 2601]);
});

test("checks are fast while a backend fails, slow while it is down, fast again while it comes back", async (t) => {
  const made = rig(t);
  made.check.start();
  await made.pass(500);
  assert.deepEqual(made.looks(), [1]);
  made.result = "bad";
  // Suspect at 1001, and the third bad check in a row makes it down.
  await made.pass(1000);
  assert.deepEqual(made.looks(), [1001, 1201, 1401]);
  assert.equal(made.check.health.kind, "down");
  await made.pass(10_000);
  assert.deepEqual(made.looks(), [6401, 11_401]);
  made.result = "good";
  await made.pass(5500);
  assert.deepEqual(made.looks(), [16_401, 16_601]);
  assert.equal(made.check.health.kind, "up");
  await made.pass(1000);
  assert.deepEqual(made.looks(), [17_601]);
});

test("a good check that a bad one follows begins the way back anew", async (t) => {
  const made = rig(t, { timing: { ...TIMING, rise: 3, fall: 1 } });
  made.result = "bad";
  made.check.start();
  await made.pass(10);
  made.result = "good";
  await made.pass(5191);
  made.result = "bad";
  await made.pass(5300);
  // Good at 5001 and 5201, bad at 5401: from there the slow interval.
  assert.deepEqual(made.looks(), [1, 5001, 5201, 5401, 10_401]);
  assert.deepEqual(made.check.health, { kind: "down", successes: 0 });
});

test("a hint brings the next check forward, but never within 100 ms of the last", async (t) => {
  const made = rig(t);
  made.check.start();
  await made.pass(50);
  for (let i = 0; i < 100; i += 1) made.check.hasten();
  await made.pass(200);
  assert.deepEqual(made.looks(), [1, 101]);
  made.check.hasten();
  await made.pass(5);
  assert.equal(made.looks().length, 1);
});

test("no two checks of many stay in step: jitter spreads them over the interval", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let seed = 42;
  // A linear congruential generator: the same numbers in every run.
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed / 2_147_483_648;
  };
  let now = 0;
  const last = new Map<number, number[]>();
  const checks = Array.from({ length: 50 }, (_, index) => {
    last.set(index, []);
    return new RepeatedCheck({
      timing: TIMING,
      health: UNKNOWN,
      clock: () => now,
      random,
      firstWithinMs: 20,
      look: async () => {
        last.get(index)?.push(now);
        return Promise.resolve({ kind: "good" });
      },
      onLook: () => undefined,
    });
  });
  t.after(() => {
    for (const check of checks) check.stop();
  });
  for (const check of checks) check.start();
  for (; now < 60_000; now += 1) {
    t.mock.timers.tick(1);
    for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
  }
  const intervals = [...last.values()].flatMap((times) =>
    times.slice(1).map((time, i) => time - (times[i] ?? 0)),
  );
  assert.ok(Math.min(...intervals) >= 899 && Math.max(...intervals) <= 1001);
  // All began within 20 ms; a minute later no 100 ms of the interval have more than twice their share of the 50.
  const phases = [...last.values()].map((times) => (times.at(-1) ?? 0) - 59_000);
  const buckets = new Map<number, number>();
  for (const phase of phases) {
    const bucket = Math.floor(phase / 100);
    buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
  }
  assert.ok(Math.max(...buckets.values()) <= 12, JSON.stringify([...buckets]));
});
