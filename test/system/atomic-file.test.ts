// Files that are replaced as a whole: what is there after a success, and after each way to fail.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  watch,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { replaceFile } from "../../src/system/atomic-file.ts";

const isRoot = process.getuid?.() === 0;

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "vipair-atomic-"));
  t.after(() => {
    rmSync(path, { recursive: true });
  });
  return path;
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o7777;
}

describe("a file that is replaced", () => {
  test("is left alone when somebody else writes it while the new one is being written", async (t) => {
    const directory = folder(t);
    const path = join(directory, "config");
    writeFileSync(path, "old\n");
    const watcher = watch(directory, (_, name) => {
      if (name?.includes(".new-") === true) writeFileSync(path, "of somebody else\n");
    });
    t.after(() => {
      watcher.close();
    });
    const replaced = await replaceFile({ path, text: "new\n", newMode: 0o644, expected: "old\n" });
    assert.deepEqual(replaced, { kind: "changed" });
    assert.equal(readFileSync(path, "utf8"), "of somebody else\n");
    assert.deepEqual(readdirSync(directory), ["config"]);
  });

  test("is made with the mode that was asked for, whatever the umask", async (t) => {
    const path = join(folder(t), "secret");
    const umask = process.umask(0o077);
    t.after(() => process.umask(umask));
    assert.deepEqual(await replaceFile({ path, text: "new\n", newMode: 0o644 }), {
      kind: "replaced",
      backup: null,
    });
    assert.equal(readFileSync(path, "utf8"), "new\n");
    assert.equal(modeOf(path), 0o644);
  });

  test("keeps its mode and its owner, and its old text in the backup", async (t) => {
    const directory = folder(t);
    const path = join(directory, "vipair.yaml");
    writeFileSync(path, "old\n");
    chmodSync(path, 0o640);
    if (isRoot) chownSync(path, 12, 34);
    const backup = `${path}.bak`;
    assert.deepEqual(await replaceFile({ path, text: "new\n", newMode: 0o600, backup }), {
      kind: "replaced",
      backup,
    });
    assert.equal(readFileSync(path, "utf8"), "new\n");
    assert.equal(readFileSync(backup, "utf8"), "old\n");
    const { uid, gid } = statSync(path);
    if (isRoot) assert.deepEqual([uid, gid], [12, 34]);
    assert.equal(modeOf(path), 0o640);
    assert.deepEqual(readdirSync(directory), ["vipair.yaml", "vipair.yaml.bak"]);
  });

  test("is left alone when it no longer holds what was expected", async (t) => {
    const path = join(folder(t), "vipair.yaml");
    const replacement = { path, text: "new\n", newMode: 0o644 };
    assert.equal((await replaceFile({ ...replacement, expected: "old\n" })).kind, "changed");
    writeFileSync(path, "of somebody else\n");
    assert.equal((await replaceFile({ ...replacement, expected: "old\n" })).kind, "changed");
    assert.equal((await replaceFile({ ...replacement, expected: null })).kind, "changed");
    assert.equal(readFileSync(path, "utf8"), "of somebody else\n");
    assert.equal((await replaceFile({ ...replacement, expected: "of somebody else\n" })).kind, "replaced");
  });

  test("behind a symbolic link is replaced where it is, and the link stays", async (t) => {
    const directory = folder(t);
    const target = join(directory, "managed.yaml");
    const path = join(directory, "vipair.yaml");
    writeFileSync(target, "old\n");
    symlinkSync("managed.yaml", path);
    assert.equal((await replaceFile({ path, text: "new\n", newMode: 0o644 })).kind, "replaced");
    assert.ok(lstatSync(path).isSymbolicLink());
    assert.equal(readFileSync(target, "utf8"), "new\n");
  });

  test("is not made through a link to nowhere", async (t) => {
    const directory = folder(t);
    const path = join(directory, "vipair.yaml");
    symlinkSync("/nowhere/at/all", path);
    const result = await replaceFile({ path, text: "new\n", newMode: 0o644 });
    assert.ok(result.kind === "failed" && result.problem.includes("symbolic link"), JSON.stringify(result));
    assert.deepEqual(readdirSync(directory), ["vipair.yaml"]);
  });

  test(
    "that not even root may change says how to find out why",
    { skip: isRoot ? false : "needs root to make a file immutable" },
    async (t) => {
      const path = join(folder(t), "vipair.yaml");
      writeFileSync(path, "old\n");
      if (spawnSync("chattr", ["+i", path]).status !== 0) {
        t.skip("no file can be made immutable here");
        return;
      }
      const replaced = await replaceFile({ path, text: "new\n", newMode: 0o644 });
      spawnSync("chattr", ["-i", path]);
      const problem = `${path} cannot be written, even by root. Is it immutable, or in a directory that is, or somebody else's? lsattr -d and ls -ld tell`;
      assert.deepEqual(replaced, { kind: "failed", problem });
      assert.equal(readFileSync(path, "utf8"), "old\n");
      assert.deepEqual(readdirSync(join(path, "..")), ["vipair.yaml"]);
    },
  );

  test("whose directory is missing is told by name", async (t) => {
    const path = join(folder(t), "missing", "vipair.yaml");
    const result = await replaceFile({ path, text: "new\n", newMode: 0o644 });
    assert.ok(result.kind === "failed" && result.problem.includes(path), JSON.stringify(result));
  });

  test("is whole after many writers at once: it holds what one of them wrote", async (t) => {
    const directory = folder(t);
    const path = join(directory, "vipair.yaml");
    const texts = Array.from({ length: 20 }, (_, index) => `${String(index).repeat(10_000)}\n`);
    const results = await Promise.all(texts.map((text) => replaceFile({ path, text, newMode: 0o644 })));
    assert.ok(results.every(({ kind }) => kind === "replaced"));
    assert.ok(texts.includes(readFileSync(path, "utf8")));
    assert.deepEqual(readdirSync(directory), ["vipair.yaml"]);
  });

  test(
    "is the old one, whole, when the disk is full",
    { skip: isRoot ? false : "needs root to mount" },
    async (t) => {
      const directory = join(folder(t), "small");
      mkdirSync(directory);
      const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", directory]);
      if (mounted.status !== 0) {
        t.skip("cannot mount here");
        return;
      }
      try {
        const path = join(directory, "vipair.yaml");
        const backup = `${path}.bak`;
        // The first leaves no room for the new text, the second room for that but not for the backup.
        for (const [old, next] of [
          ["old\n", "x".repeat(200_000)],
          ["y".repeat(30_000), "new\n".repeat(5000)],
        ] as const) {
          writeFileSync(path, old);
          assert.deepEqual(await replaceFile({ path, text: next, newMode: 0o644, backup }), {
            kind: "failed",
            problem: `${path} cannot be written: the disk is full. Nothing has changed`,
          });
          assert.equal(readFileSync(path, "utf8"), old);
          assert.deepEqual(readdirSync(directory), ["vipair.yaml"]);
        }
      } finally {
        spawnSync("umount", [directory]);
      }
    },
  );
});
