// What src/control/peer-link.ts promises to the election, in virtual time: two connections, each node
// dials one; lost, refused, silent and rejected are four different things; each advertisement is told once,
// in the order of its sender, and what a former life of the peer said does not count.

import type { Advertisement } from "../../src/election/advertisement.ts";
import type { Input, Settings } from "../../src/election/state.ts";
import { activeDownMs } from "../../src/election/timing.ts";
import type { Agenda, Planned } from "./agenda.ts";
import type { Connection, EndListener, Network, NodeId, Segment } from "./network.ts";

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
  /** Runs when the event loop gets to it; not at all when the process has died by then. */
  deliver(act: () => void): void;
  input(input: Input): void;
}

/** What dialling finds on the other machine. */
export interface PeerProcess {
  readonly link: PeerLink;
  readonly secret: string;
}

export interface LinkOptions {
  readonly owner: LinkOwner;
  readonly settings: Settings;
  readonly secret: string;
  readonly boot: number;
  readonly agenda: Agenda;
  readonly network: Network;
  readonly findPeer: () => PeerProcess | undefined;
  readonly disturbed: () => void;
}

interface Known {
  readonly connection: Connection;
  heardAt: number;
  isProven: boolean;
}

export class PeerLink implements EndListener {
  readonly #options: LinkOptions;
  readonly #known = new Map<Connection, Known>();
  #dial: Planned | undefined;
  #outgoing: Connection | undefined;
  #said: Advertisement | undefined;
  #seq = 0;
  #life: { readonly boot: number; readonly connectionId: number; readonly seq: number } | undefined;
  #rejections = 0;
  #isStopped = false;

  constructor(options: LinkOptions) {
    this.#options = options;
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
    this.#said = said;
    this.#seq += 1;
    for (const connection of this.#known.keys()) this.#sayTo(connection);
  }

  /** `tells` false: the machine lost its power, so no packet says that the connections are gone. */
  stop({ tells }: { readonly tells: boolean }): void {
    this.#isStopped = true;
    const { agenda, network, owner } = this.#options;
    agenda.cancel(this.#dial);
    for (const connection of this.#known.keys()) network.close(connection, owner.node, { tells });
    this.#known.clear();
  }

  receive(connection: Connection, segment: Segment): void {
    this.#options.owner.deliver(() => this.#read(connection, segment));
  }

  /** After the event loop was held up: what waits is read before silence is judged. */
  forgiveSilence(): void {
    const { agenda, settings } = this.#options;
    const heardAt = agenda.now - silenceMs(settings) + settings.intervalMs;
    for (const known of this.#known.values()) known.heardAt = Math.max(known.heardAt, heardAt);
  }

  #dialNow(): void {
    const { agenda, network, owner, settings, findPeer } = this.#options;
    agenda.cancel(this.#dial);
    if (this.#isStopped) return;
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
        if (this.#known.size === 0) owner.input({ kind: "peer-dead", everHeard: this.#life !== undefined });
      });
    } else if (peer.secret !== this.#options.secret) {
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
    const { agenda, disturbed } = this.#options;
    disturbed();
    this.#known.set(connection, { connection, heardAt: agenda.now, isProven: false });
    this.#sayTo(connection);
    this.#watchSilence(connection);
  }

  #watchSilence(connection: Connection): void {
    const { agenda, settings, owner, network, disturbed } = this.#options;
    const known = this.#known.get(connection);
    if (known === undefined) return;
    // The 1 ms is a timer's rounding.
    agenda.at(known.heardAt + silenceMs(settings) + 1, () =>
      owner.deliver(() => {
        const still = this.#known.get(connection);
        if (still === undefined) return;
        if (agenda.now - still.heardAt < silenceMs(settings)) {
          this.#watchSilence(connection);
          return;
        }
        disturbed();
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
    if (wasOurs || (redials && wasLast && this.#outgoing === undefined)) this.#dialNow();
  }

  #sayTo(connection: Connection): void {
    const { network, owner, boot } = this.#options;
    if (this.#said === undefined) return;
    network.send(connection, owner.node, {
      kind: "advertisement",
      boot,
      seq: this.#seq,
      said: this.#said,
    });
  }

  #read(connection: Connection, segment: Segment): void {
    const { agenda, network, owner, disturbed } = this.#options;
    const known = this.#known.get(connection);
    if (known === undefined || this.#isStopped) return;
    if (segment.kind === "close") {
      disturbed();
      network.close(connection, owner.node, { tells: false });
      this.#forget(connection, { redials: true });
      return;
    }
    known.heardAt = agenda.now;
    if (this.#life !== undefined && this.#life.boot !== segment.boot) {
      if (connection.id < this.#life.connectionId) return;
      this.#life = { boot: segment.boot, connectionId: connection.id, seq: 0 };
    }
    known.isProven = true;
    this.#rejections = 0;
    if (this.#life !== undefined && segment.seq <= this.#life.seq) return;
    this.#life = { boot: segment.boot, connectionId: connection.id, seq: segment.seq };
    owner.input({ kind: "advertisement", advertisement: segment.said });
  }
}
