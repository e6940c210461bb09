// Commands that only root may give, given by somebody else: a line that says so and what to type, and nothing is touched.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { PORT, Site } from "../support/site.ts";
import { LAUNCHER } from "../support/vipair-process.ts";

const INSTALL = join(import.meta.dirname, "../../scripts/install.sh");
const NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
const isRoot = process.getuid?.() === 0;

interface Refusal {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Given by whoever runs the tests, or by nobody when that is root. */
function given(...command: readonly string[]): Refusal {
  const [program = "", ...args] = isRoot ? [...NOBODY, ...command] : command;
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: "utf8",
    timeout: 30_000,
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
  });
  return { code: status, stdout, stderr };
}

const skip =
  given("test", "-r", join(import.meta.dirname, "../../package.json")).code === 0
    ? false
    : "who is not root cannot read this checkout";

describe("without root", { skip }, () => {
  const commands: readonly (readonly [command: string, ...args: string[]])[] = [
    ["init", "--vip", "192.0.2.50"],
    ["init", "--force", "--yes"],
    ["join", "192.0.2.1", "0000-0000-0000"],
    ["invite", "--replace", "pi-b"],
    ["backend add", "web", "192.0.2.21:8080"],
    ["backend remove", "web", "192.0.2.21:8080"],
  ];
  for (const [command, ...args] of commands) {
    test(`vipair ${[command, ...args].join(" ")} says to use sudo, where the package has its files`, () => {
      const stderr = `vipair: ${command} writes to /etc/vipair, which only root may: sudo vipair ${command} …\n`;
      assert.deepEqual(given(LAUNCHER, ...command.split(" "), ...args), { code: 1, stdout: "", stderr });
    });
  }

  for (const args of [[], ["--uninstall"], ["--uninstall", "--purge"]]) {
    const line = ["scripts/install.sh", ...args].join(" ");
    test(`${line} says to use sudo`, () => {
      const stderr = `only root can do that: sudo ${line}\n`;
      assert.deepEqual(given(INSTALL, ...args), { code: 1, stdout: "", stderr });
    });
  }

  test(
    "a node of root, wherever it is, is not asked for anything, and its file stays",
    { skip: isRoot ? false : "needs root to start one" },
    async (t) => {
      const site = Site.open(t);
      chmodSync(site.folder, 0o755);
      const host = await site.address();
      const backend = await site.backend("one");
      const config = site.config({
        listeners: [{ name: "web", bind: `${host}:${String(PORT)}`, pool: "web" }],
        pools: { web: { backends: [backend.address] } },
        workers: 1,
      });
      chmodSync(config, 0o644);
      const runtimeDir = join(site.folder, "run");
      await site.start({ config, runtimeDir }).isReady();
      const [before, files] = [readFileSync(config, "utf8"), readdirSync(dirname(config))];

      const may = `vipair: only the user that runs vipair (usually root) may talk to it in ${runtimeDir}: type sudo before the command\n`;
      for (const [exit, ...command] of [
        [1, "config", "push"],
        [2, "config", "diff"],
        [1, "switchover"],
        [1, "status"],
      ] as const) {
        assert.deepEqual(given(LAUNCHER, ...command, "--runtime-dir", runtimeDir), {
          code: exit,
          stdout: "",
          stderr: may,
        });
      }
      const places = ["--config", config, "--runtime-dir", runtimeDir];
      assert.deepEqual(given(LAUNCHER, "backend", "add", "web", "192.0.2.21:8080", ...places), {
        code: 1,
        stdout: "",
        stderr: `vipair: ${config} cannot be written by this user. Run it with sudo\n`,
      });
      assert.equal(readFileSync(config, "utf8"), before);
      assert.deepEqual(readdirSync(dirname(config)), files);
      assert.ok(existsSync(join(runtimeDir, "admin.sock")));
    },
  );
});
