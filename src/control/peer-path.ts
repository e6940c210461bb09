// One heartbeat path: a pair of addresses, over which each node listens and dials, so that there are two
// independent connections. It knows how the peer answers here; what that means for the pair is judged in
// peer-link.ts, which sees all paths. When a connection is lost:
//
//   dial at once ─┬─ refused ───────────▶ refused(): again for each refused dial, while no connection is open
//        ▲        ├─ cut off ───────────▶ an exiting process does that: again in 20 ms, up to half a second
//        │        ├─ open ──────────────▶ advertisements
//        │        ├─ rejected ──────────▶ estranged(): it lives, and cannot be understood
//        └─ pace ─┴─ no answer ─────────▶ nothing: the election's timer decides
//
// While the pair has no second node this end only listens: for one node at a time that has the secret.

import type { WebSocket } from "ws";
import { formatAddress } from "../config/config.ts";
import type { Clock } from "../system/clock.ts";
import { PeerConnection, turnAway } from "./peer-connection.ts";
import type { ConnectionEnd } from "./peer-connection.ts";
import { dialPeer } from "./peer-dial.ts";
import type { Dial, DialOutcome } from "./peer-dial.ts";
import type { AdvertisementMessage, Frame, Message, OperatorMessage } from "./peer-frame.ts";
import { PeerListener } from "./peer-listener.ts";
import type { PeerLog } from "./peer-log.ts";
import type { Endpoint } from "./peer-security.ts";

/** Between two dials while the peer is not reached: the advertisement interval within these bounds. */
const PACE_MS = { atLeast: 100, atMost: 1000 } as const;

/** A process that is exiting still accepts for some milliseconds: how often and how soon to ask again. */
const EXIT_RETRY = { delayMs: 20, times: 25 } as const;

/** Attempts in a row that must fail in the same way before the peer counts as estranged. */
const REJECTIONS_TO_ESTRANGE = 2;
const GARBAGE_TO_ESTRANGE = 3;

/** Connections from the peer that may be open beside each other until one has proven itself. */
const INCOMING_MAX = 4;

export interface PeerPathEvents {
  /** A connection is open: what there is to say is said on it now. */
  opened(connection: PeerConnection): void;
  /** False for what a former life of the peer has left behind: it is not heard, and costs its connection. */
  accepts(connection: PeerConnection, frame: Frame): boolean;
  /** Told before `heard` when the path was not connected. */
  connected(path: PeerPath, connection: PeerConnection): void;
  heard(connection: PeerConnection, message: AdvertisementMessage): void;
  /** Any other message: it may come before the first advertisement. */
  received(message: OperatorMessage): void;
  /** The last connection that carried advertisements on this path has gone. */
  disconnected(path: PeerPath, end: ConnectionEnd): void;
  /** A dial was refused and no connection is open on this path. */
  refused(path: PeerPath): void;
  /** The peer answers on this path, nothing good is heard on it, and so it went several times. */
  estranged(path: PeerPath, problem: string): void;
  /** A connection ended because the peer sent what no peer sends. */
  rejected(reason: string): void;
}

export interface PeerPathOptions {
  readonly self: Endpoint;
  /** Undefined: the pair has no second node yet. */
  readonly peer: Endpoint | undefined;
  readonly port: number;
  readonly key: Buffer;
  /** Names this life of our process. */
  readonly boot: string;
  readonly intervalMs: number;
  readonly silenceMs: number;
  readonly clock: Clock;
  readonly log: PeerLog;
  /** Grows from connection to connection, over all paths. */
  readonly nextConnectionId: () => number;
  readonly events: PeerPathEvents;
}

export interface PeerPathStatus {
  /** Our own address of this path. */
  readonly self: string;
  /** Undefined: the pair has no second node yet. */
  readonly peer: string | undefined;
  readonly connected: boolean;
  /** Since the last advertisement on this path; null before the first. */
  readonly lastHeardMs: number | null;
  /** What is wrong in words a person can act on; null when nothing is. */
  readonly problem: string | null;
}

type Dialling =
  | { readonly kind: "stopped" }
  | { readonly kind: "waiting"; readonly timer: NodeJS.Timeout }
  | { readonly kind: "dialling"; readonly dial: Dial }
  | { readonly kind: "open"; readonly connection: PeerConnection };

export class PeerPath {
  readonly #options: PeerPathOptions;
  readonly #listener: PeerListener;
  readonly #paceMs: number;
  #peer: Endpoint | undefined;
  #dialling: Dialling = { kind: "stopped" };
  readonly #connections = new Set<PeerConnection>();
  #isConnected = false;
  #isStopped = false;
  #heardBoot: string | undefined;
  #lastHeardAtMs: number | undefined;

  #exitRetriesLeft: number = EXIT_RETRY.times;
  #badAttempts = 0;
  #lastDialWasRefused = false;
  #isEstranged = false;
  /** Three things can be wrong at once; each is logged when it changes. */
  readonly #problems = {
    peer: null as string | null,
    dial: null as string | null,
    listener: null as string | null,
  };

  constructor(options: PeerPathOptions) {
    this.#options = options;
    this.#peer = options.peer;
    this.#paceMs = Math.min(Math.max(options.intervalMs, PACE_MS.atLeast), PACE_MS.atMost);
    this.#listener = new PeerListener({
      ...options,
      events: {
        opened: (webSocket, name) => this.#accept(webSocket, name),
        refused: (refusal) => this.#noteRefusedCaller(refusal),
        problem: (problem) => this.#setProblem("listener", problem),
      },
    });
  }

  /** An advertisement has come, and the connection it came on, or one beside it, is open. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  get isListening(): boolean {
    return this.#listener.isListening;
  }

  /** Whether anything is open, also what has not proven itself. */
  get hasConnections(): boolean {
    return this.#connections.size > 0;
  }

  /** The life of the peer that was last heard here. */
  get heardBoot(): string | undefined {
    return this.#heardBoot;
  }

  /** At the last look somebody answered here who cannot be understood. */
  get isEstranged(): boolean {
    return this.#isEstranged;
  }

  /** Open connections that carry advertisements. */
  provenConnections(): PeerConnection[] {
    return [...this.#connections].filter(({ isProven }) => isProven);
  }

  /** Listens and dials. Once. */
  start(): void {
    this.#listener.start();
    this.#dial();
  }

  /** The second node has come: the port stays open, and from now on this end dials, too. */
  lead(peer: Endpoint): void {
    this.#peer = peer;
    this.#listener.expect(peer);
    for (const connection of this.#connections) {
      if (connection.peerName !== peer.name) connection.replace();
    }
    this.#dial();
  }

  send(message: Message): void {
    for (const connection of this.#connections) connection.send(message);
  }

  status(): PeerPathStatus {
    const { self, clock } = this.#options;
    const { peer: peerProblem, dial, listener } = this.#problems;
    // While one connection works, that we cannot dial is no problem of the path's.
    const problems = [peerProblem, this.#isConnected ? null : dial, listener].filter((text) => text !== null);
    return {
      self: self.address,
      peer: this.#peer?.address,
      connected: this.#isConnected,
      lastHeardMs: this.#lastHeardAtMs === undefined ? null : clock() - this.#lastHeardAtMs,
      problem: problems.length === 0 ? null : problems.join("; "),
    };
  }

  /** Frees the port and dials no more. No event comes afterwards. */
  stop(): void {
    this.#isStopped = true;
    this.#listener.stop();
    this.#stopDialling();
  }

  /** After stop(): tells the peer on purpose and closes everything. */
  async sayGoodbye(): Promise<void> {
    const farewells = [...this.#connections].map((connection) => connection.sayGoodbye());
    this.#connections.clear();
    await Promise.all(farewells);
    this.#listener.cut();
  }

  #stopDialling(): void {
    if (this.#dialling.kind === "waiting") clearTimeout(this.#dialling.timer);
    if (this.#dialling.kind === "dialling") this.#dialling.dial.abort();
    this.#dialling = { kind: "stopped" };
  }

  #dial(): void {
    const { self, port, key, intervalMs } = this.#options;
    const peer = this.#peer;
    this.#stopDialling();
    if (peer === undefined) return;
    const dial = dialPeer(
      { self, peer, port, key, connectTimeoutMs: 2 * Math.max(intervalMs, 200) },
      (outcome) => this.#finishDial(outcome, peer),
    );
    this.#dialling = { kind: "dialling", dial };
  }

  #dialIn(delayMs: number): void {
    this.#stopDialling();
    this.#dialling = { kind: "waiting", timer: setTimeout(() => this.#dial(), delayMs) };
  }

  #finishDial(outcome: DialOutcome, peer: Endpoint): void {
    const { port, events } = this.#options;
    const where = `${peer.name} (${formatAddress(peer.address, port)})`;
    this.#lastDialWasRefused = outcome.kind === "refused";
    if (outcome.kind === "cut-off" && this.#exitRetriesLeft > 0) {
      this.#exitRetriesLeft -= 1;
      this.#dialIn(EXIT_RETRY.delayMs);
      return;
    }
    if (outcome.kind === "open") {
      this.#setProblem("dial", null);
      const connection = this.#connect(outcome.webSocket, { direction: "outgoing", peerName: peer.name });
      this.#dialling = { kind: "open", connection };
      return;
    }
    this.#dialIn(this.#paceMs);
    switch (outcome.kind) {
      case "refused":
        this.#setProblem("dial", `${where} refuses connections: vipair does not run there`);
        this.#badAttempts = 0;
        if (this.#connections.size > 0) return;
        this.#setProblem("peer", null);
        this.#isEstranged = false;
        events.refused(this);
        return;
      case "silent":
        this.#setProblem("dial", `${where} does not answer`);
        this.#isEstranged = false;
        return;
      case "own-address-missing":
        this.#setProblem("dial", `cannot dial ${where}: this machine does not have our own address`);
        return;
      case "rejected":
        this.#noteBadAttempt(outcome.problem, REJECTIONS_TO_ESTRANGE);
        return;
      case "cut-off":
        this.#noteBadAttempt(`what listens on ${where} closes every connection`, GARBAGE_TO_ESTRANGE);
        return;
    }
  }

  #accept(webSocket: WebSocket, peerName: string): void {
    if (this.#peer === undefined && [...this.#connections].some((other) => other.peerName !== peerName)) {
      const problem = `${peerName} would be a third node`;
      this.#options.log.sometimes(problem, "warn", { node: peerName }, `peer link: ${problem}`);
      turnAway(webSocket, "another node is the second one");
      return;
    }
    const incoming = [...this.#connections].filter(({ direction }) => direction === "incoming");
    if (incoming.length >= INCOMING_MAX) incoming.find(({ isProven }) => !isProven)?.replace();
    this.#connect(webSocket, { direction: "incoming", peerName });
  }

  #connect(
    webSocket: WebSocket,
    { direction, peerName }: Pick<PeerConnection, "direction" | "peerName">,
  ): PeerConnection {
    const { self, boot, silenceMs, intervalMs, clock, events, nextConnectionId } = this.#options;
    const connection = new PeerConnection({
      id: nextConnectionId(),
      direction,
      webSocket,
      selfName: self.name,
      peerName,
      boot,
      silenceMs: silenceMs * 1.5,
      intervalMs,
      clock,
      heard: (from, frame) => this.#hear(from, frame),
      ended: (which, end) => this.#noteEnd(which, end),
    });
    this.#connections.add(connection);
    events.opened(connection);
    return connection;
  }

  #hear(connection: PeerConnection, frame: Frame): void {
    if (this.#isStopped) return;
    const { events, clock } = this.#options;
    const { message } = frame;
    if (message.kind !== "advertisement") {
      events.received(message);
      return;
    }
    if (!events.accepts(connection, frame)) return;
    this.#heardBoot = frame.boot;
    this.#lastHeardAtMs = clock();
    if (!this.#isConnected) {
      this.#isConnected = true;
      this.#exitRetriesLeft = EXIT_RETRY.times;
      this.#badAttempts = 0;
      this.#isEstranged = false;
      this.#setProblem("peer", null);
      events.connected(this, connection);
    }
    if (connection.direction === "incoming") this.#retireIncoming(connection);
    events.heard(connection, message);
  }

  #retireIncoming(newest: PeerConnection): void {
    for (const other of this.#connections) {
      if (other.direction === "incoming" && other.id < newest.id) other.replace();
    }
  }

  #noteEnd(connection: PeerConnection, end: ConnectionEnd): void {
    if (this.#isStopped) return;
    const { events } = this.#options;
    const { peerName } = connection;
    this.#connections.delete(connection);
    const wasLast = this.#isConnected && this.provenConnections().length === 0;
    const wasOurs = this.#dialling.kind === "open" && this.#dialling.connection === connection;
    if (wasLast) {
      this.#isConnected = false;
      events.disconnected(this, end);
      if (this.#isStopped) return;
    }
    switch (end.kind) {
      case "lost":
      case "goodbye":
        this.#exitRetriesLeft = EXIT_RETRY.times;
        // Also when a dial is under way: it may hang since before the fault.
        if (wasLast || wasOurs) this.#dial();
        return;
      case "silent":
        if (wasOurs) this.#dial();
        return;
      case "replaced":
        if (wasOurs) this.#dialIn(this.#paceMs);
        return;
      case "other-version":
        if (wasOurs) this.#dialIn(this.#paceMs);
        this.#noteBadAttempt(end.problem, 1);
        return;
      case "bad-message": {
        if (wasOurs) this.#dialIn(this.#paceMs);
        const blame = end.by === "peer" ? "sends what is no message of ours" : "rejects our messages";
        const problem = `${peerName} ${blame} (${end.reason}): is the same vipair installed on both?`;
        if (end.by === "peer") events.rejected(end.reason);
        this.#noteBadAttempt(problem, GARBAGE_TO_ESTRANGE);
        return;
      }
    }
  }

  #noteRefusedCaller(refusal: {
    readonly address: string;
    readonly fromPeer: boolean;
    readonly problem: string;
  }): void {
    if (this.#isStopped) return;
    // Nothing listens on the peer, so this is not the peer's vipair but something else on that machine.
    const isPeer = refusal.fromPeer && !this.#lastDialWasRefused;
    if (isPeer && !this.#isConnected) {
      this.#noteBadAttempt(refusal.problem, GARBAGE_TO_ESTRANGE);
    } else {
      // Strangers share one key, or each new address of theirs would be a line.
      const key = refusal.fromPeer ? refusal.problem : "stranger";
      this.#options.log.sometimes(key, "warn", { address: refusal.address }, `peer link: ${refusal.problem}`);
    }
  }

  /** `enough` of these in a row, while nothing good is heard, mean that the peer is estranged. */
  #noteBadAttempt(problem: string, enough: number): void {
    if (this.#isConnected) return;
    if (this.#peer === undefined) {
      // Whoever this is, it is not our peer.
      this.#options.log.sometimes(problem, "warn", {}, `peer link: ${problem}`);
      return;
    }
    this.#badAttempts += 1;
    if (this.#badAttempts < enough) return;
    this.#setProblem("dial", null);
    this.#setProblem("peer", problem);
    this.#isEstranged = true;
    this.#options.events.estranged(this, problem);
  }

  #setProblem(about: "peer" | "dial" | "listener", problem: string | null): void {
    if (this.#problems[about] === problem) return;
    this.#problems[about] = problem;
    if (problem === null) return;
    const { log } = this.#options;
    // Not being able to dial is what a dead peer looks like; the other two need a person.
    const level = about === "dial" ? "info" : "warn";
    log.sometimes(problem, level, { peer: this.#peer?.name }, `peer link: ${problem}`);
  }
}
