// How a command that has written a configuration gets it into effect: a node that runs takes it at once, one that systemd
// knows is started, and where neither is the case the operator is told how to run one.

import { existsSync } from "node:fs";
import { ADMIN_PATHS } from "../protocol/admin.ts";
import type { ReloadResult } from "../protocol/admin.ts";
import type { Status } from "../protocol/status.ts";
import { explainRun, run } from "../system/exec.ts";
import { findProgram } from "../system/program-path.ts";
import { HAS_WORKER_USER } from "../system/unprivileged.ts";
import { askAdmin } from "./admin-client.ts";
import { askReload, describeReload } from "./commands/reload.ts";

const UNIT = "vipair.service";
/** A start ends when the service says that it is ready; a stop lets requests in flight end. */
const SYSTEMCTL_MS = 120_000;
const STATUS_MS = 2000;
const LOOK_EVERY_MS = 200;

export type Applied =
  /** The node runs with it. `words`: a sentence without a full stop. */
  | { readonly kind: "running"; readonly words: string }
  /** No node runs, and nobody starts one by itself; `words` say how. */
  | { readonly kind: "not-running"; readonly words: string }
  | { readonly kind: "failed"; readonly problem: string };

export interface NodePaths {
  readonly config: string;
  readonly runtimeDir: string;
  /** It is the machine's own node, where the package has it, and not one of several. */
  readonly isDefault: boolean;
}

/** A node that runs is told to read its file; it is not started, nor restarted. */
export async function reloadRunning({ config, runtimeDir }: NodePaths): Promise<Applied> {
  const answer = await askReload(runtimeDir);
  switch (answer.kind) {
    case "done":
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
      return { kind: "running", words: describeReload(answer.body as ReloadResult) };
    case "not-running":
      return { kind: "not-running", words: `no vipair runs here now; one that starts reads ${config}` };
    case "refused":
    case "failed":
      return {
        kind: "failed",
        problem: `the node does not take it and goes on as it was: ${answer.problem}`,
      };
  }
}

/** Why this user may not write the files of the machine's own node; undefined when they may. `command`: what they typed, without options. */
export function rootProblem({ isDefault }: NodePaths, command: string): string | undefined {
  if (!isDefault || process.getuid?.() === 0) return undefined;
  return `${command} writes to /etc/vipair, which only root may: sudo vipair ${command} …`;
}

/** Why an installed service cannot start; undefined when it can. For commands that write the files that it needs. */
export async function installProblem({ isDefault }: NodePaths): Promise<string | undefined> {
  if (!isDefault || HAS_WORKER_USER || !(await hasUnit())) return undefined;
  return "vipair is only half installed: its user is missing. Finish that first: sudo dpkg --configure -a";
}

/** As reloadRunning(), and the service is started, or restarted where that is needed: a node that runs does not change its name. */
export async function startOrReload(paths: NodePaths, { name }: { readonly name: string }): Promise<Applied> {
  const isManaged = paths.isDefault && (await hasUnit());
  if (isManaged && (await runsAsOtherThan(name, paths))) {
    return systemctl(["restart", UNIT], `the service has been restarted, as ${name}`);
  }
  const answer = await askReload(paths.runtimeDir);
  if (answer.kind === "done") {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
    const result = answer.body as ReloadResult;
    if (result.needsRestart.length === 0 || !isManaged)
      return { kind: "running", words: describeReload(result) };
    return systemctl(["restart", UNIT], "the service has been restarted");
  }
  if (answer.kind !== "not-running") return { kind: "failed", problem: answer.problem };
  if (isManaged)
    return systemctl(["enable", "--now", UNIT], "the service has been started, now and at each boot");
  return { kind: "not-running", words: `no service is installed here. Start the node: ${runCommand(paths)}` };
}

/** A node that waits for its first configuration has no name yet. */
async function runsAsOtherThan(name: string, { runtimeDir }: NodePaths): Promise<boolean> {
  const path = ADMIN_PATHS.status;
  const answer = await askAdmin({ runtimeDir, method: "GET", path, timeoutMs: STATUS_MS });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
  return answer.kind === "done" && (answer.body as Status).node !== name;
}

/** The first status for which the condition holds; undefined when there is none in that time. */
export async function waitForStatus(
  runtimeDir: string,
  holds: (status: Status) => boolean,
  { withinMs }: { readonly withinMs: number },
): Promise<Status | undefined> {
  const until = performance.now() + withinMs;
  while (performance.now() < until) {
    // oxlint-disable-next-line no-await-in-loop -- asks again until then
    const answer = await askAdmin({
      runtimeDir,
      method: "GET",
      path: ADMIN_PATHS.status,
      timeoutMs: STATUS_MS,
    });
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
    if (answer.kind === "done" && holds(answer.body as Status)) return answer.body as Status;
    if (answer.kind === "not-running") return undefined;
    // oxlint-disable-next-line no-await-in-loop -- see above
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  return undefined;
}

/** With what was given on the command line, and nothing more. */
function runCommand({ config, runtimeDir, isDefault }: NodePaths): string {
  const own = isDefault ? "" : ` --config ${config} --runtime-dir ${runtimeDir}`;
  return `sudo vipair run${own}`;
}

async function hasUnit(): Promise<boolean> {
  // sd_booted(3)
  if (!existsSync("/run/systemd/system")) return false;
  const result = await runSystemctl(["cat", UNIT]);
  return result.kind === "exit" && result.code === 0;
}

async function systemctl(args: readonly string[], words: string): Promise<Applied> {
  const result = await runSystemctl(args);
  if (result.kind === "exit" && result.code === 0) return { kind: "running", words };
  const problem = `systemctl ${args.join(" ")}: ${explainRun(result)}. Its log says more: journalctl -u vipair -n 20`;
  return { kind: "failed", problem };
}

function runSystemctl(args: readonly string[]) {
  return run(findProgram("systemctl", "/usr/bin"), args, { env: {}, timeoutMs: SYSTEMCTL_MS }).result;
}
