// `vipair switchover`: the other node becomes active.

import { ADMIN_PATHS } from "../../protocol/admin.ts";
import type { SwitchoverOrder, SwitchoverResult } from "../../protocol/admin.ts";
import { askAdmin } from "../admin-client.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";
import { complainOf } from "./role.ts";

/** A switchover takes a few round trips and one hook (at most 2 s); beyond that something hangs. */
const TIMEOUT_MS = 30_000;

export async function orderSwitchover(
  {
    runtimeDir,
    group,
    force,
  }: { readonly runtimeDir: string; readonly group: string | undefined; readonly force: boolean },
  terminal: Terminal,
): Promise<number> {
  const body: SwitchoverOrder = { ...(group !== undefined && { group }), force };
  const answer = await askAdmin({
    runtimeDir,
    method: "POST",
    path: ADMIN_PATHS.switchover,
    body,
    timeoutMs: TIMEOUT_MS,
  });
  if (answer.kind !== "done") return complainOf(answer, terminal);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
  const { active, tookMs } = answer.body as SwitchoverResult;
  terminal.print(`active is now ${active} (${String(Math.round(tookMs))} ms)`);
  return EXIT.ok;
}
