// A client's plain connection. Only a socket that is new can read into the lent buffer, and net.Server makes its sockets
// without; so a connection is taken from Node as a handle, which is what a Socket is to the kernel, and gets a
// socket of ours. To let Node make one first and throw it away cost 25 µs of the 185 of a connection with one request.
//
// Handles are Node's own business. All that knows of them stands here, and is tried out before it is relied upon: with
// a Node that is built otherwise the sockets are those that Node makes, and all works as before, only slower
// (decision 0020).

import { type Server, Socket, type SocketConstructorOpts } from "node:net";
import { readingInto } from "./lent-bytes.ts";
import type { StreamOwner } from "./stream.ts";

/** The part of Node's TCP handle that is used here. */
interface Handle {
  /** Fills in the address of the other side; 0: it is known. */
  getpeername(peer: { address: string }): number;
  close(): void;
  onread: unknown;
}

/** Filled in at each accept: an object that has its fields already is filled faster. */
const peer = { address: "", family: "", port: 0 };

/** It lives for at most the rest of a turn of the event loop without an owner, in which nothing is read. */
export class AcceptedSocket extends Socket {
  private readonly handle: Handle;
  private readonly ownership: { owner: StreamOwner | null };

  constructor(handle: Handle) {
    const ownership: { owner: StreamOwner | null } = { owner: null };
    const options = {
      allowHalfOpen: true,
      onread: readingInto((bytes) => ownership.owner?.receiveBytes(bytes)),
      handle,
    };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- documented is one kind of handle only
    super(options as unknown as SocketConstructorOpts);
    this.handle = handle;
    this.ownership = ownership;
  }

  /** undefined: the client has gone. */
  readPeerAddress(): string | undefined {
    return this.handle.getpeername(peer) === 0 ? peer.address : undefined;
  }

  setOwner(owner: StreamOwner): void {
    const { ownership } = this;
    ownership.owner = owner;
    let failure: Error | null = null;
    this.on("end", () => ownership.owner?.receiveEnd());
    this.on("drain", () => ownership.owner?.becomeWritable());
    this.on("error", (error) => {
      failure = error;
    });
    this.on("close", () => ownership.owner?.streamClosed(failure));
  }

  /**
   * Closes a connection on which nothing more will be read, and tells the owner before it returns. The ceremony that a
   * stream holds at its end costs 20 µs more. False: something has still to be written, or the stream is ending already.
   */
  closeAtOnce(): boolean {
    const { handle, ownership } = this;
    const { owner } = ownership;
    if (owner === null || this.writableLength > 0 || this.errored !== null || this.destroyed) return false;
    Reflect.set(this, "_handle", null);
    handle.onread = ignore;
    handle.close();
    ownership.owner = null;
    owner.streamClosed(null);
    return true;
  }
}

/**
 * Has the connections of a server that listens made into sockets of ours, for `take`. Without effect where the server is
 * not as expected: then its "connection" events bring them.
 */
export function takeConnections(server: Server, take: (socket: AcceptedSocket) => void): void {
  const listening: unknown = Reflect.get(server, "_handle");
  if (typeof listening !== "object" || listening === null) return;
  const onConnection: unknown = Reflect.get(listening, "onconnection");
  if (typeof onConnection !== "function") return;
  Reflect.set(listening, "onconnection", function own(this: unknown, status: number, handle: unknown) {
    if (status === 0 && isHandle(handle)) take(new AcceptedSocket(handle));
    // Node reports the errors.
    else Reflect.apply(onConnection, this, [status, handle]);
  });
}

/**
 * The connection of a socket that Node has made, which is an empty shell afterwards. null: it is of another kind, or
 * has closed.
 */
export function takeOver(socket: Socket): AcceptedSocket | null {
  // A TLS socket is a Socket as well, and its handle gives the bytes of TLS.
  if (socket.constructor !== Socket) return null;
  const handle: unknown = Reflect.get(socket, "_handle");
  if (!isHandle(handle)) return null;
  Reflect.set(socket, "_handle", null);
  return new AcceptedSocket(handle);
}

function isHandle(handle: unknown): handle is Handle {
  return typeof handle === "object" && handle !== null && "getpeername" in handle;
}

/** Whether a Socket of this Node takes a handle, and treats it, as is expected here. Tried on one without a connection. */
export function areHandlesKnown(): boolean {
  const seen = { isLent: false, isReading: false, isClosed: false };
  const handle = {
    onread: null,
    useUserBuffer: () => {
      seen.isLent = true;
    },
    readStart: () => {
      seen.isReading = true;
      return 0;
    },
    getpeername: (out: { address: string }) => {
      out.address = "192.0.2.1";
      return 0;
    },
    close: () => {
      seen.isClosed = true;
    },
  };
  try {
    const socket = new AcceptedSocket(handle);
    let isTold = false;
    socket.setOwner({
      receiveBytes: ignore,
      receiveEnd: ignore,
      becomeWritable: ignore,
      streamClosed: () => {
        isTold = true;
      },
    });
    const hasReader = typeof handle.onread === "function";
    const isAddressRead = socket.readPeerAddress() === "192.0.2.1" && socket.remoteAddress === "192.0.2.1";
    socket.closeAtOnce();
    return isTold && hasReader && isAddressRead && seen.isLent && seen.isReading && seen.isClosed;
  } catch {
    return false;
  }
}

function ignore(): void {
  // Nobody listens.
}
