// What one look at something finds, and the life of the connection that looks: a probe opens a connection of its
// own and leaves none behind, whatever the other side does. What is said on it stands in tcp-probe.ts and http-probe.ts.

import { printable } from "../routing/printable.ts";
import { errorCode } from "../system/errno.ts";

export type ProbeResult =
  | {
      readonly kind: "good";
      /** The status of the response, where there was one. */
      readonly code?: number;
      /** Why it is not as good as it could be. */
      readonly degraded?: string;
      /** What a rule asked for and was not told. */
      readonly doubt?: string;
    }
  | {
      readonly kind: "bad";
      /** For people, one line. */
      readonly reason: string;
      /** The status of the response, or the exit code of a program. */
      readonly code?: number;
    };

export const GOOD: ProbeResult = { kind: "good" };

/** `said`: why, perhaps in the words of what was looked at. */
export function bad(said: string, code?: number): ProbeResult {
  const reason = printable(said);
  return code === undefined ? { kind: "bad", reason } : { kind: "bad", reason, code };
}

/** Looks once. What an aborted look finds means nothing. Never rejects. */
export type Prober = (abort: AbortSignal) => Promise<ProbeResult>;

/** What a probe needs of a socket or a request. */
interface Connection {
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "close", listener: () => void): unknown;
  destroy(): unknown;
}

/**
 * The result that `open` finishes with, or a bad one when the time is over, the connection fails or the signal
 * aborts. The connection is closed then. `timeoutMs` covers everything from the name lookup on.
 */
export async function probeOver(
  { timeoutMs, abort }: { readonly timeoutMs: number; readonly abort: AbortSignal },
  open: (finish: (result: ProbeResult) => void) => Connection,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const finish = (result: ProbeResult) => {
      clearTimeout(timer);
      abort.removeEventListener("abort", stop);
      connection.destroy();
      resolve(result);
    };
    const stop = () => {
      finish(bad("the check was stopped"));
    };
    const timer = setTimeout(() => {
      finish(bad(`no answer within ${String(timeoutMs)} ms`));
    }, timeoutMs);
    abort.addEventListener("abort", stop);
    const connection = open(finish);
    // Stays for good: a connection that was destroyed may still have an error to tell.
    connection.on("error", (error: Error) => {
      finish(bad(describeError(error)));
    });
    connection.on("close", () => {
      // A response that was cut off says so itself, a moment later.
      setImmediate(() => {
        finish(bad("the connection closed without an answer"));
      });
    });
  });
}

function describeError(error: Error): string {
  switch (errorCode(error)) {
    case "ECONNREFUSED":
      return "connect refused";
    case "ECONNRESET":
      return "connection reset";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "no route to it";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "its name does not resolve";
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
      return "its certificate is self-signed";
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
      return "its certificate is from an authority that is not trusted";
    case "CERT_HAS_EXPIRED":
      return "its certificate has expired";
    case "CERT_NOT_YET_VALID":
      return "its certificate is not valid yet";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return "its certificate is made out to another name";
    case "EPROTO":
    case "ERR_SSL_WRONG_VERSION_NUMBER":
    case "ERR_SSL_PACKET_LENGTH_TOO_LONG":
      return "it does not speak TLS there";
    case undefined:
    default:
      return error.message;
  }
}
