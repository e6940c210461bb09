// The LAN of the two nodes and their gateway, as far as it can fail: cables, a switch port that says nothing,
// cuts in one or both directions, and TCP on top: each connection delivers in order or not at all, a lost or
// delayed segment holds up what comes after it, and the two connections of the pair know nothing of each
// other, so that the words of a node arrive twice and out of order. A segment that is sent again though it had
// arrived comes twice on the same connection, too.

import type { Advertisement } from "../../src/election/advertisement.ts";
import type { Agenda } from "./agenda.ts";
import type { Told } from "./changes.ts";
import type { Random } from "./random.ts";

/** The two nodes, by index. */
export type NodeId = 0 | 1;

export const NODES: readonly NodeId[] = [0, 1];

export function otherOf(node: NodeId): NodeId {
  return node === 0 ? 1 : 0;
}

/** Gaps between the attempts of TCP to send again: tail loss probe, retransmission timer, then doubling. */
const RETRY_GAPS_MS: readonly number[] = [200, 200, 400, 800, 1600, 3200, 6400];

export type Segment =
  | {
      readonly kind: "advertisement";
      readonly boot: number;
      readonly seq: number;
      readonly said: Advertisement;
      /** When it was said, in the time of the run: for the invariants. */
      readonly saidAt: number;
    }
  | { readonly kind: "changes"; readonly told: Told }
  | { readonly kind: "stored"; readonly id: number }
  | { readonly kind: "close" };

/** What becomes of segments at one end; given by the process that owns the end. */
export interface EndListener {
  receive(connection: Connection, segment: Segment): void;
}

interface Lane {
  arrivesAt: number;
  waiting: Segment[];
  attempts: number;
}

export class Connection {
  readonly id: number;
  readonly dialer: NodeId;
  /** By node: who listens at that end; undefined once that end is closed. */
  readonly ends: [EndListener | undefined, EndListener | undefined];
  /** By sending node. */
  readonly lanes: readonly [Lane, Lane] = [
    { arrivesAt: 0, waiting: [], attempts: 0 },
    { arrivesAt: 0, waiting: [], attempts: 0 },
  ];

  constructor(id: number, dialer: NodeId, ends: [EndListener, EndListener]) {
    this.id = id;
    this.dialer = dialer;
    this.ends = ends;
  }
}

export interface NetworkConditions {
  readonly latencyFromMs: number;
  readonly latencyToMs: number;
  /** Share of segments lost. */
  readonly loss: number;
  /** Share of segments that a full queue somewhere holds back, for up to DELAY_MS_MAX. */
  readonly delayed: number;
  /** Share of segments that arrive twice. */
  readonly duplicated: number;
}

const DELAY_MS_MAX = 150;

interface Words {
  saidAt: number;
  /** When any last reached the other machine that was news there, or a refusal did; when that word was said. */
  arrivedAt: number;
  newestAt: number;
  /** Since when words are on their way without one arriving. */
  unheardSince: number | undefined;
  /** Since when all that is said says `awaiting-lease`, and when the first of that has arrived. */
  awaitsSince: number | undefined;
  countedOnSince: number | undefined;
}

export class Network {
  readonly #agenda: Agenda;
  readonly #random: Random;
  readonly #conditions: NetworkConditions;
  #connections = 0;
  /** By node: cable in, machine on. */
  readonly hasCarrier: [boolean, boolean] = [true, true];
  /** By node: the switch port forwards nothing though the carrier is there. */
  readonly isPortSilent: [boolean, boolean] = [false, false];
  /** By sending node: its packets do not reach the other node (but everybody else). */
  readonly isCut: [boolean, boolean] = [false, false];
  /** The gateway lives. */
  hasArbiter = true;
  /** By node: the gateway does not answer it. */
  readonly isArbiterCut: [boolean, boolean] = [false, false];

  /** What an invariant must know of the truth, and no node can: by speaking node and group. */
  readonly #words: readonly [Words[], Words[]] = [[], []];

  constructor(agenda: Agenda, random: Random, conditions: NetworkConditions) {
    this.#agenda = agenda;
    this.#random = random;
    this.#conditions = conditions;
  }

  /** A process has words for its peer, whether or not a connection is there to carry them. */
  speaks(from: NodeId, { group, role }: Advertisement): void {
    const words = (this.#words[from][Number(group)] ??= {
      saidAt: 0,
      arrivedAt: 0,
      newestAt: -Infinity,
      unheardSince: undefined,
      awaitsSince: undefined,
      countedOnSince: undefined,
    });
    words.saidAt = this.#agenda.now;
    words.unheardSince ??= this.#agenda.now;
    if (role === "awaiting-lease") words.awaitsSince ??= this.#agenda.now;
    else {
      words.awaitsSince = undefined;
      words.countedOnSince = undefined;
    }
  }

  /** The process has gone: what it said does not count. */
  falls(from: NodeId): void {
    for (const words of this.#words[from]) words.unheardSince = undefined;
  }

  /** For how long the words of this node have not reached the other machine; 0: they do, or it says nothing. */
  unheardMs(from: NodeId, group: number): number {
    const words = this.#words[from][group];
    if (words?.unheardSince === undefined) return 0;
    return this.#agenda.now - Math.max(words.unheardSince, words.arrivedAt);
  }

  /** The kernel of this machine has told the other one that nobody listens there. */
  refuses(from: NodeId): void {
    for (const words of this.#words[from]) words.arrivedAt = this.#agenda.now;
  }

  /** For how long nothing of this machine has reached the other one: no word that is news, no refusal. */
  silentMs(from: NodeId, group: number): number {
    return this.#agenda.now - (this.#words[from][group]?.arrivedAt ?? 0);
  }

  /** For how long the other machine has known that this node counts on a lease to end; 0: it does not know. */
  countedOnMs(from: NodeId, group: number): number {
    const since = this.#words[from][group]?.countedOnSince;
    return since === undefined ? 0 : this.#agenda.now - since;
  }

  #heard(from: NodeId, { group }: Advertisement, saidAt: number): void {
    const words = this.#words[from][Number(group)];
    if (words === undefined) return;
    if (words.awaitsSince !== undefined && saidAt >= words.awaitsSince) {
      words.countedOnSince ??= this.#agenda.now;
    }
    // What comes again, or late on the other connection, tells nobody anything: a kernel sends it again whatever
    // has become of the process.
    if (saidAt <= words.newestAt) return;
    words.newestAt = saidAt;
    words.arrivedAt = this.#agenda.now;
    words.unheardSince = saidAt >= words.saidAt ? undefined : saidAt;
  }

  reachesArbiter(node: NodeId): boolean {
    return this.hasArbiter && this.isOnLan(node) && !this.isArbiterCut[node];
  }

  /** Reaches the clients. */
  isOnLan(node: NodeId): boolean {
    return this.hasCarrier[node] && !this.isPortSilent[node];
  }

  /** A packet sent by this node now gets to the other one, unless it is lost by chance. */
  passes(from: NodeId): boolean {
    return this.isOnLan(0) && this.isOnLan(1) && !this.isCut[from];
  }

  passesBothWays(): boolean {
    return this.passes(0) && this.passes(1);
  }

  latencyMs(): number {
    return this.#random.between(this.#conditions.latencyFromMs, this.#conditions.latencyToMs);
  }

  /** Whether a packet without a TCP connection under it (a SYN) gets lost. */
  isLost(): boolean {
    return this.#random.chance(this.#conditions.loss);
  }

  connect(dialer: NodeId, ends: [EndListener, EndListener]): Connection {
    return new Connection(++this.#connections, dialer, ends);
  }

  send(connection: Connection, from: NodeId, segment: Segment): void {
    const lane = connection.lanes[from];
    if (lane.waiting.length === 0 && this.passes(from) && !this.isLost()) {
      this.#deliver(connection, from, segment);
      return;
    }
    lane.waiting.push(segment);
    if (lane.waiting.length === 1) this.#retry(connection, from);
  }

  /** Closes one end: the process has gone or closed it. The kernel tells the other end, if it still can. */
  close(connection: Connection, node: NodeId, { tells }: { readonly tells: boolean }): void {
    if (connection.ends[node] === undefined) return;
    connection.ends[node] = undefined;
    if (tells) this.send(connection, node, { kind: "close" });
    else connection.lanes[node].waiting = [];
  }

  #attempt(connection: Connection, from: NodeId): void {
    const lane = connection.lanes[from];
    if (lane.waiting.length === 0) return;
    if (!this.passes(from) || this.isLost()) {
      this.#retry(connection, from);
      return;
    }
    lane.attempts = 0;
    for (const segment of lane.waiting) this.#deliver(connection, from, segment);
    lane.waiting = [];
  }

  #retry(connection: Connection, from: NodeId): void {
    const lane = connection.lanes[from];
    const gap = RETRY_GAPS_MS[Math.min(lane.attempts, RETRY_GAPS_MS.length - 1)]!;
    lane.attempts += 1;
    this.#agenda.after(gap, () => this.#attempt(connection, from));
  }

  #deliver(connection: Connection, from: NodeId, segment: Segment): void {
    const lane = connection.lanes[from];
    const { delayed, duplicated } = this.#conditions;
    const heldMs = this.#random.chance(delayed) ? this.#random.between(0, DELAY_MS_MAX) : 0;
    lane.arrivesAt = Math.max(this.#agenda.now + this.latencyMs() + heldMs, lane.arrivesAt);
    this.#agenda.at(lane.arrivesAt, () => this.#arrive(connection, from, segment));
    if (!this.#random.chance(duplicated)) return;
    const againAt = lane.arrivesAt + this.#random.between(0, DELAY_MS_MAX);
    this.#agenda.at(againAt, () => this.#arrive(connection, from, segment));
  }

  #arrive(connection: Connection, from: NodeId, segment: Segment): void {
    const to = otherOf(from);
    const listener = connection.ends[to];
    if (segment.kind === "advertisement" && listener !== undefined) {
      this.#heard(from, segment.said, segment.saidAt);
    }
    if (listener !== undefined) {
      // Closed from outside: the end has nothing to close any more, but it reads what came before.
      listener.receive(connection, segment);
      return;
    }
    // A segment for a connection that this machine does not know (any more) is answered with a reset.
    if (segment.kind !== "close" && this.hasCarrier[to] && connection.ends[from] !== undefined) {
      this.send(connection, to, { kind: "close" });
    }
  }
}
