// The invariant of bad days: when the active has gone, a live healthy standby with a working arbiter is active
// within the active-down interval and one hook (claim: safe: and the lease). Two looks at it: a fault that
// strikes a calm pair must be answered in time; and whatever has happened before, a standby that could have
// taken over for so long, without a break, has done so.

import type { State } from "../../src/election/state.ts";
import {
  activeDownMs,
  CLAIM_SLACK_MS,
  HOOK_SLACK_MS,
  leaseGoneMs,
  REDIAL_MEMORY_MS,
  VACANCY_ACTIVE_DOWNS,
} from "../../src/election/timing.ts";
import { PROBE_MS, SLOW_HOOK_MS } from "./address.ts";
import { type NodeId, otherOf } from "./network.ts";
import { extremesOf, type Fault, settingsOf, type Times } from "./scenario.ts";
import { CLOCKS, type ObservedWorld } from "./truth.ts";
import { fail } from "./violation.ts";

/** A dead process is known by its connections: a dial, and its refusal. */
const DEATH_KNOWN_MS = 50;
const ROUNDING_MS = 20;
/** Both nodes have been in touch, and so on, for so long. */
const CALM_MS = 3000;

const FATAL: ReadonlySet<Fault["kind"]> = new Set(["crash", "freeze", "power off", "cable", "silent port"]);

export class Takeover {
  readonly #world: ObservedWorld;
  readonly #group: number;
  /** Hooks that fail, and words that get lost, excuse from a bound; what has to happen then is to settle. */
  readonly #isRough: boolean;
  readonly #times: Times;
  #expected: { readonly of: NodeId; readonly by: number; readonly after: string } | undefined;
  /** By node: since when it could take over. */
  readonly #ableSince: [number | undefined, number | undefined] = [undefined, undefined];

  constructor(world: ObservedWorld, group: number) {
    this.#world = world;
    this.#group = group;
    this.#times = extremesOf(world.scenario).longest;
    const { hooks, network } = world.scenario;
    this.#isRough = hooks.failing > 0 || hooks.hanging > 0 || network.loss > 0 || network.delayed > 0;
  }

  strikes(node: NodeId, fault: Fault): void {
    this.#expected = undefined;
    if (!FATAL.has(fault.kind)) return;
    const { now, scenario, truth, network } = this.#world;
    const { claim } = scenario;
    const { intervalMs } = this.#times;
    const other = otherOf(node);
    if (this.#isRough || truth.inTouchMs < CALM_MS || scenario.loop.late > 0) return;
    if (scenario.arbiter && !network.reachesArbiter(other)) return;
    const active = this.#stateOf(node);
    const standby = this.#stateOf(other);
    if (active?.phase.kind !== "active" || active.offer !== undefined) return;
    if (active.stopping || active.maintenance !== "off") return;
    if (standby?.phase.kind !== "standby" || standby.phase.vacantSince !== undefined) return;
    if (standby.requestUntil !== undefined || !isAble(standby)) return;
    const settings = settingsOf(scenario, other, { group: this.#group, times: this.#times });
    const knownMs =
      fault.kind === "crash" ? DEATH_KNOWN_MS : activeDownMs(settings.priority, intervalMs) + ROUNDING_MS;
    const waitMs = claim === "safe" ? leaseGoneMs(settings) + HOOK_SLACK_MS : 0;
    const by = now + CLOCKS * (knownMs + waitMs) + SLOW_HOOK_MS + ROUNDING_MS;
    this.#expected = { of: other, by, after: fault.kind };
  }

  heals(): void {
    this.#expected = undefined;
  }

  check(): void {
    const { now } = this.#world;
    if (this.#expected !== undefined) {
      const { of, by, after } = this.#expected;
      const state = this.#stateOf(of);
      // An order for maintenance may have been on its way to the disk when the fault struck.
      if (state?.phase.kind === "active" || state?.maintenance !== "off") this.#expected = undefined;
      else if (now > by) fail("a healthy standby takes over in time", `after ${after}`);
    }
    if (this.#isRough) return;
    this.#checkAble(0);
    this.#checkAble(1);
  }

  #stateOf(node: NodeId): State | undefined {
    return this.#world.processes[node]?.electors[this.#group]!.state;
  }

  #checkAble(node: NodeId): void {
    const { now, scenario } = this.#world;
    if (!this.#couldTakeOver(node)) {
      this.#ableSince[node] = undefined;
      return;
    }
    const since = (this.#ableSince[node] ??= now);
    const settings = settingsOf(scenario, node, { group: this.#group, times: this.#times });
    const { claim } = scenario;
    const { intervalMs, leaseMs } = this.#times;
    // The last word of the other may still be on its way; a node that ranks lower leaves it some time.
    // One that was not understood is taken for silent late (decision 0006).
    const estrangedMs = this.#stateOf(node)?.peer.kind === "estranged" ? REDIAL_MEMORY_MS : 0;
    const knownMs = (1 + VACANCY_ACTIVE_DOWNS) * activeDownMs(settings.priority, intervalMs) + estrangedMs;
    // The other may have died while it claimed, and this one may have to ask the network.
    const waitMs = claim === "safe" ? leaseGoneMs(settings) + CLAIM_SLACK_MS + leaseMs : 0;
    if (now - since > CLOCKS * (knownMs + waitMs) + PROBE_MS + 2 * SLOW_HOOK_MS + 2 * intervalMs) {
      fail("a standby that could take over for so long has done so", settings.node);
    }
  }

  /** It lives, moves, is well, knows how things stand, reaches the arbiter, and the other does not serve. */
  #couldTakeOver(node: NodeId): boolean {
    const { processes, scenario, network } = this.#world;
    const state = this.#stateOf(node);
    if (state === undefined || processes[node]?.isHeld !== false) return false;
    const { kind } = state.phase;
    if (kind !== "standby" && kind !== "awaiting-lease" && kind !== "claiming") return false;
    if (!isAble(state) || state.offer !== undefined) return false;
    if (!network.isOnLan(node) || (scenario.arbiter && !network.reachesArbiter(node))) return false;
    const other = otherOf(node);
    const process = processes[other];
    if (process === undefined) return true;
    return process.isHeld || !network.isOnLan(other);
  }
}

function isAble({ faults, maintenance, dampedUntil, stopping, stalledSince }: State): boolean {
  return (
    faults.length === 0 &&
    maintenance === "off" &&
    dampedUntil === undefined &&
    !stopping &&
    stalledSince === undefined
  );
}
