// The .deb under test, and the same once more as a later version: what an upgrade installs.

import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const MAKE = join(import.meta.dirname, "../../scripts/package.sh");
const MAKING_MS_MAX = 300_000;
/** Later than any version of a day on which this is run. */
const LATER = "99.0.0";

export interface Packages {
  readonly current: string;
  readonly later: string;
  readonly laterVersion: string;
}

/** Makes both into the folder, for the architecture of this machine. */
export async function makePackages(folder: string): Promise<Packages> {
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const { stdout } = await run(MAKE, [architecture, "--output", folder], { timeout: MAKING_MS_MAX });
  const current = stdout.trim().split("\n").at(-1) ?? "";
  const unpacked = join(folder, "unpacked");
  await run("dpkg-deb", ["--raw-extract", current, unpacked]);
  const control = join(unpacked, "DEBIAN/control");
  writeFileSync(control, readFileSync(control, "utf8").replace(/^Version: .*$/m, `Version: ${LATER}`));
  const later = join(folder, "vipair-later.deb");
  // Neither is kept: packing fast matters more than packing small.
  await run("dpkg-deb", ["-Znone", "--root-owner-group", "--build", unpacked, later]);
  return { current, later, laterVersion: LATER };
}
