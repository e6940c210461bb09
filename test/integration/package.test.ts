// The built program, as a package installs it: dist/ in place of src/, started by the same launcher.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ask } from "../support/http-client.ts";
import { PORT, Site } from "../support/site.ts";
import { runVipair } from "../support/vipair-process.ts";

const ROOT = join(import.meta.dirname, "../..");
const BUILD_WITHIN_MS = 60_000;

/** What `npm run build` makes, with what stands beside it in a package. */
function build(folder: string): string {
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  const { status, stdout } = spawnSync(
    tsc,
    ["--project", join(ROOT, "src"), "--outDir", join(folder, "dist")],
    { encoding: "utf8", timeout: BUILD_WITHIN_MS },
  );
  assert.equal(status, 0, stdout);
  cpSync(join(ROOT, "scripts"), join(folder, "scripts"), { recursive: true });
  copyFileSync(join(ROOT, "package.json"), join(folder, "package.json"));
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  return join(folder, "scripts/vipair");
}

test("the built program runs a node with its workers, and every command, without the sources", async (t) => {
  const site = Site.open(t);
  const launcher = build(site.directory("package"));
  assert.ok(!existsSync(join(site.folder, "package/src")));
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  assert.equal(scripts["build"], "tsc --project src");

  const host = await site.address();
  const backend = await site.backend("one");
  const config = site.config({
    listeners: [{ name: "web", bind: `${host}:${String(PORT)}`, pool: "web" }],
    pools: { web: { backends: [backend.address] } },
    workers: 2,
  });
  const runtimeDir = join(site.folder, "run");
  assert.deepEqual(await runVipair(["check", "--config", config], { launcher }), {
    code: 0,
    stdout: `${config}: ok\n`,
    stderr: "",
  });
  assert.equal((await runVipair(["role", "--runtime-dir", runtimeDir], { launcher })).code, 3);

  const vipair = site.start({ config, runtimeDir, launcher });
  await vipair.isReady({ workers: 2 });
  for (const pid of vipair.children()) {
    const command = readFileSync(`/proc/${String(pid)}/cmdline`, "utf8");
    assert.ok(command.includes(join(site.folder, "package/dist/")), command);
  }
  assert.equal((await ask({ host })).body, "one");
  assert.equal((await vipair.command("role")).stdout, "active\n");
  const { stdout: status } = await vipair.command("status", "--json");
  assert.equal((JSON.parse(status) as { requests: number }).requests, 1);
  vipair.signal("SIGTERM");
  assert.deepEqual(await vipair.exit(), { code: 0, signal: null });
});
