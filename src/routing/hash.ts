// Numbers from texts, the same in every worker and on both nodes. They spread; they keep no secret: who knows
// this file can find texts of one hash, as with the hash of every balancer.

/** A 32-bit hash of the text: FNV-1a, whose last bits murmur3's finalizer then mixes. */
export function hashText(text: string, seed = 0): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mixBits(hash);
}

/** Another 32-bit number, of which every bit depends on every bit of this one (fmix32 of murmur3). */
export function mixBits(hash: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** 0 <= n < 1, of a 32-bit number. */
export function asFraction(hash: number): number {
  return hash / 0x1_0000_0000;
}
