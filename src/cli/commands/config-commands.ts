// `vipair config diff` and `vipair config push`: the configuration file on the other node, without a login there.

import type { Command, Option } from "commander";
import { ADMIN_PATHS } from "../../protocol/admin.ts";
import type {
  ConfigFilesResult,
  ConfigPushOrder,
  ConfigPushResult,
  ConfigTaken,
} from "../../protocol/admin.ts";
import { askAdmin } from "../admin-client.ts";
import { unifiedDiff } from "../line-diff.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";
import { complainOf } from "./role.ts";

/** The peer is asked, and looks at the file in a process of its own. */
const TIMEOUT_MS = 90_000;

/** As diff(1). */
const DIFF_EXIT = { same: 0, different: 1, trouble: 2 } as const;

/** `onEnd` gets the exit code. */
export function addConfigCommands(
  program: Command,
  {
    terminal,
    onEnd,
    runtimeDirOption,
  }: {
    readonly terminal: Terminal;
    readonly onEnd: (exitCode: number) => void;
    readonly runtimeDirOption: () => Option;
  },
): void {
  const config = program.command("config").description("the configuration file on both nodes");
  config
    .command("diff")
    .description("show what a push would change in the other node's file; exit 1 when the two differ")
    .addOption(runtimeDirOption())
    .action(async ({ runtimeDir }: { runtimeDir: string }) => {
      onEnd(await printDiff(runtimeDir, terminal));
    });
  config
    .command("push")
    .description("copy this node's file to the other node, and reload both")
    .option("--force", "even over changes there that nobody here has seen", false)
    .option("--dry-run", "only ask the other node what is wrong with the file", false)
    .addOption(runtimeDirOption())
    .action(async ({ runtimeDir, ...order }: { runtimeDir: string; force: boolean; dryRun: boolean }) => {
      onEnd(await pushConfig(runtimeDir, order, terminal));
    });
}

async function printDiff(runtimeDir: string, terminal: Terminal): Promise<number> {
  const answer = await askAdmin({
    runtimeDir,
    method: "GET",
    path: ADMIN_PATHS.config,
    timeoutMs: TIMEOUT_MS,
  });
  if (answer.kind !== "done") {
    const exit = complainOf(answer, terminal);
    return exit === EXIT.failed ? DIFF_EXIT.trouble : exit;
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
  const { peer, ...self } = answer.body as ConfigFilesResult;
  if (self.text === peer.text) {
    terminal.print(`the files of ${self.node} and ${peer.node} are the same`);
    return DIFF_EXIT.same;
  }
  const { findSecrets } = await import("../../config/hidden-secrets.ts");
  const ours = findSecrets(self.text);
  const theirs = findSecrets(peer.text);
  const isShared = ours.secret === theirs.secret;
  const diff = unifiedDiff(
    { name: `${peer.node}:${peer.path}`, text: theirs.hide(isShared ? HIDDEN : `(hidden, of ${peer.node})`) },
    { name: `${self.node}:${self.path}`, text: ours.hide(isShared ? HIDDEN : `(hidden, of ${self.node})`) },
  );
  terminal.print(diff === "" ? "the files differ in what is hidden here" : diff);
  return DIFF_EXIT.different;
}

const HIDDEN = "(hidden)";

/** Copies this node's file to the other node; ends in the exit code. */
export async function pushConfig(
  runtimeDir: string,
  order: ConfigPushOrder,
  terminal: Terminal,
): Promise<number> {
  const answer = await askAdmin({
    runtimeDir,
    method: "POST",
    path: ADMIN_PATHS.configPush,
    body: order,
    timeoutMs: TIMEOUT_MS,
  });
  if (answer.kind !== "done") return complainOf(answer, terminal);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
  const result = answer.body as ConfigPushResult;
  switch (result.kind) {
    case "same":
      terminal.print(`${result.peer} has this file already`);
      return EXIT.ok;
    case "good":
      terminal.print(`${result.peer} would take this file; nothing was changed`);
      return EXIT.ok;
    case "written": {
      const { node, backup } = result.peer;
      terminal.print(`${node} has the file now${backup === null ? "" : `; its old one is ${backup} there`}`);
      const isPeerWell = tellTaken(node, result.peer, terminal);
      const isSelfWell = tellTaken("this node", result.self, terminal);
      return isPeerWell && isSelfWell ? EXIT.ok : EXIT.failed;
    }
  }
}

/** Whether the node runs with the file. */
function tellTaken(who: string, { problem, needsRestart }: ConfigTaken, terminal: Terminal): boolean {
  if (problem !== null) terminal.complain(`vipair: ${who} does not run with it: ${problem}`);
  else if (needsRestart.length > 0)
    terminal.print(`${who}: restart to apply what was changed in ${needsRestart.join(", ")}`);
  return problem === null;
}
