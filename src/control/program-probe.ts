// Looks at something by a program of the operator's: good is exit 0.

import { explainRun, lastLine, programProblem } from "../system/exec.ts";
import { launch } from "../system/launcher.ts";
import { findProgram } from "../system/program-path.ts";
import { bad, GOOD } from "./probe.ts";
import type { Prober } from "./probe.ts";

export interface ProgramProbeOptions {
  /** Program and arguments. */
  readonly command: readonly string[];
  /** Relative programs stand there. */
  readonly configDir: string;
  /** The whole environment but for PATH. */
  readonly env: Readonly<Record<string, string>>;
  /** After it the process group is killed. */
  readonly timeoutMs: number;
}

/** The program is looked at anew each time (rule 14 too), as a person may mend it. */
export function programProber({
  command: [program = "", ...args],
  configDir,
  env,
  timeoutMs,
}: ProgramProbeOptions): Prober {
  return async (abort) => {
    const path = findProgram(program, configDir);
    const problem = programProblem(path);
    if (problem !== undefined) return bad(problem);
    const result = await launch(path, args, { env, timeoutMs, signal: abort }).result;
    if (result.kind === "failed-to-start") return bad(explainRun(result));
    if (result.kind === "exit" && result.code === 0) return GOOD;
    // Many checks say what is wrong on stdout.
    const said = result.stderr.trim() === "" ? lastLine(result.stdout) : "";
    const reason = said === "" ? explainRun(result) : `${explainRun(result)}: ${said}`;
    return bad(reason, result.kind === "exit" ? result.code : undefined);
  };
}
