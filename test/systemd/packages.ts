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
  /** The program of the package where nothing is installed: on a third machine, say. */
  readonly program: string;
}

/**
 * Makes both into the folder, for the architecture of this machine. They are not kept: packing fast matters more than
 * packing small. $VIPAIR_TEST_PACKAGE is a .deb to test in place of the one that would be made.
 */
export async function makePackages(folder: string): Promise<Packages> {
  const current = process.env["VIPAIR_TEST_PACKAGE"] ?? (await makePackage(folder));
  const unpacked = join(folder, "unpacked");
  await run("dpkg-deb", ["--raw-extract", current, unpacked]);
  const control = join(unpacked, "DEBIAN/control");
  writeFileSync(control, readFileSync(control, "utf8").replace(/^Version: .*$/m, `Version: ${LATER}`));
  const later = join(folder, "vipair-later.deb");
  await run("dpkg-deb", ["-Znone", "--root-owner-group", "--build", unpacked, later]);
  return { current, later, laterVersion: LATER, program: join(unpacked, "usr/lib/vipair/scripts/vipair") };
}

async function makePackage(folder: string): Promise<string> {
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const argv = [architecture, "--uncompressed", "--output", folder];
  const { stdout } = await run(MAKE, argv, { timeout: MAKING_MS_MAX });
  return stdout.trim().split("\n").at(-1) ?? "";
}
