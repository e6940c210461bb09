// The engine's view of a connection: any duplex byte stream. Plain TCP sockets now; TLS sockets and
// HTTP/2 streams are of the same kind, so nothing above this file asks which one it has.

import { Socket } from "node:net";
import type { Duplex } from "node:stream";

export type ByteStream = Duplex;

/** Who owns a stream hears this of it. */
export interface StreamOwner {
  receiveBytes(bytes: Buffer): void;
  /** The other side will send no more; it may still read. */
  receiveEnd(): void;
  /** What was written has left the process's buffers. */
  becomeWritable(): void;
  /** Last of all; `error` says why if it was not orderly. */
  streamClosed(error: Error | null): void;
}

/** Bytes up to this many are copied into one write; more would cost longer to copy than a second buffer to send. */
const COPY_BYTES_MAX = 16_384;

/** Wires a stream to its owner for the rest of its life. */
export function adoptStream(stream: ByteStream, owner: StreamOwner): void {
  let failure: Error | null = null;
  stream.on("data", (bytes: Buffer) => {
    owner.receiveBytes(bytes);
  });
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
 * Writes a head and body parts with as few system calls as possible: the kernel's send is most of
 * what a small exchange costs. `head` is latin1 and may be "".
 */
export function writeParts(stream: ByteStream, head: string, parts: readonly Buffer[]): void {
  const [first] = parts;
  if (first === undefined) {
    if (head !== "") stream.write(head, "latin1");
    return;
  }
  if (head === "" && parts.length === 1) {
    stream.write(first);
    return;
  }
  let size = head.length;
  for (const part of parts) size += part.length;
  if (size <= COPY_BYTES_MAX) {
    const whole = Buffer.allocUnsafe(size);
    let at = whole.write(head, 0, "latin1");
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    stream.write(whole);
    return;
  }
  stream.cork();
  if (head !== "") stream.write(head, "latin1");
  for (const part of parts) stream.write(part);
  stream.uncork();
}

/** Ends a stream so that the other side sees that something is missing: with a reset where there is one. */
export function cutStream(stream: ByteStream): void {
  if (stream instanceof Socket) stream.resetAndDestroy();
  else stream.destroy();
}
