import assert from "node:assert/strict";
import { test } from "node:test";
import { ElectionDriver } from "../../src/control/driver.ts";
import type { Effect, Settings } from "../../src/election/state.ts";

const SETTINGS: Settings = {
  node: "a",
  peer: "b",
  priority: 150,
  peerPriority: 100,
  intervalMs: 100,
  leaseMs: 2000,
  expiryLateMs: 0,
  claim: "fast",
  preempt: false,
  preemptDelayMs: 0,
  group: "default",
  arbiter: false,
  roleChangesMax: 4,
  configHash: "0123456789ab",
  stopGraceMs: 1000,
};

/** A driver on a clock that a test moves; the log tells what it did. */
function drive(performed: (effect: Effect) => void = () => undefined) {
  const time = { nowMs: 1000 };
  const events: string[] = [];
  const driver = new ElectionDriver({
    settings: SETTINGS,
    memory: { epoch: 0 },
    clock: () => time.nowMs,
    perform: (effect) => {
      performed(effect);
      events.push(effect.kind === "log" ? effect.event : effect.kind);
    },
    onState: () => undefined,
  });
  return { time, events, driver };
}

test("a node listens for one active-down interval from its start, however long its workers took to come up", (t) => {
  const { time, driver } = drive();
  t.after(() => {
    driver.stop();
  });
  time.nowMs += 5000;
  driver.start();
  const { phase } = driver.state;
  assert.equal(phase.kind, "listening");
  // RFC 9568 6.1: 3 intervals and the skew of priority 150.
  assert.equal(phase.until, 6000 + 300 + (256 - 150) * (100 / 256));
});

test("a slow start is no stall", (t) => {
  const { time, events, driver } = drive();
  t.after(() => {
    driver.stop();
  });
  time.nowMs += 5000;
  driver.start();
  driver.input({ kind: "deadline" });
  assert.ok(!events.includes("this process was stalled"), events.join());
});

test("what befell the node before its start counts", (t) => {
  const { events, driver } = drive();
  t.after(() => {
    driver.stop();
  });
  driver.input({ kind: "fault", cause: "workers", detail: "5 workers died within 10 s" });
  driver.start();
  assert.equal(driver.state.phase.kind, "fault");
  assert.ok(events.includes("release"), events.join());
});

test("a reload is told to the peer at once, before any order that the new file allows", (t) => {
  const said: string[] = [];
  const { time, driver } = drive((effect) => {
    if (effect.kind === "advertise") said.push(effect.advertisement.configHash);
  });
  t.after(() => {
    driver.stop();
  });
  driver.adopt({ configHash: "before", stopGraceMs: 8_000 });
  assert.deepEqual(said, [], "nothing is said before the start");
  driver.start();
  time.nowMs += 1;
  driver.adopt({ configHash: "after", stopGraceMs: 8_000 });
  assert.deepEqual([...new Set(said)], ["before", "after"]);
});

test("a driver that was stopped stays so, whatever a late hook reports", () => {
  const { time, events, driver } = drive();
  driver.start();
  driver.stop();
  const before = events.length;
  time.nowMs += 60_000;
  driver.input({ kind: "released" });
  assert.equal(events.length, before);
});
