// A node's status as it tells it over its admin socket: at once, where the command would first have to start a runtime.

import { get } from "node:http";
import { join } from "node:path";
import { ADMIN_PATHS, ADMIN_SOCKET } from "../../src/protocol/admin.ts";
import type { Status } from "../../src/protocol/status.ts";

const ANSWER_WITHIN_MS = 1000;

/** undefined while nobody answers there. */
export async function adminStatus(runtimeFolder: string): Promise<Status | undefined> {
  return new Promise((resolve) => {
    const socketPath = join(runtimeFolder, ADMIN_SOCKET);
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
    const request = get({ socketPath, path: ADMIN_PATHS.status, signal }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (body += chunk));
      response.on("end", () => {
        resolve(response.statusCode === 200 ? (JSON.parse(body) as Status) : undefined);
      });
      response.on("error", () => {
        resolve(undefined);
      });
    });
    request.on("error", () => {
      resolve(undefined);
    });
  });
}
