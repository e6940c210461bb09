import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";

const HOOK = join(import.meta.dirname, "../../scripts/hooks/loopback");

function stateDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "vipair-loopback-test-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, "state");
}

function hook(dir: string, node: string, action: string, lease = "2") {
  const { status, stdout, stderr } = spawnSync(HOOK, [action], {
    env: {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      VIPAIR_DEMO_STATE: dir,
      VIPAIR_ADDRESS: "127.77.9.100",
      VIPAIR_LEASE_SECONDS: lease,
      VIPAIR_NODE: node,
    },
    encoding: "utf8",
    timeout: 5000,
  });
  return { code: status, stdout, stderr };
}

function processState(pid: number): string | undefined {
  if (!existsSync(`/proc/${String(pid)}`)) return undefined;
  return readFileSync(`/proc/${String(pid)}/stat`, "utf8").split(") ")[1]?.[0];
}

async function eventually(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 3000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, "did not become true within 3 s");
    // oxlint-disable-next-line no-await-in-loop -- polls until the deadline above
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("a node holds the address from its claim to its release", (t) => {
  const dir = stateDir(t);
  assert.equal(hook(dir, "a", "status").code, 1);
  assert.equal(hook(dir, "a", "claim").code, 0);
  assert.match(hook(dir, "a", "status").stdout, /^127\.77\.9\.100 on loopback, [12]\.\dsec left\n$/);
  assert.equal(hook(dir, "a", "renew").code, 0);
  assert.equal(hook(dir, "a", "announce").code, 0);
  assert.equal(hook(dir, "a", "release").code, 0);
  assert.equal(hook(dir, "a", "status").code, 1);
  assert.equal(hook(dir, "a", "release").code, 0);
});

test("who lost the address to the peer cannot renew it, and its release takes nothing from the peer", (t) => {
  const dir = stateDir(t);
  hook(dir, "a", "claim");
  hook(dir, "b", "claim");
  assert.equal(hook(dir, "a", "renew").code, 4);
  assert.equal(hook(dir, "a", "release").code, 0);
  assert.equal(hook(dir, "b", "status").code, 0);
});

test("a lease that has ended cannot be renewed", async (t) => {
  const dir = stateDir(t);
  hook(dir, "a", "claim", "1");
  await eventually(() => hook(dir, "a", "status").code === 1);
  assert.equal(hook(dir, "a", "renew").code, 4);
});

test("the state directory is private, and one that is a link or a file is refused", (t) => {
  const dir = stateDir(t);
  hook(dir, "a", "claim");
  assert.equal(statSync(dir).mode & 0o777, 0o700);
  const link = `${dir}-link`;
  symlinkSync(dir, link);
  const file = `${dir}-file`;
  writeFileSync(file, "");
  for (const bad of [link, file]) {
    const { code, stderr } = hook(bad, "a", "claim");
    assert.equal(code, 1);
    assert.match(stderr, /is not a directory of ours/);
  }
});

/** A control process with two workers, one of which is stopped, that has claimed the address. */
async function startHolder(t: TestContext, dir: string) {
  // The claim runs below a shell of the shell's own, as a hook does below the control process's launcher.
  const script = `sleep 60 & stopped=$!; sleep 60 & running=$!; kill -STOP $stopped
    sh -c '"${HOOK}" claim; :'; echo "$stopped $running"; wait`;
  const control = spawn("/bin/sh", ["-c", script], {
    env: {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      VIPAIR_DEMO_STATE: dir,
      VIPAIR_ADDRESS: "127.77.9.100",
      VIPAIR_LEASE_SECONDS: "2",
      VIPAIR_NODE: "a",
    },
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => {
    if (control.pid !== undefined) process.kill(-control.pid, "SIGKILL");
  });
  const [line] = (await once(control.stdout, "data", { signal: AbortSignal.timeout(5000) })) as [Buffer];
  const [stopped = 0, running = 0] = line.toString().trim().split(" ").map(Number);
  return { stopped, running };
}

test("a claim kills the stopped workers of the previous holder and no others", async (t) => {
  const dir = stateDir(t);
  const { stopped, running } = await startHolder(t, dir);
  assert.equal(processState(stopped), "T");
  assert.equal(hook(dir, "b", "claim").code, 0);
  await eventually(() => processState(stopped) === "Z" || processState(stopped) === undefined);
  assert.equal(processState(running), "S");
});

test("a claim kills nothing when the recorded process is another one by now", async (t) => {
  const dir = stateDir(t);
  const { stopped } = await startHolder(t, dir);
  const file = join(dir, "127.77.9.100");
  const [node, end, pid, start] = readFileSync(file, "utf8").trim().split(" ");
  writeFileSync(file, `${String(node)} ${String(end)} ${String(pid)} ${String(Number(start) + 1)}\n`);
  assert.equal(hook(dir, "b", "claim").code, 0);
  assert.equal(processState(stopped), "T");
});

test("a damaged state file harms nobody: the claim goes on", (t) => {
  const dir = stateDir(t);
  mkdirSync(dir, { mode: 0o700 });
  for (const content of ["", "a", "a b c d e f", "a 1 -1 2", "a 1 ../../x 2", "\0\0\0\n"]) {
    writeFileSync(join(dir, "127.77.9.100"), content);
    assert.equal(hook(dir, "b", "claim").code, 0, JSON.stringify(content));
    assert.equal(hook(dir, "b", "status").code, 0);
    hook(dir, "b", "release");
  }
});
