// A control group for each booted machine. systemd-nspawn makes the machine's groups below the one that it was started
// in, always by the same names, so two machines that are started in the same group would share them.

import { mkdirSync, readFileSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";

/** Where the trees are mounted that systemd keeps its units in: one, or two on a machine with both versions of control groups. */
export function controlGroupTrees(): string[] {
  return readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(
      ([, , kind, options]) => kind === "cgroup2" || options?.split(",").includes("name=systemd") === true,
    )
    .map(([, folder]) => folder ?? "");
}

/** Makes the group in every tree. A process that writes its pid into one of these files is in it. */
export function makeControlGroup(name: string): string[] {
  return controlGroupTrees().map((tree) => {
    mkdirSync(join(tree, name), { recursive: true });
    return join(tree, name, "cgroup.procs");
  });
}

/** Removes the group and those below it, as far as no process is left in them. */
export function removeControlGroup(name: string): void {
  for (const tree of controlGroupTrees()) removeTree(join(tree, name));
}

function removeTree(folder: string): void {
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) removeTree(join(folder, entry.name));
    }
    rmdirSync(folder);
  } catch {
    // Not there, or a process in it has not quite gone: an empty group costs nothing.
  }
}
