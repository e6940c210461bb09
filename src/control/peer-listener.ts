// Where the peer dials us: our own address and the pair's port. Everybody can reach it, so it is narrow:
// who has not shown the pair's secret gets two seconds and few places, and what strangers do here is
// never taken for something the peer did. While the pair has no second node, whoever has the secret is let in under
// any name but our own: a node that starts beside an active one must hear it (decision 0028).

import type { Server as TlsServer } from "node:https";
import { SocketAddress, createServer, isIPv6 } from "node:net";
import type { Server, Socket } from "node:net";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { formatAddress } from "../config/config.ts";
import { https } from "../system/http.ts";
import { isOwnAddress } from "../system/own-addresses.ts";
import { PSK_TLS, isWrongKey } from "../system/psk-tls.ts";
import { FRAME_BYTES_MAX } from "./peer-frame.ts";
import { nameHint, nameProblem, secretProblem } from "./peer-security.ts";
import type { Endpoint } from "./peer-security.ts";

/** For the TLS handshake, and again for the WebSocket request. */
const HANDSHAKE_MS = 2000;

/** Sockets that have not shown the secret yet; the peer's own address has as many places apart. */
const UNAUTHENTICATED_MAX = 8;

const LISTEN_RETRY_MS = 1000;

/** As in a frame. */
const NAME_LENGTH_MAX = 64;

export interface PeerListenerEvents {
  /** Somebody with the pair's secret and the peer's name; without a peer `name` is what it calls itself. */
  opened(webSocket: WebSocket, name: string): void;
  /** A handshake failed. `fromPeer`: it came from the peer's configured address. */
  refused(refusal: { readonly address: string; readonly fromPeer: boolean; readonly problem: string }): void;
  /** Why the port is not open; null once it is. */
  problem(problem: string | null): void;
}

export interface PeerListenerOptions {
  readonly self: Endpoint;
  /** Undefined: the pair has no second node yet. */
  readonly peer: Endpoint | undefined;
  readonly port: number;
  readonly key: Buffer;
  readonly events: PeerListenerEvents;
}

interface Unauthenticated {
  readonly raw: Socket;
  readonly fromPeer: boolean;
}

export class PeerListener {
  readonly #options: PeerListenerOptions;
  #peer: Endpoint | undefined;
  #peerAddress: string | undefined;
  /** Accepts TCP and limits; what it lets in goes on to the TLS server, which never listens itself. */
  readonly #door: Server;
  readonly #tls: TlsServer;
  readonly #webSockets: WebSocketServer;
  /** What whoever has shown the secret calls itself. */
  readonly #names = new WeakMap<object, string>();
  /** By remote address and port, oldest first. */
  readonly #unauthenticated = new Map<string, Unauthenticated>();
  readonly #sockets = new Set<Socket>();
  #retry: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: PeerListenerOptions) {
    this.#options = options;
    this.expect(options.peer);
    this.#door = createServer({ noDelay: true }, (raw) => this.#admit(raw));
    this.#door.on("error", (error: NodeJS.ErrnoException) => this.#retryLater(error));
    this.#door.on("listening", () => options.events.problem(null));
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: FRAME_BYTES_MAX,
    });
    this.#tls = https.createServer({
      ...PSK_TLS,
      handshakeTimeout: HANDSHAKE_MS,
      pskIdentityHint: nameHint(options.self.name),
      pskCallback: (socket, identity) => {
        if (!this.#isWelcome(identity)) return null;
        this.#names.set(socket, identity);
        return options.key;
      },
    });
    this.#tls.on("secureConnection", (socket) => {
      this.#unauthenticated.delete(endpointOf(socket));
      // Until it is a WebSocket, which ends this.
      socket.setTimeout(HANDSHAKE_MS, () => socket.destroy());
    });
    this.#tls.on("tlsClientError", (error: NodeJS.ErrnoException, socket) =>
      this.#noteRefusal(error, socket.remoteAddress),
    );
    this.#tls.on("request", (_request, response) => {
      response.writeHead(426, { connection: "close" }).end();
    });
    this.#tls.on("upgrade", (request, socket, head) => {
      if (request.url !== "/v1") {
        socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n");
        return;
      }
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        const name = this.#names.get(socket);
        // Whom we expect may have changed since the handshake.
        if (this.#isStopped || name === undefined || !this.#isWelcome(name)) webSocket.terminate();
        else options.events.opened(webSocket, name);
      });
    });
  }

  start(): void {
    this.#listen();
  }

  get isListening(): boolean {
    return this.#door.listening;
  }

  /** Who is let in from now on; the port stays open. Undefined: whoever has the secret. */
  expect(peer: Endpoint | undefined): void {
    this.#peer = peer;
    this.#peerAddress = peer === undefined ? undefined : canonicalAddress(peer.address);
  }

  /** Frees the port at once, so that a redial of the peer is refused; cuts what is not a WebSocket yet. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#retry);
    if (this.#door.listening) this.#door.close();
    for (const { raw } of this.#unauthenticated.values()) raw.destroy();
  }

  /** Cuts every connection that came in here, whatever it has become. */
  cut(): void {
    for (const raw of this.#sockets) raw.destroy();
  }

  #isWelcome(name: string): boolean {
    if (this.#peer !== undefined) return name === this.#peer.name;
    return name !== this.#options.self.name && name.length > 0 && name.length <= NAME_LENGTH_MAX;
  }

  #listen(): void {
    if (isOwnAddress(this.#options.self.address) === false) {
      this.#retryLater({ code: "EADDRNOTAVAIL", message: "no such address" });
      return;
    }
    this.#door.listen({ host: this.#options.self.address, port: this.#options.port });
  }

  #retryLater(error: Pick<NodeJS.ErrnoException, "code" | "message">): void {
    const { self, port, events } = this.#options;
    const where = formatAddress(self.address, port);
    if (error.code === "EADDRINUSE") {
      events.problem(`cannot listen on ${where}: another program uses the port`);
    } else if (error.code === "EADDRNOTAVAIL") {
      events.problem(`cannot listen on ${where}: this machine does not have the address`);
    } else {
      events.problem(`cannot listen on ${where}: ${error.message}`);
    }
    if (this.#isStopped) return;
    this.#retry = setTimeout(() => this.#listen(), LISTEN_RETRY_MS);
  }

  #admit(raw: Socket): void {
    const fromPeer = canonicalAddress(raw.remoteAddress ?? "") === this.#peerAddress;
    const alike = [...this.#unauthenticated.values()].filter((other) => other.fromPeer === fromPeer);
    const [oldest] = alike;
    if (oldest !== undefined && alike.length >= UNAUTHENTICATED_MAX) {
      // Of the peer's own the newest is the live one (it gave up on the others); of strangers none matters.
      (fromPeer ? oldest.raw : raw).destroy();
      if (!fromPeer) return;
    }
    const endpoint = endpointOf(raw);
    this.#unauthenticated.set(endpoint, { raw, fromPeer });
    this.#sockets.add(raw);
    raw.on("error", () => raw.destroy());
    raw.on("close", () => {
      this.#sockets.delete(raw);
      if (this.#unauthenticated.get(endpoint)?.raw === raw) this.#unauthenticated.delete(endpoint);
    });
    this.#tls.emit("connection", raw);
  }

  #noteRefusal(error: NodeJS.ErrnoException, address: string | undefined): void {
    // Hung up or timed out: says nothing about who it was.
    if (address === undefined || !(error.code ?? "").startsWith("ERR_SSL_")) return;
    const { events } = this.#options;
    const fromPeer = canonicalAddress(address) === this.#peerAddress;
    const who = fromPeer ? (this.#peer?.name ?? address) : address;
    events.refused({ address, fromPeer, problem: explainRefusal(error.code ?? "", who) });
  }
}

function explainRefusal(code: string, who: string): string {
  // The latter is what a dialler says that does not like our hint.
  const isAboutNames = code.includes("PSK_IDENTITY_NOT_FOUND") || code.includes("ALERT_HANDSHAKE_FAILURE");
  if (isAboutNames) return nameProblem(who);
  if (isWrongKey(code)) return secretProblem(who);
  return `${who} connected to the peer link's port and is not vipair (${code})`;
}

function endpointOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ""} ${String(socket.remotePort ?? 0)}`;
}

/** One spelling per address, without zone: `fe80::1%eth0`, `::ffff:10.0.0.1` and `FD00:0::1` all occur. */
function canonicalAddress(address: string): string {
  const [bare = ""] = address.split("%");
  const unmapped = bare.replace(/^::ffff:(?=\d+\.)/i, "");
  return isIPv6(unmapped) ? new SocketAddress({ address: unmapped, family: "ipv6" }).address : unmapped;
}
