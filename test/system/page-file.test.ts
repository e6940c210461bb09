import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { readPageFile } from "../../src/system/page-file.ts";

const LIMIT = { bytesMax: 1024 };
const IS_ROOT = process.getuid?.() === 0;

/** Where root may put what it believes. */
function directory(t: TestContext): string {
  const path = mkdtempSync(join(IS_ROOT ? "/run" : tmpdir(), "vipair-page-"));
  t.after(() => {
    rmSync(path, { recursive: true });
  });
  return path;
}

test("a page is read in UTF-8, up to its limit of bytes", (t) => {
  const path = join(directory(t), "a.html");
  for (const text of ["", "später\n", "ä".repeat(512)]) {
    writeFileSync(path, text);
    assert.deepEqual(readPageFile(path, LIMIT), { kind: "read", text });
  }
  writeFileSync(path, `${"ä".repeat(512)}a`);
  assert.deepEqual(readPageFile(path, LIMIT), {
    kind: "refused",
    problem: `${path} is larger than 1 KiB. Make the page smaller.`,
  });
});

test("what is no plain file of text is refused, and nobody is waited for", (t) => {
  const folder = directory(t);
  const problemOf = (name: string): string => {
    const page = readPageFile(join(folder, name), LIMIT);
    assert.equal(page.kind, "refused");
    return page.problem.replace(folder, "DIR");
  };
  mkdirSync(join(folder, "directory"));
  execFileSync("mkfifo", [join(folder, "pipe")]);
  writeFileSync(join(folder, "latin1"), Buffer.from("sp\u00e4ter", "latin1"));
  assert.equal(problemOf("absent"), "DIR/absent does not exist.");
  assert.equal(problemOf("directory"), "DIR/directory is not a plain file.");
  assert.equal(problemOf("pipe"), "DIR/pipe is not a plain file.");
  assert.equal(problemOf("latin1"), "DIR/latin1 is not in UTF-8. Convert it, with iconv for example.");
});

test(
  "rule 14: root shows nobody a file that someone else could have put there",
  { skip: IS_ROOT ? false : "needs root: only root is careful" },
  (t) => {
    const folder = directory(t);
    const path = join(folder, "a.html");
    writeFileSync(path, "secret");
    chmodSync(folder, 0o777);
    const page = readPageFile(path, LIMIT);
    assert.equal(page.kind, "refused");
    assert.match(page.problem, /could be changed by someone other than root: .* Run chmod go-w /);
  },
);
