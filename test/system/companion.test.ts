import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, test } from "node:test";
import { Companion } from "../../src/system/companion.ts";

const PARENT = join(import.meta.dirname, "fixtures/companion-parent.ts");

const open: Companion[] = [];

afterEach(() => {
  for (const companion of open.splice(0)) companion.stop();
});

/** Runs a shell script as a companion; what it said is in the lists. */
function accompany(program: string, args: readonly string[]) {
  const lines: string[] = [];
  const complaints: string[] = [];
  const ends: { readonly reason: string; readonly at: number }[] = [];
  const companion = new Companion({
    program,
    args,
    onLine: (line) => lines.push(line),
    onComplaint: (line) => complaints.push(line),
    onEnd: (reason) => ends.push({ reason, at: performance.now() }),
  });
  open.push(companion);
  companion.start();
  return { companion, lines, complaints, ends };
}

async function eventually(holds: () => boolean, what: string, limitMs = 5000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `${what}: not within ${String(limitMs)} ms`);
    // oxlint-disable-next-line no-await-in-loop -- polls until the deadline above
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${String(pid)}/root/.`);
}

test("what it says arrives line by line, whatever the pieces are", async () => {
  const { lines } = accompany("/bin/sh", ["-c", "printf 'on'; sleep 0.05; printf 'e\\ntwo\\n\\nthr'; cat"]);
  await eventually(() => lines.length === 3, "three lines");
  assert.deepEqual(lines, ["one", "two", ""]);
});

test("what it is told arrives on its stdin", async () => {
  const { companion, lines } = accompany("cat", []);
  companion.write("hello\n");
  await eventually(() => lines.length === 1, "an echo");
  assert.deepEqual(lines, ["hello"]);
});

test("a line that is far too long is dropped, and the next one is not", async () => {
  const { lines } = accompany("/bin/sh", [
    "-c",
    "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo next; cat",
  ]);
  await eventually(() => lines.length > 0, "a line");
  assert.deepEqual(lines, ["next"]);
});

test("a program that does not read its input does not make it grow here", async () => {
  const { companion } = accompany("sleep", ["60"]);
  const before = process.memoryUsage().rss;
  for (let count = 0; count < 200; count += 1) companion.write("x".repeat(1_000_000));
  assert.ok(process.memoryUsage().rss - before < 50_000_000);
});

test("one that ends is started again, less and less often, and its last words are the reason", async () => {
  const { ends, complaints } = accompany("/bin/sh", ["-c", "echo first >&2; echo no permission >&2; exit 3"]);
  await eventually(() => ends.length === 4, "four ends");
  assert.equal(ends[0]?.reason, "exit 3: no permission");
  assert.deepEqual(complaints.slice(0, 2), ["first", "no permission"]);
  const pauses = ends.slice(1).map(({ at }, index) => at - ends[index]!.at);
  assert.ok(pauses[0]! >= 95 && pauses[1]! >= 195 && pauses[2]! >= 395, String(pauses));
});

test("one that is killed is started again", async () => {
  const { ends, lines } = accompany("/bin/sh", ["-c", "echo $$; exec cat"]);
  await eventually(() => lines.length === 1, "its pid");
  process.kill(Number(lines[0]), "SIGKILL");
  await eventually(() => lines.length === 2, "the pid of the second");
  assert.deepEqual(
    ends.map(({ reason }) => reason),
    ["killed by SIGKILL"],
  );
});

test("a missing program is named", async () => {
  const { ends } = accompany("vipair-has-no-such-program", []);
  await eventually(() => ends.length === 2, "two attempts");
  assert.equal(ends[0]?.reason, "vipair-has-no-such-program is not installed");
});

test("after stop nothing of it runs, nothing is told, and nothing is started again", async () => {
  const { companion, lines, ends } = accompany("/bin/sh", [
    "-c",
    "sleep 60 & echo $!; echo $$; wait; echo bad",
  ]);
  await eventually(() => lines.length === 2, "its pids");
  companion.stop();
  await eventually(() => !lines.some((pid) => isAlive(Number(pid))), "the end of both");
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.deepEqual([lines.length, ends], [2, []]);
});

test("a companion started through setpriv ends with this process, even when that is killed", async () => {
  const parent = spawn(process.execPath, [PARENT], { stdio: ["ignore", "pipe", "inherit"] });
  const said = createInterface({ input: parent.stdout });
  const [line] = (await once(said, "line")) as [string];
  const pid = Number(line);
  assert.ok(isAlive(pid));
  parent.kill("SIGKILL");
  await eventually(() => !isAlive(pid), "the end of the companion");
});
