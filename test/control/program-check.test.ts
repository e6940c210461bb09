// Backends that a program looks at.

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { ONCE, until, watch, web, type Watch } from "./health-rig.ts";

/** A folder with `check.sh` in it, and a pool whose only backend is checked by that. */
function checkedBy(
  t: TestContext,
  script: string,
  { timing = ONCE, args = "" } = {},
): Watch & { dir: string } {
  const dir = mkdtempSync(join(tmpdir(), "vipair-check-"));
  t.after(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  writeFileSync(join(dir, "check.sh"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const pool = web(`health: { kind: exec, command: [./check.sh${args}], ${timing} }`, { a: 4711 });
  return { ...watch(t, [pool], { configDir: dir }), dir };
}

function hasAnswered({ checker }: Watch): boolean {
  return checker.status("web", "a").lastCheck !== null;
}

test("exit 0 is good, anything else is bad with its last line", async (t) => {
  const good = checkedBy(t, "exit 0");
  await until(() => hasAnswered(good), "a check");
  assert.equal(good.state(), "up");
  const bad = checkedBy(t, "echo first >&2; echo no database >&2; exit 3");
  await until(() => bad.state() === "down", "down");
  assert.equal(bad.reason(), "exit 3: no database");
  assert.equal(bad.checker.status("web", "a").lastCheck?.code, 3);
});

test("a program is told which backend it is about, gets its arguments as they are, and no other environment", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "vipair-seen-"));
  t.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const watched = checkedBy(
    t,
    'env | grep -v "^PWD=\\|^_=\\|^SHLVL=" | sort > "$1/seen"; echo "$2" >> "$1/seen"',
    {
      args: `, ${JSON.stringify(folder)}, "a  $HOME"`,
    },
  );
  await until(() => hasAnswered(watched), "a check");
  assert.deepEqual(readFileSync(join(folder, "seen"), "utf8").trim().split("\n"), [
    `PATH=${process.env["PATH"] ?? ""}`,
    "VIPAIR_BACKEND_ADDRESS=127.0.0.1",
    "VIPAIR_BACKEND_NAME=a",
    "VIPAIR_BACKEND_POOL=web",
    "VIPAIR_BACKEND_PORT=4711",
    "a  $HOME",
  ]);
});

test("a program that hangs is killed at the timeout with everything that it started", async (t) => {
  const watched = checkedBy(t, 'cd "$(dirname "$0")"; sleep 3600 & echo $! > child; wait', {
    timing: "interval: 1m, timeout: 1s",
  });
  await until(() => watched.state() === "down", "down");
  assert.match(watched.reason() ?? "", /^killed after \d+ ms without an end$/);
  const child = Number(readFileSync(join(watched.dir, "child"), "utf8"));
  await until(() => !isAlive(child), "its child has gone");
});

function isAlive(pid: number): boolean {
  try {
    // A zombie whose parent has not looked yet does nothing any more.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${String(pid)}/status`, "utf8"));
  } catch {
    return false;
  }
}

test("a program that is missing is a reason; one that comes later is run", async (t) => {
  const watched = checkedBy(t, "exit 0", {
    timing: "interval: 2s, timeout: 2s, rise: 1, downInterval: 50ms",
  });
  chmodSync(join(watched.dir, "check.sh"), 0o644);
  await until(() => watched.state() === "down", "down");
  assert.match(watched.reason() ?? "", /check\.sh is not executable: chmod \+x it$/);
  chmodSync(join(watched.dir, "check.sh"), 0o755);
  await until(() => watched.state() === "up", "up");
});

test(
  "rule 14: a program that others can write is not run by root",
  { skip: process.getuid?.() !== 0 },
  async (t) => {
    const watched = checkedBy(t, "exit 0", { timing: "interval: 1m, timeout: 5s" });
    chmodSync(join(watched.dir, "check.sh"), 0o777);
    await until(() => watched.state() === "down", "down");
    assert.match(watched.reason() ?? "", /could be changed by someone other than root/);
  },
);

test("a reload ends the program that runs", async (t) => {
  const watched = checkedBy(t, 'echo $$ > "$(dirname "$0")/self"; exec sleep 3600', {
    timing: "interval: 1m, timeout: 1m",
  });
  const pid = () => Number(readOr(join(watched.dir, "self")));
  await until(() => pid() > 0, "it runs");
  watched.checker.configure([web("health: { kind: none }", { a: 4711 })]);
  await until(() => !isAlive(pid()), "it has gone");
});

function readOr(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "0";
  }
}
