// Files that several processes append to: who may read them, and what is not opened.

import assert from "node:assert/strict";
import {
  chmodSync,
  closeSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openForAppending } from "../../src/system/appended-file.ts";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "vipair-appended-"));
  t.after(() => {
    rmSync(path, { recursive: true });
  });
  return path;
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o7777;
}

test("a file that is missing is made with mode 0640, whatever the umask", (t) => {
  const umask = process.umask(0o077);
  t.after(() => process.umask(umask));
  const file = join(folder(t), "access.log");
  closeSync(openForAppending(file));
  assert.equal(modeOf(file), 0o640);
});

test("one that is there keeps its mode, and is appended to", (t) => {
  const file = join(folder(t), "access.log");
  writeFileSync(file, "before\n");
  chmodSync(file, 0o604);
  const fd = openForAppending(file);
  writeSync(fd, "after\n");
  closeSync(fd);
  assert.equal(modeOf(file), 0o604);
  assert.equal(readFileSync(file, "utf8"), "before\nafter\n");
});

test("a link in its place is not followed, wherever it leads", (t) => {
  const directory = folder(t);
  const link = join(directory, "access.log");
  for (const target of ["nowhere", "somewhere"]) {
    symlinkSync(join(directory, target), link);
    if (target === "somewhere") writeFileSync(join(directory, target), "");
    assert.throws(() => openForAppending(link), /ELOOP|EEXIST/);
    rmSync(link);
  }
});
