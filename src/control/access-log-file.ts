// The file of the access log, made ready for workers that may not make it themselves: they are nobody, and
// whoever reads the logs of a machine keeps them where only root can write. As nginx does it, the file is made by
// root and given to the workers, which open it; after `logrotate` has moved it away, too.

import { closeSync, fchownSync, fstatSync, lstatSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import type { AccessLogConfig } from "../config/config.ts";
import { openForAppending } from "../system/appended-file.ts";
import type { Log } from "../system/log.ts";
import { findUntrustedSteps } from "../system/trusted-file.ts";
import { UNPRIVILEGED } from "../system/unprivileged.ts";

const ROOT_ID = 0;

/** The access log with an absolute file, which the workers can open. `configDir`: relative ones stand there. */
export function prepareAccessLog(
  access: AccessLogConfig | null,
  { configDir, log }: { readonly configDir: string; readonly log: Log },
): AccessLogConfig | null {
  if (access === null || access.file === null) return access;
  const file = isAbsolute(access.file) ? access.file : join(configDir, access.file);
  const problem = prepareAccessLogFile(file);
  if (problem !== null) log.error({ file, problem }, "no access log can be written");
  return { ...access, file };
}

/** Makes the file if it is missing, and the workers' own. Returns what stands against that; null when nothing does. */
function prepareAccessLogFile(file: string): string | null {
  // Workers of somebody else are that somebody, and open it for themselves.
  if (process.getuid?.() !== ROOT_ID) return null;
  // Where the directory is theirs they make it themselves, and where the file is theirs nothing is left to do.
  if (ownerOf(dirname(file)) === UNPRIVILEGED.uid || ownerOf(file) === UNPRIVILEGED.uid) return null;
  // Root gives away what it finds there: nobody else may have put it there.
  const untrusted =
    findUntrustedSteps(dirname(file), { owner: ROOT_ID }) ?? findUntrustedSteps(file, { owner: ROOT_ID });
  if (untrusted !== undefined) return untrusted;
  try {
    const fd = openForAppending(file);
    try {
      const stats = fstatSync(fd);
      // A device such as /dev/null is everybody's; a file of several names is more than a log.
      if (stats.isFile() && stats.nlink === 1) fchownSync(fd, UNPRIVILEGED.uid, stats.gid);
    } finally {
      closeSync(fd);
    }
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** undefined: there is no such file. */
function ownerOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.uid;
}
