// What `systemctl status`, top and pgrep call a process. The runtime calls all of its processes MainThread.

import { writeFileSync } from "node:fs";

/** TASK_COMM_LEN of Linux, without the end of the string. */
const NAME_LENGTH_MAX = 15;

/** The kernel keeps the first 15 bytes. The command line stays as it is. */
export function nameProcess(name: string): void {
  try {
    writeFileSync("/proc/self/comm", name.slice(0, NAME_LENGTH_MAX));
  } catch {
    // Without /proc nobody sees it.
  }
}
