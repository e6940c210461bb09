// What is so in the simulated world, whatever the nodes believe: who could hear whom and since when, and who
// reached the arbiter. Invariants excuse a node only by facts of this kind, never by what it says of itself.

import { activeDownMs } from "../../src/election/timing.ts";
import type { Machine } from "./machine.ts";
import { type Network, type NodeId, otherOf } from "./network.ts";
import { connectTimeoutMs, paceMs, silenceMs } from "./peer-link.ts";
import type { File, Process } from "./process.ts";
import { extremesOf, type Scenario, settingsOf } from "./scenario.ts";

/** Clocks differ by at most 2 %. */
export const CLOCKS = 1.02;
/** A handshake with a busy process. */
const HANDSHAKE_MS = 1000;

/** Words that arrive at once are on their way for less than that. */
const FLIGHT_MS_MAX = 10;

/** How a life of a process ended that did not end in order. */
export interface End {
  /** For how long it had moved. */
  readonly movedMs: number;
  /** By group: for how long its words had not reached the other machine, and whether it was active by force. */
  readonly groups: readonly { readonly unheardMs: number; readonly isForced: boolean }[];
}

export interface TrueWorld {
  readonly now: number;
  readonly scenario: Scenario;
  readonly network: Network;
  readonly machines: readonly [Machine, Machine];
  readonly processes: readonly [Process | undefined, Process | undefined];
  readonly arp: readonly (NodeId | undefined)[];
  fileOf(node: NodeId): File;
}

export interface ObservedWorld extends TrueWorld {
  readonly truth: Truth;
}

/** How long two nodes may take to find each other again once the network lets them. */
export function reunionMs(scenario: Scenario): number {
  const times = extremesOf(scenario).longest;
  const a = settingsOf(scenario, 0, { times });
  const b = settingsOf(scenario, 1, { times });
  const silent = Math.max(silenceMs(a), silenceMs(b));
  const redial = connectTimeoutMs(a) + HANDSHAKE_MS + 2 * paceMs(a);
  return (silent + redial) * (scenario.network.loss > 0 ? 2 : 1) + 100;
}

export class Truth {
  readonly #world: TrueWorld;
  readonly #cutMs: number;
  readonly #groups: number;
  /** Both live, move, share the secret, and the network passes: since then, after a break that costs the connections. */
  reunitesSince = -Infinity;
  #metAt = -Infinity;
  /** And each word arrives at once. */
  inTouchSince: number | undefined;
  /** By node: when the arbiter last answered it, or would have. */
  readonly arbiterAt: [number, number] = [0, 0];
  /** When two nodes that do not share the secret could last refuse each other's. */
  refusedAt = -Infinity;
  hooksThawedAt = -Infinity;
  /** By node: when its process last began to move, after a start or a standstill. */
  readonly movesSince: [number, number] = [0, 0];
  /** By node: when its process began. */
  readonly startedAt: [number, number] = [0, 0];
  /** By node; undefined: it lives in its first life, or its last life ended in order and has left no lease. */
  readonly ends: [End | undefined, End | undefined] = [undefined, undefined];
  /** By node: since when it moves, and whoever it dials answers or (dead) is refused by its kernel. */
  readonly #answeredSince: [number | undefined, number | undefined] = [undefined, undefined];

  constructor(world: TrueWorld) {
    this.#world = world;
    const { priorities } = world.scenario;
    const { intervalMs } = extremesOf(world.scenario).shortest;
    this.#groups = priorities.length;
    this.#cutMs = Math.min(...priorities.flat().map((priority) => activeDownMs(priority, intervalMs))) * 0.9;
  }

  /** A life of the process has begun. */
  starts(node: NodeId): void {
    this.movesSince[node] = this.#world.now;
    this.startedAt[node] = this.#world.now;
    this.look();
  }

  /** It is about to end, and not in order. */
  falls(node: NodeId): void {
    const { now, network, processes } = this.#world;
    const electors = processes[node]?.electors;
    if (electors === undefined) return;
    this.ends[node] = {
      movedMs: now - this.movesSince[node],
      groups: electors.map(({ state: { phase } }, group) => ({
        unheardMs: network.unheardMs(node, group),
        isForced: phase.kind === "active" && phase.forced,
      })),
    };
  }

  /** It has ended in order. */
  stops(node: NodeId): void {
    this.ends[node] = undefined;
  }

  /** After every event. */
  look(): void {
    const { now, network, processes } = this.#world;
    if (network.reachesArbiter(0)) this.arbiterAt[0] = now;
    if (network.reachesArbiter(1)) this.arbiterAt[1] = now;
    const a = processes[0];
    const b = processes[1];
    this.#noteAnswers(0);
    this.#noteAnswers(1);
    const canTalk = a !== undefined && b !== undefined && !a.isHeld && !b.isHeld && network.passesBothWays();
    if (canTalk && a.secret !== b.secret) this.refusedAt = now;
    if (!canTalk || a.secret !== b.secret) {
      this.inTouchSince = undefined;
      return;
    }
    if (now - this.#metAt > this.#cutMs) this.reunitesSince = now;
    this.#metAt = now;
    if (this.#hearEachOther() && a.link.isConnected && b.link.isConnected) this.inTouchSince ??= now;
    else this.inTouchSince = undefined;
  }

  #noteAnswers(node: NodeId): void {
    const { now, network, processes } = this.#world;
    const own = processes[node];
    const other = processes[otherOf(node)];
    const isAnswered = other === undefined || (!other.isHeld && other.secret === own?.secret);
    const canAsk = own !== undefined && !own.isHeld && network.passesBothWays();
    if (canAsk && isAnswered) this.#answeredSince[node] ??= now;
    else this.#answeredSince[node] = undefined;
  }

  #hearEachOther(): boolean {
    const { network } = this.#world;
    for (let group = 0; group < this.#groups; group++) {
      if (network.unheardMs(0, group) >= FLIGHT_MS_MAX || network.unheardMs(1, group) >= FLIGHT_MS_MAX)
        return false;
    }
    return true;
  }

  /** Both live; the network is cut between them, or the words of one do not reach the other for an active-down interval. */
  areApart(group: number): boolean {
    const { network, processes } = this.#world;
    const isCut = network.isOnLan(0) && network.isOnLan(1) && !network.passesBothWays();
    if (isCut && processes[0] !== undefined && processes[1] !== undefined) return true;
    return this.#unheardMs(group) >= this.#cutMs;
  }

  /** Both live and move, and words of one are on their way for longer than words take. */
  areHeldUp(group: number): boolean {
    return this.#unheardMs(group) >= FLIGHT_MS_MAX;
  }

  #unheardMs(group: number): number {
    const { network, processes } = this.#world;
    const [a, b] = processes;
    if (a === undefined || b === undefined || a.isHeld || b.isHeld) return 0;
    if (a.secret !== b.secret) return Infinity;
    return Math.max(network.unheardMs(0, group), network.unheardMs(1, group));
  }

  /** For how long this node could have found the other, or that it is dead; 0: it cannot now. */
  answeredMs(node: NodeId): number {
    const since = this.#answeredSince[node];
    return since === undefined ? 0 : this.#world.now - since;
  }

  get inTouchMs(): number {
    return this.inTouchSince === undefined ? 0 : this.#world.now - this.inTouchSince;
  }
}
