// What must hold whatever happens, looked at after every event, for one group of addresses. (Groups are
// elections of their own that share a link, a switch and an event loop, so most runs have one group.)
//
// - Epochs only grow, over restarts too; no role changes without a reason in the log; on a steady network
//   with 5 % loss no role changes at all.
// - Rules 4 to 8 and 12 of the design, each at the step that could break it.
// - With a working link and no fault for a bounded time exactly one node is active, and the clients' packets
//   go to it.
// - A live healthy node with a working arbiter takes over within active-down + one hook (+ the lease, if safe).
// - `claim: safe`: never two leases alive at once. `claim: fast`: two leases overlap for one lease period at
//   most, and never while the nodes hear each other, apart from a planned handover, which is an overlap.
//
// What excuses two leases, because physics lets nobody know better (truth.ts says what was so, not the nodes):
//
// - The nodes are cut from each other: words of the holder have not reached the claimer's machine for as long
//   as the claimer must wait, nor has the holder's machine known for a lease that it is counted on; and both
//   reach the arbiter, or there is none. A node that the arbiter does not answer is not excused, unless an
//   operator has made it active by force. Words that were lost by chance again and again for so long are such a
//   cut, and a word that arrives for the second time is no word: a kernel sends it again whatever has become of
//   its process. Two that do not share the secret are cut from each other, too; but each hears the other's
//   machine refuse it, which tells as well as an arbiter that it is not the one that is cut off, and who is
//   active then stays so (decision 0006). Once they can meet again they have `reunionMs` to do so.
// - A lease that a life of a process has left in its kernel is judged by what that life said: its words had not been
//   heard for as long as silence takes to be noticed, and since then nothing, no refusal either, told of its end.
// - In a handover both hold already, so there each moment counts in which the words of one do not reach the other, and
//   the time that a node needs to notice that its arbiter is silent.
// - An address that somebody removes in the midst of such two leases is brought back by its active (rule 10): the
//   other has held it all the time, so that no lease is there that was not there before.
// - A hook that was stopped between its look at the interface and its change of it, and goes on when its lease
//   has long ended, brings the address back until the process above it has released it.

import type { Advertisement } from "../../src/election/advertisement.ts";
import { roleOf } from "../../src/election/role.ts";
import type { Effect, Input, State, Step } from "../../src/election/state.ts";
import {
  activeDownMs,
  ARBITER_SILENT,
  ARBITER_VOUCHES,
  arbiterIntervalMs,
  FLAP_WINDOW_MS,
  LEASE_TRUST,
  REDIAL_MEMORY_MS,
  refusalMemoryMs,
} from "../../src/election/timing.ts";
import { priorityOf } from "../../src/election/turn.ts";
import { SLOW_HOOK_MS } from "./address.ts";
import type { Elector } from "./elector.ts";
import { otherOf } from "./network.ts";
import type { NodeId } from "./network.ts";
import { extremesOf, type Fault, settingsOf, type Times } from "./scenario.ts";
import { Settling } from "./settling.ts";
import { Takeover } from "./takeover.ts";
import { CLOCKS, type End, type ObservedWorld, reunionMs } from "./truth.ts";
import { fail } from "./violation.ts";

/** The kernel takes up to 40 ms to remove what has ended. */
const EXPIRY_MS = 50;
const ROUNDING_MS = 20;

/** What was true when a node decided to claim. */
interface ClaimFacts {
  readonly at: number;
  /** Nothing that the nodes could have done would have told them of each other. */
  readonly isExcused: boolean;
  /** By an active whose address had vanished. */
  readonly isRepeated: boolean;
}

/** By node, in its own clock: what its core was told. */
interface Told {
  /** Lease as the process must know it. */
  leaseFrom: number;
  arbiterAt: number;
  /** The peer's words, or a sign of its machine, count until then. */
  peerUntil: number;
  /** When it had read what waited while it stood still, the first time since the peer was heard, or either of peer and arbiter. */
  wokeAt: number;
  wokeAmongAll: number;
  epoch: number;
  /** An operator has forced the role upon it. */
  isForced: boolean;
  /** Its newest claim. */
  claimed: number;
  /** When the core gained or lost the active role without an order. */
  roleChangesAt: number[];
}

function nothingTold(): Told {
  return {
    leaseFrom: 0,
    arbiterAt: -Infinity,
    peerUntil: -Infinity,
    wokeAt: -Infinity,
    wokeAmongAll: -Infinity,
    epoch: 0,
    isForced: false,
    claimed: 0,
    roleChangesAt: [],
  };
}

export class Invariants {
  readonly #world: ObservedWorld;
  readonly #group: number;
  readonly #longest: Times;
  readonly #shortest: Times;
  readonly #reunionMs: number;
  readonly #leaseEndMs: number;
  readonly #hasHookTrouble: boolean;
  readonly #takeover: Takeover;
  readonly #settling: Settling;
  readonly #told: readonly [Told, Told] = [nothingTold(), nothingTold()];
  readonly #claims: [ClaimFacts | undefined, ClaimFacts | undefined] = [undefined, undefined];
  #addedLast: NodeId = 0;
  #overlapSince: number | undefined;
  /** Whose address somebody has removed while both held it, as long as the other goes on holding it. */
  #robbed: NodeId | undefined;
  #excusedAt = -Infinity;
  #bothActiveSince: number | undefined;
  #handoverAt = -Infinity;
  roleChanges = 0;

  constructor(world: ObservedWorld, group: number) {
    const { scenario } = world;
    this.#world = world;
    this.#group = group;
    const { longest, shortest } = extremesOf(scenario);
    this.#longest = longest;
    this.#shortest = shortest;
    this.#reunionMs = reunionMs(scenario);
    this.#hasHookTrouble = scenario.hooks.failing > 0 || scenario.hooks.hanging > 0;
    this.#leaseEndMs =
      longest.leaseMs * CLOCKS + SLOW_HOOK_MS + EXPIRY_MS + settingsOf(scenario, 0).expiryLateMs;
    this.#takeover = new Takeover(world, group);
    this.#settling = new Settling(world, group);
  }

  /** The settled pair has stayed as it is for so long. */
  get settledMs(): number {
    return this.#settling.settledMs;
  }

  /** A fault is about to hit this node. */
  strikes(node: NodeId, fault: Fault): void {
    this.#takeover.strikes(node, fault);
    const isRobbery = fault.kind === "address removed" && this.#group === 0;
    if (isRobbery && this.#isHeld(0) && this.#isHeld(1)) this.#robbed = node;
  }

  /** The world has changed again: what was expected of it does not count any more. */
  heals(): void {
    this.#takeover.heals();
  }

  /** The kernel of this node has the address now. */
  added(node: NodeId): void {
    this.#addedLast = node;
  }

  stepped(elector: Elector, input: Input | "start", before: State | undefined, after: Step): void {
    const { state, effects } = after;
    const { node, settings } = elector;
    const told = this.#told[node];
    const clock = this.#world.machines[node].clock();
    if (state.offer !== undefined || state.phase.kind === "leaving") this.#handoverAt = this.#world.now;
    if (state.epoch < told.epoch) fail("epochs only grow", `node ${settings.node}`);
    told.epoch = state.epoch;
    if (input === "start" || before === undefined) {
      Object.assign(told, { ...nothingTold(), epoch: state.epoch, claimed: told.claimed });
      return;
    }
    if (elector.deadline <= clock && input.kind === "deadline" && !effects.length && state === before) {
      fail("a deadline is something to do", `node ${settings.node}`);
    }
    this.#note(told, elector, input, clock);
    if (before.stalledSince !== undefined && state.stalledSince === undefined) {
      const peerAt = before.peer.kind === "heard" ? before.peer.at : Infinity;
      if (told.wokeAt <= peerAt) told.wokeAt = clock;
      if (told.wokeAmongAll <= Math.max(peerAt, told.arbiterAt)) told.wokeAmongAll = clock;
    }
    for (const effect of effects) {
      if (effect.kind === "claim") this.#checkClaim(elector, before, state, effect, clock);
      if (effect.kind === "claim" && before.peer.kind === "unknown") {
        this.#settling.claimsUnheard(settings.intervalMs);
      }
      if (effect.kind === "renew" && clock - told.leaseFrom >= LEASE_TRUST * settings.leaseMs) {
        fail("rule 4: no lease is renewed that may have ended", `${String(clock - told.leaseFrom)} ms old`);
      }
    }
    if (before.phase.kind !== state.phase.kind) this.#checkReason(elector, before, state, effects);
    this.#checkDamping(elector, before, after, clock);
    this.#checkIsolation(elector, after, clock);
    if (input.kind === "advertisement") this.#checkTieBreak(elector, input.advertisement, state);
  }

  /** After every event. */
  check(): void {
    this.#checkOverlap();
    this.#checkBothActive();
    this.#takeover.check();
    this.#settling.check(this.roleChanges);
  }

  #note(told: Told, { settings }: Elector, input: Input, clock: number): void {
    const { kind } = input;
    if (kind === "claimed" || kind === "renewed") told.leaseFrom = input.startedAt;
    else if (kind === "arbiter-answered") told.arbiterAt = clock;
    else if (kind === "switchover") told.isForced ||= input.force === true;
    else if (kind === "resume") told.roleChangesAt = [];
    else if (kind === "peer-dead" || kind === "peer-estranged") told.peerUntil = clock + REDIAL_MEMORY_MS;
    else if (kind === "advertisement") {
      const intervalMs = Math.max(settings.intervalMs, input.advertisement.intervalMs);
      const until = clock + activeDownMs(settings.priority, intervalMs);
      told.peerUntil = Math.max(told.peerUntil, until);
    }
  }

  #checkClaim(
    elector: Elector,
    before: State,
    state: State,
    { epoch }: Extract<Effect, { kind: "claim" }>,
    clock: number,
  ): void {
    const { settings, late, node } = elector;
    const told = this.#told[node];
    const isRepeated = before.phase.kind === "active";
    this.#claims[node] = { at: this.#world.now, isExcused: this.#isExcused(node), isRepeated };
    if (isRepeated) return;
    if (epoch <= told.claimed || epoch < before.epoch) {
      fail("epochs only grow", `claim of epoch ${String(epoch)}`);
    }
    told.claimed = epoch;
    const listenedMs = clock - elector.startedAt;
    const isOrdered = state.phase.kind === "claiming" && state.phase.vacancy.ordered;
    if (listenedMs < activeDownMs(settings.priority, settings.intervalMs) && !told.isForced) {
      fail("rule 8: no claim before one active-down interval of listening", `${String(listenedMs)} ms`);
    }
    if (late.byMs > settings.intervalMs && late.unread > 0) {
      fail("rule 5: a stalled process reads before it judges", settings.node);
    }
    const key = `maintenance/${settings.node}`;
    if (this.#world.machines[node].changes.get(key)?.value === true) {
      fail("rule 12: a node in maintenance claims nothing", settings.node);
    }
    const isGuess = clock >= told.peerUntil && !isOrdered;
    const vouchedMs = ARBITER_VOUCHES * arbiterIntervalMs(settings.intervalMs);
    if (isGuess && this.#world.scenario.arbiter && clock - told.arbiterAt >= vouchedMs) {
      fail("rule 6: nobody claims on silence unless the arbiter answers", settings.node);
    }
    const judges = isGuess && before.peer.kind === "heard" && before.phase.kind === "standby";
    if (judges && clock < told.wokeAt + settings.intervalMs) {
      fail("rule 5: who stood still gives the others a chance to be heard", settings.node);
    }
    const recent = told.roleChangesAt.filter((at) => clock - at < FLAP_WINDOW_MS);
    if (isGuess && recent.length > settings.roleChangesMax) {
      fail("a damped node claims nothing on a guess", settings.node);
    }
  }

  /** The truth at the moment of a decision to claim. */
  #isExcused(node: NodeId): boolean {
    const { network, now, scenario, truth, processes } = this.#world;
    const other = otherOf(node);
    const areStrangers = processes[0] && processes[1] && processes[0].secret !== processes[1].secret;
    // A holder that knows for longer than its lease that it is counted on has let go; unless it claimed since then, as
    // cut off as this one is now.
    const countedOnMs = network.countedOnMs(node, this.#group);
    const claim = this.#claims[other];
    const hasClaimedSince = claim?.isExcused === true && claim.at > now - countedOnMs;
    const isUnheeded = countedOnMs < this.#leaseEndMs || hasClaimedSince;
    const couldMeet = truth.answeredMs(node) > this.#reunionMs && scenario.network.loss === 0;
    if (!this.#mayHoldOfOldLife(other)) {
      const isCut = areStrangers || (this.#isUnheard(other) && isUnheeded && !couldMeet);
      return isCut && (this.#isForced(other) || this.#isVouchedFor(other) || this.#hearsRefusal(other));
    }
    const end = truth.ends[other];
    const isCut = end !== undefined && this.#wasUnheard(other, end) && isUnheeded && !couldMeet;
    const wasForced = end?.groups[this.#group]!.isForced === true;
    return isCut && (wasForced || this.#isVouchedFor(other) || this.#hearsRefusal(other));
  }

  /** The lease that its kernel may still keep is not one that its present life has set. */
  #mayHoldOfOldLife(node: NodeId): boolean {
    const { machines, processes, truth } = this.#world;
    const { isHeld, setAt } = machines[node].addresses[this.#group]!;
    return processes[node] === undefined || (isHeld && setAt < truth.startedAt[node]);
  }

  /** Words of the holder do not reach the machine of the other for as long as that must wait before it claims. */
  #isUnheard(holder: NodeId): boolean {
    const { now, network, truth } = this.#world;
    const waitMs = this.#silenceMs(holder) + this.#leaseWaitMs();
    // Or since a standstill that was too short to cost the lease.
    const couldSpeakMs = now - truth.movesSince[holder];
    return network.unheardMs(holder, this.#group) >= Math.min(waitMs / CLOCKS, couldSpeakMs) - ROUNDING_MS;
  }

  /**
   * The same of one that has died: its words had not been heard for as long as silence takes to be noticed, and
   * since then nothing, not even the refusal of its kernel, has told of its death.
   */
  #wasUnheard(holder: NodeId, { movedMs, groups }: End): boolean {
    const { network } = this.#world;
    const silenceMs = this.#silenceMs(holder);
    const waitMs = silenceMs + this.#leaseWaitMs();
    if (network.silentMs(holder, this.#group) < waitMs / CLOCKS - ROUNDING_MS) return false;
    return groups[this.#group]!.unheardMs >= Math.min(silenceMs / CLOCKS, movedMs) - ROUNDING_MS;
  }

  /** The first word that did not arrive came up to one interval after the last that did. */
  #silenceMs(of: NodeId): number {
    const { priority, intervalMs } = settingsOf(this.#world.scenario, otherOf(of), {
      group: this.#group,
      times: this.#shortest,
    });
    return activeDownMs(priority, intervalMs) - intervalMs;
  }

  #leaseWaitMs(): number {
    return this.#world.scenario.claim === "safe" ? this.#shortest.leaseMs : 0;
  }

  /** There is no arbiter, or so short a time ago it still answered that the lease may run. */
  #isVouchedFor(node: NodeId): boolean {
    const { now, scenario, truth } = this.#world;
    if (!scenario.arbiter) return true;
    const silentMs = ARBITER_SILENT * arbiterIntervalMs(this.#longest.intervalMs) * CLOCKS;
    return now - truth.arbiterAt[node] < silentMs + this.#leaseEndMs;
  }

  /** There is none, or it answers, or has fallen silent too short a time ago to be noticed. */
  #mayTrustArbiter(node: NodeId): boolean {
    const { now, scenario, truth } = this.#world;
    if (!scenario.arbiter) return true;
    const { priority, intervalMs } = settingsOf(scenario, node, {
      group: this.#group,
      times: this.#longest,
    });
    const noticeMs = Math.max(
      activeDownMs(priority, intervalMs),
      ARBITER_SILENT * arbiterIntervalMs(intervalMs),
    );
    return now - truth.arbiterAt[node] < noticeMs * CLOCKS + ROUNDING_MS;
  }

  /** The peer refuses its secret, or has ceased to too short a time ago to be noticed. */
  #hearsRefusal(node: NodeId): boolean {
    const { now, scenario, truth } = this.#world;
    const { priority, intervalMs } = settingsOf(scenario, node, {
      group: this.#group,
      times: this.#longest,
    });
    return now - truth.refusedAt < refusalMemoryMs(priority, intervalMs) * CLOCKS + ROUNDING_MS;
  }

  #checkReason(elector: Elector, before: State, state: State, effects: Step["effects"]): void {
    const isRoleChange = roleOf(before) !== roleOf(state);
    if (isRoleChange) this.roleChanges += 1;
    const isTold = effects.some(
      (effect) => effect.kind === "log" && typeof effect.subject["reason"] === "string",
    );
    if ((isRoleChange || state.phase.kind === "claiming") && !isTold) {
      fail(
        "no role changes without a reason in the log",
        `node ${elector.settings.node}: ${before.phase.kind} to ${state.phase.kind}`,
      );
    }
  }

  #checkDamping(elector: Elector, before: State, { state, effects }: Step, clock: number): void {
    const { settings, node } = elector;
    const wasActive = before.phase.kind === "active";
    if (wasActive === (state.phase.kind === "active")) return;
    const isOrdered = wasActive
      ? state.stopping || state.maintenance !== "off" || before.offer?.ordered === true
      : before.phase.kind === "claiming" && before.phase.vacancy.ordered;
    if (isOrdered) return;
    const told = this.#told[node];
    told.roleChangesAt = [...told.roleChangesAt.filter((at) => clock - at < FLAP_WINDOW_MS), clock];
    const isFault = effects.some(
      (effect) => effect.kind === "log" && effect.event === "fault" && effect.subject["was"] === "active",
    );
    const isOpinion = isFault && state.faults.every(({ soft }) => soft);
    if (isOpinion && told.roleChangesAt.length > settings.roleChangesMax + 1) {
      fail("a damped node does not leave because of an opinion", settings.node);
    }
  }

  // Rule 6: an active that hears neither its peer nor its arbiter lets go; but not because it could not hear them (rule 5).
  #checkIsolation({ node, settings, late }: Elector, { state, effects }: Step, clock: number): void {
    if (!this.#world.scenario.arbiter) return;
    const told = this.#told[node];
    const silentMs = ARBITER_SILENT * arbiterIntervalMs(settings.intervalMs);
    const hasChance = clock < told.wokeAmongAll + silentMs;
    const letsGo = effects.some((effect) => effect.kind === "log" && effect.event.startsWith("isolated"));
    if (hasChance && letsGo)
      fail("rule 5: who stood still gives the others a chance to be heard", settings.node);
    const { phase, stalledSince } = state;
    // By force an operator has taken the matter into his hands, until somebody is heard again.
    if (phase.kind !== "active" || phase.forced || hasChance) return;
    if (stalledSince !== undefined || late.byMs > 0) return;
    if (clock >= told.peerUntil + 1 && clock >= told.arbiterAt + silentMs + 1) {
      fail("rule 6: an isolated active lets go", settings.node);
    }
  }

  #checkTieBreak(elector: Elector, said: Advertisement, state: State): void {
    const { phase, offer, at } = state;
    if (phase.kind !== "active" || offer !== undefined) return;
    if (said.role !== "active" && said.role !== "claiming") return;
    const { node } = elector.settings;
    const priority = priorityOf({ settings: elector.settings, state, now: at });
    const isHigher =
      said.epoch !== phase.epoch
        ? said.epoch > phase.epoch
        : said.priority !== priority
          ? said.priority > priority
          : said.node > node;
    if (isHigher) fail("rule 7: of two actives that meet the lower yields", `node ${node}`);
  }

  #checkOverlap(): void {
    const { now, scenario, truth } = this.#world;
    if (!this.#isHeld(0) || !this.#isHeld(1)) {
      if (this.#robbed !== undefined && !this.#isHeld(otherOf(this.#robbed))) this.#robbed = undefined;
      this.#overlapSince = undefined;
      return;
    }
    const claim = this.#claims[this.#addedLast];
    const isResumed = this.#robbed === this.#addedLast && claim?.isRepeated === true;
    const isThawed = now - truth.hooksThawedAt < this.#leaseEndMs;
    const isNew = this.#overlapSince === undefined;
    const since = (this.#overlapSince ??= now);
    // A claim that asks the network adds the address a second after its decision: whoever decided last had to know of the other.
    const rival = this.#claims[otherOf(this.#addedLast)];
    const isRivals = claim !== undefined && rival?.isRepeated === false && rival.at > claim.at;
    const isExcused = (isRivals ? rival : claim)?.isExcused === true;
    if (isNew && scenario.claim === "safe" && !isThawed && !isResumed && !isExcused) {
      fail("claim: safe never has two leases alive", `node ${String(this.#addedLast)} added the second`);
    }
    const isHandover = this.#handoverAt > since - 2 * SLOW_HOOK_MS;
    const areApart = truth.areApart(this.#group) || (isHandover && truth.areHeldUp(this.#group));
    const mayHold = (node: NodeId) =>
      this.#isForced(node) || this.#mayTrustArbiter(node) || this.#hearsRefusal(node);
    if (isThawed || (areApart && mayHold(0) && mayHold(1))) this.#excusedAt = now;
    const releaseMs = this.#hasHookTrouble ? this.#leaseEndMs : 2 * SLOW_HOOK_MS;
    // From a handover a failover may follow, with an overlap of its own.
    const claimedAt = Math.max(this.#claims[0]?.at ?? -Infinity, this.#claims[1]?.at ?? -Infinity);
    const reunitedAt = truth.reunitesSince + this.#reunionMs + releaseMs;
    this.#robbed = undefined;
    const isOver = now > Math.max(since, claimedAt, this.#excusedAt) + this.#leaseEndMs;
    if (isOver && now > reunitedAt) {
      fail("two leases overlap for one lease period at most", `${String(now - since)} ms`);
    }
    const touchedMs = Math.min(truth.inTouchMs, now - since);
    if (!isHandover && !isThawed && touchedMs > 2 * this.#longest.intervalMs + releaseMs) {
      fail("two nodes in touch do not both hold the address", `${String(now - since)} ms`);
    }
  }

  #isHeld(node: NodeId): boolean {
    return this.#world.machines[node].addresses[this.#group]!.isHeld;
  }

  #isForced(node: NodeId): boolean {
    const phase = this.#world.processes[node]?.electors[this.#group]?.state.phase;
    return phase?.kind === "active" && phase.forced;
  }

  #checkBothActive(): void {
    const { now, processes, truth } = this.#world;
    const a = processes[0]?.electors[this.#group]?.state.phase.kind;
    const b = processes[1]?.electors[this.#group]?.state.phase.kind;
    if (a !== "active" || b !== "active") {
      this.#bothActiveSince = undefined;
      return;
    }
    const since = (this.#bothActiveSince ??= now);
    if (Math.min(now - since, truth.inTouchMs) > 2 * this.#longest.intervalMs + 100) {
      fail("two nodes in touch are not both active", "");
    }
  }
}
