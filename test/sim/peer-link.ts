// What src/control/peer-link.ts promises to the election, in virtual time: two connections, each node
// dials one; lost, refused, silent and rejected are four different things; each advertisement is told once,
// in the order of its sender and group, and what a former life of the peer said does not count. A connection
// that opens is told the newest of everything: the words of each group, and all run-time changes.

import type { Advertisement } from "../../src/election/advertisement.ts";
import type { Input, Settings } from "../../src/election/state.ts";
import { activeDownMs } from "../../src/election/timing.ts";
import type { Agenda, Planned } from "./agenda.ts";
import type { RunTimeChanges, Told } from "./changes.ts";
import {
  type Connection,
  type EndListener,
  type Network,
  type NodeId,
  otherOf,
  type Segment,
} from "./network.ts";

/** As in the real link. */
const PACE_MS = { atLeast: 100, atMost: 1000 } as const;
const HANDSHAKE_MS = 1000;
const REJECTIONS_TO_ESTRANGE = 2;

/** How long a dial waits for an answer. */
export function connectTimeoutMs({ intervalMs }: Settings): number {
  return 2 * Math.max(intervalMs, 200);
}

export function paceMs({ intervalMs }: Settings): number {
  return Math.min(Math.max(intervalMs, PACE_MS.atLeast), PACE_MS.atMost);
}

/** A connection on which nothing came for so long is given up. */
export function silenceMs({ priority, intervalMs }: Settings): number {
  return 1.5 * activeDownMs(priority, intervalMs);
}

/** The process around a link: its event loop, which may be held up, and its election. */
export interface LinkOwner {
  readonly node: NodeId;
  /** What deliver() is given runs at once. */
  readonly isFree: boolean;
  /** Runs when the event loop gets to it; not at all when the process has died by then. */
  deliver(act: () => void): void;
  /** What concerns every group. */
  input(input: Input): void;
  hear(said: Advertisement): void;
  /** No connection carries advertisements any more. */
  disconnected(): void;
  readonly changes: RunTimeChanges;
}

/** What dialling finds on the other machine. */
export interface PeerProcess {
  readonly link: PeerLink;
  readonly secret: string;
  readonly isHeld: boolean;
}

export interface LinkOptions {
  readonly owner: LinkOwner;
  readonly settings: Settings;
  readonly secret: string;
  readonly boot: number;
  readonly agenda: Agenda;
  readonly network: Network;
  readonly findPeer: () => PeerProcess | undefined;
  /** There is nobody to dial yet; whoever has the secret may come. */
  readonly isAlone: boolean;
}

interface Known {
  readonly connection: Connection;
  heardAt: number;
  /** Nothing for so long means that it is dead: longer when the peer speaks more rarely than we do. */
  silenceMs: number;
  isProven: boolean;
}

export class PeerLink implements EndListener {
  readonly #options: LinkOptions;
  readonly #known = new Map<Connection, Known>();
  #dial: Planned | undefined;
  #outgoing: Connection | undefined;
  /** By group: what this node said last. */
  readonly #said = new Map<string, Extract<Segment, { kind: "advertisement" }>>();
  #seq = 0;
  /** The peer's present life; `newest`: by group, the counter of what it said last. */
  #life: { readonly boot: number; connectionId: number; readonly newest: Map<string, number> } | undefined;
  #rejections = 0;
  #isStopped = false;
  #isAlone: boolean;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#isAlone = options.isAlone;
  }

  /** The second node has a name and an address now. */
  meet(): void {
    this.#isAlone = false;
    this.#dialNow();
  }

  start(): void {
    this.#dialNow();
  }

  /** A connection that carries advertisements is open at this end. */
  get isConnected(): boolean {
    for (const { isProven } of this.#known.values()) if (isProven) return true;
    return false;
  }

  send(said: Advertisement): void {
    if (this.#isStopped) return;
    const { agenda, network, owner, boot } = this.#options;
    network.speaks(owner.node, said);
    this.#seq += 1;
    const segment = { kind: "advertisement", boot, seq: this.#seq, said, saidAt: agenda.now } as const;
    this.#said.set(said.group, segment);
    for (const connection of this.#known.keys()) network.send(connection, owner.node, segment);
  }

  /** On every connection: one that breaks is followed by one that is told everything. */
  sendChanges(told: Told): void {
    if (this.#isStopped) return;
    const { network, owner } = this.#options;
    for (const connection of this.#known.keys()) {
      network.send(connection, owner.node, { kind: "changes", told });
    }
  }

  /** `tells` false: the machine lost its power, so no packet says that the connections are gone. */
  stop({ tells }: { readonly tells: boolean }): void {
    this.#isStopped = true;
    const { agenda, network, owner } = this.#options;
    agenda.cancel(this.#dial);
    network.falls(owner.node);
    for (const connection of this.#known.keys()) network.close(connection, owner.node, { tells });
    this.#known.clear();
  }

  receive(connection: Connection, segment: Segment): void {
    const { owner } = this.#options;
    if (owner.isFree) this.#read(connection, segment);
    else owner.deliver(() => this.#read(connection, segment));
  }

  /** After the event loop was held up: what waits is read before silence is judged. */
  forgiveSilence(): void {
    const { agenda, settings } = this.#options;
    for (const known of this.#known.values()) {
      known.heardAt = Math.max(known.heardAt, agenda.now - known.silenceMs + settings.intervalMs);
    }
  }

  #dialNow(): void {
    const { agenda, network, owner, settings, findPeer } = this.#options;
    agenda.cancel(this.#dial);
    if (this.#isStopped || this.#isAlone) return;
    const finish = (delayMs: number, settle: () => void): void => {
      this.#dial = agenda.after(delayMs, () => {
        owner.deliver(() => {
          if (!this.#isStopped && this.#outgoing === undefined) settle();
        });
      });
    };
    const silent = (delayMs: number): void => finish(delayMs, () => this.#dialLater());
    // A packet there, a packet back: the network is asked when the packet is sent.
    const roundTripMs = network.latencyMs() + network.latencyMs();
    if (!network.passesBothWays() || network.isLost() || network.isLost()) {
      silent(connectTimeoutMs(settings));
      return;
    }
    const peer = findPeer();
    if (peer === undefined) {
      finish(roundTripMs, () => {
        this.#rejections = 0;
        this.#dialLater();
        network.refuses(otherOf(owner.node));
        if (this.#known.size === 0) owner.input({ kind: "peer-dead", everHeard: this.#life !== undefined });
      });
    } else if (peer.secret !== this.#options.secret) {
      // One that stands still takes the connection and says nothing.
      if (peer.isHeld) {
        silent(connectTimeoutMs(settings));
        return;
      }
      finish(2 * roundTripMs, () => {
        this.#dialLater();
        if (this.isConnected) return;
        this.#rejections += 1;
        if (this.#rejections < REJECTIONS_TO_ESTRANGE) return;
        owner.input({ kind: "peer-estranged", problem: "the peer refused our secret" });
      });
    } else {
      this.#shakeHands(peer, roundTripMs);
    }
  }

  /** The kernel of a frozen process accepts; its TLS answers when it goes on, if we still wait by then. */
  #shakeHands({ link }: PeerProcess, roundTripMs: number): void {
    const { agenda, network, owner } = this.#options;
    const { node } = owner;
    const isWaiting = { value: true };
    this.#dial = agenda.after(roundTripMs + HANDSHAKE_MS, () => {
      isWaiting.value = false;
      owner.deliver(() => this.#dialLater());
    });
    const timeout = this.#dial;
    const open = (): void => {
      if (!isWaiting.value || this.#isStopped || link.#isStopped || this.#outgoing !== undefined) return;
      if (this.#dial !== timeout || !network.passesBothWays()) return;
      agenda.cancel(timeout);
      const connection = network.connect(node, node === 0 ? [this, link] : [link, this]);
      this.#outgoing = connection;
      this.#add(connection);
      link.#options.owner.deliver(() => link.#add(connection));
    };
    agenda.after(roundTripMs, () =>
      link.#options.owner.deliver(() => {
        agenda.after(roundTripMs, () => owner.deliver(open));
      }),
    );
  }

  #dialLater(): void {
    const { agenda, settings, owner } = this.#options;
    agenda.cancel(this.#dial);
    this.#dial = agenda.after(paceMs(settings), () => owner.deliver(() => this.#dialNow()));
  }

  #add(connection: Connection): void {
    const { agenda, network, owner, settings } = this.#options;
    this.#known.set(connection, {
      connection,
      heardAt: agenda.now,
      silenceMs: silenceMs(settings),
      isProven: false,
    });
    for (const segment of this.#said.values()) network.send(connection, owner.node, segment);
    const told = owner.changes.everything();
    if (told !== undefined) network.send(connection, owner.node, { kind: "changes", told });
    this.#watchSilence(connection);
  }

  #watchSilence(connection: Connection): void {
    const { agenda, owner, network } = this.#options;
    const known = this.#known.get(connection);
    if (known === undefined) return;
    // The 1 ms is a timer's rounding.
    agenda.at(known.heardAt + known.silenceMs + 1, () =>
      owner.deliver(() => {
        const still = this.#known.get(connection);
        if (still === undefined) return;
        if (agenda.now - still.heardAt < still.silenceMs) {
          this.#watchSilence(connection);
          return;
        }
        network.close(connection, owner.node, { tells: true });
        this.#forget(connection, { redials: false });
      }),
    );
  }

  #forget(connection: Connection, { redials }: { readonly redials: boolean }): void {
    const wasProven = this.#known.get(connection)?.isProven === true;
    this.#known.delete(connection);
    const wasOurs = this.#outgoing === connection;
    if (wasOurs) this.#outgoing = undefined;
    const wasLast = wasProven && !this.isConnected;
    if (wasLast) this.#options.owner.disconnected();
    if (wasOurs || (redials && wasLast && this.#outgoing === undefined)) this.#dialNow();
  }

  #read(connection: Connection, segment: Segment): void {
    const { agenda, network, owner } = this.#options;
    const known = this.#known.get(connection);
    if (known === undefined || this.#isStopped) return;
    known.heardAt = agenda.now;
    switch (segment.kind) {
      case "close":
        network.close(connection, owner.node, { tells: false });
        this.#forget(connection, { redials: true });
        return;
      case "changes":
        this.#takeChanges(connection, segment.told);
        return;
      case "stored":
        owner.changes.confirmed(segment.id);
        return;
      case "advertisement":
        this.#noteInterval(known, segment.said);
        this.#hear(connection, known, segment);
    }
  }

  #noteInterval(known: Known, { intervalMs }: Advertisement): void {
    const { settings } = this.#options;
    known.silenceMs = silenceMs(settings) * Math.max(1, intervalMs / settings.intervalMs);
  }

  #takeChanges(connection: Connection, { id, changes }: Told): void {
    const { network, owner } = this.#options;
    owner.changes.receive(changes, () => {
      if (this.#known.has(connection)) network.send(connection, owner.node, { kind: "stored", id });
    });
  }

  #hear(
    { id }: Connection,
    known: Known,
    { boot, seq, said }: Extract<Segment, { kind: "advertisement" }>,
  ): void {
    if (this.#life?.boot !== boot) {
      if (this.#life !== undefined && id < this.#life.connectionId) return;
      this.#life = { boot, connectionId: id, newest: new Map() };
    }
    known.isProven = true;
    this.#rejections = 0;
    const newest = this.#life.newest.get(said.group);
    if (newest !== undefined && seq <= newest) return;
    this.#life.connectionId = id;
    this.#life.newest.set(said.group, seq);
    this.#options.owner.hear(said);
  }
}
