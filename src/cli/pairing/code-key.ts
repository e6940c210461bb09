// The TLS key of a pairing, made from its code. The code has 60 random bits, is good for ten minutes and bears three
// wrong tries, so nobody guesses it while it counts. What a listener of the handshake could do afterwards is
// work through the codes; scrypt makes each of them cost 32 MiB and a tenth of a second.

import { scrypt } from "node:crypto";

/** Fixed: a handshake has no message before the key in which one node could send the other a random salt. */
const SALT = "vipair pairing 1";
const KEY_BYTES = 32;
/** RFC 7914 section 2: memory is 128 * N * r bytes. */
const COST = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 } as const;

/** `code` as formatJoinCode() writes it. */
export function deriveCodeKey(code: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(code, SALT, KEY_BYTES, COST, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
