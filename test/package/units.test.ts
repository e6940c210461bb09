// The units, as systemd itself judges them. How they behave on a machine is in test/systemd.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

const UNITS = join(import.meta.dirname, "../../systemd");
const skip = spawnSync("systemd-analyze", ["--version"]).status !== 0 && "systemd-analyze is not installed";

describe("the units", { skip }, () => {
  test("systemd finds nothing wrong with them", (t) => {
    const folder = mkdtempSync(join(tmpdir(), "vipair-units-"));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    cpSync(UNITS, folder, { recursive: true });
    // It looks whether the programs are there.
    const installed = "s,/usr/bin/vipair,/bin/true,; s,/usr/lib/vipair/[^ ]*,/bin/true,";
    execFileSync("sed", ["-i", installed, join(folder, "vipair.service")]);
    const paths = ["vipair.service", "vipair-active.target", "vipair-standby.target"].map((unit) =>
      join(folder, unit),
    );
    const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", ...paths], {
      encoding: "utf8",
    });
    assert.deepEqual([status, stdout + stderr], [0, ""]);
  });

  test("the sandbox is rated 2.5 or better", () => {
    const unit = join(UNITS, "vipair.service");
    const { status, stdout } = spawnSync(
      "systemd-analyze",
      ["security", "--offline=true", "--threshold=25", "--no-pager", unit],
      { encoding: "utf8" },
    );
    assert.equal(status, 0, stdout.trim().split("\n").at(-1));
    assert.match(stdout, /Overall exposure level for vipair\.service: [0-2]\.\d/);
  });

  test("each file below systemd/ that has settings is understood by the program that reads it", () => {
    const dryRun = spawnSync("systemd-tmpfiles", ["--create", "--dry-run", join(UNITS, "tmpfiles.conf")], {
      encoding: "utf8",
    });
    // Older ones have no dry run.
    if (!dryRun.stderr.includes("unrecognized option")) assert.equal(dryRun.status, 0, dryRun.stderr);
    const sysusers = spawnSync("systemd-sysusers", ["--dry-run", join(UNITS, "sysusers.conf")], {
      encoding: "utf8",
    });
    if (!sysusers.stderr.includes("unrecognized option")) assert.equal(sysusers.status, 0, sysusers.stderr);
    const settings = readFileSync(join(UNITS, "sysctl.conf"), "utf8")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    for (const setting of settings) assert.match(setting, /^-net\.[a-z0-9_.]+ = \d+$/);
    assert.ok(settings.some((line) => line.includes("ip_nonlocal_bind")));
  });
});
