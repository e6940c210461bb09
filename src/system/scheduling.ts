// Who runs when all processors are wanted. Heartbeats and the lease cannot wait behind traffic, and a nice
// value is not enough for that: it counts only among the processes of one session (autogroup) or one service.
// Real-time scheduling (SCHED_RR, lowest
// priority) goes before all of that. Node has no call for it; chrt is in util-linux, which is on every Debian.
// The kernel keeps a share of each second for the others (sched_rt_runtime_us).

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setPriority } from "node:os";

/** Where real-time scheduling is not to be had, at least before the others of the same session. */
const NICENESS = -10;
/** Of the real-time priorities the lowest: kernel threads that matter have higher ones. */
const RR_PRIORITY = "1";
/** SCHED_FIFO and SCHED_RR in proc_pid_stat(5). */
const REAL_TIME: ReadonlySet<string> = new Set(["1", "2"]);

/** A command line before a program's own that gives up what `runUrgently` has taken. */
const AS_OTHERS = ["chrt", "--other", "0", "nice", "-n", String(-NICENESS)] as const;

/** This process and what it starts go before all ordinary ones; the reason in words when they do not. */
export function runUrgently(): string | undefined {
  try {
    setPriority(NICENESS);
  } catch {
    return "this user may not raise its own priority";
  }
  return setPolicy("--rr", RR_PRIORITY);
}

/** A process that was started by an urgent one becomes like any other. Throws when it cannot. */
export function runOrdinarily(): void {
  if (!isRealTime()) return;
  const problem = setPolicy("--other", "0");
  if (problem !== undefined) throw new Error(problem);
}

/** The command line that starts `program` like any other process, however urgent this one is. */
export function asOrdinary(program: string, args: readonly string[]): readonly [string, ...string[]] {
  return isRealTime() ? [...AS_OTHERS, program, ...args] : [program, ...args];
}

function setPolicy(policy: "--rr" | "--other", priority: string): string | undefined {
  const args = ["--all-tasks", policy, "--pid", priority, String(process.pid)];
  const { status, stderr, error } = spawnSync("chrt", args, { encoding: "utf8", timeout: 5000 });
  if (status === 0) return undefined;
  return error === undefined ? stderr.trim() : `chrt cannot be run: ${error.message}`;
}

/** Of the main thread: proc_pid_stat(5), field 41. */
function isRealTime(): boolean {
  const stat = readFileSync("/proc/self/stat", "utf8");
  return REAL_TIME.has(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[38] ?? "");
}
