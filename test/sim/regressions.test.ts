// What the simulator found once, and stories that chance brings about too rarely, each played with many dice.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type Regression, REGRESSIONS } from "./regressions.ts";
import { play } from "./run.ts";
import { CALM, type Scenario } from "./scenario.ts";
import { UNJUST } from "./unjust.ts";

/** Latencies, clocks, hooks and losses differ. */
const DICE = 100;

function playOften(scenarioOf: (seed: number) => Scenario): void {
  for (let seed = 1; seed <= DICE; seed++) assert.equal(play(scenarioOf(seed)), undefined);
}

function keep({ found, scenario }: Regression): void {
  test(`${found} (seed ${String(scenario.seed)})`, () => {
    assert.equal(play({ ...CALM, ...scenario }), undefined);
    playOften((seed) => ({ ...CALM, ...scenario, seed }));
  });
}

suite("defects that the simulator found once stay mended", () => {
  for (const regression of REGRESSIONS) keep(regression);
});

suite("what a node was blamed for once, and could not help, is not held against it", () => {
  for (const regression of UNJUST) keep(regression);
});

suite("what chance brings about too rarely", () => {
  const careful = { ...CALM, claim: "safe", leaseMs: 1000, stopGraceMs: 5000 } as const;

  test("claim: safe: an active that stops while its standby restarts is let drain by it", () => {
    playOften((seed) => ({
      ...careful,
      seed,
      events: [
        { time: 5000, fault: { kind: "crash", on: "standby", forMs: 100 } },
        { time: 5200, fault: { kind: "stop", on: "active", forMs: 6000 } },
      ],
    }));
  });

  for (const claim of ["fast", "safe"] as const) {
    const joining = { ...CALM, claim, priorities: [[100, 200]], healedAt: 14_000 } as const;

    test(`claim: ${claim}: a pair of one gets its second node before or after that is named, and nothing moves`, () => {
      playOften((seed) => ({
        ...joining,
        seed,
        // No role may change once the first node is active.
        isSteady: true,
        startsAt: [0, 3000 + 7 * seed],
        namedAt: 3000 + 153 * (seed % 20),
        arbiter: seed % 2 === 0,
      }));
    });

    test(`claim: ${claim}: the first node dies, or is cut off, before it knows its second one's name`, () => {
      playOften((seed) => ({
        ...joining,
        seed,
        startsAt: [0, 3000],
        namedAt: 11_000,
        events: [
          {
            time: 6000 + 13 * seed,
            fault: { kind: seed % 2 === 0 ? "crash" : "cable", on: 0, forMs: 100 * (1 + (seed % 30)) },
          },
        ],
      }));
    });
  }

  test("claim: safe: the kernel may keep an address a second longer where it has several", () => {
    playOften((seed) => ({
      ...careful,
      seed,
      priorities: [
        [150, 100],
        [100, 150],
      ],
      events: [{ time: 5000 + 7 * seed, fault: { kind: "crash", on: "active", forMs: 6000 } }],
    }));
  });

  test("claim: safe: a hook that was running when its process died may set the lease late", () => {
    playOften((seed) => ({
      ...careful,
      seed,
      hooks: { slow: 1, failing: 0, hanging: 0 },
      events: [{ time: 5000 + 7 * seed, fault: { kind: "crash", on: "active", forMs: 6000 } }],
    }));
  });

  test("claim: safe: a holder that dies when a cut has just ended is waited for anew, as soon as its death is known", () => {
    playOften((seed) => ({
      ...careful,
      seed,
      events: [
        { time: 4000, fault: { kind: "partition", on: 0, forMs: 1500 } },
        { time: 5450 + 10 * seed, fault: { kind: "crash", on: "active", forMs: 3000 } },
      ],
    }));
  });

  test("maintenance that was ordered outlives the power of its node", () => {
    playOften((seed) => ({
      ...CALM,
      seed,
      events: [
        { time: 4000, fault: { kind: "standby", on: "active", forMs: 9000, force: false } },
        { time: 4000 + 10 * seed, fault: { kind: "power off", on: 0, forMs: 700 } },
        { time: 4500 + 10 * seed, fault: { kind: "power off", on: 1, forMs: 700 } },
      ],
      healedAt: 13_000,
    }));
  });

  test("a drain is not taken back by a node that has not heard yet that the file of the other names it again", () => {
    playOften((seed) => ({
      ...CALM,
      seed,
      events: [
        { time: 3000, fault: { kind: "drain", on: 0, forMs: 20_000 } },
        { time: 3900, fault: { kind: "backend leaves", on: 0, forMs: 4000 } },
        { time: 4000, fault: { kind: "backend leaves", on: 1, forMs: 8000 } },
        { time: 7901 + 2 * seed, fault: { kind: "drain", on: 0, forMs: 9000 } },
      ],
    }));
  });

  test("a drain that was given while a frozen node was about to take back an older one stands", () => {
    playOften((seed) => ({
      ...CALM,
      seed,
      events: [
        { time: 3000, fault: { kind: "drain", on: 0, forMs: 20_000 } },
        { time: 4000, fault: { kind: "backend leaves", on: 1, forMs: 8000 } },
        { time: 4100, fault: { kind: "backend leaves", on: 0, forMs: 1600 } },
        { time: 5500, fault: { kind: "freeze", on: 1, forMs: 700 + 5 * seed, withChildren: false } },
        { time: 5710 + 2 * seed, fault: { kind: "drain", on: 0, forMs: 9000 } },
      ],
    }));
  });

  test("words that have waited for a frozen node, about a file that the other has no longer, take no drain back", () => {
    playOften((seed) => ({
      ...CALM,
      seed,
      events: [
        { time: 3000, fault: { kind: "drain", on: 0, forMs: 20_000 } },
        { time: 4000, fault: { kind: "freeze", on: 1, forMs: 3000, withChildren: false } },
        { time: 4100, fault: { kind: "backend leaves", on: 0, forMs: 900 } },
        { time: 4110 + 5 * seed, fault: { kind: "backend leaves", on: 1, forMs: 6000 } },
      ],
    }));
  });

  test("drains that both nodes were given while they were apart become one when they meet", () => {
    playOften((seed) => ({
      ...CALM,
      seed,
      events: [
        { time: 3000, fault: { kind: "partition", on: 0, forMs: 5000 } },
        { time: 3500 + 5 * seed, fault: { kind: "drain", on: 0, forMs: 1500 } },
        { time: 4000, fault: { kind: "drain", on: 1, forMs: 2000 } },
      ],
    }));
  });
});
