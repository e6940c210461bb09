// TLS between programs that share a key and nothing else: no certificates, no clocks, one cipher. The peer link
// and the pairing of two nodes both speak it, each with a key of its own.

import { constants } from "node:crypto";
import type { ConnectionOptions } from "node:tls";

/** One cipher, with forward secrecy (RFC 5489). Renegotiation and tickets would be ways round the key. */
export const PSK_TLS = {
  ciphers: "ECDHE-PSK-CHACHA20-POLY1305",
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.2",
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET,
} as const satisfies ConnectionOptions;

/** Whether a handshake failed because the other side has another key; `code` is that of the error. */
export function isWrongKey(code: string): boolean {
  return code.includes("BAD_RECORD_MAC") || code.includes("DECRYPT");
}
