// `vipair role`: one word for scripts.

import { ADMIN_PATHS } from "../../protocol/admin.ts";
import type { Status } from "../../protocol/status.ts";
import { askAdmin } from "../admin-client.ts";
import type { AdminAnswer } from "../admin-client.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";

const TIMEOUT_MS = 5_000;

export async function printRole(
  { runtimeDir }: { readonly runtimeDir: string },
  terminal: Terminal,
): Promise<number> {
  return withStatus(runtimeDir, terminal, (status) => {
    terminal.print(status.role);
  });
}

/** Asks the node for its status and shows it; ends in the exit code. */
export async function withStatus(
  runtimeDir: string,
  terminal: Terminal,
  show: (status: Status) => void,
): Promise<number> {
  const answer = await askAdmin({
    runtimeDir,
    method: "GET",
    path: ADMIN_PATHS.status,
    timeoutMs: TIMEOUT_MS,
  });
  if (answer.kind !== "done") return complainOf(answer, terminal);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
  show(answer.body as Status);
  return EXIT.ok;
}

/** Says why there is no answer; ends in the exit code. */
export function complainOf(answer: Exclude<AdminAnswer, { kind: "done" }>, terminal: Terminal): number {
  terminal.complain(`vipair: ${answer.problem}`);
  return answer.kind === "not-running" ? EXIT.notRunning : EXIT.failed;
}
