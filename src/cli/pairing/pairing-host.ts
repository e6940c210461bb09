// Where a second node joins: a TCP port that is open while a join code is good. Everybody can reach it, so it is narrow:
//
//   open --join, offer, written, done--> joined
//     |--ten minutes--> expired          a node that is just joining may finish
//     |--three wrong codes--> burned     of those that say what a node says; who merely connects costs nothing
//     '--close()--> closed
//
// A wrong code shows as a handshake that fails with another key. Each handshake reserves a try before its key is looked
// at, so that no number of connections at once gets more than three. What the node that joins may have, and what
// becomes of the configuration, is the owner's to say.

import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { Server as TlsServer, TLSSocket } from "node:tls";
import { JOIN_BYTES_MAX, formatPairingHint, parseJoinerMessage } from "../../protocol/pairing.ts";
import type { HostMessage, JoinMessage } from "../../protocol/pairing.ts";
import { PSK_TLS, isWrongKey } from "../../system/psk-tls.ts";
import { LineChannel } from "./line-channel.ts";

/** Who joins, in the handshake. The key is what counts. */
export const JOINER_IDENTITY = "vipair-join";

const TRIES = 3;
/** A slow machine with a slow link; strangers keep their place no longer than that. */
const HANDSHAKE_MS = 5000;
/** Connections that have not shown the code yet; the oldest goes when another one comes. */
const UNAUTHENTICATED_MAX = 8;
/** For the first message, and for the other side to close at the end. */
const MESSAGE_MS = 5000;
/** To write two files on a slow card. */
const WRITE_MS = 60_000;

/** What a joining node gets. */
export interface Offer {
  readonly kind: "offer";
  readonly message: Extract<HostMessage, { kind: "offer" }>;
  /** The node has it on its disk: now it counts. Ends in why it does not, or undefined. */
  readonly commit: () => Promise<string | undefined>;
}

export type HostEnd =
  | { readonly kind: "joined"; readonly name: string; readonly address: string }
  | { readonly kind: "expired" }
  | { readonly kind: "burned" }
  | { readonly kind: "closed" };

export interface PairingHostOptions {
  readonly address: string;
  readonly port: number;
  /** Of the join code. */
  readonly key: Buffer;
  readonly validMs: number;
  /** `from`: where the connection comes from. */
  readonly offerTo: (
    join: JoinMessage,
    from: string,
  ) => Promise<Offer | { readonly kind: "refused"; readonly problem: string }>;
  /** What a person who waits wants to read: a sentence without a full stop. */
  readonly tell: (event: string) => void;
}

export class PairingHost {
  /** Settles once. */
  readonly ended: Promise<HostEnd>;
  readonly #options: PairingHostOptions;
  readonly #settle: (end: HostEnd) => void;
  /** Accepts TCP and limits; what it lets in goes on to a TLS server, which never listens itself. */
  readonly #door: Server;
  #tls: TlsServer;
  readonly #sockets = new Set<Socket>();
  /** Oldest first. */
  readonly #unauthenticated = new Set<Socket>();
  /** Handshakes whose key is being looked at. */
  readonly #trying = new Set<TLSSocket>();
  #triesLeft = TRIES;
  #expiry: NodeJS.Timeout | undefined;
  #isJoining = false;
  /** What it comes to when the node that is joining does not. */
  #end: HostEnd | undefined;

  constructor(options: PairingHostOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<HostEnd>();
    this.ended = promise;
    this.#settle = resolve;
    this.#tls = this.#createTls();
    this.#door = createServer({ noDelay: true }, (raw) => this.#admit(raw));
  }

  /** Opens the port; ends in why it cannot be opened, or undefined. The time of the code begins. */
  async open(): Promise<string | undefined> {
    const { address, port, validMs } = this.#options;
    const problem = await new Promise<string | undefined>((resolve) => {
      this.#door.once("error", (error: NodeJS.ErrnoException) =>
        resolve(
          error.code === "EADDRINUSE" ? "another program uses it, perhaps a vipair invite" : error.message,
        ),
      );
      this.#door.listen({ host: address, port }, () => resolve(undefined));
    });
    if (problem !== undefined) return `cannot wait on ${address}, port ${String(port)}: ${problem}`;
    this.#expiry = setTimeout(() => this.#endWith({ kind: "expired" }), validMs);
    return undefined;
  }

  /** At once, whoever is joining. */
  close(): void {
    this.#endWith({ kind: "closed" });
    for (const raw of this.#sockets) raw.destroy();
  }

  /** The port closes at once; a node that is just joining may finish. */
  #endWith(end: HostEnd): void {
    this.#end ??= end;
    clearTimeout(this.#expiry);
    this.#door.close();
    if (this.#isJoining) return;
    this.#settle(this.#end);
    for (const raw of this.#sockets) raw.destroy();
  }

  #admit(raw: Socket): void {
    const [oldest] = this.#unauthenticated;
    if (oldest !== undefined && this.#unauthenticated.size >= UNAUTHENTICATED_MAX) oldest.destroy();
    this.#sockets.add(raw);
    this.#unauthenticated.add(raw);
    raw.on("error", () => raw.destroy());
    raw.on("close", () => {
      this.#sockets.delete(raw);
      this.#unauthenticated.delete(raw);
    });
    this.#tls.emit("connection", raw);
  }

  /** One for each number of tries, because that is what it tells everybody. */
  #createTls(): TlsServer {
    const tls = createTlsServer({
      ...PSK_TLS,
      handshakeTimeout: HANDSHAKE_MS,
      pskIdentityHint: formatPairingHint({ triesLeft: this.#triesLeft }),
      pskCallback: (socket, identity) => {
        if (identity !== JOINER_IDENTITY || this.#trying.size >= this.#triesLeft) return null;
        this.#trying.add(socket);
        socket.once("close", () => this.#trying.delete(socket));
        return this.#options.key;
      },
    });
    tls.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
      const from = socket.remoteAddress ?? "somebody";
      if (this.#trying.delete(socket) && isWrongKey(error.code ?? "")) this.#noteWrongCode(from);
    });
    tls.on("secureConnection", (socket) => {
      this.#trying.delete(socket);
      void this.#serve(socket);
    });
    return tls;
  }

  #noteWrongCode(from: string): void {
    if (this.#triesLeft === 0) return;
    this.#triesLeft -= 1;
    const left = this.#triesLeft === 1 ? "1 try is left" : `${String(this.#triesLeft)} tries are left`;
    this.#options.tell(`wrong code from ${from}: ${this.#triesLeft === 0 ? "it was the last try" : left}`);
    if (this.#triesLeft === 0) this.#endWith({ kind: "burned" });
    else this.#tls = this.#createTls();
  }

  /** A node that has shown the code. */
  async #serve(socket: TLSSocket): Promise<void> {
    for (const raw of this.#unauthenticated) {
      if (raw.remotePort === socket.remotePort && raw.remoteAddress === socket.remoteAddress)
        this.#unauthenticated.delete(raw);
    }
    socket.on("error", () => socket.destroy());
    const channel = new LineChannel(socket, { bytesMax: JOIN_BYTES_MAX });
    if (this.#isJoining || this.#end !== undefined) {
      const problem = "another node is just joining. Wait until that has ended";
      channel.send({ kind: "refused", problem } satisfies HostMessage);
      await channel.finish({ withinMs: MESSAGE_MS });
      return;
    }
    this.#isJoining = true;
    const joined = await this.#join(channel, socket.remoteAddress ?? "");
    this.#isJoining = false;
    if (joined !== undefined) this.#end = joined;
    if (this.#end !== undefined) this.#endWith(this.#end);
  }

  /** undefined: it has not joined, and may try again. */
  async #join(channel: LineChannel, from: string): Promise<HostEnd | undefined> {
    const { offerTo, tell } = this.#options;
    const hello = await channel.receive({ withinMs: MESSAGE_MS });
    const join = hello.kind === "line" ? parseJoinerMessage(hello.line) : undefined;
    if (join?.kind !== "join") {
      tell(`${from} has the code and does not say what a node says: is it another version of vipair?`);
      channel.close();
      return undefined;
    }
    const refuse = async (problem: string): Promise<undefined> => {
      tell(`refused ${join.name} at ${from}: ${problem}`);
      channel.send({ kind: "refused", problem } satisfies HostMessage);
      await channel.finish({ withinMs: MESSAGE_MS });
    };
    const offer = await offerTo(join, from);
    if (offer.kind === "refused") return refuse(offer.problem);
    channel.send(offer.message);
    const answer = await channel.receive({ withinMs: WRITE_MS });
    const written = answer.kind === "line" ? parseJoinerMessage(answer.line) : undefined;
    if (written?.kind !== "written") {
      const why = written?.kind === "failed" ? written.problem : "the connection has ended";
      tell(`${join.name} has not joined: ${why}. It may try again`);
      channel.close();
      return undefined;
    }
    const problem = await offer.commit();
    if (problem !== undefined) return refuse(problem);
    channel.send({ kind: "done" } satisfies HostMessage);
    await channel.finish({ withinMs: MESSAGE_MS });
    return { kind: "joined", name: join.name, address: join.address };
  }
}
