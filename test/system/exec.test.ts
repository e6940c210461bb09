import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { explainRun, programProblem, run } from "../../src/system/exec.ts";

const LIMIT_MS = 5000;

function shell(script: string, options: { env?: Record<string, string>; timeoutMs?: number } = {}) {
  return run("/bin/sh", ["-c", script], {
    env: options.env ?? {},
    timeoutMs: options.timeoutMs ?? LIMIT_MS,
  });
}

/** A killed process that nobody has reaped yet is dead all the same. */
function isAlive(pid: number): boolean {
  if (!existsSync(`/proc/${String(pid)}/stat`)) return false;
  try {
    const state = readFileSync(`/proc/${String(pid)}/stat`, "utf8").split(") ")[1]?.[0];
    return state !== "Z" && state !== "X";
  } catch {
    return false;
  }
}

async function eventually(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 2000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, "did not become true within 2 s");
    // oxlint-disable-next-line no-await-in-loop -- polls until the deadline above
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("a program that ends tells its exit code, its output and how long it took", async () => {
  const result = await shell("echo out; echo err >&2; exit 7").result;
  assert.equal(result.kind, "exit");
  assert.ok(result.kind === "exit");
  assert.deepEqual([result.code, result.stdout, result.stderr], [7, "out\n", "err\n"]);
  assert.ok(result.durationMs > 0 && result.durationMs < LIMIT_MS);
});

test("a program gets the given environment and PATH, nothing else of ours, and an empty stdin", async () => {
  process.env["VIPAIR_TEST_LEAK"] = "leaked";
  const result = await run("/usr/bin/env", [], { env: { A: "1" }, timeoutMs: LIMIT_MS }).result;
  delete process.env["VIPAIR_TEST_LEAK"];
  assert.ok(result.kind === "exit");
  const names = result.stdout
    .trim()
    .split("\n")
    .map((line) => line.split("=")[0]);
  assert.deepEqual(new Set(names), new Set(["A", "PATH"]));
  const stdin = await shell("wc -c").result;
  assert.ok(stdin.kind === "exit");
  assert.equal(stdin.stdout.trim(), "0");
});

test("a time limit kills the program and everything it started", async () => {
  const result = await shell("sleep 60 & echo $!; wait", { timeoutMs: 150 }).result;
  assert.ok(result.kind === "timeout");
  assert.ok(result.durationMs >= 140 && result.durationMs < 1000, String(result.durationMs));
  const grandchild = Number(result.stdout);
  await eventually(() => !isAlive(grandchild));
});

test("an abort kills the program and everything it started", async () => {
  const running = shell("sleep 60 & echo $!; wait");
  const timer = setTimeout(() => running.abort(), 100);
  const result = await running.result;
  clearTimeout(timer);
  assert.ok(result.kind === "aborted");
  const grandchild = Number(result.stdout);
  await eventually(() => !isAlive(grandchild));
});

test("an abort signal does the same, and holds nothing after the end", async () => {
  const controller = new AbortController();
  const running = run("/bin/sleep", ["60"], { env: {}, timeoutMs: LIMIT_MS, signal: controller.signal });
  controller.abort();
  assert.equal((await running.result).kind, "aborted");
  assert.equal(getEventListeners(controller.signal, "abort").length, 0);
});

test("what a program leaves running in its group dies with it, and does not hold the result up", async () => {
  const result = await shell("sleep 60 & echo $!").result;
  assert.ok(result.kind === "exit" && result.durationMs < 1000);
  const left = Number(result.stdout);
  await eventually(() => !isAlive(left));
});

test("a program that another process kills tells the signal", async () => {
  const result = await shell("kill -9 $$").result;
  assert.ok(result.kind === "signal");
  assert.equal(result.signal, "SIGKILL");
});

test("a missing program, one without permission and an impossible one are values, not exceptions", async () => {
  for (const program of ["/nonexistent/hook", "/proc/version", "/bin/\0sh"]) {
    const running = run(program, [], { env: {}, timeoutMs: LIMIT_MS });
    // oxlint-disable-next-line no-await-in-loop -- one after the other is what is tested
    const result = await running.result;
    assert.equal(result.kind, "failed-to-start", program);
    running.abort();
  }
});

test("only the last 8 KiB of an output are kept", async () => {
  const result = await shell("yes | head -c 100000; echo; echo the-end").result;
  assert.ok(result.kind === "exit");
  assert.equal(result.stdout.length, 8192);
  assert.ok(result.stdout.endsWith("the-end\n"));
});

async function explained(script: string, timeoutMs = LIMIT_MS): Promise<string> {
  return explainRun(await shell(script, { timeoutMs }).result);
}

test("how a program failed is told with the last line of its stderr", async () => {
  assert.equal(await explained("echo first >&2; echo last >&2; echo >&2; exit 3"), "exit 3: last");
  assert.equal(await explained("exit 4"), "exit 4");
  assert.equal(await explained("kill -9 $$"), "killed by SIGKILL");
  // What it is told in goes on behind it.
  assert.equal(await explained("echo A sentence. >&2; exit 1"), "exit 1: A sentence");
  assert.match(await explained("echo why >&2; sleep 60", 100), /^killed after \d{3} ms without an end: why$/);
  assert.match(explainRun(await run("/nonexistent", [], { env: {}, timeoutMs: 1 }).result), /ENOENT/);
});

test("a program that cannot be run says why, beginning with its path", () => {
  assert.equal(programProblem("/bin/sh"), undefined);
  assert.equal(programProblem("/nonexistent/hook"), "/nonexistent/hook does not exist");
  assert.equal(programProblem("/proc/version"), "/proc/version is not executable: chmod +x it");
  assert.equal(programProblem("/tmp"), "/tmp is not a file");
});
