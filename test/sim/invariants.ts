// What must hold whatever happens, looked at after every event. What does not hold is written down here,
// too, because nobody else can say it honestly:
//
// - Two nodes that cannot hear each other and both live may both hold the address for as long as that
//   lasts, in either claim mode: two nodes alone cannot tell a cut between them from the other's death.
//   Only an arbiter can; there is none yet. The same goes for a node that is not understood (estranged)
//   until both have noticed. After the cut heals, the nodes have `reunionMs` to find each other again.
// - A word that TCP must send again comes late, and two claims may cross on the wire: then the lower of
//   two claimants yields when it hears of the other. Words held up for longer are a short cut.
// - A hook that is frozen between its look at the interface and its change of it, and goes on when its
//   lease has long ended, brings the address back until the process above it has released it.

import type { Advertisement } from "../../src/election/advertisement.ts";
import { roleOf } from "../../src/election/role.ts";
import type { Input, Settings, State, Step } from "../../src/election/state.ts";
import { nextDeadline } from "../../src/election/step.ts";
import { activeDownMs, HOOK_SLACK_MS, LEASE_MARGIN, LEASE_TRUST } from "../../src/election/timing.ts";
import { SLOW_HOOK_MS } from "./machine.ts";
import type { Machine } from "./machine.ts";
import { NODES, otherOf } from "./network.ts";
import type { NodeId } from "./network.ts";
import { connectTimeoutMs, paceMs, silenceMs } from "./peer-link.ts";
import type { Process } from "./process.ts";
import type { Scenario } from "./scenario.ts";

/** Clocks differ by at most 2 %, and the kernel takes 40 ms to remove what has ended. */
const CLOCKS = 1.02;
const EXPIRY_MS = 50;
/** A handshake with a frozen process. */
const HANDSHAKE_MS = 1000;

export class Violation extends Error {
  override readonly name = "Violation";
}

/** What the invariants look at. */
export interface View {
  readonly now: number;
  readonly scenario: Scenario;
  readonly machines: readonly [Machine, Machine];
  readonly processes: readonly (Process | undefined)[];
  /** Where the clients send their packets. */
  readonly arp: NodeId | undefined;
  /** Both ways between the nodes work, and they share the secret. */
  readonly isTogether: boolean;
  readonly togetherSince: number;
  /** When anything was last not as it is on a good day. */
  readonly disturbedAt: number;
  /** When an event loop last began to move again, or a process to run. */
  readonly resumedAt: number;
  readonly hooksThawedAt: number;
  /** When a segment was last lost between the nodes. */
  readonly heldUpAt: number;
}

/** How long two nodes may take to find each other again once the network lets them. */
function reunionMs({ settings: [a, b], network }: Scenario): number {
  const silent = Math.max(silenceMs(a), silenceMs(b));
  const redial = connectTimeoutMs(a) + HANDSHAKE_MS + 2 * paceMs(a);
  return (silent + redial) * (network.loss > 0 ? 2 : 1) + 100;
}

interface Expectation {
  readonly of: NodeId;
  readonly by: number;
  readonly after: string;
}

export class Invariants {
  readonly #view: View;
  readonly #reunionMs: number;
  readonly #silenceMs: number;
  readonly #settings: Settings;
  readonly #hasHookTrouble: boolean;
  #overlapSince: number | undefined;
  #bothActiveSince: number | undefined;
  #handoverAt = -Infinity;
  /** The newest claim of either node: from a handover a failover may follow, with an overlap of its own. */
  #claimedAt = -Infinity;
  #expected: Expectation | undefined;
  #settledSince: number | undefined;
  #hasSettled = false;
  roleChanges = 0;
  /** By node: the lease as its process must know it. */
  readonly #leaseFrom: [number, number] = [0, 0];

  constructor(view: View) {
    this.#view = view;
    this.#settings = view.scenario.settings[0];
    this.#reunionMs = reunionMs(view.scenario);
    this.#silenceMs = Math.max(...view.scenario.settings.map(silenceMs));
    const { failing, hanging } = view.scenario.hooks;
    this.#hasHookTrouble = failing > 0 || hanging > 0;
  }

  /** The settled pair has stayed as it is for so long. */
  get settledMs(): number {
    return this.#settledSince === undefined ? 0 : this.#view.now - this.#settledSince;
  }

  /** A fault is about to hit this node: who must take over, and when? */
  expectTakeover(node: NodeId, kind: string): void {
    this.#expected = undefined;
    const { now, scenario, disturbedAt, processes } = this.#view;
    const { loss } = scenario.network;
    const other = otherOf(node);
    const [active, standby] = [processes[node], processes[other]];
    const isCalm = now - disturbedAt > this.#reunionMs && !this.#hasHookTrouble && loss === 0;
    if (!isCalm || scenario.loop.late > 0 || active?.state.phase.kind !== "active") return;
    const { offer, requestUntil } = active.state;
    const after = standby?.state;
    if (offer !== undefined || requestUntil !== undefined || after?.requestUntil !== undefined) return;
    if (after?.phase.kind !== "standby" || after.phase.vacantSince !== undefined) return;
    if (standby?.link.isConnected !== true) return;
    const settings = standby.settings;
    const isDeath = kind === "crash";
    const knownMs = isDeath ? 50 : activeDownMs(settings.priority, settings.intervalMs) + 2 * 10;
    const leaseMs = settings.claim === "safe" ? settings.leaseMs * LEASE_MARGIN + HOOK_SLACK_MS : 0;
    const by = now + CLOCKS * (knownMs + leaseMs) + SLOW_HOOK_MS + 20;
    this.#expected = { of: other, by, after: kind };
  }

  /** The world has changed again: what was expected of it does not count any more. */
  expectNothing(): void {
    this.#expected = undefined;
  }

  stepped(
    process: Process,
    input: Input | "start",
    before: State | undefined,
    { state, effects }: Step,
  ): void {
    const { node, settings } = process;
    const { now } = this.#view;
    const clock = this.#view.machines[node].clock();
    if (state.offer !== undefined || state.phase.kind === "leaving") this.#handoverAt = now;
    const deadline = nextDeadline(settings, state);
    if (deadline <= clock) this.#fail("a deadline that has passed", `node ${settings.node}`);
    if (input === "start" || before === undefined) return;
    if (state.epoch < before.epoch) this.#fail("epochs only grow", `node ${settings.node}`);
    if (input.kind === "claimed" || input.kind === "renewed") this.#leaseFrom[node] = input.startedAt;
    for (const effect of effects) {
      if (effect.kind === "claim") this.#claimedAt = now;
      if (effect.kind === "claim") this.#checkClaim(process, input, before, clock, effect.epoch);
      if (effect.kind === "renew" && clock - this.#leaseFrom[node] >= LEASE_TRUST * settings.leaseMs) {
        this.#fail(
          "rule 4: no lease is renewed that may have ended",
          `node ${settings.node}: ${String(clock - this.#leaseFrom[node])} ms old`,
        );
      }
    }
    this.#checkReason(process, before, state, effects);
    if (input.kind === "advertisement") this.#checkTieBreak(process, input.advertisement, state);
  }

  /** After every event. */
  check(): void {
    this.#checkOverlap();
    this.#checkBothActive();
    this.#checkTakeover();
    this.#checkSettled();
  }

  #checkClaim(process: Process, input: Input, before: State, clock: number, epoch: number): void {
    const { settings, late } = process;
    const isAgain = before.phase.kind === "active";
    if (!isAgain && epoch <= before.epoch) this.#fail("epochs only grow", `claim of epoch ${String(epoch)}`);
    const listenedMs = clock - process.startedAt;
    if (listenedMs < activeDownMs(settings.priority, settings.intervalMs)) {
      this.#fail(
        "rule 8: no claim before one active-down interval of listening",
        `node ${settings.node} after ${String(listenedMs)} ms`,
      );
    }
    if (late.byMs > settings.intervalMs && late.unread > 0) {
      this.#fail("rule 5: a stalled process reads before it judges", `${settings.node} by ${input.kind}`);
    }
  }

  #checkReason(process: Process, before: State, state: State, effects: Step["effects"]): void {
    if (before.phase.kind === state.phase.kind) return;
    const isRoleChange = roleOf(before) !== roleOf(state);
    if (isRoleChange) this.roleChanges += 1;
    const isTold = effects.some(
      (effect) => effect.kind === "log" && typeof effect.subject["reason"] === "string",
    );
    if ((isRoleChange || state.phase.kind === "claiming") && !isTold) {
      this.#fail(
        "no role changes without a reason in the log",
        `node ${process.settings.node}: ${before.phase.kind} to ${state.phase.kind}`,
      );
    }
  }

  #checkTieBreak(process: Process, said: Advertisement, { phase, offer }: State): void {
    if (phase.kind !== "active" || offer !== undefined) return;
    if (said.role !== "active" && said.role !== "claiming") return;
    const { priority, node } = process.settings;
    const isHigher =
      said.epoch !== phase.epoch
        ? said.epoch > phase.epoch
        : said.priority !== priority
          ? said.priority > priority
          : said.node > node;
    if (isHigher) this.#fail("rule 7: of two actives that meet the lower yields", `node ${node}`);
  }

  #checkOverlap(): void {
    const { now, machines } = this.#view;
    if (!machines[0].holdsAddress || !machines[1].holdsAddress) {
      this.#overlapSince = undefined;
      return;
    }
    this.#overlapSince ??= now;
    if (this.#settings.claim === "safe") this.#checkSafe(this.#overlapSince);
    else this.#checkFast(this.#overlapSince);
  }

  #checkSafe(since: number): void {
    const { isTogether, togetherSince, hooksThawedAt, heldUpAt } = this.#view;
    const { leaseMs } = this.#settings;
    if (!isTogether || since < togetherSince + this.#reunionMs + leaseMs * CLOCKS + SLOW_HOOK_MS) return;
    if (since < hooksThawedAt + SLOW_HOOK_MS || since < heldUpAt + this.#silenceMs + leaseMs * CLOCKS) return;
    this.#fail("claim: safe never has two holders", "");
  }

  #checkFast(since: number): void {
    const { now, isTogether, togetherSince, resumedAt, hooksThawedAt, disturbedAt, processes } = this.#view;
    const { leaseMs, intervalMs } = this.#settings;
    if (!isTogether) return;
    const leaseEndMs = leaseMs * CLOCKS + SLOW_HOOK_MS + EXPIRY_MS;
    const releaseMs = this.#hasHookTrouble ? leaseEndMs : 2 * SLOW_HOOK_MS;
    const reunited = Math.max(togetherSince, resumedAt, hooksThawedAt) + this.#reunionMs + releaseMs;
    if (now > Math.max(Math.max(since, this.#claimedAt, togetherSince) + leaseEndMs, reunited)) {
      this.#fail("claim: fast has two holders for one lease at most", `${String(now - since)} ms`);
    }
    const wasCalm = since - disturbedAt > 2 * intervalMs + 200;
    const areConnected = processes.every((process) => process?.isHeld === false && process.link.isConnected);
    const isHandover = this.#handoverAt > since - 2 * SLOW_HOOK_MS;
    if (wasCalm && areConnected && !isHandover && now - since > releaseMs) {
      this.#fail("two nodes in touch do not both hold the address", `${String(now - since)} ms`);
    }
  }

  #checkBothActive(): void {
    const { now, processes, disturbedAt } = this.#view;
    const [a, b] = processes;
    if (a?.state.phase.kind !== "active" || b?.state.phase.kind !== "active") {
      this.#bothActiveSince = undefined;
      return;
    }
    this.#bothActiveSince ??= now;
    if (!a.link.isConnected || !b.link.isConnected || a.isHeld || b.isHeld) return;
    if (now - Math.max(this.#bothActiveSince, disturbedAt) > 2 * this.#settings.intervalMs + 100) {
      this.#fail("two nodes in touch are not both active", "");
    }
  }

  #checkTakeover(): void {
    const { now, processes } = this.#view;
    if (this.#expected === undefined) return;
    const { of, by, after } = this.#expected;
    if (processes[of]?.state.phase.kind === "active") this.#expected = undefined;
    else if (now > by) this.#fail("a healthy standby takes over in time", `after ${after}`);
  }

  #checkSettled(): void {
    const { now, scenario } = this.#view;
    if (scenario.isSteady && this.#hasSettled && this.roleChanges > 1) {
      this.#fail("no role changes on a steady network", `${String(this.roleChanges)} times`);
    }
    if (!scenario.isSteady && now < scenario.healedAt) return;
    const problem = this.#unsettled();
    if (problem === undefined) {
      this.#settledSince ??= now;
      this.#hasSettled = true;
      return;
    }
    this.#settledSince = undefined;
    if (now > settledBy(scenario)) this.#fail("a pair without faults settles", problem);
  }

  #unsettled(): string | undefined {
    const { machines, processes, arp } = this.#view;
    const actives = NODES.filter((node) => processes[node]?.state.phase.kind === "active");
    const [active] = actives;
    if (active === undefined || actives.length > 1) return `${String(actives.length)} nodes are active`;
    if (!machines[active].holdsAddress) return "the active does not hold the address";
    if (machines[otherOf(active)].holdsAddress) return "the standby holds the address";
    if (arp !== active) return "the clients send their packets elsewhere";
    const standby = processes[otherOf(active)]?.state;
    // Rule 10: for a minute it does not touch an address that somebody keeps removing.
    const isResting = standby?.faults.some(({ cause }) => cause === "address") === true;
    return standby?.phase.kind === "standby" || isResting ? undefined : "there is no standby";
  }

  #fail(rule: string, detail: string): never {
    throw new Violation(`${rule}${detail === "" ? "" : `: ${detail}`}`);
  }
}

/** The 30 s for which a node waits for a peer at its start, the way out of a stop, and the way back. */
function settledBy(scenario: Scenario): number {
  const { leaseMs, intervalMs, stopGraceMs } = scenario.settings[0];
  return (
    scenario.healedAt + 30_000 + 10 * intervalMs + stopGraceMs + 3 * leaseMs + 5000 + reunionMs(scenario)
  );
}
