// What a run is made of, as plain data: the settings of a pair, the weather it lives in, and what happens
// to it and when. A seed makes one (chance.ts); a found defect is kept as one (regressions.ts), because
// data says the same thing for ever and a seed only as long as chance.ts stays as it is.

import type { ClaimMode } from "../../src/config/config.ts";
import type { Settings } from "../../src/election/state.ts";
import { expiryLateMs } from "../../src/election/timing.ts";
import type { HookConditions } from "./address.ts";
import type { NetworkConditions, NodeId } from "./network.ts";
import type { LoopConditions } from "./process.ts";

/** Which node a fault hits is known only when it happens. `active` and `standby` are those of the first group. */
export type Target = NodeId | "active" | "standby";

interface Timed {
  readonly on: Target;
  /** Until it is over; 0: it has no end of its own. */
  readonly forMs: number;
}

/** What two files may say differently of a pair, though they should not. */
export interface Times {
  readonly intervalMs: number;
  readonly leaseMs: number;
}

export type Fault = Timed &
  (
    | /** SIGKILL; systemd starts it again. */
      { readonly kind: "crash" }
      /** SIGSTOP and SIGCONT, of the process alone or with its children. */
    | { readonly kind: "freeze"; readonly withChildren: boolean }
    | { readonly kind: "power off" }
    | { readonly kind: "cable" }
    /** The switch port forwards nothing, the carrier stays. */
    | { readonly kind: "silent port" }
    /** Between the nodes only. */
    | { readonly kind: "partition" }
    /** What this node sends does not arrive at the other. */
    | { readonly kind: "one-way cut" }
    /** Restarted with another secret, and later with the right one. */
    | { readonly kind: "wrong secret" }
    /** SIGTERM, and started again. */
    | { readonly kind: "stop" }
    /** The gateway answers nobody. */
    | { readonly kind: "arbiter dies" }
    /** The gateway does not answer this node. */
    | { readonly kind: "arbiter unreachable" }
    /** A tracked check, or something that is certain. */
    | { readonly kind: "fault"; readonly soft: boolean }
    | { readonly kind: "impaired"; readonly weight: number }
    /** A reload with another file; when it is over, the same file on both nodes. */
    | { readonly kind: "reload" }
    /** A reload with a file that has lost the backend that operators drain; when it is over, with one that has it. */
    | { readonly kind: "backend leaves" }
    /** Restarted with a file of other times (rule 11); when it is over, with the first one again. */
    | ({ readonly kind: "other times" } & Times)
    /** Somebody else removes the address. `seen`: who follows the interface says so at once. */
    | { readonly kind: "address removed"; readonly seen: boolean }
    | { readonly kind: "switchover"; readonly force: boolean }
    /** Into maintenance; when it is over, `resume`. */
    | { readonly kind: "standby"; readonly force: boolean }
    | { readonly kind: "resume" }
    /** A backend is drained; when it is over, it is not. */
    | { readonly kind: "drain" }
  );

export interface Event {
  readonly time: number;
  readonly fault: Fault;
}

export interface Scenario extends Times {
  /** Of the weather's dice. */
  readonly seed: number;
  /** No fault at all: then no role may change once there is an active. */
  readonly isSteady: boolean;
  readonly claim: ClaimMode;
  readonly preempt: boolean;
  readonly preemptDelayMs: number;
  readonly stopGraceMs: number;
  readonly roleChangesMax: number;
  readonly arbiter: boolean;
  /** By group, then by node. Groups are elections of their own over one link, so most pairs have one. */
  readonly priorities: readonly (readonly [number, number])[];
  readonly startsAt: readonly [number, number];
  /** When the first node reads a file that names the second one. Absent: from the start. */
  readonly namedAt?: number;
  readonly network: NetworkConditions;
  readonly loop: LoopConditions;
  readonly hooks: HookConditions;
  readonly events: readonly Event[];
  /** When every fault is over. */
  readonly healedAt: number;
}

/** A pair to which nothing happens, on a good network: what a story differs in is all it says. */
export const CALM: Scenario = {
  seed: 1,
  isSteady: false,
  intervalMs: 200,
  leaseMs: 2000,
  claim: "fast",
  preempt: false,
  preemptDelayMs: 5000,
  stopGraceMs: 4000,
  roleChangesMax: 4,
  arbiter: true,
  priorities: [[150, 100]],
  startsAt: [0, 0],
  network: { latencyFromMs: 0.2, latencyToMs: 2, loss: 0, delayed: 0, duplicated: 0 },
  loop: { late: 0, stalled: 0 },
  hooks: { slow: 0, failing: 0, hanging: 0 },
  events: [],
  healedAt: 12_000,
};

export const CONFIG_HASH = "0123456789abcdef";

const NAMES = ["a", "b"] as const;

export function nameOf(node: NodeId): string {
  return NAMES[node];
}

/** What a rule must allow for: the longest that any file of the run says, or the shortest. */
export function extremesOf(scenario: Scenario): { readonly longest: Times; readonly shortest: Times } {
  const others = scenario.events.flatMap(({ fault }) => (fault.kind === "other times" ? [fault] : []));
  const intervals = [scenario, ...others].map(({ intervalMs }) => intervalMs);
  const leases = [scenario, ...others].map(({ leaseMs }) => leaseMs);
  return {
    longest: { intervalMs: Math.max(...intervals), leaseMs: Math.max(...leases) },
    shortest: { intervalMs: Math.min(...intervals), leaseMs: Math.min(...leases) },
  };
}

/** Of the file that the pair began with, or of one that says other times. */
export function settingsOf(
  scenario: Scenario,
  node: NodeId,
  { group = 0, times = scenario }: { readonly group?: number; readonly times?: Times } = {},
): Settings {
  const other = node === 0 ? 1 : 0;
  const priorities = scenario.priorities[group]!;
  const { intervalMs, leaseMs } = times;
  const { claim, preempt, preemptDelayMs, stopGraceMs, roleChangesMax, arbiter } = scenario;
  return {
    group: String(group),
    node: NAMES[node],
    peer: NAMES[other],
    priority: priorities[node],
    peerPriority: priorities[other],
    intervalMs,
    leaseMs,
    expiryLateMs: expiryLateMs(scenario.priorities.length),
    claim,
    preempt,
    preemptDelayMs,
    configHash: CONFIG_HASH,
    arbiter,
    roleChangesMax,
    stopGraceMs,
  };
}

/** Only what makes this scenario another than CALM: what a regression writes down. */
export function differenceFromCalm(scenario: Scenario): Partial<Scenario> {
  const entries = Object.entries(scenario).filter(
    ([key, value]) => JSON.stringify(value) !== JSON.stringify(CALM[key as keyof Scenario]),
  );
  return Object.fromEntries(entries);
}
