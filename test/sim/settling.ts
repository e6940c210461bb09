// The invariant of good days: when every fault is over, the pair comes to rest within a bounded time, and
// stays there: one active that holds the address, one standby that does not, and clients that know.

import type { State } from "../../src/election/state.ts";
import { CLAIM_RETRY_MS_MAX, LOSS_WINDOW_MS } from "../../src/election/timing.ts";
import { type NodeId, otherOf } from "./network.ts";
import { extremesOf, type Scenario } from "./scenario.ts";
import { type ObservedWorld, reunionMs } from "./truth.ts";
import { fail } from "./violation.ts";

/**
 * Losses move no role at this interval. A node that is restarted with a shorter one listens, before it claims, for less
 * time than it takes until a lost SYN is sent again.
 */
const STEADY_INTERVAL_MS = 200;

export class Settling {
  readonly #world: ObservedWorld;
  readonly #group: number;
  readonly #settledBy: number;
  #settledSince: number | undefined;
  #hasSettled = false;
  #isSteady: boolean;

  constructor(world: ObservedWorld, group: number) {
    this.#world = world;
    this.#group = group;
    this.#settledBy = settledBy(world.scenario);
    this.#isSteady = world.scenario.isSteady;
  }

  /** A node has claimed that has heard nothing since its start, and `intervalMs` is how long that was for it. */
  claimsUnheard(intervalMs: number): void {
    const { loss } = this.#world.scenario.network;
    if (loss > 0 && intervalMs < STEADY_INTERVAL_MS) this.#isSteady = false;
  }

  get settledMs(): number {
    return this.#settledSince === undefined ? 0 : this.#world.now - this.#settledSince;
  }

  check(roleChanges: number): void {
    const { now, scenario } = this.#world;
    if (this.#isSteady && this.#hasSettled && roleChanges > 1) {
      fail("no role changes on a steady network", `${String(roleChanges)} times`);
    }
    if (!scenario.isSteady && now < scenario.healedAt) return;
    const problem = this.#unsettled();
    if (problem === undefined) {
      this.#settledSince ??= now;
      this.#hasSettled = true;
      return;
    }
    this.#settledSince = undefined;
    if (now > this.#settledBy) fail("a pair without faults settles", problem);
  }

  #unsettled(): string | undefined {
    const { machines, arp } = this.#world;
    const a = this.#stateOf(0);
    const b = this.#stateOf(1);
    const isActive = a?.phase.kind === "active";
    if (isActive && b?.phase.kind === "active") return "both nodes are active";
    if (!isActive && b?.phase.kind !== "active")
      return rests(a) && rests(b) ? undefined : "no node is active";
    const active = isActive ? 0 : 1;
    const other = otherOf(active);
    if (!machines[active].addresses[this.#group]!.isHeld) return "the active does not hold the address";
    if (machines[other].addresses[this.#group]!.isHeld) return "the standby holds the address";
    if (arp[this.#group] !== active) return "the clients send their packets elsewhere";
    const standby = isActive ? b : a;
    return standby?.phase.kind === "standby" || rests(standby) ? undefined : "there is no standby";
  }

  #stateOf(node: NodeId): State | undefined {
    return this.#world.processes[node]?.electors[this.#group]!.state;
  }
}

/** Out of service for good reason: by an order, or (rule 10) because somebody keeps removing the address. */
function rests(state: State | undefined): boolean {
  if (state === undefined) return false;
  return state.maintenance !== "off" || state.faults.some(({ cause }) => cause === "address");
}

/** Claims that failed are tried again after a while; a node may wait out what flaps; then the way back. */
function settledBy(scenario: Scenario): number {
  const { stopGraceMs, healedAt, hooks } = scenario;
  const { leaseMs, intervalMs } = extremesOf(scenario).longest;
  const hasHookTrouble = hooks.failing > 0 || hooks.hanging > 0;
  const retryMs = hasHookTrouble ? CLAIM_RETRY_MS_MAX : 0;
  const isWatched = scenario.events.some(({ fault }) => fault.kind === "address removed");
  const quietMs = isWatched ? LOSS_WINDOW_MS : 0;
  return (
    healedAt + quietMs + retryMs + 10 * intervalMs + stopGraceMs + 3 * leaseMs + 5000 + reunionMs(scenario)
  );
}
