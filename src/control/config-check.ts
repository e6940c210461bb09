// Everything that is wrong with a configuration file, by `vipair check` in a process of its own: parsing a large file
// takes so long that the heartbeats of the control process would wait.

import { compileCacheEnvironment } from "../system/compile-cache.ts";
import { explainRun } from "../system/exec.ts";
import { launch } from "../system/launcher.ts";

const TIMEOUT_MS = 20_000;

export type CheckResult =
  | { readonly kind: "good" }
  /** Each on a line of its own, as `vipair check` says it; of very many the last. */
  | { readonly kind: "mistakes"; readonly text: string };

/** For the node of that name, which must stand in the file. `program`: the file that this process was started with. */
export async function checkConfigFile(
  path: string,
  { node, program }: { readonly node: string; readonly program: string },
): Promise<CheckResult> {
  const args = [program, "check", "--config", path, "--node", node];
  const env = compileCacheEnvironment();
  const result = await launch(process.execPath, args, { env, timeoutMs: TIMEOUT_MS }).result;
  if (result.kind === "exit" && result.code === 0) return { kind: "good" };
  const said = result.kind === "exit" ? result.stderr.trim() : "";
  return {
    kind: "mistakes",
    text: said === "" ? `${path} could not be checked: ${explainRun(result)}` : said,
  };
}
