// `vipair standby` and `vipair resume`: an operator takes a node out of service, and back.

import { ADMIN_PATHS } from "../../protocol/admin.ts";
import type { MaintenanceOrder, MaintenanceResult, ResumeResult } from "../../protocol/admin.ts";
import { askAdmin } from "../admin-client.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";
import { complainOf } from "./role.ts";

/** A node gives the role away within seconds, or says after ten what it waits for. */
const TIMEOUT_MS = 30_000;

export interface MaintenanceCommand {
  readonly runtimeDir: string;
  /** Absent: the node of this machine. */
  readonly node: string | undefined;
  readonly force: boolean;
}

/** Ends in the exit code; 1 when the node is still active afterwards. */
export async function orderStandby(command: MaintenanceCommand, terminal: Terminal): Promise<number> {
  const answer = await order(ADMIN_PATHS.standby, command);
  if (answer.kind !== "done") return complainOf(answer, terminal);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
  const { node, replicated, pending } = answer.body as MaintenanceResult;
  if (pending !== null) {
    terminal.complain(`vipair: maintenance of ${node} is ordered, but not yet in effect: ${pending}`);
    return EXIT.failed;
  }
  terminal.print(`${node} is in maintenance; \`vipair resume\` ends it${unreplicated(replicated)}`);
  return EXIT.ok;
}

export async function orderResume(command: MaintenanceCommand, terminal: Terminal): Promise<number> {
  const answer = await order(ADMIN_PATHS.resume, command);
  if (answer.kind !== "done") return complainOf(answer, terminal);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
  terminal.print(describeResume(answer.body as ResumeResult));
  return EXIT.ok;
}

function describeResume({ node, ended, replicated, unstored }: ResumeResult): string {
  switch (ended) {
    case "maintenance": {
      const known = `${node} is back in service${unreplicated(replicated)}`;
      if (unstored === null) return known;
      return `${known}, but that is not on the disk here yet, so that a restart may undo it: ${unstored}`;
    }
    case "damping":
      return `${node} may change roles again: its flap damping has ended`;
    case "nothing":
      return replicated
        ? `${node} was not in maintenance`
        : `${node} was not in maintenance, as far as is known here (the other node is not in touch and may know better)`;
  }
}

/** Shown behind what was done: it holds here, whatever the peer knows. */
export function unreplicated(replicated: boolean): string {
  return replicated ? "" : " (the other node is not in touch and learns of it when it is)";
}

function order(path: typeof ADMIN_PATHS.standby | typeof ADMIN_PATHS.resume, command: MaintenanceCommand) {
  const { runtimeDir, node, force } = command;
  const body: MaintenanceOrder = { ...(node !== undefined && { node }), force };
  return askAdmin({ runtimeDir, method: "POST", path, body, timeoutMs: TIMEOUT_MS });
}
