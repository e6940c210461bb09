// What holds for the core whatever it is told, in whatever order: thousands of random lives.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import type { Advertisement } from "../../src/election/advertisement.ts";
import { reasonOf, roleOf } from "../../src/election/role.ts";
import type { Input, Settings, State } from "../../src/election/state.ts";
import { nextDeadline, start, step } from "../../src/election/step.ts";
import {
  activeDownMs,
  ANNOUNCE_AFTER_LEASE_MS,
  ANNOUNCE_AFTER_MS,
  skewMs,
} from "../../src/election/timing.ts";
import { announceTimes } from "../../src/election/lease.ts";
import { outranks } from "../../src/election/turn.ts";
import { A } from "./story.ts";

const anySettings: fc.Arbitrary<Settings> = fc.record(
  {
    group: fc.constant("default"),
    node: fc.constant("a"),
    peer: fc.constant("b"),
    priority: fc.integer({ min: 1, max: 254 }),
    peerPriority: fc.integer({ min: 1, max: 254 }),
    intervalMs: fc.constantFrom(20, 200, 1000, 10_000),
    leaseMs: fc.constantFrom(1000, 2000, 60_000),
    expiryLateMs: fc.constantFrom(0, 1000),
    claim: fc.constantFrom("fast" as const, "safe" as const),
    preempt: fc.boolean(),
    preemptDelayMs: fc.constantFrom(0, 5000),
    configHash: fc.constant("hash"),
    stopGraceMs: fc.constantFrom(0, 5000),
    arbiter: fc.boolean(),
    roleChangesMax: fc.constantFrom(1, 4),
  },
  { noNullPrototype: true },
);

const anyAdvertisement: fc.Arbitrary<Advertisement> = fc.record(
  {
    group: fc.constant("default"),
    node: fc.constant("b"),
    role: fc.constantFrom(
      "listening",
      "standby",
      "awaiting-lease",
      "claiming",
      "active",
      "leaving",
      "fault",
      "maintenance",
      "stopped",
    ),
    impairment: fc.constantFrom(0, 20, 253),
    damped: fc.boolean(),
    priority: fc.integer({ min: 0, max: 254 }),
    epoch: fc.nat({ max: 10 }),
    heard: fc.nat({ max: 10 }),
    ready: fc.boolean(),
    intent: fc.constantFrom("none", "offer", "order", "request"),
    configHash: fc.constant("hash"),
    intervalMs: fc.constantFrom(20, 256, 1000),
    leaseGoneMs: fc.constantFrom(1050, 2100, 10_500),
  },
  { noNullPrototype: true },
);

/** What is told; epochs and moments that depend on the life so far are filled in when it happens. */
type Told = Exclude<Input, { kind: "claimed" | "claim-failed" | "renewed" }> | { readonly kind: "hook done" };

const anyTold: fc.Arbitrary<Told> = fc.oneof(
  {
    weight: 4,
    arbitrary: anyAdvertisement.map((advertisement) => ({ kind: "advertisement" as const, advertisement })),
  },
  { weight: 4, arbitrary: fc.constant({ kind: "hook done" as const }) },
  {
    weight: 6,
    arbitrary: fc.constantFrom<Told>(
      { kind: "deadline" },
      { kind: "peer-dead" },
      { kind: "peer-dead", everHeard: false },
      { kind: "peer-estranged", problem: "secret" },
      { kind: "queue-read" },
      { kind: "fault", cause: "interface", detail: "no carrier" },
      { kind: "recovered", cause: "interface" },
      { kind: "fault", cause: "check", detail: "fails", soft: true },
      { kind: "impaired", cause: "check", detail: "slow", weight: 60 },
      { kind: "recovered", cause: "check" },
      { kind: "arbiter-answered" },
      { kind: "arbiter-missing" },
      { kind: "address-gone", reason: "gone" },
      { kind: "maintenance", on: true },
      { kind: "maintenance", on: true, force: true },
      { kind: "maintenance", on: false },
      { kind: "resume" },
      { kind: "renew-failed", gone: true, reason: "gone" },
      { kind: "renew-failed", gone: false, reason: "exit 2" },
      { kind: "released" },
      { kind: "drained" },
      { kind: "switchover" },
      { kind: "switchover", force: true },
    ),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "stop" as const }) },
);

/** From one input to the next: nothing, a little, up to the next deadline, or a freeze. */
const anyWait = fc.oneof(
  fc.constant("deadline" as const),
  fc.constantFrom(0, 0, 1, 50),
  fc.integer({ min: 0, max: 20_000 }),
);
const anyLife = fc.array(fc.tuple(anyWait, anyTold), { maxLength: 60 });

function makeInput(told: Told, state: State, now: number): Input {
  if (told.kind !== "hook done") return told;
  if (state.phase.kind === "claiming") return { kind: "claimed", epoch: state.phase.epoch, startedAt: now };
  if (state.phase.kind === "active") return { kind: "renewed", startedAt: now };
  return { kind: "released" };
}

/** Lives a random life and shows each step of it. */
function live(
  settings: Settings,
  life: readonly (readonly [number | "deadline", Told])[],
  look: (moment: { before: State; after: ReturnType<typeof step>; now: number; input: Input }) => void,
): void {
  let now = 1000;
  let { state } = start(settings, now);
  for (const [wait, told] of life) {
    const deadline = nextDeadline(settings, state);
    if (wait !== "deadline") now += wait;
    else if (deadline !== Infinity) now = Math.max(now, deadline);
    const input = makeInput(told, state, now);
    const after = step(settings, state, input, now);
    look({ before: state, after, now, input });
    ({ state } = after);
  }
}

suite("properties of the election core", () => {
  test("the next deadline after a step is never in the past", () => {
    fc.assert(
      fc.property(anySettings, anyLife, (settings, life) => {
        live(settings, life, ({ after, now }) => assert.ok(nextDeadline(settings, after.state) > now));
      }),
    );
  });

  test("step is a function of its arguments and does not change them", () => {
    fc.assert(
      fc.property(anySettings, anyLife, (settings, life) => {
        live(settings, life, ({ before, after, input, now }) => {
          const copy = structuredClone(before);
          assert.deepEqual(step(settings, before, input, now), step(settings, copy, input, now));
          assert.deepEqual(before, copy);
          assert.ok(after);
        });
      }),
    );
  });

  test("epochs only grow, and a claim is of a newer one than all that was known", () => {
    fc.assert(
      fc.property(anySettings, anyLife, (settings, life) => {
        live(settings, life, ({ before, after }) => {
          assert.ok(after.state.epoch >= before.epoch);
          for (const effect of after.effects) {
            if (effect.kind !== "claim" || before.phase.kind === "active") continue;
            // One that was announced has its epoch already. When the address is free for another reason meanwhile, it gets a new one.
            const isAnnounced = before.phase.kind === "announcing";
            assert.ok(effect.epoch > before.epoch || (isAnnounced && effect.epoch === before.epoch));
          }
        });
      }),
    );
  });

  test("who gives the address up releases it, and who renews or announces it is active or leaving", () => {
    fc.assert(
      fc.property(anySettings, anyLife, (settings, life) => {
        live(settings, life, ({ before, after }) => {
          const held = ["claiming", "active", "leaving"];
          const gaveUp = held.includes(before.phase.kind) && !held.includes(after.state.phase.kind);
          // In one step a node may claim, announce and give up; its hook is told in this order, and the last word counts.
          const toHook = after.effects
            .map(({ kind }) => kind)
            .filter((kind) => ["claim", "renew", "announce", "release"].includes(kind));
          if (gaveUp) assert.equal(toHook.at(-1), "release");
          if (held.includes(after.state.phase.kind)) return;
          assert.ok(toHook.length === 0 || toHook.at(-1) === "release", toHook.join());
        });
      }),
    );
  });

  test("no lease is renewed of which more than 0.8 have passed", () => {
    fc.assert(
      fc.property(anySettings, anyLife, (settings, life) => {
        live(settings, life, ({ before, after, now }) => {
          if (!after.effects.some(({ kind }) => kind === "renew")) return;
          const { phase } =
            before.phase.kind === "active" || before.phase.kind === "leaving" ? before : after.state;
          assert.ok(phase.kind === "active" || phase.kind === "leaving");
          assert.ok(now - phase.lease.from < 0.8 * settings.leaseMs);
        });
      }),
    );
  });

  test("a role changes only with a reason in the log", () => {
    fc.assert(
      fc.property(anySettings, anyLife, (settings, life) => {
        live(settings, life, ({ before, after }) => {
          if (roleOf(before) === roleOf(after.state)) return;
          const reasons = after.effects.map((effect) =>
            effect.kind === "log" ? effect.subject["reason"] : "",
          );
          assert.ok(
            reasons.some((reason) => typeof reason === "string" && reason !== ""),
            `${before.phase.kind} to ${after.state.phase.kind}`,
          );
        });
      }),
    );
  });

  test("status has words for every state that waits", () => {
    fc.assert(
      fc.property(anySettings, anyLife, (settings, life) => {
        live(settings, life, ({ after: { state }, now }) => {
          const speaks = ["listening", "awaiting-lease", "claiming", "leaving", "fault"].includes(
            state.phase.kind,
          );
          if (speaks) assert.ok(reasonOf(settings, state, now));
        });
      }),
    );
  });

  test("of two claimants that differ exactly one outranks the other", () => {
    const claimant = fc.record({
      epoch: fc.nat({ max: 2 }),
      priority: fc.nat({ max: 2 }),
      node: fc.constantFrom("a", "b"),
    });
    fc.assert(
      fc.property(claimant, claimant, (one, other) => {
        const isSame =
          one.epoch === other.epoch && one.priority === other.priority && one.node === other.node;
        assert.equal(outranks(one, other) !== outranks(other, one), !isSame);
      }),
    );
  });
});

suite("timing (RFC 9568 section 6.1)", () => {
  test("skew time = (256 - priority) * interval / 256; active-down = 3 * interval + skew", () => {
    const table = [
      { priority: 254, intervalMs: 1000, skew: 7.8125 },
      { priority: 100, intervalMs: 200, skew: 121.875 },
      { priority: 1, intervalMs: 256, skew: 255 },
    ];
    for (const { priority, intervalMs, skew } of table) {
      assert.equal(skewMs(priority, intervalMs), skew);
      assert.equal(activeDownMs(priority, intervalMs), 3 * intervalMs + skew);
    }
  });

  test("announcements are planned in ascending order for every lease", () => {
    for (const leaseMs of [1000, 2000, 60_000]) {
      const settings = { ...A, leaseMs };
      const { state } = start(settings, 100);
      const times = announceTimes({ settings, state, now: 100, effects: [] });
      assert.deepEqual(
        times,
        times.toSorted((a, b) => a - b),
      );
      assert.equal(times.length, ANNOUNCE_AFTER_MS.length + 1);
      assert.ok(times.includes(100 + leaseMs + ANNOUNCE_AFTER_LEASE_MS));
    }
  });
});
