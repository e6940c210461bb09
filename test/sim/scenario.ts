// What a seed stands for: the settings of a pair, the weather it lives in, and what happens to it. Made
// whole before the run begins, so that it can be printed.

import type { Settings } from "../../src/election/state.ts";
import type { HookConditions } from "./machine.ts";
import type { NetworkConditions, NodeId } from "./network.ts";
import type { LoopConditions } from "./process.ts";
import { Random } from "./random.ts";

/** Which node a fault hits is known only when it happens. */
export type Target = NodeId | "active" | "standby";

export type Fault =
  /** SIGKILL; systemd starts it again. */
  | { readonly kind: "crash"; readonly on: Target; readonly forMs: number }
  /** SIGSTOP and SIGCONT, of the process alone or with its hooks. */
  | { readonly kind: "freeze"; readonly on: Target; readonly forMs: number; readonly withHooks: boolean }
  | { readonly kind: "power off"; readonly on: Target; readonly forMs: number }
  | { readonly kind: "cable"; readonly on: Target; readonly forMs: number }
  /** The switch port forwards nothing, the carrier stays. */
  | { readonly kind: "silent port"; readonly on: Target; readonly forMs: number }
  /** Between the nodes only. */
  | { readonly kind: "partition"; readonly on: Target; readonly forMs: number }
  /** What this node sends does not arrive at the other. */
  | { readonly kind: "one-way cut"; readonly on: Target; readonly forMs: number }
  /** Restarted with another secret, and later with the right one. */
  | { readonly kind: "wrong secret"; readonly on: Target; readonly forMs: number }
  /** SIGTERM, and started again. */
  | { readonly kind: "stop"; readonly on: Target; readonly forMs: number }
  | { readonly kind: "switchover"; readonly on: Target; readonly forMs: 0 }
  | { readonly kind: "address removed"; readonly on: Target; readonly forMs: 0 };

export interface Event {
  readonly time: number;
  readonly fault: Fault;
}

export interface Scenario {
  readonly seed: number;
  /** No fault at all: then no role may change once there is an active. */
  readonly isSteady: boolean;
  readonly settings: readonly [Settings, Settings];
  readonly startsAt: readonly [number, number];
  readonly network: NetworkConditions;
  readonly loop: LoopConditions;
  readonly hooks: HookConditions;
  readonly events: readonly Event[];
  /** When every fault is over. */
  readonly healedAt: number;
}

const INTERVALS_MS: readonly number[] = [20, 50, 100, 200, 200, 200, 500, 1000];
const PRIORITIES: readonly (readonly [number, number])[] = [
  [150, 100],
  [100, 150],
  [100, 100],
  [254, 1],
  [101, 100],
];
const STEADY_MS = 30_000;
const EVENTS_MAX = 6;

export function makeScenario(seed: number): Scenario {
  const random = new Random(seed);
  const isSteady = random.chance(0.08);
  const intervalMs = isSteady ? 200 : random.pick(INTERVALS_MS);
  const leaseMs = 1000 * random.whole(1, 5);
  const [priorityA, priorityB] = random.pick(PRIORITIES);
  const common = {
    intervalMs,
    leaseMs,
    claim: random.chance(0.5) ? "fast" : "safe",
    preempt: !isSteady && random.chance(0.25),
    preemptDelayMs: random.whole(1, 5) * 1000,
    group: "default",
    arbiter: false,
    roleChangesMax: 4,
    configHash: "0123456789abcdef",
    stopGraceMs: random.whole(0, 5) * 1000,
  } as const;
  const hasHookTrouble = !isSteady && random.chance(0.3);
  const isLossy = isSteady || random.chance(0.3);
  const isLate = random.chance(0.4);
  const startsAt = [random.between(0, 500), random.between(0, random.chance(0.2) ? 10_000 : 500)] as const;
  const { events, healedAt } = isSteady
    ? { events: [], healedAt: Math.max(...startsAt) + STEADY_MS }
    : makeEvents(random, { intervalMs, leaseMs });
  return {
    seed,
    isSteady,
    settings: [
      { ...common, node: "a", peer: "b", priority: priorityA, peerPriority: priorityB },
      { ...common, node: "b", peer: "a", priority: priorityB, peerPriority: priorityA },
    ],
    startsAt,
    network: {
      latencyFromMs: 0.2,
      latencyToMs: random.pick([0.5, 2, 5]),
      loss: isSteady ? 0.05 : isLossy ? random.pick([0.01, 0.05, 0.2]) : 0,
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
    events,
    healedAt,
  };
}

function makeEvents(
  random: Random,
  { intervalMs, leaseMs }: { readonly intervalMs: number; readonly leaseMs: number },
): { readonly events: readonly Event[]; readonly healedAt: number } {
  const events: Event[] = [];
  let time = random.chance(0.2) ? random.between(0, 2000) : 6 * intervalMs + random.between(1000, 3000);
  let healedAt = time;
  const count = random.whole(1, EVENTS_MAX);
  // What happens within one of these times of another event is what breaks pairs.
  const span = (): number =>
    random.pick([
      random.between(0, 50),
      random.between(0, 5 * intervalMs),
      random.between(0, 2 * leaseMs),
      random.between(0, 2 * leaseMs),
      random.between(1000, 8000),
    ]);
  for (let index = 0; index < count; index++) {
    const fault = makeFault(random, span());
    events.push({ time, fault });
    healedAt = Math.max(healedAt, time + fault.forMs);
    time += random.chance(0.3) ? span() : fault.forMs + 5 * intervalMs + span();
  }
  return { events, healedAt };
}

function makeFault(random: Random, forMs: number): Fault {
  const on = random.pick<Target>(["active", "active", "active", "standby", 0, 1]);
  const kind = random.pick<Fault["kind"]>([
    "crash",
    "crash",
    "freeze",
    "freeze",
    "freeze",
    "power off",
    "cable",
    "cable",
    "silent port",
    "partition",
    "one-way cut",
    "wrong secret",
    "stop",
    "switchover",
    "switchover",
    "address removed",
  ]);
  switch (kind) {
    case "freeze":
      return { kind, on, forMs, withHooks: random.chance(0.5) };
    case "switchover":
    case "address removed":
      return { kind, on, forMs: 0 };
    case "crash":
    case "power off":
    case "cable":
    case "silent port":
    case "partition":
    case "one-way cut":
    case "wrong secret":
    case "stop":
      return { kind, on, forMs };
  }
}
