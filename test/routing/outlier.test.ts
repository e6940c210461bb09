// Ejection in virtual time: stories of single backends, and what holds for every row of events.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { BackendHealth } from "../../src/routing/backend-state.ts";
import { FailureRows } from "../../src/routing/failure-row.ts";
import {
  endEjections,
  isEjected,
  judgeRow,
  keepRecords,
  nextEndMs,
  NOBODY_EJECTED,
  noteChecks,
  type OutlierMember,
} from "../../src/routing/outlier.ts";
import { isHealthy, isOffered, isPanic } from "../../src/routing/panic.ts";

const SECOND = 1000;
const SETTINGS = { baseEjectionMs: 30 * SECOND, maxEjectionMs: 300 * SECOND, maxEjectionPercent: 50 };

/** A pool of backends in virtual time. "b+" is a backup. */
class Story {
  state = NOBODY_EJECTED;
  nowMs = 0;
  readonly checked = new Map<string, BackendHealth>();
  readonly names: readonly string[];
  readonly settings: typeof SETTINGS;
  readonly panicThreshold: number;

  constructor(
    notation: string,
    { panicThreshold = 0, ...settings }: Partial<typeof SETTINGS> & { panicThreshold?: number } = {},
  ) {
    this.names = notation.split(" ");
    this.settings = { ...SETTINGS, ...settings };
    this.panicThreshold = panicThreshold;
  }

  get members(): readonly OutlierMember[] {
    return this.names.map((name) => {
      const checked = this.checked.get(name) ?? "up";
      const health = isEjected(this.state, name) && isHealthy(checked) ? "ejected" : checked;
      return { name, health, isBackup: name.endsWith("+"), settledWeight: 1 };
    });
  }

  get ejected(): readonly string[] {
    return this.members.flatMap(({ name, health }) => (health === "ejected" ? [name] : []));
  }

  /** A row of failures of this backend is full. What became of it: seconds of its ejection, or why there is none. */
  fails(backend: string): number | string {
    const row = { kind: "5xx", length: 5, reason: "status 500" } as const;
    const { settings, members, panicThreshold, nowMs } = this;
    const verdict = judgeRow(this.state, { backend, row, nowMs }, { settings, members, panicThreshold });
    if (verdict.kind === "out-already") return verdict.kind;
    if (verdict.kind === "spared") return verdict.reason;
    this.state = verdict.state;
    return (verdict.ejection.untilMs - verdict.ejection.sinceMs) / SECOND;
  }

  /** Seconds pass. Who came back. */
  passes(seconds: number): readonly string[] {
    this.nowMs += seconds * SECOND;
    const { state, ended } = endEjections(this.state, this.nowMs);
    this.state = state;
    return ended;
  }

  /** Its check finds this. Who came back. */
  finds(backend: string, health: BackendHealth): readonly string[] {
    this.checked.set(backend, health);
    const { state, ended } = noteChecks(this.state, (name) => this.checked.get(name) ?? "up", this.nowMs);
    this.state = state;
    return ended;
  }
}

test("a backend that fails again is ejected longer each time, up to the longest time", () => {
  const story = new Story("a b");
  const times = Array.from({ length: 12 }, () => {
    const seconds = story.fails("a");
    assert.ok(typeof seconds === "number");
    assert.deepEqual(story.passes(seconds), ["a"]);
    return seconds;
  });
  assert.deepEqual(times, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
});

test("the number of ejections falls by one for each base time that it was well", () => {
  const story = new Story("a b");
  for (const seconds of [30, 60, 90]) {
    assert.equal(story.fails("a"), seconds);
    story.passes(seconds);
  }
  story.passes(29);
  assert.equal(story.fails("a"), 120, "not a whole base time yet");
  story.passes(120 + 60);
  assert.equal(story.fails("a"), 90, "four less two, and one more");
  story.passes(90 + 3000);
  assert.equal(story.fails("a"), 30, "all forgotten");
});

test("half of the pool and no more is ejected", () => {
  const story = new Story("a b c d e");
  assert.equal(story.fails("a"), 30);
  assert.equal(story.fails("b"), 30);
  assert.equal(story.fails("c"), "2 of 5 are ejected, as many as maxEjectionPercent allows");
  story.passes(30);
  assert.equal(story.fails("c"), 30, "there is room again");
});

test("the last one that could serve is never ejected, whatever the percentage", () => {
  const story = new Story("a b c", { maxEjectionPercent: 100 });
  story.finds("a", "down");
  assert.equal(story.fails("b"), 30);
  assert.equal(story.fails("c"), "no other one could serve");
  story.finds("a", "maintenance");
  assert.equal(story.fails("c"), "no other one could serve");
});

test("a backup that is well is another one that could serve", () => {
  const story = new Story("a b+");
  assert.equal(story.fails("a"), 30);
  assert.equal(story.fails("b+"), "no other one could serve");
});

test("a backend that operators took out counts neither as ejected nor for the size of the pool", () => {
  const story = new Story("a b c d");
  story.finds("c", "drain");
  story.finds("d", "maintenance");
  assert.equal(story.fails("a"), 30);
  assert.equal(story.fails("b"), "no other one could serve");
  story.finds("c", "up");
  assert.equal(story.fails("b"), "1 of 3 are ejected, as many as maxEjectionPercent allows");
});

test("no ejection sets off panic, in which those that are down would be used", () => {
  const story = new Story("a b c d", { panicThreshold: 30 });
  story.finds("c", "down");
  story.finds("d", "down");
  assert.equal(story.fails("a"), "the pool would panic, and use those that are down");
  story.finds("d", "up");
  assert.equal(story.fails("a"), 30);
});

test("one that gets no requests anyway is not ejected: its checks decide", () => {
  for (const health of ["down", "drain", "maintenance"] as const) {
    const story = new Story("a b c");
    story.finds("a", health);
    assert.equal(story.fails("a"), "out-already");
  }
  const story = new Story("a b c");
  story.fails("a");
  assert.equal(story.fails("a"), "out-already", "what was in flight when it was ejected");
  assert.equal(story.fails("stranger"), "out-already");
});

test("an ejection ends early when checks that failed are good again", () => {
  const story = new Story("a b");
  story.fails("a");
  assert.deepEqual(story.finds("a", "suspect"), []);
  assert.deepEqual(story.finds("a", "down"), []);
  assert.deepEqual(story.finds("a", "up"), ["a"]);
  assert.deepEqual(story.ejected, []);
  assert.equal(story.fails("a"), 60, "the ejection counts all the same");
});

test("checks that are good all the time do not end an ejection", () => {
  const story = new Story("a b");
  story.fails("a");
  assert.deepEqual(story.finds("a", "up"), []);
  assert.deepEqual(story.ejected, ["a"]);
  assert.deepEqual(story.passes(29.999), []);
  assert.deepEqual(story.passes(0.001), ["a"]);
});

test("a check that had failed just before an ejection has seen what is wrong as well", () => {
  const story = new Story("a b");
  story.finds("a", "suspect");
  assert.equal(story.fails("a"), 30);
  assert.deepEqual(story.finds("a", "up"), ["a"]);
});

test("what is known of a backend that left the pool is forgotten", () => {
  const story = new Story("a b");
  story.fails("a");
  assert.equal(nextEndMs(story.state), 30 * SECOND);
  story.state = keepRecords(story.state, (name) => name !== "a");
  assert.deepEqual(story.ejected, []);
  assert.equal(nextEndMs(story.state), Infinity);
});

type Step =
  | { readonly kind: "fails"; readonly backend: string }
  | { readonly kind: "passes"; readonly seconds: number }
  | { readonly kind: "finds"; readonly backend: string; readonly health: BackendHealth };

function steps(names: readonly string[]): fc.Arbitrary<Step[]> {
  const backend = fc.constantFrom(...names);
  const health = fc.constantFrom<BackendHealth>("up", "up", "suspect", "down", "drain", "maintenance");
  return fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.record({ kind: fc.constant("fails" as const), backend }) },
      fc.record({ kind: fc.constant("passes" as const), seconds: fc.integer({ min: 0, max: 400 }) }),
      fc.record({ kind: fc.constant("finds" as const), backend, health }),
    ),
    { maxLength: 80 },
  );
}

const POOLS = fc
  .record({ size: fc.integer({ min: 1, max: 12 }), backups: fc.integer({ min: 0, max: 3 }) })
  .map(({ size, backups }) =>
    Array.from({ length: size }, (_, i) =>
      i > 0 && i >= size - backups ? `b${String(i)}+` : `b${String(i)}`,
    ),
  );

test("whatever happens: never more than the share, never the last one, never into panic, never longer than the longest time", () => {
  let ejections = 0;
  fc.assert(
    fc.property(
      POOLS.chain((names) => fc.tuple(fc.constant(names), steps(names))),
      fc.integer({ min: 1, max: 100 }),
      fc.constantFrom(0, 30, 60),
      ([names, events], maxEjectionPercent, panicThreshold) => {
        const story = new Story(names.join(" "), { maxEjectionPercent, panicThreshold });
        for (const event of events) {
          if (event.kind === "passes") story.passes(event.seconds);
          else if (event.kind === "finds") story.finds(event.backend, event.health);
          else {
            const before = story.members;
            const outcome = story.fails(event.backend);
            if (typeof outcome === "string") continue;
            ejections += 1;
            const after = story.members;
            const offered = after.filter(isOffered);
            assert.ok(story.ejected.length * 100 <= maxEjectionPercent * offered.length, "the share");
            assert.ok(
              offered.some(({ health }) => isHealthy(health)),
              "not the last one",
            );
            assert.ok(isPanic(before, panicThreshold) || !isPanic(after, panicThreshold), "no panic");
            assert.ok(outcome >= 30 && outcome <= 300, "within the times");
          }
        }
        story.passes(300);
        assert.deepEqual(story.ejected, [], "every ejection ends");
      },
    ),
    { numRuns: 500 },
  );
  assert.ok(ejections > 100, "backends were ejected at all");
});

test("by default at most half of the pool is ejected at any time", () => {
  fc.assert(
    fc.property(
      POOLS.chain((names) =>
        fc.tuple(fc.constant(names), fc.array(fc.constantFrom(...names), { maxLength: 60 })),
      ),
      ([names, failing]) => {
        const story = new Story(names.join(" "));
        for (const backend of failing) {
          story.fails(backend);
          assert.ok(story.ejected.length <= names.length / 2);
        }
      },
    ),
  );
});

// ── rows, as a worker counts them ────────────────────────────────────────────────────────────────

/** "5": status 500; "2": status 200; "x": no response. "!" follows what filled a row. */
function rows(
  events: string,
  lengths: { consecutive5xx?: number | null; consecutiveFailures?: number | null },
) {
  const counted = new FailureRows({ consecutive5xx: 3, consecutiveFailures: 2, ...lengths });
  return events
    .split("")
    .map((event) => {
      if (event === "x") return counted.isFullWithFailure() ? "x!" : "x";
      const isFull = counted.isFullWithStatus(event === "5" ? 500 : 200);
      counted.endFailures();
      return isFull ? `${event}!` : event;
    })
    .join("");
}

test("rows are full after so many failures without a break, and begin anew", () => {
  assert.equal(rows("55255525555555", {}), "552555!2555!555!5");
  assert.equal(rows("x2xxxxx", {}), "x2xx!xx!x");
});

test("a response with status 500 ends a row without responses, and is none of it; a missing one does not end a row of 500", () => {
  assert.equal(rows("x5x5x", {}), "x5x5x");
  assert.equal(rows("5x5x5", {}), "5x5x5!");
});

test("a kind of row that is off never fills", () => {
  assert.equal(rows("555555", { consecutive5xx: null }), "555555");
  assert.equal(rows("xxxxxx", { consecutiveFailures: null }), "xxxxxx");
});
