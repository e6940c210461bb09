// What a node must remember, in two files: state.json in the runtime directory for what a restart must not
// forget, changes.json in the state directory for what a power cut must not either. Both are written before
// they are acted upon, and atomically, so that a crash leaves the old file or the new one, never half of one.

import { readFileSync, renameSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseChanges } from "../election/changes.ts";
import type { Change } from "../election/changes.ts";
import { syncDirectory, writeNew } from "../system/atomic-file.ts";
import { errorCode } from "../system/errno.ts";

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

/** What changes.json holds; a first start has no file and so no changes. */
export type StoredChanges =
  | { readonly kind: "changes"; readonly changes: readonly Change[] }
  | {
      readonly kind: "damaged";
      /** Why nothing of it was used. */
      readonly reason: string;
      /** Where it is now; undefined when it could not be moved out of the way. */
      readonly keptAs: string | undefined;
      /** The keys that can still be read in it: what was lost. */
      readonly keys: readonly string[];
    };

/** tmpfs and ramfs: statfs(2). */
const MEMORY_FILE_SYSTEMS: readonly number[] = [0x01_02_19_94, 0x85_84_58_f6];

/** Keys of a damaged file that are named. */
const LOST_KEYS_MAX = 50;

export class ChangesFile {
  readonly #directory: string;
  readonly path: string;

  constructor(stateDir: string) {
    this.#directory = stateDir;
    this.path = join(stateDir, "changes.json");
  }

  /** Whether the directory, or the one in which it will be made, lives in memory alone. */
  isLostAtReboot(): boolean {
    for (let directory = this.#directory; ; directory = dirname(directory)) {
      try {
        return MEMORY_FILE_SYSTEMS.includes(statfsSync(directory).type);
      } catch {
        // Not made yet. Why the root cannot be looked at, if ever, is not to be found out here.
        if (directory === dirname(directory)) return false;
      }
    }
  }

  /** What was stored. A damaged file is set aside, so that nothing overwrites it. */
  read(): StoredChanges {
    let text = "";
    try {
      text = readFileSync(this.path, "utf8");
      const changes = parseFile(text);
      if (changes !== undefined) return { kind: "changes", changes };
    } catch (error) {
      if (errorCode(error) === "ENOENT") return { kind: "changes", changes: [] };
      return this.#setAside(String(error), text);
    }
    return this.#setAside("it is not a list of run-time changes", text);
  }

  /**
   * Settles when the changes would survive a power cut; one call at a time. Rejects with a reason for people;
   * what was stored before is then still there, but for a disk that fails in the very last step.
   */
  async write(changes: Iterable<Change>): Promise<void> {
    const lines = [...changes].map((change) => JSON.stringify(change));
    const next = `${this.path}.new`;
    try {
      await this.#makeDirectory();
      await rm(next, { force: true });
      const text = `{"version":1,"changes":[\n${lines.join(",\n")}\n]}\n`;
      await writeNew(next, { text, mode: 0o600 });
      await rename(next, this.path);
      await syncDirectory(this.#directory);
    } catch (error) {
      // Half a file on a full disk helps nobody; that it cannot be removed is no further news.
      await rm(next, { force: true }).catch(() => undefined);
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`cannot store run-time changes in ${this.path}: ${reason}`, { cause: error });
    }
  }

  async #makeDirectory(): Promise<void> {
    const first = await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    // A new directory is only safe when its name in the one above is.
    for (let made = this.#directory; made.startsWith(first); made = dirname(made)) {
      // oxlint-disable-next-line no-await-in-loop -- one or two levels, once in the life of a machine
      await syncDirectory(dirname(made));
    }
  }

  #setAside(reason: string, text: string): StoredChanges {
    const keys = [...text.matchAll(/"key":"([^"\\]+)"/g)].slice(0, LOST_KEYS_MAX).map(([, key = ""]) => key);
    const keptAs = `${this.path}.damaged`;
    try {
      renameSync(this.path, keptAs);
      return { kind: "damaged", reason, keptAs, keys };
    } catch {
      return { kind: "damaged", reason, keptAs: undefined, keys };
    }
  }
}

/** Throws when it is not JSON; undefined when it is and says something else. */
function parseFile(text: string): readonly Change[] | undefined {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null) return undefined;
  const { version, changes }: Partial<Record<string, unknown>> = { ...value };
  return version === 1 ? parseChanges(changes) : undefined;
}
