// How the two nodes know each other: TLS (system/psk-tls.ts) with a key made from the pair's secret, so that one
// secret gives authentication both ways and encryption without certificates. There is no other way in.

import { createHash, hkdfSync } from "node:crypto";

/** One end of a path of the peer link. */
export interface Endpoint {
  /** Of the node. */
  readonly name: string;
  /** IPv4 or IPv6 literal. */
  readonly address: string;
}

/** Fixed: the salt separates our key from other uses of the same secret, it need not be secret itself. */
const KEY_SALT = "vipair";
const KEY_INFO = "vipair peer link 1";
const KEY_BYTES = 32;

/** The TLS key of the pair: HKDF-SHA256 (RFC 5869) of its secret. */
export function deriveKey(secret: string): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, KEY_SALT, KEY_INFO, KEY_BYTES));
}

/**
 * What a listening node calls itself in the handshake (RFC 4279 5.2: the PSK identity hint), so that a dialler which knows it
 * by another name says no before anything is heard. A digest: strangers need not learn the name.
 */
export function nameHint(name: string): string {
  return createHash("sha256").update(`${KEY_INFO} ${name}`).digest("hex").slice(0, 32);
}

/** The same words whichever side notices, so that one mistake is one line in the log. */
export function secretProblem(who: string): string {
  return `${who} does not have our secret: is the secret the same on both nodes?`;
}

export function nameProblem(who: string): string {
  return `${who} and we disagree about the nodes' names: is each node started with its own name, and is pair.nodes the same on both?`;
}
