// Lines into files and pipes: whole, in order, never waited for, and counted when they are lost.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { LineWriter } from "../../src/system/line-writer.ts";
import { waitUntil } from "../support/wait-until.ts";

const WITHIN_MS = 10_000;

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "vipair-lines-"));
  t.after(() => {
    rmSync(path, { recursive: true });
  });
  return path;
}

function open(file: string, onError: (problem: string) => void = assert.fail): LineWriter {
  return new LineWriter({ file, describeLoss: (lines) => `lost ${String(lines)}\n`, onError });
}

/** A FIFO, and its reading end. */
function pipe(t: TestContext): { readonly file: string; readonly read: () => string } {
  const file = join(folder(t), "fifo");
  execFileSync("mkfifo", [file]);
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  t.after(() => {
    closeSync(fd);
  });
  const bytes = Buffer.alloc(65_536);
  const read = (): string => {
    let text = "";
    for (;;) {
      let count = 0;
      try {
        count = readSync(fd, bytes);
      } catch (error) {
        // EAGAIN: it is empty, and somebody may still write.
        if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
      }
      if (count === 0) return text;
      text += bytes.toString("latin1", 0, count);
    }
  };
  return { file, read };
}

function numbered(i: number): string {
  return `${String(i).padStart(7, "0")} ${"x".repeat(191)}\n`;
}

test("lines stand in a file in their order, behind what was there", async (t) => {
  const file = join(folder(t), "log");
  writeFileSync(file, "before\n");
  const writer = open(file);
  const lines = Array.from({ length: 5000 }, (_, i) => `line ${String(i)} ${"x".repeat(i % 300)}\n`);
  for (const line of lines) writer.append(line);
  assert.equal(await writer.close({ withinMs: WITHIN_MS }), true);
  assert.equal(readFileSync(file, "latin1"), `before\n${lines.join("")}`);
});

test("a line is written soon after it came, though nothing follows it", async (t) => {
  const file = join(folder(t), "log");
  const writer = open(file);
  writer.append("one\n");
  await waitUntil(() => readFileSync(file, "latin1") === "one\n", {
    what: "the line",
    withinMs: WITHIN_MS,
  });
  await writer.close({ withinMs: WITHIN_MS });
});

test("a reader that stands still costs lines, which are counted where they are missing", async (t) => {
  const { file, read } = pipe(t);
  const writer = open(file);
  const total = 20_000;
  for (let i = 0; i < total; i += 1) writer.append(numbered(i));
  // The reader wakes up, and one more line comes.
  let text = "";
  await waitUntil(
    () => {
      text += read();
      return text.length > 500_000;
    },
    { what: "room", withinMs: WITHIN_MS },
  );
  writer.append("last\n");
  const closed = writer.close({ withinMs: WITHIN_MS });
  await waitUntil(
    () => {
      text += read();
      return text.endsWith("last\n");
    },
    { what: "the last line", withinMs: WITHIN_MS },
  );
  assert.equal(await closed, true);
  const lines = text.split("\n").slice(0, -1);
  const lost = Number(/^lost (\d+)$/mu.exec(text)?.[1]);
  assert.ok(lost > 0);
  assert.equal(lines.length - 2 + lost, total);
  assert.deepEqual(lines.slice(-2), [`lost ${String(lost)}`, "last"]);
  for (const [i, kept] of lines.slice(0, -2).entries()) assert.equal(`${kept}\n`, numbered(i));
  assert.ok(text.length < 1_300_000, "more was kept than the limit");
});

test("lines of two writers to one pipe do not mix", async (t) => {
  const { file, read } = pipe(t);
  const writers = ["a", "b"].map((name) => ({ name, writer: open(file) }));
  for (let i = 0; i < 2000; i += 1) {
    for (const { name, writer } of writers) writer.append(`${name.repeat(1 + ((i * 7) % 400))}.\n`);
  }
  let text = "";
  const closing = Promise.all(writers.map(({ writer }) => writer.close({ withinMs: WITHIN_MS })));
  await waitUntil(
    () => {
      text += read();
      return text.split("\n").length > 4000;
    },
    { what: "all lines", withinMs: WITHIN_MS },
  );
  assert.deepEqual(await closing, [true, true]);
  for (const line of text.split("\n").slice(0, -1)) assert.match(line, /^(?:a+|b+)\.$/u);
});

test("a full disk is said, and takes no more than the lines", async () => {
  const problems: string[] = [];
  const writer = open("/dev/full", (problem) => problems.push(problem));
  writer.append("one\n");
  await writer.close({ withinMs: WITHIN_MS });
  assert.match(problems[0] ?? "", /ENOSPC/u);
});

test("who closes does not wait for ever for a reader that stands still", async (t) => {
  const { file } = pipe(t);
  const writer = open(file);
  for (let i = 0; i < 1000; i += 1) writer.append(`${"x".repeat(500)}\n`);
  assert.equal(await writer.close({ withinMs: 50 }), false);
});

test("a link in place of the file is not followed", (t) => {
  const path = folder(t);
  execFileSync("ln", ["-s", join(path, "other"), join(path, "log")]);
  assert.throws(() => open(join(path, "log")), /ELOOP/u);
});

test("a file that cannot be opened throws", (t) => {
  assert.throws(() => open(join(folder(t), "missing", "log")), /ENOENT/u);
});
