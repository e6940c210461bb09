// A worker that was started as root becomes nobody before it hears from the control process: it reads
// bytes of strangers.

import { readFileSync, writeFileSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { runOrdinarily } from "../system/scheduling.ts";

/** -1000 to 1000, proc(5): how gladly the kernel ends a process when memory is short. */
const OOM_PREFERENCE = "/proc/self/oom_score_adj";

/** The id of `nobody` on Linux. */
const NOBODY = 65_534;

/** Takes the control process's urgency off, and every privilege if there are any. Throws when it cannot. */
export function dropPrivileges(environment: NodeJS.ProcessEnv): void {
  // Upwards only: giving away is always allowed, taking is not.
  runOrdinarily();
  if (getPriority() < 0) setPriority(0);
  // The kernel shall rather end a worker than the control process, which replaces it.
  if (Number(readFileSync(OOM_PREFERENCE, "latin1")) < 0) writeFileSync(OOM_PREFERENCE, "0");
  if (process.getuid?.() !== 0) return;
  process.setgroups?.([]);
  process.setgid?.(idFrom(environment["VIPAIR_WORKER_GID"]));
  process.setuid?.(idFrom(environment["VIPAIR_WORKER_UID"]));
}

function idFrom(text: string | undefined): number {
  const id = Number(text ?? NOBODY);
  if (!Number.isInteger(id) || id < 1) throw new Error(`not an id for workers: ${String(text)}`);
  return id;
}
