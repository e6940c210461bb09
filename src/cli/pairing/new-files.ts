// The files that make a machine a node: configuration, secret and name. Written one after the other, the configuration
// last because it is what counts; if one cannot be written, or the other node says no, all are as they were.

import { mkdir, readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { replaceFile } from "../../system/atomic-file.ts";
import { errorCode } from "../../system/errno.ts";
import { describeAccess } from "../../system/page-file.ts";

export interface NewFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
  /** Whether what stands there is worth a backup; true when absent. */
  readonly isKept?: boolean;
}

export type FilesWritten =
  | {
      readonly kind: "written";
      /** Where older ones are now. */
      readonly backups: readonly string[];
      /** Puts everything back. */
      readonly undo: () => Promise<void>;
    }
  | { readonly kind: "failed"; readonly problem: string };

/** What stands there already is kept beside it, as `.bak`, unless it is the same or worth nothing. */
export async function writeNewFiles(files: readonly NewFile[]): Promise<FilesWritten> {
  const backups: string[] = [];
  const undos: (() => Promise<unknown>)[] = [];
  const undo = async () => {
    // oxlint-disable-next-line no-await-in-loop -- the last one first
    for (const step of undos.splice(0).toReversed()) await step();
  };
  for (const file of files) {
    // oxlint-disable-next-line no-await-in-loop -- in this order
    const written = await writeOne(file);
    if (written.kind === "failed") {
      // oxlint-disable-next-line no-await-in-loop -- the end of the loop
      await undo();
      return written;
    }
    if (written.backup !== null) backups.push(written.backup);
    undos.push(written.undo);
  }
  return { kind: "written", backups, undo };
}

async function writeOne({
  path,
  text,
  mode,
  isKept = true,
}: NewFile): Promise<
  | { readonly kind: "written"; readonly backup: string | null; readonly undo: () => Promise<unknown> }
  | { readonly kind: "failed"; readonly problem: string }
> {
  let old: string | undefined;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    old = await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) !== "ENOENT") {
      return { kind: "failed", problem: `${path} ${describeAccess(error)}` };
    }
  }
  if (old === text) return { kind: "written", backup: null, undo: async () => Promise.resolve() };
  const backup = old === undefined || !isKept ? {} : { backup: `${path}.bak` };
  const replaced = await replaceFile({ path, text, newMode: mode, expected: old ?? null, ...backup });
  if (replaced.kind === "failed") return replaced;
  if (replaced.kind === "changed") {
    return { kind: "failed", problem: `${path} was changed by somebody else in this moment. Try again` };
  }
  const before = old;
  const undo = async () =>
    before === undefined ? rm(path, { force: true }) : replaceFile({ path, text: before, newMode: mode });
  return { kind: "written", backup: replaced.backup, undo };
}
