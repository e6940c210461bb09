// What the kernel knows of a connection and Node does not say: that the other side takes what it was sent, though slowly.
// The kernel calls a full connection writable again when a third of its buffer is free, which can be a megabyte, and
// takes a slow reader longer than any deadline.
//
// Only looked at when a deadline has passed. A stream without a handle that is as expected moves when Node's own queue does.

import { fstatSync, readFileSync } from "node:fs";
import { Socket } from "node:net";
import { monotonicClock } from "../system/clock.ts";
import type { ByteStream } from "./stream.ts";

/** The tables of all connections are read at most this often: they grow with the connections. */
const TABLES_KEPT_MS = 500;
/** RFC 6928: what leaves at once on a new connection, ten segments. Whether so little is on its way is not worth a look. */
export const FIRST_FLIGHT_BYTES = 14_600;

/** The part of Node's handles that is used here. */
interface Handle {
  getpeername(peer: object): number;
  readonly fd: number;
  /** Of the write under way, what the kernel has not taken. */
  readonly writeQueueSize?: number;
}

const NONE: readonly string[] = [];
let tables = NONE;
let tablesAtMs = -Infinity;

/** Watches what waits to be taken by the other side of one stream. */
export class SendWatch {
  private last = "";

  /**
   * True: something waits, and some of it was taken since the last call; or this is the first look at what waits, which
   * cannot tell.
   */
  hasMoved(stream: ByteStream): boolean {
    const state = describeQueue(stream);
    const hasMoved = state !== null && state !== this.last;
    this.last = state ?? "";
    return hasMoved;
  }
}

/** Different when something was written or taken; null: nothing waits. */
function describeQueue(stream: ByteStream): string | null {
  const written = stream instanceof Socket ? stream.bytesWritten : 0;
  if (stream.writableLength === 0 && written <= FIRST_FLIGHT_BYTES) return null;
  const handle = handleOf(stream);
  const inKernel = handle === null ? 0 : readSendQueue(handle.fd);
  if (stream.writableLength === 0 && inKernel === 0) return null;
  return [written, stream.writableLength, handle?.writeQueueSize, inKernel].join();
}

/** Bytes that the other side has not acknowledged: what SIOCOUTQ says. 0: nothing, or it cannot be known. */
function readSendQueue(fd: number): number {
  try {
    const inode = String(fstatSync(fd).ino);
    // sl local remote st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
    const line = new RegExp(`^ *\\d+: \\S+ \\S+ \\S+ ([0-9A-F]+):\\S+ \\S+ \\S+ +\\d+ +\\d+ ${inode} `, "mu");
    for (const table of readTables()) {
      const [, bytes] = line.exec(table) ?? [];
      if (bytes !== undefined) return Number.parseInt(bytes, 16);
    }
  } catch {
    // Without /proc there is Node's own queue.
  }
  return 0;
}

function readTables(): readonly string[] {
  const nowMs = monotonicClock();
  if (nowMs - tablesAtMs < TABLES_KEPT_MS) return tables;
  tables = NONE;
  tablesAtMs = nowMs;
  tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map((path) => readFileSync(path, "latin1"));
  return tables;
}

function handleOf(stream: ByteStream): Handle | null {
  const handle: unknown = Reflect.get(stream, "_handle");
  const isKnown = typeof handle === "object" && handle !== null && "getpeername" in handle && "fd" in handle;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its methods are native, and have no types
  return isKnown ? (handle as unknown as Handle) : null;
}
