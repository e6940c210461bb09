// The LAN between the two nodes, as far as it can fail: cables, a switch port that says nothing, cuts in
// one or both directions, and TCP on top: each connection delivers in order or not at all, a lost segment
// holds up what comes after it, and the two connections of the pair know nothing of each other.

import type { Advertisement } from "../../src/election/advertisement.ts";
import type { Agenda } from "./agenda.ts";
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
    }
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
}

export class Network {
  readonly #agenda: Agenda;
  readonly #random: Random;
  readonly #conditions: NetworkConditions;
  /** Told when a segment is held up, because the nodes are not quite in touch then. */
  readonly #heldUp: () => void;
  #connections = 0;
  /** By node: cable in, machine on. */
  readonly hasCarrier: [boolean, boolean] = [true, true];
  /** By node: the switch port forwards nothing though the carrier is there. */
  readonly isPortSilent: [boolean, boolean] = [false, false];
  /** By sending node: its packets do not reach the other node (but everybody else). */
  readonly isCut: [boolean, boolean] = [false, false];

  constructor(agenda: Agenda, random: Random, conditions: NetworkConditions, heldUp: () => void) {
    this.#agenda = agenda;
    this.#random = random;
    this.#conditions = conditions;
    this.#heldUp = heldUp;
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
    lane.waiting.push(segment);
    if (lane.waiting.length === 1) this.#attempt(connection, from);
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
      const gap = RETRY_GAPS_MS[Math.min(lane.attempts, RETRY_GAPS_MS.length - 1)]!;
      lane.attempts += 1;
      this.#heldUp();
      this.#agenda.after(gap, () => this.#attempt(connection, from));
      return;
    }
    lane.attempts = 0;
    for (const segment of lane.waiting) {
      lane.arrivesAt = Math.max(this.#agenda.now + this.latencyMs(), lane.arrivesAt);
      this.#agenda.at(lane.arrivesAt, () => this.#arrive(connection, from, segment));
    }
    lane.waiting = [];
  }

  #arrive(connection: Connection, from: NodeId, segment: Segment): void {
    const to = otherOf(from);
    const listener = connection.ends[to];
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
