// `vipair reload`: what SIGHUP does, with an answer. A file with a mistake is not taken, and its mistakes are shown.

import { ADMIN_PATHS } from "../../protocol/admin.ts";
import type { ReloadResult } from "../../protocol/admin.ts";
import { askAdmin, type AdminAnswer } from "../admin-client.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";
import { complainOf } from "./role.ts";

/** Listeners that close let requests in flight go on; nobody waits for those here. */
const TIMEOUT_MS = 30_000;

/** Ends in the exit code: 1 when the file was not taken, 3 when no vipair runs. */
export async function reloadNode(
  { runtimeDir }: { readonly runtimeDir: string },
  terminal: Terminal,
): Promise<number> {
  const answer = await askReload(runtimeDir);
  if (answer.kind !== "done") return complainOf(answer, terminal);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
  terminal.print(describeReload(answer.body as ReloadResult));
  return EXIT.ok;
}

export function askReload(runtimeDir: string): Promise<AdminAnswer> {
  return askAdmin({ runtimeDir, method: "POST", path: ADMIN_PATHS.reload, timeoutMs: TIMEOUT_MS });
}

/** What the node took, in a sentence without a full stop. */
export function describeReload({ configHash, needsRestart }: ReloadResult): string {
  const taken = `the node runs with configuration ${configHash} now`;
  if (needsRestart.length === 0) return taken;
  return `${taken}, but for what was changed in ${needsRestart.join(", ")}: restart it to apply that`;
}
