// Talks to the vipair that runs with a given runtime directory, over its admin socket.

import { join } from "node:path";
import { ADMIN_SOCKET } from "../protocol/admin.ts";
import type { ADMIN_PATHS } from "../protocol/admin.ts";
import { http } from "../system/http.ts";

/** An answer is a status at most; a socket that says more is not ours. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

export interface AdminRequest {
  readonly runtimeDir: string;
  readonly method: "GET" | "POST";
  readonly path: (typeof ADMIN_PATHS)[keyof typeof ADMIN_PATHS];
  /** Sent as JSON. */
  readonly body?: object;
  /** For the whole exchange. */
  readonly timeoutMs: number;
}

export type AdminAnswer =
  /** The JSON of a 200 answer, as it was sent by a vipair of the same user. */
  | { readonly kind: "done"; readonly body: unknown }
  /** The node understood and says no; `problem` is its sentence. */
  | { readonly kind: "refused"; readonly problem: string }
  | { readonly kind: "not-running"; readonly problem: string }
  | { readonly kind: "failed"; readonly problem: string };

export async function askAdmin({
  runtimeDir,
  method,
  path,
  body,
  timeoutMs,
}: AdminRequest): Promise<AdminAnswer> {
  const socketPath = join(runtimeDir, ADMIN_SOCKET);
  return new Promise((resolve) => {
    const fail = (error: NodeJS.ErrnoException) => {
      resolve(explainFailure(error, { runtimeDir, timeoutMs }));
    };
    const sent = http.request(
      { socketPath, method, path, agent: false, signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) response.destroy(new Error("the answer is too large"));
        });
        response.on("error", fail);
        response.on("end", () => {
          resolve(readAnswer(response.statusCode ?? 0, Buffer.concat(chunks).toString()));
        });
      },
    );
    sent.on("error", fail);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function readAnswer(status: number, text: string): AdminAnswer {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { kind: "failed", problem: `vipair answered ${String(status)} without JSON` };
  }
  if (status === 200) return { kind: "done", body };
  const problem =
    typeof body === "object" && body !== null && "error" in body && typeof body.error === "string"
      ? body.error
      : `vipair answered ${String(status)}`;
  return status === 409 ? { kind: "refused", problem } : { kind: "failed", problem };
}

function explainFailure(
  error: NodeJS.ErrnoException,
  { runtimeDir, timeoutMs }: { readonly runtimeDir: string; readonly timeoutMs: number },
): AdminAnswer {
  switch (error.code) {
    case "ENOENT":
    case "ENOTDIR":
    case "ECONNREFUSED":
      return { kind: "not-running", problem: `no vipair runs with the runtime directory ${runtimeDir}` };
    case "EACCES":
      return {
        kind: "failed",
        problem: `only the user that runs vipair (usually root) may talk to it in ${runtimeDir}: type sudo before the command`,
      };
    case "ABORT_ERR":
      return { kind: "failed", problem: `vipair did not answer within ${String(timeoutMs / 1_000)} s` };
    case undefined:
    default:
      return { kind: "failed", problem: `cannot talk to vipair in ${runtimeDir}: ${error.message}` };
  }
}
