// Bytes that a test can make again: the same seed gives the same content, and no two places of it are alike
// often enough to be mistaken for each other. And random numbers from a seed, for schedules that can be
// run again.

import { createHash } from "node:crypto";

const BLOCK_BYTES = 1 << 20;
const STAMP_BYTES = 8;

/** The same for every process and run. */
const block = createBlock();

function createBlock(): Buffer {
  const next = createRandom(20_260_101);
  const bytes = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  for (let at = 0; at < BLOCK_BYTES; at += 4) bytes.writeUInt32LE(Math.floor(next() * 2 ** 32), at);
  return bytes;
}

/** Numbers in [0, 1) (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Content number `seed`, piece by piece: each block says whose it is and which. */
export function* contentOf(seed: number, length: number): Generator<Buffer> {
  for (let at = 0; at < length; at += BLOCK_BYTES) {
    const size = Math.min(BLOCK_BYTES, length - at);
    const piece = Buffer.allocUnsafe(size);
    block.copy(piece, 0, 0, size);
    // Each run of 512 bytes is marked, so that no two of one size can stand for each other.
    for (let mark = 0; mark + STAMP_BYTES <= size; mark += 512) {
      piece.writeUInt32LE(seed >>> 0, mark);
      piece.writeUInt32LE(((at + mark) / 512) >>> 0, mark + 4);
    }
    yield piece;
  }
}

/** SHA-256 of content number `seed`, hex. */
export function hashOf(seed: number, length: number): string {
  const hash = createHash("sha256");
  for (const piece of contentOf(seed, length)) hash.update(piece);
  return hash.digest("hex");
}
