// Who the workers of root are, so that what they need can be given to them: a user of their own where the package has made one, else nobody.

import { readFileSync } from "node:fs";

const WORKER_USER = "vipair";

/** nobody and nogroup. */
const NOBODY = { uid: 65_534, gid: 65_534 };

const workerUser = findWorkerUser(readUsers());

/** The package makes it, and the service cannot start without. */
export const HAS_WORKER_USER = workerUser !== undefined;

export const UNPRIVILEGED = workerUser ?? NOBODY;

/** In the text of passwd(5); undefined when it is not there, and when it is root's. */
export function findWorkerUser(passwd: string): { readonly uid: number; readonly gid: number } | undefined {
  const [, , uid, gid] =
    passwd
      .split("\n")
      .map((line) => line.split(":"))
      .find(([name]) => name === WORKER_USER) ?? [];
  const ids = { uid: Number(uid ?? 0), gid: Number(gid ?? 0) };
  return ids.uid > 0 && ids.gid > 0 ? ids : undefined;
}

function readUsers(): string {
  try {
    return readFileSync("/etc/passwd", "utf8");
  } catch {
    return "";
  }
}
