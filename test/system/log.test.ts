// The log of events: whoever reads it may be slow or stand still, and the process that logs goes on.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import type { Writable } from "node:stream";

const PROGRAM = join(import.meta.dirname, "fixtures/logs-much.ts");
/** A pipe as the shell makes it blocks the writer, unlike one of node:child_process. Nobody reads until fd 3 says so. */
const PIPELINE = '"$0" "$1" | { read -r go <&3; exec cat; }';
const WITHIN_MS = 20_000;

test("a reader that stands still does not hold the process up; what is missing is told when it reads again", async (t) => {
  const shell = spawn("sh", ["-c", PIPELINE, process.execPath, PROGRAM], {
    stdio: ["pipe", "pipe", "pipe", "pipe"],
  });
  const gate = shell.stdio[3] as Writable;
  t.after(() => {
    shell.stdin.destroy();
    gate.destroy();
    shell.kill("SIGKILL");
  });
  const within = { signal: AbortSignal.timeout(WITHIN_MS) };
  let output = "";
  shell.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [word] = (await once(shell.stderr, "data", within)) as [Buffer];
  assert.equal(word.toString(), "alive\n");
  assert.equal(output, "");
  gate.end("go\n");
  shell.stdin.end();
  await once(shell, "close", within);
  const lines = output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const count = (event: string) => lines.filter(({ msg }) => msg === event).length;
  const lost = lines
    .filter(({ msg }) => msg === "log lines were lost, because nobody read them in time")
    .reduce((sum, { lines: some }) => sum + Number(some), 0);
  assert.ok(lost > 0);
  assert.equal(count("an event") + lost, 4000);
  assert.equal(count("the last event"), 1);
});
