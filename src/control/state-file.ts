// What a node must remember across a restart: state.json in the runtime directory. Written before it is
// acted upon, and atomically, so that a crash leaves the old file or the new one, never half of one.

import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface StoredState {
  /** The newest claim of the pair that this node knew of. */
  readonly epoch: number;
}

export class StateFile {
  readonly #path: string;

  constructor(runtimeDir: string) {
    this.#path = join(runtimeDir, "state.json");
  }

  /** What was stored; nothing, or garbage, counts as a first start. */
  read(): StoredState {
    try {
      const value: unknown = JSON.parse(readFileSync(this.#path, "utf8"));
      if (typeof value === "object" && value !== null && "epoch" in value) {
        const { epoch } = value;
        if (typeof epoch === "number" && Number.isSafeInteger(epoch) && epoch >= 0) return { epoch };
      }
    } catch {
      // A first start has no file, and a damaged one is worth no more than none.
    }
    return { epoch: 0 };
  }

  /** Throws what the file system throws. */
  write(state: StoredState): void {
    const next = `${this.#path}.new`;
    rmSync(next, { force: true });
    // wx: never through a link that somebody else has put there.
    writeFileSync(next, `${JSON.stringify(state)}\n`, { mode: 0o600, flag: "wx" });
    renameSync(next, this.#path);
  }
}
