import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { launch, startLauncher, stopLauncher } from "../../src/system/launcher.ts";
import { waitUntil } from "../support/wait-until.ts";

const OPTIONS = { env: {}, timeoutMs: 10_000 };
const ends: string[] = [];
startLauncher((reason) => ends.push(reason));

/** What `script` prints, run by the launcher. */
async function outputOf(script: string): Promise<string> {
  const result = await launch("/bin/sh", ["-c", script], OPTIONS).result;
  assert.equal(result.kind, "exit");
  return result.stdout.trim();
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${String(pid)}/status`, "utf8"))?.[1]);
}

function isAlive(pid: number): boolean {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, "utf8") !== "";
  } catch {
    return false;
  }
}

test("a program is started by the launcher, not by this process", async () => {
  const launcher = Number(await outputOf("echo $PPID"));
  assert.notEqual(launcher, process.pid);
  assert.equal(parentOf(launcher), process.pid);
});

test("its environment, its output and its exit code are as if it had been started here", async () => {
  const options = { env: { VIPAIR_ADDRESS: "192.0.2.50" }, timeoutMs: 10_000 };
  const script = 'echo "$VIPAIR_ADDRESS"; echo sorry >&2; exit 3';
  const result = await launch("/bin/sh", ["-c", script], options).result;
  assert.ok(result.kind === "exit");
  assert.deepEqual([result.code, result.stdout, result.stderr], [3, "192.0.2.50\n", "sorry\n"]);
});

test("an abort kills the program, and only that one", async () => {
  const doomed = launch("/bin/sleep", ["30"], OPTIONS);
  const other = launch("/bin/sh", ["-c", "read -r line; sleep 0.3"], OPTIONS);
  doomed.abort();
  assert.equal((await doomed.result).kind, "aborted");
  assert.equal((await other.result).kind, "exit");
});

test("when the launcher is killed, what ran counts as failed, and the next program has a new launcher", async () => {
  const launcher = Number(await outputOf("echo $PPID"));
  const hanging = launch("/bin/sh", ["-c", "sleep 0.2"], OPTIONS);
  process.kill(launcher, "SIGKILL");
  const result = await hanging.result;
  assert.ok(result.kind === "failed-to-start");
  assert.match(result.reason, /killed by SIGKILL/);
  assert.equal(ends.length, 1);
  const next = Number(await outputOf("echo $PPID"));
  assert.notEqual(next, launcher);
});

test("a launcher that does not answer is replaced: an urgent program counts as failed soon after its time limit", async () => {
  const launcher = Number(await outputOf("echo $PPID"));
  const told = ends.length;
  process.kill(launcher, "SIGSTOP");
  const startedAt = performance.now();
  const result = await launch("/bin/true", [], { env: {}, timeoutMs: 300, urgent: true }).result;
  const tookMs = performance.now() - startedAt;
  assert.ok(result.kind === "failed-to-start");
  assert.match(result.reason, /has ended: it has not answered in time/);
  assert.ok(tookMs >= 300 && tookMs < 5_000, `after ${String(tookMs)} ms`);
  assert.equal(ends.length, told + 1);
  assert.notEqual(Number(await outputOf("echo $PPID")), launcher);
  await waitUntil(() => !isAlive(launcher), { what: "the end of the frozen launcher", withinMs: 5_000 });
  assert.equal(ends.length, told + 1, "told once");
});

test("a process that stood still itself reads the answers that waited, before it gives its launcher up", async () => {
  const launcher = Number(await outputOf("echo $PPID"));
  const running = launch("/bin/sh", ["-c", "exit 3"], { env: {}, timeoutMs: 1_000, urgent: true });
  await new Promise((resolve) => setTimeout(resolve, 100));
  const until = performance.now() + 3_000;
  while (performance.now() < until);
  const result = await running.result;
  assert.ok(result.kind === "exit" && result.code === 3, JSON.stringify(result));
  assert.equal(Number(await outputOf("echo $PPID")), launcher);
});

test("a program that is not urgent may be late, and its launcher is kept", async () => {
  const launcher = Number(await outputOf("echo $PPID"));
  process.kill(launcher, "SIGSTOP");
  const running = launch("/bin/sh", ["-c", "exit 3"], { env: {}, timeoutMs: 300 });
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  process.kill(launcher, "SIGCONT");
  assert.equal((await running.result).kind, "exit");
  assert.equal(Number(await outputOf("echo $PPID")), launcher);
});

test("the launcher and what it runs end with the process they work for, also when that is killed", async (t) => {
  const child = fork(join(import.meta.dirname, "fixtures/launching-child.ts"), { execArgv: [] });
  t.after(() => child.kill("SIGKILL"));
  const [program] = (await once(child, "message")) as [number];
  const launcher = parentOf(program);
  assert.equal(parentOf(launcher), child.pid);
  child.kill("SIGKILL");
  for (const pid of [launcher, program]) {
    await waitUntil(() => !isAlive(pid), { what: `process ${String(pid)} to end`, withinMs: 5000 });
  }
});

test("a launcher that is told to stop has ended when that is done, and what it ran is aborted", async () => {
  const launcher = Number(await outputOf("echo $PPID"));
  const told = ends.length;
  const running = launch("/bin/sleep", ["30"], OPTIONS);
  await stopLauncher();
  assert.ok(!isAlive(launcher));
  assert.equal((await running.result).kind, "failed-to-start");
  assert.equal(ends.length, told);
});
