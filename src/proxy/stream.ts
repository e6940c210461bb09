// The engine's view of a connection: a duplex byte stream of the socket kind. Plain TCP sockets now, TLS sockets next
// (test/proxy/tls-stream.test.ts has them work), and nothing above this file asks which one it has.
//
// Bytes that come in are lent: the plain sockets of a worker read into one buffer (lent-bytes.ts). So whoever keeps
// bytes after receiveBytes has returned copies them (keptBytes), and whoever passes them on writes a copy
// (writeParts): what the kernel does not take at once is read again later.

import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { AcceptedSocket } from "./accepted-socket.ts";
import { FIRST_FLIGHT_BYTES } from "./kernel-state.ts";
import { READ_BYTES, readingInto } from "./lent-bytes.ts";

/**
 * What a connection must offer, and all that the engine asks of one:
 *
 *   bytes in        reach the owner's receiveBytes in the order in which they were sent, and are the owner's until it
 *                   returns; pause() stops them behind what has been read, resume() lets them come
 *   bytes out       write() keeps what it gets until it has left, so it never gets what was lent; one call is one
 *                   send, if the other side has room
 *   back-pressure   writableNeedDrain: what was written waits in this process, and whoever feeds the stream stops;
 *                   becomeWritable says when it may go on. Nothing refuses a write: the bound is the feeder's.
 *                   writableLength: how much waits
 *   half-close      end() ends our direction behind all that was written; receiveEnd says that theirs has ended. Either
 *                   comes first, and the other direction lives on (allowHalfOpen)
 *   the end         when both directions have ended, with destroy() (drops what waits), or with a fault; streamClosed
 *                   says so once and last of all, in every case. See cutStream for an end that must not look good
 */
export type ByteStream = Pick<
  Duplex,
  | "destroy"
  | "end"
  | "isPaused"
  | "on"
  | "pause"
  | "resume"
  | "writableEnded"
  | "writableLength"
  | "writableNeedDrain"
  | "write"
>;

/** Who owns a stream, from adoptStream on and for the rest of its life, hears this of it. */
export interface StreamOwner {
  /** The bytes are lent until this returns. */
  receiveBytes(bytes: Buffer): void;
  /** The other side will send no more; it may still read. */
  receiveEnd(): void;
  /** What was written has left the process's buffers. */
  becomeWritable(): void;
  /** Last of all; `error` says why if it was not orderly. */
  streamClosed(error: Error | null): void;
}

/** One read, and a head or the frame of a chunk. */
const COPY_BYTES = READ_BYTES + 4096;
/** Smaller copies are cheap garbage, and would waste what they do not fill. */
const LARGE_BYTES = COPY_BYTES / 2;
const SPARE_COPIES_MAX = 64;
/**
 * Copies that the kernel has taken, to be used again. As garbage they were worth 70 MiB of a worker's memory
 * before the collector came, with a single 256 MiB body. Sockets alone: a stream of another kind may hand
 * what was written to somebody who keeps it.
 */
const spareCopies: Buffer[] = [];

/**
 * A socket that listens to the end before it dies of a failed write. A backend that answers early and closes ("413,
 * too much") resets what we still send to it; its answer has come before the reset and stands in the kernel, and
 * Node would close the socket with it.
 *
 *   open ──a write fails──> deaf on one side ──all is read: an end, or the reset──> closed
 */
class HearingSocket extends Socket {
  private failure: NodeJS.ErrnoException | null = null;
  private readonly owner: StreamOwner;

  constructor(owner: StreamOwner) {
    super({
      allowHalfOpen: true,
      onread: readingInto((bytes) => {
        owner.receiveBytes(bytes);
      }),
    });
    this.owner = owner;
  }

  override destroy(error?: Error): this {
    const isOver = this.failure !== null || this.destroyed || this.readableEnded;
    if (isOver || error === undefined || !isWriteError(error)) return super.destroy(error);
    // A socket that was reset is always read to its end: the kernel gives what has come, and then tells.
    this.failure = error;
    return this;
  }

  override push(bytes: unknown, encoding?: BufferEncoding): boolean {
    if (bytes !== null || this.failure === null) return super.push(bytes, encoding);
    // Node tells nobody of an end behind a failed write. EPIPE: the backend's end had come, and what it said is
    // whole. ECONNRESET: this end is the reset, which the write was told of in place of the read.
    if (this.failure.code === "EPIPE") this.owner.receiveEnd();
    super.destroy(this.failure);
    return false;
  }
}

function isWriteError(error: Error): error is NodeJS.ErrnoException {
  return "syscall" in error && error.syscall === "write";
}

/** A plain socket for `owner`, to be connected. */
export function createSocket(owner: StreamOwner): Socket {
  const socket = new HearingSocket(owner);
  socket.setNoDelay(true);
  hearEvents(socket, owner);
  return socket;
}

/** Wires a stream to its owner for the rest of its life. */
export function adoptStream(stream: ByteStream, owner: StreamOwner): void {
  if (stream instanceof AcceptedSocket) {
    stream.setOwner(owner);
    return;
  }
  stream.on("data", (bytes: Buffer) => {
    owner.receiveBytes(bytes);
  });
  hearEvents(stream, owner);
}

function hearEvents(stream: ByteStream, owner: StreamOwner): void {
  let failure: Error | null = null;
  stream.on("end", () => {
    owner.receiveEnd();
  });
  stream.on("drain", () => {
    owner.becomeWritable();
  });
  stream.on("error", (error) => {
    failure = error;
  });
  stream.on("close", () => {
    owner.streamClosed(failure);
  });
}

/**
 * Writes a head and body parts, which may be lent, with one system call: the kernel's send is most of what a
 * small exchange costs. `head` is latin1 and may be "".
 */
export function writeParts(stream: ByteStream, head: string, parts: readonly Buffer[]): void {
  if (parts.length === 0) {
    if (head !== "") stream.write(head, "latin1");
    return;
  }
  let size = head.length;
  for (const part of parts) size += part.length;
  const isLarge = size > LARGE_BYTES && size <= COPY_BYTES && stream instanceof Socket;
  const copy = isLarge ? (spareCopies.pop() ?? Buffer.allocUnsafeSlow(COPY_BYTES)) : Buffer.allocUnsafe(size);
  const whole = isLarge ? copy.subarray(0, size) : copy;
  let at = head === "" ? 0 : whole.write(head, 0, "latin1");
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  if (!isLarge) {
    stream.write(whole);
    return;
  }
  stream.write(whole, () => {
    if (spareCopies.length < SPARE_COPIES_MAX) spareCopies.push(copy);
  });
}

/** The other side's port; undefined where there is none, or not any more. */
export function portOf(stream: ByteStream): number | undefined {
  return stream instanceof Socket ? stream.remotePort : undefined;
}

/**
 * Closes a connection on which nothing more will be read, at once. False: something has still to leave, or the stream is
 * of a kind that wants an end; or the client could destroy the answer. If it sends all the same, the kernel answers with
 * a reset and drops what waits to be sent: unless it has ended, only what left in the first flight is out of its reach.
 */
export function closeStream(
  stream: ByteStream,
  { hasInputEnded }: { readonly hasInputEnded: boolean },
): boolean {
  if (!(stream instanceof AcceptedSocket)) return false;
  return (hasInputEnded || stream.bytesWritten <= FIRST_FLIGHT_BYTES) && stream.closeAtOnce();
}

/**
 * Ends a stream so that the other side sees that something is missing: with a reset where there is one. TLS has its
 * own sign, an end without a close_notify; its socket cannot reset what is below it.
 */
export function cutStream(stream: ByteStream): void {
  if (stream instanceof Socket && !("encrypted" in stream)) stream.resetAndDestroy();
  else stream.destroy();
}

/** Closes a stream at once; so that the other side sees it if something that was written is lost by that. */
export function dropStream(stream: ByteStream): void {
  if (stream.writableLength > 0) cutStream(stream);
  else stream.destroy();
}
