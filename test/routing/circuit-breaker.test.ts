// Circuit breakers in virtual time.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { CircuitBreaker, type Pass } from "../../src/routing/circuit-breaker.ts";

const CONFIG = { failureRate: 50, minimumRequests: 4, windowMs: 10_000, openMs: 5000, trials: 2 };

/** A breaker at a time, and requests that begin and end at once: "+" good, "-" failed, "." refused. */
class Story {
  readonly breaker: CircuitBreaker;
  nowMs = 100_000;

  constructor(config: Partial<typeof CONFIG> = {}) {
    this.breaker = new CircuitBreaker({ ...CONFIG, ...config });
  }

  get phase(): string {
    return this.breaker.state?.phase ?? "closed";
  }

  begin(): Pass | null {
    return this.breaker.accepts(this.nowMs) ? this.breaker.admit(this.nowMs) : null;
  }

  succeed(pass: Pass): boolean {
    return this.breaker.succeed(pass, this.nowMs);
  }

  fail(pass: Pass, hadSucceeded = false): boolean {
    return this.breaker.fail(pass, { nowMs: this.nowMs, reason: "status 500", hadSucceeded });
  }

  /** What became of requests that would end so. */
  play(outcomes: string): string {
    return outcomes
      .split("")
      .map((outcome) => {
        const pass = this.begin();
        if (pass === null) return ".";
        if (outcome === "+") this.succeed(pass);
        else this.fail(pass);
        return outcome;
      })
      .join("");
  }

  opened(config: Partial<typeof CONFIG> = {}): this {
    assert.equal(this.play("-".repeat(config.minimumRequests ?? 4)).includes("."), false);
    assert.equal(this.phase, "open");
    return this;
  }
}

test("it opens when the share of failures is reached, and not before there were enough requests", () => {
  const story = new Story();
  assert.equal(story.play("---"), "---");
  assert.equal(story.phase, "closed");
  assert.equal(story.play("+-+"), "+-.", "four of five, and it is open");
  assert.equal(story.breaker.state?.reason, "4 of 5 requests failed within 10 s, the last one: status 500");
});

test("it opens with a failure that makes the share full, not with a success", () => {
  const story = new Story({ minimumRequests: 4 });
  story.play("--++");
  assert.equal(story.phase, "closed");
  story.play("-");
  assert.equal(story.phase, "open");
});

test("what is older than the window does not count", () => {
  const story = new Story();
  story.play("---");
  story.nowMs += 11_000;
  story.play("-");
  assert.equal(story.phase, "closed");
  story.nowMs += 8000;
  story.play("---");
  assert.equal(story.phase, "open", "four within ten seconds");
});

test("open it refuses until its time is up, then lets trials through, and closes when all were good", () => {
  const story = new Story().opened();
  story.nowMs += 4999;
  assert.equal(story.begin(), null);
  story.nowMs += 1;
  const [one, two] = [story.begin(), story.begin()];
  assert.ok(one !== null && two !== null);
  assert.equal(story.phase, "half-open");
  assert.equal(story.begin(), null, "a third one");
  assert.equal(story.succeed(one), false);
  assert.equal(story.begin(), null, "as many as trials in all, not at a time");
  assert.equal(story.succeed(two), true);
  assert.equal(story.phase, "closed");
  assert.equal(story.play("---"), "---", "the window begins anew");
});

test("a trial that fails opens it again for its whole time", () => {
  const story = new Story().opened();
  story.nowMs += 5000;
  assert.equal(story.play("+-+"), "+-.");
  assert.equal(story.breaker.state?.reason, "a request on trial failed: status 500");
  story.nowMs += 4999;
  assert.equal(story.begin(), null);
});

test("what began before it opened decides nothing about the trials", () => {
  const story = new Story();
  const early = [story.begin(), story.begin(), story.begin()];
  story.opened();
  story.nowMs += 5000;
  const trial = story.begin();
  for (const [i, pass] of early.entries()) {
    assert.ok(pass !== null);
    assert.equal(i === 0 ? story.fail(pass) : story.succeed(pass), false);
  }
  assert.equal(story.phase, "half-open");
  assert.ok(trial !== null);
  story.succeed(trial);
  assert.equal(story.play("+"), "+");
  assert.equal(story.phase, "closed");
});

test("a trial that was handed back is free for another request", () => {
  const story = new Story().opened();
  story.nowMs += 5000;
  for (let gone = 0; gone < 10; gone += 1) {
    const pass = story.begin();
    assert.ok(pass !== null);
    story.breaker.handBack(pass);
  }
  assert.equal(story.play("++"), "++");
  assert.equal(story.phase, "closed");
});

test("trials whose outcome does not come are replaced after the open time, and then decide nothing", () => {
  const story = new Story().opened();
  story.nowMs += 5000;
  const stuck = [story.begin(), story.begin()];
  story.nowMs += 4999;
  assert.equal(story.begin(), null);
  story.nowMs += 1;
  const fresh = story.begin();
  assert.ok(fresh !== null);
  for (const pass of stuck) {
    assert.ok(pass !== null);
    story.breaker.handBack(pass);
    story.fail(pass);
  }
  assert.equal(story.phase, "half-open");
  assert.ok(story.begin() !== null);
  assert.equal(story.begin(), null, "handing back an old pass makes no room");
});

test("a response that broke off after its head counts as failed, and as one request", () => {
  const story = new Story({ failureRate: 100 });
  for (let request = 0; request < 4; request += 1) {
    const pass = story.begin();
    assert.ok(pass !== null);
    story.succeed(pass);
    story.fail(pass, true);
  }
  assert.equal(story.phase, "open");
  assert.match(story.breaker.state?.reason ?? "", /^4 of 4 requests failed/);
});

test("asking whether a request may begin changes nothing", () => {
  const story = new Story().opened();
  story.nowMs += 5000;
  for (let question = 0; question < 10; question += 1) assert.ok(story.breaker.accepts(story.nowMs));
  assert.equal(story.phase, "open");
  assert.equal(story.play("++"), "++");
});

test("half-open it never has more than its trials out, however requests end, and it can always close", () => {
  const step = fc.constantFrom("begin", "begin", "good", "bad", "hand-back", "wait", "wait-long");
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.tuple(step, fc.nat(7)), { maxLength: 200 }),
      (trials, events) => {
        const story = new Story({ trials });
        let held: Pass[] = [];
        /** Let through and not handed back, by pass. */
        const through = new Map<Pass, number>();
        const note = (pass: Pass, change: number) => {
          through.set(pass, (through.get(pass) ?? 0) + change);
        };
        for (const [kind, which] of events) {
          const index = which % Math.max(1, held.length);
          const one = held[index];
          if (kind === "begin") {
            const wasClosed = story.phase === "closed";
            const pass = story.begin();
            if (pass === null) continue;
            held.push(pass);
            if (wasClosed) continue;
            note(pass, 1);
            assert.ok((through.get(pass) ?? 0) <= trials, "more on trial than there are trials");
          } else if (kind === "wait") story.nowMs += 500;
          else if (kind === "wait-long") story.nowMs += 5000;
          else if (one !== undefined) {
            held = held.toSpliced(index, 1);
            if (kind === "good") story.succeed(one);
            else if (kind === "bad") story.fail(one);
            else {
              story.breaker.handBack(one);
              note(one, -1);
            }
          }
        }
        story.nowMs += 5000;
        if (story.phase !== "closed") assert.equal(story.play("+".repeat(trials)), "+".repeat(trials));
        assert.equal(story.phase, "closed");
      },
    ),
    { numRuns: 1000 },
  );
});

test("a pass of a breaker that a reload has replaced says nothing to its successor", () => {
  const open = (story: Story): Pass => {
    story.opened({ trials: 1 });
    story.nowMs += 5000;
    const pass = story.begin();
    assert.ok(pass !== null);
    return pass;
  };
  const old = open(new Story({ trials: 1 }));
  const anew = new Story({ trials: 1 });
  open(anew);
  anew.breaker.handBack(old);
  assert.equal(anew.begin(), null);
  anew.succeed(old);
  assert.equal(anew.phase, "half-open");
});
