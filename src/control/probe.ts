// One look at one backend: does it answer as it should, in time? A probe opens a connection of its own
// and leaves none behind, whatever the backend does.

import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import { formatAddress } from "../config/config.ts";
import type { BackendConfig, HealthConfig } from "../config/config.ts";
import { errorCode } from "../system/errno.ts";

/** A health page is small; what comes beyond this is not read, and the status alone decides. */
const BODY_BYTES_MAX = 65_536;
const HEAD_BYTES_MAX = 16_384;

export type ProbeResult = { readonly kind: "good" } | { readonly kind: "bad"; readonly reason: string };

export type ActiveHealth = Exclude<HealthConfig, { kind: "none" }>;

/**
 * Probes the backend once; `health.timeoutMs` covers everything from the name lookup to the end of the
 * response. An aborted probe closes its connection and ends in a bad result that means nothing.
 */
export async function probeBackend(
  backend: BackendConfig,
  health: ActiveHealth,
  abort: AbortSignal,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const finish = (result: ProbeResult) => {
      clearTimeout(timer);
      abort.removeEventListener("abort", stop);
      connection.destroy();
      resolve(result);
    };
    const fail = (reason: string) => {
      finish({ kind: "bad", reason });
    };
    const stop = () => {
      fail("the check was stopped");
    };
    const timer = setTimeout(() => {
      fail(`no answer within ${String(health.timeoutMs)} ms`);
    }, health.timeoutMs);
    abort.addEventListener("abort", stop);
    const connection = health.kind === "tcp" ? probeTcp(backend, finish) : probeHttp(backend, health, finish);
    // Stays for good: a connection that was destroyed may still have an error to tell.
    connection.on("error", (error: Error) => {
      fail(describeError(error));
    });
    connection.on("close", () => {
      fail("the connection closed without an answer");
    });
  });
}

function probeTcp({ host, port }: BackendConfig, finish: (result: ProbeResult) => void) {
  return connect({ host, port }, () => {
    finish({ kind: "good" });
  });
}

function probeHttp(
  { host, port }: BackendConfig,
  health: Extract<HealthConfig, { kind: "http" }>,
  finish: (result: ProbeResult) => void,
) {
  const sent = request({
    host,
    port,
    path: health.path,
    agent: false,
    maxHeaderSize: HEAD_BYTES_MAX,
    headers: {
      host: health.host ?? formatAddress(host, port),
      "user-agent": "vipair-health",
      connection: "close",
    },
  });
  sent.on("response", (response: IncomingMessage) => {
    const status = response.statusCode ?? 0;
    if (!health.expectedStatus.some(({ from, to }) => status >= from && status <= to)) {
      finish({ kind: "bad", reason: `status ${String(status)}` });
      return;
    }
    let bodyBytes = 0;
    response.on("data", (bytes: Buffer) => {
      bodyBytes += bytes.length;
      if (bodyBytes > BODY_BYTES_MAX) finish({ kind: "good" });
    });
    response.on("end", () => {
      finish({ kind: "good" });
    });
    response.on("error", () => {
      finish({ kind: "bad", reason: "the response was cut off" });
    });
  });
  sent.end();
  return sent;
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
    case undefined:
    default:
      return error.message;
  }
}
