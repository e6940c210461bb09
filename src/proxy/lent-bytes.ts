// The one buffer that the plain sockets of a worker read into (`onread`). It saves an allocation and its collection with
// each read, and 64 KiB per connection that waits for bytes. Apart because sockets of two kinds share it, those to
// backends and those from clients.

import type { OnReadOpts } from "node:net";

/** The most that one read brings: what libuv asks for, too. */
export const READ_BYTES = 65_536;
const lent = Buffer.allocUnsafeSlow(READ_BYTES);

/** The bytes in memory that stays as it is. */
export function keptBytes(bytes: Buffer): Buffer {
  return bytes.buffer === lent.buffer ? Buffer.from(bytes) : bytes;
}

/** For a new socket: `receive` is lent what comes until it returns. */
export function readingInto(receive: (bytes: Buffer) => void): OnReadOpts {
  return {
    buffer: lent,
    callback: (count) => {
      receive(lent.subarray(0, count));
      return true;
    },
  };
}
