// Ejection in virtual time: stories of single backends, and what holds for every row of events.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { BackendHealth } from "../../src/routing/backend-state.ts";
import { FailureRows } from "../../src/routing/failure-row.ts";
import {
  type Ends,
  endEjections,
  isEjected,
  judgeRow,
  keepRecords,
  nextEndMs,
  NOBODY_EJECTED,
  noteChecks,
  type OutlierMember,
  reconsider,
} from "../../src/routing/outlier.ts";
import { isHealthy, isOffered, isPanic } from "../../src/routing/panic.ts";

const SECOND = 1000;
const SETTINGS = { baseEjectionMs: 30 * SECOND, maxEjectionMs: 300 * SECOND, maxEjectionPercent: 50 };

/** A pool of backends in virtual time. "b+" is a backup. */
class Story {
  state = NOBODY_EJECTED;
  nowMs = 0;
  readonly checked = new Map<string, BackendHealth>();
  readonly weights = new Map<string, number>();
  names: readonly string[];
  /** Whose ejections the limits ended after the last change, and why. */
  letGo: readonly string[] = [];
  reasons: readonly string[] = [];
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
      return { name, health, isBackup: name.endsWith("+"), settledWeight: this.weights.get(name) ?? 1 };
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
    return this.#follow(endEjections(this.state, this.nowMs));
  }

  /** Its check, its agent or an operator says this. Who came back. */
  finds(backend: string, health: BackendHealth): readonly string[] {
    this.checked.set(backend, health);
    return this.#follow(noteChecks(this.state, (name) => this.checked.get(name) ?? "up", this.nowMs));
  }

  /** Its weight is this from now on. Who came back. */
  weighs(backend: string, weight: number): readonly string[] {
    this.weights.set(backend, weight);
    return this.#follow({ state: this.state, ended: [] });
  }

  /** It is no part of the pool any more. Who came back. */
  leaves(backend: string): readonly string[] {
    this.names = this.names.filter((name) => name !== backend);
    const state = keepRecords(this.state, (name) => name !== backend);
    return this.#follow({ state, ended: [] });
  }

  /** A new one is part of the pool. */
  joins(backend: string): readonly string[] {
    this.names = [...this.names.filter((name) => name !== backend), backend];
    return this.#follow({ state: this.state, ended: [] });
  }

  /** What a change brings, and what follows from that. */
  #follow({ state, ended }: Ends): readonly string[] {
    this.state = state;
    const { settings, members, panicThreshold } = this;
    const after = reconsider(this.state, this.nowMs, { settings, members, panicThreshold });
    this.state = after.state;
    this.reasons = after.ended.map(({ reason }) => reason);
    this.letGo = after.ended.map(({ backend }) => backend);
    return [...ended, ...after.ended].map(({ backend }) => backend);
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

test("an order that gives a pool back an ejected backend ends the ejection that would end first", () => {
  const story = new Story("a b c");
  assert.equal(story.fails("a"), 30);
  story.passes(1);
  story.finds("a", "drain");
  story.joins("d");
  assert.equal(story.fails("b"), 30, "one of three");
  story.leaves("d");
  assert.deepEqual(story.ejected, ["b"], "one of two");
  assert.deepEqual(story.finds("a", "up"), ["a"]);
  assert.deepEqual(story.reasons, ["2 of 3 were ejected, more than maxEjectionPercent allows"]);
  assert.equal(story.fails("a"), "1 of 3 are ejected, as many as maxEjectionPercent allows");
});

test("a pool that becomes smaller ends ejections until half of it is left", () => {
  const story = new Story("a b c d e f");
  for (const backend of ["a", "b", "c"]) {
    assert.equal(story.fails(backend), 30);
    story.passes(1);
  }
  assert.deepEqual(story.finds("d", "drain"), ["a"]);
  assert.deepEqual(story.finds("d", "up"), [], "whoever is back stays");
  assert.deepEqual(story.leaves("e"), []);
  assert.deepEqual(story.weighs("f", 0), []);
  assert.deepEqual(story.finds("d", "maintenance"), ["b"]);
  assert.deepEqual(story.ejected, ["c"]);
});

test("when nobody else can serve any more, the ejection ends that would end first", () => {
  const story = new Story("a b c d");
  story.fails("a");
  story.passes(1);
  story.fails("b");
  assert.deepEqual(story.finds("c", "down"), []);
  assert.deepEqual(story.finds("d", "down"), ["a"]);
  assert.deepEqual(story.reasons, ["no other one can serve any more"]);
  assert.deepEqual(story.finds("a", "down"), ["b"]);
});

test("what was ejected before others went down sets off no panic either", () => {
  const story = new Story("a b c d e f+", { panicThreshold: 50 });
  story.fails("f+");
  story.fails("a");
  assert.deepEqual(story.finds("b", "down"), []);
  assert.deepEqual(story.finds("c", "down"), ["a"], "and not the backup, which would not help");
  assert.deepEqual(story.reasons, ["the pool would panic without it, and use those that are down"]);
  assert.equal(isPanic(story.members, 50), false);
  assert.deepEqual(story.finds("d", "down"), [], "this panic is not the ejection's");
  assert.equal(isPanic(story.members, 50), true);
});

test("an end in time that brings panic about, since a backup had served instead, ends others", () => {
  const story = new Story("a b c d e f g+", { panicThreshold: 50 });
  for (const backend of ["a", "b", "c"]) {
    assert.equal(story.fails(backend), 30);
    story.passes(1);
  }
  for (const backend of ["d", "e"]) story.finds(backend, "down");
  assert.deepEqual(story.ejected, ["c"]);
});

type Step =
  | { readonly kind: "fails" | "leaves" | "joins"; readonly backend: string }
  | { readonly kind: "passes"; readonly seconds: number }
  | { readonly kind: "finds"; readonly backend: string; readonly health: BackendHealth }
  | { readonly kind: "weighs"; readonly backend: string; readonly weight: number };

function steps(names: readonly string[]): fc.Arbitrary<Step[]> {
  const backend = fc.constantFrom(...names);
  const health = fc.constantFrom<BackendHealth>("up", "up", "suspect", "down", "drain", "maintenance");
  return fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant("fails" as const), backend }) },
      fc.record({ kind: fc.constant("passes" as const), seconds: fc.integer({ min: 0, max: 100 }) }),
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("finds" as const), backend, health }) },
      fc.record({ kind: fc.constant("weighs" as const), backend, weight: fc.constantFrom(0, 1, 1, 3) }),
      fc.record({ kind: fc.constantFrom("leaves" as const, "joins" as const), backend }),
    ),
    { maxLength: 80, size: "max" },
  );
}

/** What became of it, as Story.fails tells; of everything else nothing. */
function play(story: Story, event: Step): number | string | null {
  switch (event.kind) {
    case "fails":
      return story.fails(event.backend);
    case "passes":
      story.passes(event.seconds);
      return null;
    case "finds":
      story.finds(event.backend, event.health);
      return null;
    case "weighs":
      story.weighs(event.backend, event.weight);
      return null;
    case "leaves":
    case "joins":
      story[event.kind](event.backend);
      return null;
  }
}

const POOLS = fc
  .record({ size: fc.integer({ min: 1, max: 12 }), backups: fc.integer({ min: 0, max: 3 }) })
  .map(({ size, backups }) =>
    Array.from({ length: size }, (_, i) =>
      i > 0 && i >= size - backups ? `b${String(i)}+` : `b${String(i)}`,
    ),
  );

/** Which limit these members break, said without the code under test. */
function brokenLimit(
  members: readonly OutlierMember[],
  { maxEjectionPercent, panicThreshold }: { maxEjectionPercent: number; panicThreshold: number },
): string | null {
  const offered = members.filter(isOffered);
  const ejected = offered.filter(({ health }) => health === "ejected");
  if (ejected.length * 100 > maxEjectionPercent * offered.length) return "more than the share";
  if (ejected.length > 0 && !offered.some(({ health }) => isHealthy(health))) return "the last one";
  const pardoned = members.map((one) => (ejected.includes(one) ? { ...one, health: "up" as const } : one));
  return isPanic(members, panicThreshold) && !isPanic(pardoned, panicThreshold) ? "panic" : null;
}

test("whatever happens, after each event: no more ejected than the share, never the last one, no panic by ejections; and no ejection ends for that without need", () => {
  let ejections = 0;
  const letGoFor = { share: 0, last: 0, panic: 0 };
  fc.assert(
    fc.property(
      POOLS.chain((names) => fc.tuple(fc.constant(names), steps(names))),
      fc.integer({ min: 1, max: 100 }),
      fc.constantFrom(0, 30, 60),
      ([names, events], maxEjectionPercent, panicThreshold) => {
        const limits = { maxEjectionPercent, panicThreshold };
        const story = new Story(names.join(" "), limits);
        for (const event of events) {
          const outcome = play(story, event);
          assert.equal(brokenLimit(story.members, limits), null);
          if (typeof outcome === "number") {
            ejections += 1;
            assert.ok(outcome >= 30 && outcome <= 300, "within the times");
          }
          if (outcome !== null) continue;
          const last = story.letGo.at(-1);
          if (last === undefined) continue;
          const without = story.members.map((one) =>
            one.name === last ? { ...one, health: "ejected" as const } : one,
          );
          const broken = brokenLimit(without, limits);
          assert.notEqual(broken, null);
          letGoFor[broken === "panic" ? "panic" : broken === "the last one" ? "last" : "share"] += 1;
        }
        story.passes(300);
        assert.deepEqual(story.ejected, [], "every ejection ends");
      },
    ),
    { numRuns: 500 },
  );
  assert.ok(ejections > 100, "backends were ejected at all");
  for (const [limit, count] of Object.entries(letGoFor)) assert.ok(count > 3, limit);
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
