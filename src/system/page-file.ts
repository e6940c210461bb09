// A text that is shown to everybody, read by a program that may read anything. So it must be what its name says: a plain
// file, small, and none that another user could make point to something secret (trusted-file.ts).

import { isUtf8 } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { errorCode } from "./errno.ts";
import { untrustedReason } from "./trusted-file.ts";

export type PageFile =
  | { readonly kind: "read"; readonly text: string }
  /** In a sentence, with the path. */
  | { readonly kind: "refused"; readonly problem: string };

/** The text of a file in UTF-8 of at most `bytesMax` bytes. Never throws, and never waits for a writer of a pipe. */
export function readPageFile(path: string, { bytesMax }: { readonly bytesMax: number }): PageFile {
  const untrusted = untrustedReason(path);
  if (untrusted !== undefined) return refused(`${untrusted}.`);
  let bytes: Buffer;
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!fstatSync(fd).isFile()) return refused(`${path} is not a plain file.`);
      bytes = readUpTo(fd, bytesMax + 1);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return refused(`${path} ${describeAccess(error)}.`);
  }
  if (bytes.length > bytesMax)
    return refused(`${path} is larger than ${String(bytesMax / 1024)} KiB. Make the page smaller.`);
  if (!isUtf8(bytes)) return refused(`${path} is not in UTF-8. Convert it, with iconv for example.`);
  return { kind: "read", text: bytes.toString("utf8") };
}

/** What stands in the way of reading a file, as the rest of a sentence about it. */
export function describeAccess(error: unknown): string {
  const code = errorCode(error);
  if (code === "ENOENT" || code === "ENOTDIR") return "does not exist";
  if (code === "EACCES") return "cannot be read by this user";
  if (code === "EISDIR") return "is a directory";
  return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}

function refused(problem: string): PageFile {
  return { kind: "refused", problem };
}

/** The size that a file says is not asked: it may grow meanwhile. */
function readUpTo(fd: number, count: number): Buffer {
  const bytes = Buffer.alloc(count);
  let length = 0;
  for (;;) {
    const read = readSync(fd, bytes, length, count - length, null);
    length += read;
    if (read === 0 || length === count) return bytes.subarray(0, length);
  }
}
