// What the kernel says of a process's memory: proc(5).

import { readFileSync } from "node:fs";

/** Bytes in RAM now. */
export function residentBytes(pid: number | undefined): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, "latin1");
  return Number(/VmRSS:\s+(\d+) kB/u.exec(status)?.[1]) * 1024;
}

/** How many files this process, and the ones that it starts, may have open. */
export function openFilesMax(): number {
  const limits = readFileSync("/proc/self/limits", "latin1");
  const hard = /Max open files\s+\S+\s+(\S+)/u.exec(limits)?.[1] ?? "0";
  return hard === "unlimited" ? Infinity : Number(hard);
}
