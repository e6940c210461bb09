// In touch with the peer: each node listens and dials, so there are two independent connections, and
// the pair is in touch while any one works. Besides carrying advertisements the link answers, in
// milliseconds, the question a heartbeat needs seconds for: did the peer's process die? (DESIGN section
// 5, rule 1.) The kernel closes the connections of a dead process and refuses new ones, while a frozen
// process, a cut cable or a dead machine answers nothing at all. So, when a connection is lost:
//
//   dial at once ─┬─ refused ───────────▶ dead(): again for each refused dial, while no connection is open
//        ▲        ├─ cut off ───────────▶ an exiting process does that: again in 20 ms, up to half a second
//        │        ├─ open ──────────────▶ advertisements
//        │        ├─ rejected ──────────▶ estranged(): it lives, and cannot be understood
//        └─ pace ─┴─ no answer ─────────▶ nothing: the election's timer decides
//
// A state that lasts (dead, estranged) is told again with each attempt that shows it, at the pace of
// dialling; a receiver need not remember that it missed one.

import { randomBytes } from "node:crypto";
import type { WebSocket } from "ws";
import type { NodeConfig } from "../config/config.ts";
import { formatAddress } from "../config/config.ts";
import type { Advertisement } from "../election/advertisement.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { PeerConnection } from "./peer-connection.ts";
import type { ConnectionEnd } from "./peer-connection.ts";
import { dialPeer } from "./peer-dial.ts";
import type { Dial, DialOutcome } from "./peer-dial.ts";
import type { Frame } from "./peer-frame.ts";
import { PeerListener } from "./peer-listener.ts";
import { deriveKey } from "./peer-security.ts";

/** Between two dials while the peer is not reached: the advertisement interval within these bounds. */
const PACE_MS = { atLeast: 100, atMost: 1000 } as const;

/** A process that is exiting still accepts for some milliseconds: how often and how soon to ask again. */
const EXIT_RETRY = { delayMs: 20, times: 25 } as const;

/** Attempts in a row that must fail in the same way before the peer counts as estranged. */
const REJECTIONS_TO_ESTRANGE = 2;
const GARBAGE_TO_ESTRANGE = 3;

/** Connections from the peer that may be open beside each other until one has proven itself. */
const INCOMING_MAX = 4;

/** What goes wrong again and again is logged once in this time. */
const LOG_PAUSE_MS = 10_000;
const LOG_KEYS_MAX = 50;

export interface PeerLinkEvents {
  /** Each advertisement once, in the order in which the peer made them. */
  advertisement(advertisement: Advertisement): void;
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
  readonly self: NodeConfig;
  readonly peer: NodeConfig;
  readonly port: number;
  readonly secret: string;
  /** The advertisement interval. */
  readonly intervalMs: number;
  /** The active-down interval. A connection that was silent for half as long again is given up. */
  readonly silenceMs: number;
  readonly events: PeerLinkEvents;
  readonly log: Log;
  readonly clock: Clock;
}

export interface PeerLinkStatus {
  readonly connected: boolean;
  /** Open connections that carry advertisements: 0 to 2. */
  readonly connections: number;
  /** Since the last advertisement; null before the first. */
  readonly lastHeardMs: number | null;
  /** What is wrong in words a person can act on; null when nothing is. */
  readonly problem: string | null;
  /** Messages that were no good and cost their connection. */
  readonly rejectedMessages: number;
}

type Dialling =
  | { readonly kind: "stopped" }
  | { readonly kind: "waiting"; readonly timer: NodeJS.Timeout }
  | { readonly kind: "dialling"; readonly dial: Dial }
  | { readonly kind: "open"; readonly connection: PeerConnection };

export class PeerLink {
  readonly #options: PeerLinkOptions;
  readonly #listener: PeerListener;
  readonly #key: Buffer;
  readonly #paceMs: number;
  readonly #boot = randomBytes(8).toString("hex");
  #dialling: Dialling = { kind: "stopped" };
  readonly #connections = new Set<PeerConnection>();
  #lastConnectionId = 0;
  #isConnected = false;
  #isStopped = false;

  #seq = 0;
  #said: Advertisement | undefined;

  /** The peer's present life: the newest connection that proved it, and the newest advertisement of it. */
  #peerLife: { readonly boot: string; readonly connectionId: number; readonly seq: number } | undefined;
  #lastHeardAtMs: number | undefined;
  #rejectedMessages = 0;

  #exitRetriesLeft = 0;
  #badAttempts = 0;
  #lastDialWasRefused = false;
  /** Three things can be wrong at once; each is logged when it changes. */
  readonly #problems = {
    peer: null as string | null,
    dial: null as string | null,
    listener: null as string | null,
  };
  readonly #loggedAtMs = new Map<string, number>();

  /** Throws when both nodes are the same one, which a parsed Config rules out. */
  constructor(options: PeerLinkOptions) {
    if (options.self.name === options.peer.name || options.self.address === options.peer.address) {
      throw new Error(`peer link: ${options.self.name} cannot be its own peer`);
    }
    this.#options = options;
    this.#key = deriveKey(options.secret);
    this.#paceMs = Math.min(Math.max(options.intervalMs, PACE_MS.atLeast), PACE_MS.atMost);
    this.#listener = new PeerListener({
      ...options,
      key: this.#key,
      events: {
        opened: (webSocket) => this.#accept(webSocket),
        refused: (refusal) => this.#noteRefusedCaller(refusal),
        problem: (problem) => this.#setProblem("listener", problem),
      },
    });
  }

  /** Listens and dials. Once. */
  start(): void {
    this.#exitRetriesLeft = EXIT_RETRY.times;
    this.#listener.start();
    this.#dial();
  }

  /** Sends on every open connection now, and again on each connection that opens later. */
  send(advertisement: Advertisement): void {
    if (this.#isStopped) return;
    this.#said = advertisement;
    this.#seq += 1;
    for (const connection of this.#connections) this.#sayTo(connection);
  }

  status(): PeerLinkStatus {
    const { clock } = this.#options;
    const { peer, dial, listener } = this.#problems;
    // While one connection works, that we cannot dial is no problem of the pair's.
    const problems = [peer, this.#isConnected ? null : dial, listener].filter((problem) => problem !== null);
    return {
      connected: this.#isConnected,
      connections: this.#provenConnections().length,
      lastHeardMs: this.#lastHeardAtMs === undefined ? null : clock() - this.#lastHeardAtMs,
      problem: problems.length === 0 ? null : problems.join("; "),
      rejectedMessages: this.#rejectedMessages,
    };
  }

  /** Frees the port, says goodbye and closes everything, within 500 ms. No event comes afterwards. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    // First: whoever hears the goodbye and dials again shall be refused, and so know.
    this.#listener.stop();
    this.#stopDialling();
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
    const { self, peer, port, intervalMs } = this.#options;
    this.#stopDialling();
    const dial = dialPeer(
      { self, peer, port, key: this.#key, connectTimeoutMs: 2 * Math.max(intervalMs, 200) },
      (outcome) => this.#finishDial(outcome),
    );
    this.#dialling = { kind: "dialling", dial };
  }

  #dialIn(delayMs: number): void {
    this.#stopDialling();
    this.#dialling = { kind: "waiting", timer: setTimeout(() => this.#dial(), delayMs) };
  }

  #finishDial(outcome: DialOutcome): void {
    const { peer, port, events } = this.#options;
    const where = `${peer.name} (${formatAddress(peer.address, port)})`;
    this.#lastDialWasRefused = outcome.kind === "refused";
    if (outcome.kind === "cut-off" && this.#exitRetriesLeft > 0) {
      this.#exitRetriesLeft -= 1;
      this.#dialIn(EXIT_RETRY.delayMs);
      return;
    }
    if (outcome.kind === "open") {
      this.#setProblem("dial", null);
      const connection = this.#connect(outcome.webSocket, "outgoing");
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
        events.dead({ everHeard: this.#lastHeardAtMs !== undefined });
        return;
      case "silent":
        this.#setProblem("dial", `${where} does not answer`);
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

  #accept(webSocket: WebSocket): void {
    const incoming = [...this.#connections].filter(({ direction }) => direction === "incoming");
    if (incoming.length >= INCOMING_MAX) incoming.find(({ isProven }) => !isProven)?.replace();
    this.#connect(webSocket, "incoming");
  }

  #connect(webSocket: WebSocket, direction: "incoming" | "outgoing"): PeerConnection {
    const { self, peer, silenceMs, intervalMs, clock } = this.#options;
    const connection = new PeerConnection({
      id: ++this.#lastConnectionId,
      direction,
      webSocket,
      selfName: self.name,
      peerName: peer.name,
      silenceMs: silenceMs * 1.5,
      stallMs: intervalMs,
      clock,
      heard: (from, frame) => this.#hear(from, frame),
      ended: (which, end) => this.#noteEnd(which, end),
    });
    this.#connections.add(connection);
    this.#sayTo(connection);
    return connection;
  }

  #sayTo(connection: PeerConnection): void {
    if (this.#said === undefined) return;
    connection.send({ boot: this.#boot, seq: this.#seq, advertisement: this.#said });
  }

  #hear(connection: PeerConnection, frame: Frame): void {
    if (this.#isStopped) return;
    const { events, peer, log, clock } = this.#options;
    if (!this.#acceptLife(connection, frame)) return;
    if (!this.#isConnected) {
      this.#isConnected = true;
      this.#exitRetriesLeft = EXIT_RETRY.times;
      this.#badAttempts = 0;
      this.#setProblem("peer", null);
      log.info({ peer: peer.name, over: connection.direction }, "peer link connected");
      events.connected();
    }
    if (frame.n === 1 && connection.direction === "incoming") this.#retireIncoming(connection);
    const newest = this.#peerLife?.seq ?? 0;
    // The same advertisement came over the other connection, or this one was read late.
    if (frame.seq <= newest) return;
    this.#peerLife = { boot: frame.boot, connectionId: connection.id, seq: frame.seq };
    this.#lastHeardAtMs = clock();
    events.advertisement(frame.advertisement);
  }

  /** False for what a former life of the peer left in a connection that is older than its present one. */
  #acceptLife(connection: PeerConnection, frame: Frame): boolean {
    const life = this.#peerLife;
    if (life !== undefined && life.boot !== frame.boot && connection.id < life.connectionId) {
      connection.replace();
      return false;
    }
    if (life === undefined || life.boot !== frame.boot) {
      this.#peerLife = { boot: frame.boot, connectionId: connection.id, seq: 0 };
      for (const other of this.#provenConnections()) {
        if (other !== connection && other.boot !== frame.boot) other.replace();
      }
    }
    return true;
  }

  #retireIncoming(newest: PeerConnection): void {
    for (const other of this.#connections) {
      if (other.direction === "incoming" && other.id < newest.id) other.replace();
    }
  }

  #noteEnd(connection: PeerConnection, end: ConnectionEnd): void {
    if (this.#isStopped) return;
    const { peer, log, events } = this.#options;
    this.#connections.delete(connection);
    const wasLast = this.#isConnected && this.#provenConnections().length === 0;
    const wasOurs = this.#dialling.kind === "open" && this.#dialling.connection === connection;
    if (wasLast) {
      this.#isConnected = false;
      log.info({ peer: peer.name, end: end.kind }, "peer link disconnected");
      events.disconnected();
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
        const problem = `${peer.name} ${blame} (${end.reason}): is the same vipair installed on both?`;
        if (end.by === "peer") {
          this.#rejectedMessages += 1;
          this.#logSometimes(
            "message",
            "warn",
            { peer: peer.name, reason: end.reason },
            "peer link: bad message",
          );
        }
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
      this.#logSometimes(key, "warn", { address: refusal.address }, `peer link: ${refusal.problem}`);
    }
  }

  /** `enough` of these in a row, while nothing good is heard, mean that the peer is estranged. */
  #noteBadAttempt(problem: string, enough: number): void {
    if (this.#isConnected) return;
    this.#badAttempts += 1;
    if (this.#badAttempts < enough) return;
    this.#setProblem("dial", null);
    this.#setProblem("peer", problem);
    this.#options.events.estranged(problem);
  }

  #setProblem(about: "peer" | "dial" | "listener", problem: string | null): void {
    if (this.#problems[about] === problem) return;
    this.#problems[about] = problem;
    if (problem === null) return;
    const { peer } = this.#options;
    // Not being able to dial is what a dead peer looks like; the other two need a person.
    const level = about === "dial" ? "info" : "warn";
    this.#logSometimes(problem, level, { peer: peer.name }, `peer link: ${problem}`);
  }

  /** Two problems may alternate; each is worth a line, and not again for a while. */
  #logSometimes(key: string, level: "info" | "warn", subject: object, event: string): void {
    const now = this.#options.clock();
    const loggedAtMs = this.#loggedAtMs.get(key);
    if (loggedAtMs !== undefined && now - loggedAtMs < LOG_PAUSE_MS) return;
    if (this.#loggedAtMs.size >= LOG_KEYS_MAX) this.#loggedAtMs.clear();
    this.#loggedAtMs.set(key, now);
    this.#options.log[level](subject, event);
  }

  #provenConnections(): PeerConnection[] {
    return [...this.#connections].filter(({ isProven }) => isProven);
  }
}
