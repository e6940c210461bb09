// Whether this machine can boot others: what the lab needs, and systemd-nspawn, debootstrap, overlay mounts and a tree of
// control groups that it may grow. Where it cannot, the tests of booted machines are skipped and say why.

import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { labIsMissing } from "../lab/requirements.ts";
import { controlGroupTrees } from "./control-group.ts";
import { image } from "./image.ts";

const TOOLS = ["systemd-nspawn", "nsenter", "dpkg-deb"];
const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

/** Why no machine can be booted here, in words; false when it can. Made for the `skip` option of node:test. */
export function machinesAreMissing(): string | false {
  const missing = labIsMissing();
  if (missing !== false) return missing;
  const needed = existsSync(image().folder) ? TOOLS : [...TOOLS, "debootstrap"];
  for (const tool of needed) {
    const found = spawnSync("sh", ["-c", `command -v ${tool}`], { env: { PATH } });
    if (found.status !== 0) return `booted machines need ${tool}, which is not installed`;
  }
  const trees = controlGroupTrees();
  if (trees.length === 0)
    return "booted machines need a tree of control groups for systemd, and none is mounted";
  for (const tree of trees) {
    try {
      accessSync(tree, constants.W_OK);
    } catch {
      return `booted machines need control groups of their own, and ${tree} cannot be written`;
    }
  }
  return false;
}
