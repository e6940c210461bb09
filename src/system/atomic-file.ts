// Replaces a small file as a whole: after a crash, a power cut or with a full disk there is the old text or the
// new one, never half of one and never none. Configuration and secret are written through this door alone, whoever
// writes them (init, join, backend, config push), so that they all keep a file's mode and owner and tell the same words.

import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { copyFile, lstat, open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { errorCode } from "./errno.ts";

export interface FileReplacement {
  /** A symbolic link is followed: what it leads to is replaced. Its directory must exist. */
  readonly path: string;
  readonly text: string;
  /** Of a file that is not there yet; one that is keeps its mode and its owner. */
  readonly newMode: number;
  /** What the file must still hold (null: no file), when another writer's text must not be lost. Absent: whatever it holds. */
  readonly expected?: string | null;
  /** Where the old text is kept, beside the file; an older backup is overwritten. Absent: nowhere. */
  readonly backup?: string;
}

export type FileReplaced =
  /** `backup`: where the old text is now; null when none was wanted, or there was no file. */
  | { readonly kind: "replaced"; readonly backup: string | null }
  /** It does not hold what was expected. Nothing was written. */
  | { readonly kind: "changed" }
  /** `problem`: a sentence with the path. The old file is whole. */
  | { readonly kind: "failed"; readonly problem: string };

/** Writes a new file beside the old one, with fsync, and puts it in its place. Never throws. */
export async function replaceFile(replacement: FileReplacement): Promise<FileReplaced> {
  const { text, newMode, expected, backup } = replacement;
  let path = replacement.path;
  const unfinished = new Set<string>();
  try {
    path = await followLink(path);
    const old = await readOld(path);
    if (expected !== undefined && expected !== (old?.text ?? null)) return { kind: "changed" };
    const next = newName(path);
    unfinished.add(next);
    await writeNew(next, { text, mode: old?.mode ?? newMode, owner: old });
    const kept = backup !== undefined && old !== undefined ? backup : null;
    if (kept !== null) {
      const copy = newName(kept);
      unfinished.add(copy);
      await copyAndSync(path, copy);
      await rename(copy, kept);
    }
    // A slow disk took its time, in which somebody else may have written.
    if (expected !== undefined && expected !== ((await readOld(path))?.text ?? null)) {
      await rm(next, { force: true });
      return { kind: "changed" };
    }
    await rename(next, path);
    await syncDirectory(dirname(path));
    return { kind: "replaced", backup: kept };
  } catch (error) {
    // Those that have got their place are not there any more, under these names.
    await Promise.allSettled([...unfinished].map((name) => rm(name, { force: true })));
    return { kind: "failed", problem: explain(error, path) };
  }
}

/** Of a file that is not finished: of two writers at once the later one wins, and wins whole. */
function newName(path: string): string {
  return `${path}.new-${randomBytes(4).toString("hex")}`;
}

interface OldFile {
  readonly text: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

async function followLink(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    // Not there at all, or a link to nowhere: writing through that would make a file nobody looks for.
    const isLink = await lstat(path).then(
      (stats) => stats.isSymbolicLink(),
      () => false,
    );
    if (isLink) throw new Error("is a symbolic link to a file that does not exist", { cause: error });
    return path;
  }
}

async function readOld(path: string): Promise<OldFile | undefined> {
  try {
    const { mode, uid, gid } = await stat(path);
    return { text: await readFile(path, "utf8"), mode: mode & 0o7777, uid, gid };
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** A file that was not there, on the disk when this settles; without an owner it is this user's. Rejects when there is something. */
export async function writeNew(
  path: string,
  {
    text,
    mode,
    owner,
  }: {
    readonly text: string;
    readonly mode: number;
    readonly owner?: Pick<OldFile, "uid" | "gid"> | undefined;
  },
): Promise<void> {
  // wx: never through a link that somebody else has put there. Narrow until it has its owner.
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    if (owner !== undefined && (owner.uid !== process.getuid?.() || owner.gid !== process.getgid?.())) {
      await file.chown(owner.uid, owner.gid);
    }
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function copyAndSync(path: string, copy: string): Promise<void> {
  await copyFile(path, copy, constants.COPYFILE_EXCL);
  const file = await open(copy, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A new name in it would survive a power cut when this settles. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function explain(error: unknown, path: string): string {
  switch (errorCode(error)) {
    case "ENOSPC":
    case "EDQUOT":
      return `${path} cannot be written: the disk is full. Nothing has changed`;
    case "EROFS":
      return `${path} cannot be written: the file system is read-only, or the service may not write there. Nothing has changed`;
    case "EACCES":
    case "EPERM":
      if (process.getuid?.() !== 0) return `${path} cannot be written by this user. Run it with sudo`;
      // `chattr +i`; or a service that has not all of root's rights (CAP_DAC_OVERRIDE).
      return `${path} cannot be written, even by root. Is it immutable, or in a directory that is, or somebody else's? lsattr -d and ls -ld tell`;
    case "ENOENT":
    case "ENOTDIR":
      return `${path} cannot be written: its directory does not exist`;
    case undefined:
    default:
      return `${path} cannot be written: ${error instanceof Error ? error.message : String(error)}`;
  }
}
