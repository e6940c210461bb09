// In touch with the peer, over one or several heartbeat paths: the pair is in touch while any connection of
// any path works. What is said is said on every connection, and what is heard counts when it comes for the
// first time, so that a path may die in the middle of a sentence and nothing is missed. Besides carrying
// advertisements the link answers, in milliseconds, the question a heartbeat needs seconds for: did the
// peer's process die? (DESIGN section 5, rule 1.) The kernel closes the connections of a dead process and
// refuses new ones, while a frozen process, a cut cable or a dead machine answers nothing at all.
//
// Each path reports what it sees; the verdict on the peer is made here, over all of them:
//
//   dead       no connection is open on any path, a dial was refused, and on no path does somebody answer
//              who cannot be understood
//   estranged  no path carries advertisements, and on one somebody answers who cannot be understood
//
// A path counts only if the peer was heard there in its present life, or nowhere: what a path leads to that
// never led to the peer (a wrong address, a firewall) is a problem of that path. A state that lasts is told
// again with each attempt that shows it, at the pace of dialling; a receiver need not remember that it
// missed one.
//
// A pair may have no second node yet. Then this node listens on its own address for whoever has the secret, tells it
// what it is, and hears it, but dials nobody and so judges nobody dead or estranged. meet() makes it a pair.

import { randomBytes } from "node:crypto";
import type { NodeConfig } from "../config/config.ts";
import type { Advertisement } from "../election/advertisement.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import type { ConnectionEnd, PeerConnection } from "./peer-connection.ts";
import type {
  AdvertisementMessage,
  ChangesMessage,
  ConfigMessage,
  Frame,
  OperatorMessage,
} from "./peer-frame.ts";
import type { OwnGroup, PeerGroup, PeerGroups } from "./peer-groups.ts";
import { PeerLog } from "./peer-log.ts";
import { PeerPath } from "./peer-path.ts";
import type { PeerPathOptions, PeerPathStatus } from "./peer-path.ts";
import { deriveKey } from "./peer-security.ts";

/** Groups of one peer that are listened to; RFC 9568 has as many virtual routers. */
const GROUPS_MAX = 255;

export interface PeerLinkEvents {
  /**
   * Each advertisement once; those of one group in the order in which the peer made them. `groups`: the newest of
   * each group of the peer; undefined until all have been heard since the pair is in touch.
   */
  advertisement(advertisement: Advertisement, groups: PeerGroups | undefined): void;
  /** For RunTimeChanges.receive(): over several connections the same message comes several times. */
  changes(message: ChangesMessage): void;
  /** Likewise several times. */
  config(message: ConfigMessage): void;
  /**
   * No connection is open and the peer's machine refused a dial: vipair does not run there. Told for
   * each refused dial. `everHeard` false: it was never heard since our start, so that a firewall that
   * refuses is as likely as a peer that does not run.
   */
  dead(evidence: { readonly everHeard: boolean }): void;
  /** It answers but cannot be understood. Told for each attempt that showed it. */
  estranged(problem: string): void;
  /** The first good advertisement after none was connected; told before that advertisement. */
  connected(): void;
  /** The last connection that carried advertisements has gone; nothing more is known yet. */
  disconnected(): void;
}

export interface PeerLinkOptions {
  readonly self: Pick<NodeConfig, "name">;
  /** This node's; the peer is told what is in them. */
  readonly groups: readonly OwnGroup[];
  /** Undefined: the pair has no second node yet. */
  readonly peer: Pick<NodeConfig, "name"> | undefined;
  /** Addresses of the two nodes: at least one pair, no address twice. Without a second node those of this one. */
  readonly paths: readonly PathEnds[];
  readonly port: number;
  readonly secret: string;
  /** The advertisement interval. */
  readonly intervalMs: number;
  /** The active-down interval, as if the peer had our advertisement interval. A connection that was silent for half as long again is given up. */
  readonly silenceMs: number;
  readonly events: PeerLinkEvents;
  readonly log: Log;
  readonly clock: Clock;
}

/** Our own address of a path, and where it leads: nowhere yet without a second node. */
export interface PathEnds {
  readonly self: string;
  readonly peer: string | undefined;
}

export interface PeerLinkStatus {
  readonly connected: boolean;
  /** Open connections that carry advertisements: 0 to 2 for each path. */
  readonly connections: number;
  /** Since the last advertisement; null before the first. */
  readonly lastHeardMs: number | null;
  /** What is wrong in words a person can act on; null when nothing is, or one path at least is well. */
  readonly problem: string | null;
  /** Messages that were no good and cost their connection. */
  readonly rejectedMessages: number;
  /** In the order of the options. */
  readonly paths: readonly PeerPathStatus[];
}

/** One life of the peer's process. */
interface PeerLife {
  readonly boot: string;
  /** The newest connection that carried something new. */
  connectionId: number;
  /** The newest advertisement of each group. */
  readonly newest: Map<string, number>;
  /** What they said, since the pair is in touch: older words may be outdated. */
  readonly groups: Map<string, PeerGroup>;
}

export class PeerLink {
  readonly #options: PeerLinkOptions;
  readonly #log: PeerLog;
  readonly #paths: PeerPath[];
  readonly #shared: Omit<PeerPathOptions, "self" | "peer" | "events">;
  #peer: Pick<NodeConfig, "name"> | undefined;
  #isConnected = false;
  #isStopped = false;

  #seq = 0;
  /** The newest of each group. */
  readonly #said = new Map<string, AdvertisementMessage>();

  #peerLife: PeerLife | undefined;
  #lastHeardAtMs: number | undefined;
  #rejectedMessages = 0;

  /** Throws when both nodes are the same one or a path is used twice, which a parsed Config rules out. */
  constructor(options: PeerLinkOptions) {
    checkPaths(options);
    this.#options = options;
    this.#peer = options.peer;
    this.#log = new PeerLog(options);
    let lastConnectionId = 0;
    this.#shared = {
      port: options.port,
      key: deriveKey(options.secret),
      boot: randomBytes(8).toString("hex"),
      intervalMs: options.intervalMs,
      silenceMs: options.silenceMs,
      clock: options.clock,
      log: this.#log,
      nextConnectionId: () => (lastConnectionId += 1),
    };
    // Nobody could come over the others.
    const paths = options.peer === undefined ? options.paths.slice(0, 1) : options.paths;
    this.#paths = paths.map((ends) => this.#makePath(ends));
  }

  /** Listens and dials. Once. */
  start(): void {
    for (const path of this.#paths) path.start();
  }

  /**
   * The pair has its second node: the port that was open all the time stays open, so that nobody is ever refused, and what
   * it has said over its connections counts. `paths`: as in the options; the first one begins where it did.
   */
  meet(peer: Pick<NodeConfig, "name">, paths: readonly PathEnds[]): void {
    if (this.#isStopped) return;
    checkPaths({ self: this.#options.self, peer, paths });
    this.#peer = peer;
    const [first, ...further] = paths;
    if (first?.peer !== undefined) this.#paths[0]?.lead({ name: peer.name, address: first.peer });
    for (const ends of further) {
      const path = this.#makePath(ends);
      this.#paths.push(path);
      path.start();
    }
  }

  /** Sends on every open connection now; the newest of its group again on each connection that opens later. */
  send(advertisement: Advertisement): void {
    if (this.#isStopped) return;
    this.#seq += 1;
    const { groups } = this.#options;
    const message: AdvertisementMessage = {
      kind: "advertisement",
      seq: this.#seq,
      advertisement,
      groups: groups.length,
      addresses: groups.find(({ name }) => name === advertisement.group)?.addresses ?? [],
    };
    this.#said.set(advertisement.group, message);
    for (const path of this.#paths) path.send(message);
  }

  /** Sends once, on every open connection that is not behind with its advertisements. */
  tell(message: OperatorMessage): void {
    if (this.#isStopped) return;
    for (const path of this.#paths) path.send(message);
  }

  /** Whether the peer can dial this node, on one path at least. */
  get isListening(): boolean {
    return this.#paths.some((path) => path.isListening);
  }

  status(): PeerLinkStatus {
    const { clock } = this.#options;
    const paths = this.#paths.map((path) => path.status());
    return {
      connected: this.#isConnected,
      connections: this.#paths.reduce((sum, path) => sum + path.provenConnections().length, 0),
      lastHeardMs: this.#lastHeardAtMs === undefined ? null : clock() - this.#lastHeardAtMs,
      problem: problemOfAll(paths),
      rejectedMessages: this.#rejectedMessages,
      paths,
    };
  }

  /** Frees the ports, says goodbye and closes everything, within 500 ms. No event comes afterwards. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#isConnected = false;
    // First, and on all paths: whoever hears a goodbye and dials again shall be refused, and so know.
    for (const path of this.#paths) path.stop();
    await Promise.all(this.#paths.map((path) => path.sayGoodbye()));
  }

  #makePath({ self, peer }: PathEnds): PeerPath {
    const { self: node, events } = this.#options;
    return new PeerPath({
      ...this.#shared,
      self: { name: node.name, address: self },
      peer:
        this.#peer === undefined || peer === undefined ? undefined : { name: this.#peer.name, address: peer },
      events: {
        opened: (connection) => this.#sayAllTo(connection),
        accepts: (connection, frame) => this.#acceptLife(connection, frame),
        connected: (path, connection) => this.#noteConnected(path, connection),
        heard: (connection, message) => this.#hear(connection, message),
        received: (message) => {
          if (message.kind === "exchange" || message.kind === "config-file") events.config(message);
          else events.changes(message);
        },
        disconnected: (path, end) => this.#noteDisconnected(path, end),
        refused: (path) => this.#judgeRefusal(path),
        estranged: (path, problem) => this.#judgeEstrangement(path, problem),
        rejected: (reason) => this.#noteRejected(reason),
      },
    });
  }

  #sayAllTo(connection: PeerConnection): void {
    for (const message of this.#said.values()) connection.send(message);
  }

  #hear(connection: PeerConnection, message: AdvertisementMessage): void {
    const { seq, advertisement, addresses } = message;
    const life = this.#peerLife;
    const { group } = advertisement;
    if (life === undefined) return;
    const newest = life.newest.get(group);
    if (newest === undefined && life.newest.size >= GROUPS_MAX) {
      this.#log.sometimes(
        "groups",
        "warn",
        { peer: connection.peerName, group },
        "peer link: too many groups",
      );
      return;
    }
    // The same advertisement came over another connection, or this one was read late.
    if (newest !== undefined && seq <= newest) return;
    life.newest.set(group, seq);
    life.connectionId = connection.id;
    this.#lastHeardAtMs = this.#options.clock();
    life.groups.set(group, { said: advertisement, addresses });
    const isComplete = life.groups.size >= message.groups;
    this.#options.events.advertisement(advertisement, isComplete ? life.groups : undefined);
  }

  /** False for what a former life of the peer left in a connection that is older than its present one. */
  #acceptLife(connection: PeerConnection, { boot }: Frame): boolean {
    const life = this.#peerLife;
    if (life?.boot === boot) return true;
    if (life !== undefined && connection.id < life.connectionId) {
      connection.replace();
      return false;
    }
    this.#peerLife = { boot, connectionId: connection.id, newest: new Map(), groups: new Map() };
    for (const path of this.#paths) {
      for (const other of path.provenConnections()) {
        if (other !== connection && other.boot !== boot) other.replace();
      }
    }
    return true;
  }

  #noteConnected(path: PeerPath, { direction: over, peerName: peer }: PeerConnection): void {
    const { log, events } = this.#options;
    if (this.#isConnected) {
      log.info({ peer, path: nameOf(path), over }, "heartbeat path up");
      return;
    }
    this.#isConnected = true;
    log.info({ peer, path: nameOf(path), over }, "peer link connected");
    if (this.#peer === undefined) {
      log.warn({ node: peer }, "a second node is in touch that the file of this one does not name");
    }
    events.connected();
  }

  #noteDisconnected(path: PeerPath, { kind: end }: ConnectionEnd): void {
    const { log, events } = this.#options;
    const peer = this.#peer?.name;
    if (!this.#isConnected) return;
    if (this.#paths.some(({ isConnected }) => isConnected)) {
      log.warn({ peer, path: nameOf(path), end }, "heartbeat path down");
      return;
    }
    this.#isConnected = false;
    this.#peerLife?.groups.clear();
    log.info({ peer, path: nameOf(path), end }, "peer link disconnected");
    events.disconnected();
  }

  #judgeRefusal(path: PeerPath): void {
    if (!this.#counts(path) || this.#paths.some(({ hasConnections }) => hasConnections)) return;
    if (this.#paths.some((other) => other.isEstranged && this.#counts(other))) return;
    this.#options.events.dead({ everHeard: this.#peerLife !== undefined });
  }

  #judgeEstrangement(path: PeerPath, problem: string): void {
    if (this.#isConnected || !this.#counts(path)) return;
    this.#options.events.estranged(problem);
  }

  #counts(path: PeerPath): boolean {
    return this.#peerLife === undefined || path.heardBoot === this.#peerLife.boot;
  }

  #noteRejected(reason: string): void {
    this.#rejectedMessages += 1;
    this.#log.sometimes("message", "warn", { peer: this.#peer?.name, reason }, "peer link: bad message");
  }
}

function checkPaths({ self, peer, paths }: Pick<PeerLinkOptions, "self" | "peer" | "paths">): void {
  if (paths.length === 0) throw new Error("peer link: there is no path");
  if (peer === undefined) return;
  const addresses = new Set(paths.flatMap((path) => [path.self, path.peer]));
  if (self.name === peer.name || addresses.size < 2 * paths.length) {
    throw new Error(`peer link: ${self.name} cannot be its own peer, nor an address be in two paths`);
  }
}

/** What is wrong with one path is no problem of the pair's while another one is well. */
function problemOfAll(paths: readonly PeerPathStatus[]): string | null {
  if (paths.some(({ connected, problem }) => connected && problem === null)) return null;
  const problems = new Set(paths.map(({ problem }) => problem).filter((problem) => problem !== null));
  return problems.size === 0 ? null : [...problems].join("; ");
}

function nameOf(path: PeerPath): string {
  const { self, peer } = path.status();
  return peer === undefined ? self : `${self} to ${peer}`;
}
