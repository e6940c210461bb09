// The two files without which a node cannot take part in its pair: the peer link needs the secret, and a claim needs
// the hook. They are looked at for as long as the node runs: a standby whose hook has gone is no standby, and one
// that anybody can write is not to be run (DESIGN section 5, rule 14).

import type { PairConfig } from "../config/config.ts";
import { readSecret } from "./secret.ts";
import { hookProblem } from "./vip.ts";

const LOOK_MS = 1_000;

export interface PairFilesOptions {
  readonly pair: PairConfig;
  /** Where relative paths of the configuration start. */
  readonly configDir: string;
  /** Absolute. */
  readonly hook: string;
  /** What is wrong, when that changes; undefined when nothing is any more. */
  readonly onProblem: (problem: string | undefined) => void;
  /** Once, when it can be read. `warning`: it can be used, but should not be left like that. */
  readonly onSecret: (secret: string, warning: string | undefined) => void;
}

export class PairFiles {
  readonly #options: PairFilesOptions;
  #timer: NodeJS.Timeout | undefined;
  #problem: string | undefined;
  #hasSecret = false;

  constructor(options: PairFilesOptions) {
    this.#options = options;
  }

  start(): void {
    const { pair, configDir, hook, onProblem, onSecret } = this.#options;
    const secret = readSecret(pair, configDir);
    const problem = secret.kind === "unreadable" ? secret.problem : hookProblem(hook);
    if (problem !== this.#problem) {
      this.#problem = problem;
      onProblem(problem);
    }
    // Even without a hook the peer should hear that this node lives and is in fault.
    if (secret.kind === "secret" && !this.#hasSecret) {
      this.#hasSecret = true;
      onSecret(secret.secret, secret.warning);
    }
    this.#timer = setTimeout(() => {
      this.start();
    }, LOOK_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
