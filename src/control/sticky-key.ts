// The key that seals the cookies of sticky pools: made from the pair's secret, so that a cookie of one node is good
// on the other, and with a label of its own, so that whoever has it does not have the key of the peer link. Only
// workers get it. A node alone draws one by lot, which ends with the control process.

import { hkdfSync, randomBytes } from "node:crypto";
import type { PairConfig } from "../config/config.ts";
import { readSecret } from "./secret.ts";

/** See peer-security.ts. */
const KEY_SALT = "vipair";
const KEY_INFO = "vipair sticky cookies 1";
const KEY_BYTES = 32;

export class StickyKey {
  #value: Uint8Array = randomBytes(KEY_BYTES);
  #isOfPair = false;

  /** A secret that cannot be read now is adopted later. */
  constructor(pair: PairConfig | undefined, configDir: string) {
    const read = pair === undefined ? undefined : readSecret(pair, configDir);
    if (read?.kind === "secret") this.adopt(read.secret);
  }

  get value(): Uint8Array {
    return this.#value;
  }

  /** The first secret of the pair is the one that counts, as with the peer link. True: the key is another one now. */
  adopt(secret: string): boolean {
    if (this.#isOfPair) return false;
    this.#isOfPair = true;
    this.#value = deriveStickyKey(secret);
    return true;
  }
}

/** HKDF-SHA256 (RFC 5869). */
export function deriveStickyKey(secret: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, KEY_SALT, KEY_INFO, KEY_BYTES));
}
