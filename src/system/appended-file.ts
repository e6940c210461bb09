// Files that several processes append lines to, such as a log. Whoever finds it missing makes it, readable by its group whatever the
// umask says: a service keeps all else that it writes to itself (UMask= of the unit), and logs are for those who read the
// machine's logs.

import { constants, fchmodSync, openSync } from "node:fs";
import { errorCode } from "./errno.ts";

const MODE = 0o640;

/** Its descriptor. Throws when it cannot be opened; a symbolic link in its place is not followed. */
export function openForAppending(file: string): number {
  const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;
  // A FIFO without a reader would keep an open that may block waiting.
  const flags = O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK;
  try {
    return openSync(file, flags);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  try {
    const fd = openSync(file, flags | O_CREAT | O_EXCL, MODE);
    fchmodSync(fd, MODE);
    return fd;
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
    // Another worker has just made it.
    return openSync(file, flags);
  }
}
