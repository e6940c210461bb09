// `vipair drain POOL/BACKEND` and `vipair ready POOL/BACKEND`: no new requests for a backend, on both nodes
// and across restarts, until it is ready again.

import { ADMIN_PATHS } from "../../protocol/admin.ts";
import type { DrainOrder, DrainResult } from "../../protocol/admin.ts";
import { askAdmin } from "../admin-client.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";
import { unreplicated } from "./maintenance.ts";
import { complainOf } from "./role.ts";

const TIMEOUT_MS = 10_000;

/** Ends in the exit code; 2 when the backend is not written as POOL/BACKEND. */
export async function orderDrain(
  {
    runtimeDir,
    target,
    draining,
  }: { readonly runtimeDir: string; readonly target: string; readonly draining: boolean },
  terminal: Terminal,
): Promise<number> {
  const slash = target.indexOf("/");
  if (slash < 1 || slash === target.length - 1) {
    terminal.complain(`vipair: "${target}" is no backend. Write POOL/BACKEND, such as web/192.168.1.21:8080`);
    return EXIT.usage;
  }
  const body: DrainOrder = { pool: target.slice(0, slash), backend: target.slice(slash + 1), draining };
  const path = ADMIN_PATHS.drain;
  const answer = await askAdmin({ runtimeDir, method: "POST", path, body, timeoutMs: TIMEOUT_MS });
  if (answer.kind !== "done") return complainOf(answer, terminal);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
  const { replicated } = answer.body as DrainResult;
  const what = draining ? "gets no new requests" : "gets requests again";
  terminal.print(`${target} ${what}${unreplicated(replicated)}`);
  return EXIT.ok;
}
