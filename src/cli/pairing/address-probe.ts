// Whether a virtual address is free: asked on the network by the hook that will hold it, in the words it uses at a claim.

import { join } from "node:path";
import { explainRun, lastLine, programProblem, run } from "../../system/exec.ts";

const HOOK = join(import.meta.dirname, "../../../scripts/hooks/vip");
/** Two questions, a second apart. */
const TIMEOUT_MS = 5000;
const EXIT_TAKEN = 3;

export type Probed =
  | { readonly kind: "free" }
  /** By whose MAC, in a sentence without a full stop. */
  | { readonly kind: "taken"; readonly problem: string }
  /** It cannot be known. */
  | { readonly kind: "unknown"; readonly problem: string };

/** Needs root, because questions in nobody's name do. */
export async function probeAddress(address: {
  readonly vip: string;
  readonly prefixLength: number;
  readonly interface: string;
}): Promise<Probed> {
  const problem = programProblem(HOOK);
  if (problem !== undefined)
    return { kind: "unknown", problem: `${problem}. Is vipair installed as a whole?` };
  const env = {
    VIPAIR_ADDRESS: address.vip,
    VIPAIR_PREFIX_LENGTH: String(address.prefixLength),
    VIPAIR_INTERFACE: address.interface,
  };
  const result = await run(HOOK, ["probe"], { env, timeoutMs: TIMEOUT_MS }).result;
  if (result.kind === "exit" && result.code === 0) return { kind: "free" };
  if (result.kind === "exit" && result.code === EXIT_TAKEN)
    return { kind: "taken", problem: lastLine(result.stderr) };
  return { kind: "unknown", problem: explainRun(result) };
}
