// From a seed to a scenario: which pairs there are, in which weather they live, and what happens to them.
// Each part draws from its own stream of the seed, and each event from one of its own.

import { type NodeId, NODES } from "./network.ts";
import { Random } from "./random.ts";
import type { Event, Fault, Scenario, Target, Times } from "./scenario.ts";

/** The short ones cost most and differ least, so they are rarer. */
const INTERVALS_MS: readonly number[] = weighted([
  [20, 1],
  [50, 2],
  [100, 3],
  [200, 7],
  [500, 4],
  [1000, 3],
]);
const LEASES_MS: readonly number[] = [1000, 1000, 2000, 2000, 3000, 5000];
const PRIORITIES: readonly (readonly [number, number])[] = [
  [150, 100],
  [100, 150],
  [100, 100],
  [254, 1],
  [101, 100],
];
const STEADY_MS = 30_000;
/** Most lives are short, because what breaks pairs are two or three faults at once. */
const EVENT_COUNTS: readonly number[] = [1, 1, 2, 2, 3, 3, 4, 6];

const STEADY_SHARE = 0.05;
/** Most pairs live among faults of all kinds; some see the same few again and again. */
const FLAPPING_SHARE = 0.04;
const BACKEND_SHARE = 0.08;
const OTHER_TIMES_SHARE = 0.12;
const TWO_GROUPS_SHARE = 0.04;

type Shape = Omit<Scenario, "events" | "healedAt">;

export function makeScenario(seed: number): Scenario {
  const shape = makeShape(seed);
  const random = new Random(seed, "events");
  if (shape.isSteady) {
    const healedAt = Math.max(...shape.startsAt) + STEADY_MS;
    const quiet = makeQuietEvents(seed, healedAt);
    return { ...shape, events: [...quiet, ...makeQuietTimes(shape, healedAt)], healedAt };
  }
  const isFlapping = random.chance(FLAPPING_SHARE);
  const events = [...(isFlapping ? makeFlapping(random, shape) : makeEvents(random, shape))];
  events.push(...makeBackendLeave(seed, events));
  events.push(...makeOtherTimes(seed, events));
  const healedAt = Math.max(0, ...events.map(({ time, fault }) => time + fault.forMs));
  return { ...shape, events, healedAt };
}

function makeShape(seed: number): Shape {
  const random = new Random(seed, "shape");
  const isSteady = random.chance(STEADY_SHARE);
  const priorities = random.pick(PRIORITIES);
  return {
    seed,
    isSteady,
    intervalMs: isSteady ? 200 : random.pick(INTERVALS_MS),
    leaseMs: random.pick(LEASES_MS),
    claim: random.chance(0.5) ? "fast" : "safe",
    preempt: !isSteady && random.chance(0.25),
    preemptDelayMs: random.whole(1, 5) * 1000,
    stopGraceMs: random.whole(0, 5) * 1000,
    roleChangesMax: random.pick([1, 2, 4, 4]),
    arbiter: random.chance(0.75),
    priorities: random.chance(TWO_GROUPS_SHARE) ? [priorities, [priorities[1], priorities[0]]] : [priorities],
    startsAt: [random.between(0, 500), random.between(0, random.chance(0.1) ? 10_000 : 500)],
    ...makeWeather(new Random(seed, "weather"), { isSteady }),
  };
}

function makeWeather(
  random: Random,
  { isSteady }: { readonly isSteady: boolean },
): Pick<Scenario, "network" | "loop" | "hooks"> {
  const isLossy = random.chance(0.3);
  const isLate = random.chance(0.4);
  const hasHookTrouble = !isSteady && random.chance(0.3);
  return {
    network: {
      latencyFromMs: 0.2,
      latencyToMs: random.pick([0.5, 2, 5]),
      loss: isSteady ? 0.05 : isLossy ? random.pick([0.01, 0.05, 0.2]) : 0,
      delayed: random.chance(0.2) ? random.pick([0.02, 0.2]) : 0,
      duplicated: random.chance(0.2) ? 0.1 : 0,
    },
    loop: {
      late: isLate ? random.pick([0.01, 0.1]) : 0,
      stalled: isLate && !isSteady ? random.pick([0, 0.001, 0.01]) : 0,
    },
    hooks: {
      slow: random.pick([0, 0.02, 0.2]),
      failing: hasHookTrouble ? random.pick([0, 0.02, 0.1]) : 0,
      hanging: hasHookTrouble ? random.pick([0, 0.01, 0.05]) : 0,
    },
  };
}

/** What happens within one of these times of another event is what breaks pairs. */
function spanMs(random: Random, { intervalMs, leaseMs }: Shape): number {
  return random.pick([
    random.between(0, 50),
    random.between(0, 5 * intervalMs),
    random.between(0, 2 * leaseMs),
    random.between(0, 2 * leaseMs),
    random.between(1000, intervalMs < 100 ? 3000 : 8000),
  ]);
}

function makeEvents(random: Random, shape: Shape): readonly Event[] {
  const events: Event[] = [];
  let time = random.chance(0.2) ? random.between(0, 2000) : 6 * shape.intervalMs + random.between(700, 1500);
  const count = random.pick(EVENT_COUNTS);
  for (let index = 0; index < count; index++) {
    const own = new Random(shape.seed, `event ${String(index)}`);
    const fault = makeFault(own, spanMs(own, shape));
    events.push({ time, fault });
    time += own.chance(0.3) ? spanMs(own, shape) : fault.forMs + 5 * shape.intervalMs + spanMs(own, shape);
  }
  return events;
}

/** One kind of trouble that goes on and on, first here, then there. */
function makeFlapping(random: Random, shape: Shape): readonly Event[] {
  const kind = random.pick<"fault" | "impaired" | "freeze" | "silent port">([
    "fault",
    "impaired",
    "freeze",
    "silent port",
  ]);
  const downMs = 4 * shape.intervalMs + (kind === "freeze" ? 0 : 500);
  const events: Event[] = [];
  let time = 6 * shape.intervalMs + 1500;
  for (let index = 0; index < 8; index++) {
    const forMs = random.between(0.7, 1.5) * downMs;
    const fault: Fault = { ...makeFaultOf(random, kind), on: "active", forMs };
    events.push({ time, fault });
    time += forMs + random.between(200, 1000) + 5 * shape.intervalMs;
  }
  return events;
}

/** What an operator may do at any time without a role changing. */
function makeQuietEvents(seed: number, until: number): readonly Event[] {
  const random = new Random(seed, "quiet events");
  const events: Event[] = [];
  for (let index = random.whole(0, 3); index > 0; index--) {
    const fault: Fault = {
      kind: random.pick(["reload", "drain"]),
      on: random.pick<Target>([0, 1]),
      forMs: random.between(0, 3000),
    };
    events.push({ time: random.between(0, until - 3000), fault });
  }
  return events;
}

/** One node is restarted with a file of other times, before all else, amid it, or after it. */
function makeOtherTimes(seed: number, events: readonly Event[]): readonly Event[] {
  const random = new Random(seed, "other times");
  if (!random.chance(OTHER_TIMES_SHARE)) return [];
  const lastAt = Math.max(4000, ...events.map(({ time }) => time));
  const on = random.pick<Target>(["active", "standby", "standby", 0, 1]);
  const forMs = random.between(0, random.pick([2000, lastAt]));
  const time = random.between(0, lastAt);
  const restart: Event = { time, fault: { kind: "other times", on, forMs, ...makeTimes(random) } };
  if (random.chance(0.5)) return [restart];
  // What the other node has heard of the times is what it needs when a node dies.
  const diesAt = time + random.between(0, 5000);
  const death: Fault = { kind: "crash", on: "active", forMs: random.between(0, 6000) };
  return [restart, { time: diesAt, fault: death }];
}

/** On the standby of a pair to which nothing else happens: no role may move. */
function makeQuietTimes({ seed, priorities }: Shape, until: number): readonly Event[] {
  const random = new Random(seed, "other times");
  // With two groups each node may be active in one.
  if (priorities.length > 1 || !random.chance(OTHER_TIMES_SHARE)) return [];
  const time = until - random.between(10_000, 20_000);
  return [{ time, fault: { kind: "other times", on: "standby", forMs: until - time, ...makeTimes(random) } }];
}

function makeTimes(random: Random): Times {
  return { intervalMs: random.pick(INTERVALS_MS), leaseMs: random.pick([1000, 2000, 5000, 10_000]) };
}

/** A backend is drained, leaves both files, comes back, and may be drained again, amid all else. */
function makeBackendLeave(seed: number, events: readonly Event[]): readonly Event[] {
  const random = new Random(seed, "backend");
  if (!random.chance(BACKEND_SHARE)) return [];
  const drainedAt = random.between(0, Math.max(2000, ...events.map(({ time }) => time)));
  const leavesAt = drainedAt + random.between(0, 3000);
  const leave = (on: NodeId): Event => {
    const time = leavesAt + random.between(0, 500);
    return { time, fault: { kind: "backend leaves", on, forMs: random.between(200, 6000) } };
  };
  const drain = (time: number): Event => {
    return { time, fault: { kind: "drain", on: random.pick(NODES), forMs: random.between(0, 10_000) } };
  };
  const leaves = NODES.map(leave);
  // As soon as one node has it again.
  const backAt = Math.min(...leaves.map(({ time, fault }) => time + fault.forMs));
  const again = random.chance(0.5) ? [drain(backAt + random.between(0, random.pick([20, 500])))] : [];
  return [drain(drainedAt), ...leaves, ...again];
}

const KINDS = weighted<Fault["kind"]>([
  ["crash", 4],
  ["freeze", 5],
  ["power off", 2],
  ["cable", 3],
  ["silent port", 4],
  ["partition", 2],
  ["one-way cut", 2],
  ["wrong secret", 1],
  ["stop", 2],
  ["arbiter dies", 2],
  ["arbiter unreachable", 2],
  ["fault", 2],
  ["impaired", 3],
  ["reload", 1],
  ["address removed", 2],
  ["switchover", 4],
  ["standby", 3],
  ["resume", 1],
  ["drain", 2],
]);

export const FAULT_KINDS: ReadonlySet<Fault["kind"]> = new Set([...KINDS, "backend leaves", "other times"]);

/** Each choice as often as its weight says. */
function weighted<T>(weights: readonly (readonly [T, number])[]): readonly T[] {
  return weights.flatMap(([choice, weight]) => Array<T>(weight).fill(choice));
}

function makeFault(random: Random, forMs: number): Fault {
  const on = random.pick<Target>(["active", "active", "active", "standby", 0, 1]);
  return { ...makeFaultOf(random, random.pick(KINDS)), on, forMs };
}

function makeFaultOf(random: Random, kind: Fault["kind"]): Fault {
  const timed = { on: 0, forMs: 0 } as const;
  switch (kind) {
    case "freeze":
      return { ...timed, kind, withChildren: random.chance(0.5) };
    case "fault":
      return { ...timed, kind, soft: random.chance(0.7) };
    case "impaired":
      return { ...timed, kind, weight: random.pick([1, 10, 60, 253]) };
    case "address removed":
      return { ...timed, kind, seen: random.chance(0.7) };
    case "switchover":
    case "standby":
      return { ...timed, kind, force: random.chance(0.3) };
    case "other times":
      return { ...timed, kind, ...makeTimes(random) };
    case "crash":
    case "power off":
    case "cable":
    case "silent port":
    case "partition":
    case "one-way cut":
    case "wrong secret":
    case "stop":
    case "arbiter dies":
    case "arbiter unreachable":
    case "reload":
    case "resume":
    case "backend leaves":
    case "drain":
      return { ...timed, kind };
  }
}
