// One open WebSocket of the peer link, whoever dialled: frames in strict order, a limit on what a frozen
// peer may make us keep, and the verdict on why it ended. What an end means for the pair is judged in
// peer-link.ts, which sees all connections.

import type { WebSocket } from "ws";
import type { Advertisement } from "../election/advertisement.ts";
import type { Clock } from "../system/clock.ts";
import { FRAME_BYTES_MAX, PROTOCOL_VERSION, decodeFrame, encodeFrame } from "./peer-frame.ts";
import type { Frame, Message } from "./peer-frame.ts";

/** Close codes: 4000 to 4999 are the application's (RFC 6455 7.4.2). */
const CLOSE_GOODBYE = 1000;
const CLOSE_OTHER_VERSION = 4001;
const CLOSE_BAD_MESSAGE = 4002;
const CLOSE_REPLACED = 4003;

/** Beyond this the peer does not read: it is frozen, and what we would keep for it is stale anyway. */
const BUFFERED_BYTES_MAX = 64 * 1024;

/** Operators' messages are no hurry: while so much waits to be sent, only advertisements join the queue. */
const CHANGES_BUFFERED_BYTES_MAX = 4 * FRAME_BYTES_MAX;

/** For the other side to answer a close; then the socket is cut. */
const CLOSE_ANSWER_MS = 200;

export type ConnectionEnd =
  /** Closed or reset without a word: what the kernel does for a process that died. */
  | { readonly kind: "lost" }
  | { readonly kind: "goodbye" }
  /** Nothing came for too long, or nothing is read: half-open or frozen. */
  | { readonly kind: "silent" }
  | { readonly kind: "replaced" }
  | { readonly kind: "other-version"; readonly problem: string }
  /** It sent what no peer sends (`by: "peer"`), or says that we did (`by: "self"`). */
  | { readonly kind: "bad-message"; readonly by: "peer" | "self"; readonly reason: string };

export interface PeerConnectionOptions {
  /** Grows from connection to connection. */
  readonly id: number;
  readonly direction: "incoming" | "outgoing";
  readonly webSocket: WebSocket;
  readonly selfName: string;
  readonly peerName: string;
  /** Names this life of our process. */
  readonly boot: string;
  /** While the peer has said nothing of its own interval, or one that is no longer than ours. */
  readonly silenceMs: number;
  /** Our advertisement interval. A silence timer that fires later than that was held up together with what it waits for. */
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly heard: (connection: PeerConnection, frame: Frame) => void;
  /** Called once; nothing is heard afterwards. */
  readonly ended: (connection: PeerConnection, end: ConnectionEnd) => void;
}

export class PeerConnection {
  readonly id: number;
  readonly direction: "incoming" | "outgoing";
  readonly peerName: string;
  readonly #options: PeerConnectionOptions;
  readonly #webSocket: WebSocket;
  #sent = 0;
  #received = 0;
  #isProven = false;
  #boot: string | undefined;
  #silence: NodeJS.Timeout | undefined;
  #heardAtMs: number;
  /** Nothing for so long means that the connection is dead. */
  #silenceMs: number;
  #hasEnded = false;

  constructor(options: PeerConnectionOptions) {
    this.id = options.id;
    this.direction = options.direction;
    this.peerName = options.peerName;
    this.#options = options;
    this.#webSocket = options.webSocket;
    this.#heardAtMs = options.clock();
    this.#silenceMs = options.silenceMs;
    this.#webSocket.on("message", (data, isBinary) => {
      if (isBinary || !Buffer.isBuffer(data)) this.#reject("binary");
      else this.#receive(data.toString("utf8"));
    });
    this.#webSocket.on("error", (error) => {
      const code = "code" in error && typeof error.code === "string" ? error.code : "";
      // ws closes the socket itself after these: not UTF-8, too long, reserved bits ...
      if (code.startsWith("WS_ERR_")) this.#reject(error.message);
    });
    this.#webSocket.on("close", (code, reason) => this.#end(explainClose(code, reason.toString("utf8"))));
    this.#watchSilence(options.silenceMs);
  }

  /** Names the life of the peer's process; undefined before the first good frame. */
  get boot(): string | undefined {
    return this.#boot;
  }

  /** Whether an advertisement has come: before that it may still be anything that knows the secret. */
  get isProven(): boolean {
    return this.#isProven;
  }

  /** A connection that is slow drops operators' messages: they are sent again until they are confirmed or answered. */
  send(message: Message): void {
    if (this.#hasEnded) return;
    const { bufferedAmount } = this.#webSocket;
    if (message.kind !== "advertisement" && bufferedAmount > CHANGES_BUFFERED_BYTES_MAX) return;
    if (bufferedAmount > BUFFERED_BYTES_MAX) {
      this.#end({ kind: "silent" });
      this.#webSocket.terminate();
      return;
    }
    this.#sent += 1;
    const { selfName: node, boot } = this.#options;
    this.#webSocket.send(encodeFrame({ n: this.#sent, boot, node, message }), () => {
      // A failed write closes the connection; that is where it is dealt with.
    });
  }

  /** A newer connection has taken its place. */
  replace(): void {
    this.#closeWith(CLOSE_REPLACED, "replaced", { kind: "replaced" });
  }

  /** Tells the peer that we stop on purpose. Settles when the socket is closed, within CLOSE_ANSWER_MS. */
  sayGoodbye(): Promise<void> {
    return new Promise((resolve) => {
      this.#webSocket.once("close", () => resolve());
      this.#closeWith(CLOSE_GOODBYE, "goodbye", { kind: "goodbye" });
    });
  }

  #receive(text: string): void {
    if (this.#hasEnded) return;
    const decoded = decodeFrame(text);
    if (decoded.kind === "invalid") {
      this.#reject(decoded.reason);
      return;
    }
    const { selfName } = this.#options;
    const { peerName } = this;
    if (decoded.kind === "other-version") {
      const ours = String(PROTOCOL_VERSION);
      const problem = `${peerName} speaks protocol version ${String(decoded.version)}, this node ${ours}: upgrade both`;
      this.#closeWith(CLOSE_OTHER_VERSION, `version ${ours} only`, { kind: "other-version", problem });
      return;
    }
    const { frame } = decoded;
    if (frame.node !== peerName) {
      const isSelf = frame.node === selfName;
      this.#reject(isSelf ? "it calls itself by our own name" : "it calls itself by another name");
      return;
    }
    if (frame.n !== this.#received + 1 || frame.boot !== (this.#boot ?? frame.boot)) {
      this.#reject("out of order");
      return;
    }
    this.#received += 1;
    this.#boot = frame.boot;
    this.#isProven ||= frame.message.kind === "advertisement";
    this.#heardAtMs = this.#options.clock();
    if (frame.message.kind === "advertisement") this.#noteInterval(frame.message.advertisement);
    this.#options.heard(this, frame);
  }

  /** A peer that speaks more rarely than we do is silent later (rule 11: files may differ). */
  #noteInterval({ intervalMs }: Advertisement): void {
    const { silenceMs, intervalMs: oursMs } = this.#options;
    this.#silenceMs = silenceMs * Math.max(1, intervalMs / oursMs);
  }

  #reject(reason: string): void {
    this.#closeWith(CLOSE_BAD_MESSAGE, reason.slice(0, 100), { kind: "bad-message", by: "peer", reason });
  }

  #closeWith(code: number, reason: string, end: ConnectionEnd): void {
    this.#end(end);
    const cut = setTimeout(() => this.#webSocket.terminate(), CLOSE_ANSWER_MS);
    this.#webSocket.once("close", () => clearTimeout(cut));
    this.#webSocket.close(code, reason);
  }

  #end(end: ConnectionEnd): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#silence);
    this.#options.ended(this, end);
  }

  #watchSilence(delayMs: number): void {
    const { clock, intervalMs: stallMs } = this.#options;
    const dueAtMs = clock() + delayMs;
    this.#silence = setTimeout(() => {
      const now = clock();
      const quietMs = now - this.#heardAtMs;
      if (quietMs < this.#silenceMs) {
        this.#watchSilence(this.#silenceMs - quietMs);
      } else if (now - dueAtMs > stallMs) {
        // We were held up ourselves: read what has come meanwhile before judging the peer.
        this.#watchSilence(stallMs);
      } else {
        this.#end({ kind: "silent" });
        this.#webSocket.terminate();
      }
    }, delayMs);
  }
}

/** Closes a connection that is none of ours, so that the other side knows why it gets no word. */
export function turnAway(webSocket: WebSocket, reason: string): void {
  const cut = setTimeout(() => webSocket.terminate(), CLOSE_ANSWER_MS);
  webSocket.on("error", () => webSocket.terminate());
  webSocket.once("close", () => clearTimeout(cut));
  webSocket.close(CLOSE_BAD_MESSAGE, reason);
}

function explainClose(code: number, reason: string): ConnectionEnd {
  switch (code) {
    case CLOSE_GOODBYE:
      return { kind: "goodbye" };
    case CLOSE_OTHER_VERSION:
      return {
        kind: "other-version",
        problem: `the peer does not speak this node's protocol version ${String(PROTOCOL_VERSION)}: upgrade both`,
      };
    case CLOSE_BAD_MESSAGE:
      return { kind: "bad-message", by: "self", reason };
    case CLOSE_REPLACED:
      return { kind: "replaced" };
    default:
      return { kind: "lost" };
  }
}
