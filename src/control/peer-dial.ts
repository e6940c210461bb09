// One attempt to reach the peer, and what it proves. The stage at which it ends is the message: a
// refused TCP connect means that the process is gone, no answer means silence, a TLS alert means that
// somebody answers who does not share our secret.

import type { TcpNetConnectOpts } from "node:net";
import { connect } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { WebSocket } from "ws";
import { formatAddress } from "../config/config.ts";
import { isOwnAddress } from "../system/own-addresses.ts";
import { PSK_TLS, isWrongKey } from "../system/psk-tls.ts";
import { FRAME_BYTES_MAX } from "./peer-frame.ts";
import { nameHint, nameProblem, secretProblem } from "./peer-security.ts";
import type { Endpoint } from "./peer-security.ts";

/** TLS and WebSocket handshake together, once TCP is connected. A frozen peer lets us wait this long. */
const HANDSHAKE_MS = 1000;

export type DialOutcome =
  | { readonly kind: "open"; readonly webSocket: WebSocket }
  /** Its machine answered that nothing listens there. */
  | { readonly kind: "refused" }
  /** Accepted, then closed or reset before the handshake was over: what an exiting process does. */
  | { readonly kind: "cut-off" }
  /** Nothing came back, or no way there. */
  | { readonly kind: "silent" }
  | { readonly kind: "own-address-missing" }
  /** It answered, and the answer says that it is not our peer. */
  | { readonly kind: "rejected"; readonly problem: string };

export interface DialOptions {
  readonly self: Endpoint;
  readonly peer: Endpoint;
  readonly port: number;
  readonly key: Buffer;
  readonly connectTimeoutMs: number;
}

export interface Dial {
  /** Ends the attempt without an outcome. */
  abort(): void;
}

/**
 * Dials the peer from our own address. `settle` is called once; for `open` synchronously with the event,
 * so that no message is missed. Its webSocket has an error listener already.
 */
export function dialPeer(options: DialOptions, settle: (outcome: DialOutcome) => void): Dial {
  const { self, peer, port, key } = options;
  if (isOwnAddress(self.address) === false) {
    const soon = setImmediate(() => settle({ kind: "own-address-missing" }));
    return { abort: () => clearImmediate(soon) };
  }
  let isOver = false;
  let isConnected = false;
  let webSocket: WebSocket | undefined;

  const finish = (outcome: DialOutcome | undefined): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    if (outcome?.kind !== "open") {
      webSocket?.terminate();
      socket.destroy();
    }
    if (outcome !== undefined) settle(outcome);
  };

  const expectedHint = nameHint(peer.name);
  // tls.connect() hands localAddress on to net.connect(), which its types do not say.
  const target: ConnectionOptions & Pick<TcpNetConnectOpts, "localAddress"> = {
    host: peer.address,
    port,
    localAddress: self.address,
    ...PSK_TLS,
    pskCallback: (hint) => (hint === expectedHint ? { psk: key, identity: self.name } : null),
    // With this cipher there is no certificate; the key has proven who answers.
    checkServerIdentity: () => undefined,
  };
  const socket: TLSSocket = connect(target);
  socket.setNoDelay(true);
  let timer = setTimeout(() => finish({ kind: "silent" }), options.connectTimeoutMs);

  socket.once("connect", () => {
    isConnected = true;
    clearTimeout(timer);
    timer = setTimeout(() => finish({ kind: "silent" }), HANDSHAKE_MS);
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    finish(isConnected ? explainHandshake(error, options) : explainConnect(error));
  });
  socket.once("close", () => finish({ kind: "cut-off" }));
  socket.once("secureConnect", () => {
    if (isOver) return;
    webSocket = new WebSocket("ws://peer/v1", {
      createConnection: () => socket,
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload: FRAME_BYTES_MAX,
    });
    const opened = webSocket;
    opened.on("error", () => finish({ kind: "cut-off" }));
    opened.once("unexpected-response", (_request, response) => {
      const problem = `what listens on ${formatAddress(peer.address, port)} answers ${String(response.statusCode)}`;
      finish({ kind: "rejected", problem });
    });
    opened.once("open", () => finish({ kind: "open", webSocket: opened }));
  });

  return { abort: () => finish(undefined) };
}

function explainConnect(error: NodeJS.ErrnoException): DialOutcome {
  const { code } = error;
  if (code === "ECONNREFUSED") return { kind: "refused" };
  if (code === "ECONNRESET") return { kind: "cut-off" };
  if (code === "EADDRNOTAVAIL") return { kind: "own-address-missing" };
  // EHOSTUNREACH, ENETUNREACH, ENETDOWN, ETIMEDOUT and whatever else a network can say.
  return { kind: "silent" };
}

function explainHandshake(error: NodeJS.ErrnoException, { peer, port }: DialOptions): DialOutcome {
  const code = error.code ?? "";
  if (code === "ETIMEDOUT" || code === "EHOSTUNREACH") return { kind: "silent" };
  if (!code.startsWith("ERR_SSL_") && code !== "EPROTO") return { kind: "cut-off" };
  if (isWrongKey(code)) {
    return { kind: "rejected", problem: secretProblem(peer.name) };
  }
  // What it says of our name, and what we say of its.
  if (code.includes("UNKNOWN_PSK_IDENTITY") || code.includes("PSK_IDENTITY_NOT_FOUND"))
    return { kind: "rejected", problem: nameProblem(peer.name) };
  return {
    kind: "rejected",
    problem: `what listens on ${formatAddress(peer.address, port)} is not vipair (${code})`,
  };
}
