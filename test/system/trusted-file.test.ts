import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { findUntrustedSteps, untrustedReason } from "../../src/system/trusted-file.ts";

const UID = process.getuid?.() ?? -1;
const NOBODY = 65_534;
const NEEDS_ROOT = { skip: UID === 0 ? false : "needs root: gives files to another user" };

/** A directory of this user below a sticky one, with `opt/hook` in it. */
function place(t: TestContext): { readonly folder: string; readonly opt: string; readonly hook: string } {
  const folder = mkdtempSync(join(tmpdir(), "vipair-trust-"));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const opt = join(folder, "opt");
  const hook = join(opt, "hook");
  mkdirSync(opt, { mode: 0o755 });
  writeFileSync(hook, "#!/bin/sh\n", { mode: 0o755 });
  return { folder, opt, hook };
}

/** What is wrong, for the user of this test in root's place. */
function reasonFor(path: string): string | undefined {
  return findUntrustedSteps(path, { owner: UID });
}

test("rule 14: a file that only its owner can write is trusted, also below a sticky directory that everybody can write", (t) => {
  const { hook } = place(t);
  assert.equal(reasonFor(hook), undefined);
});

test("rule 14: a file that everybody can write is refused, with what to do", (t) => {
  const { hook } = place(t);
  chmodSync(hook, 0o757);
  assert.equal(
    reasonFor(hook),
    `${hook} could be changed by someone other than root: ${hook} can be written by everybody. ` +
      `Run chmod go-w ${hook}, or put it where only root can write`,
  );
});

test("rule 14: a directory on the way that everybody can write is refused, unless it is sticky", (t) => {
  const { opt, hook } = place(t);
  chmodSync(opt, 0o777);
  assert.match(reasonFor(hook) ?? "", new RegExp(`${opt} can be written by everybody`));
  chmodSync(opt, 0o1777);
  assert.equal(reasonFor(hook), undefined);
});

test("rule 14: the places of all links on the way count, not only the file at the end", (t) => {
  const { folder, opt, hook } = place(t);
  const open = join(folder, "open");
  mkdirSync(open);
  symlinkSync(hook, join(open, "link"));
  // first -> open/link -> opt/hook; relative and absolute.
  symlinkSync("open/link", join(folder, "first"));
  symlinkSync("../opt", join(open, "directory"));
  const first = join(folder, "first");
  // Not joined: that would take `directory/..` away.
  const through = `${open}/directory/../opt/hook`;
  assert.equal(reasonFor(first), undefined);
  assert.equal(reasonFor(through), undefined);
  chmodSync(open, 0o777);
  assert.match(
    reasonFor(first) ?? "",
    new RegExp(`: ${open} can be written by everybody. Run chmod go-w ${open},`),
  );
  assert.match(reasonFor(through) ?? "", new RegExp(`: ${open} can be written by everybody`));
  assert.equal(reasonFor(join(opt, "hook")), undefined);
});

test("rule 14: a path that leads nowhere has no reason: whoever opens it says so", (t) => {
  const { folder } = place(t);
  chmodSync(folder, 0o777);
  symlinkSync("loop", join(folder, "loop"));
  assert.equal(reasonFor(join(folder, "loop")), undefined);
  assert.equal(reasonFor(join(folder, "missing")), undefined);
});

test(
  "rule 14: a file, a directory and a link of another user are refused, each with its owner",
  NEEDS_ROOT,
  (t) => {
    const { folder, opt, hook } = place(t);
    const link = join(folder, "link");
    symlinkSync("opt/hook", link);
    lchownSync(link, NOBODY, NOBODY);
    chownSync(opt, NOBODY, NOBODY);
    chownSync(hook, NOBODY, NOBODY);
    assert.equal(
      untrustedReason(link),
      `${link} could be changed by someone other than root: ${link} belongs to uid 65534, ${opt} belongs to ` +
        `uid 65534, ${hook} belongs to uid 65534. Run chown -h root:root ${link} ${opt} ${hook}, ` +
        "or put it where only root can write",
    );
    lchownSync(link, 0, 0);
    chownSync(opt, 0, 0);
    assert.match(
      untrustedReason(link) ?? "",
      new RegExp(`: ${hook} belongs to uid 65534. Run chown root:root ${hook},`),
    );
    chownSync(hook, 0, 0);
    assert.equal(untrustedReason(link), undefined);
  },
);

test("rule 14: what the group can write is refused, unless the group is root", NEEDS_ROOT, (t) => {
  const { opt, hook } = place(t);
  chmodSync(opt, 0o775);
  chmodSync(hook, 0o775);
  assert.equal(untrustedReason(hook), undefined);
  chownSync(opt, 0, NOBODY);
  assert.match(
    untrustedReason(hook) ?? "",
    new RegExp(`: ${opt} can be written by group 65534. Run chmod go-w ${opt},`),
  );
});

test(
  "rule 14: whoever is not root trusts what the system lets it read",
  { skip: UID === 0 ? "runs as root" : false },
  (t) => {
    const { hook } = place(t);
    chmodSync(hook, 0o777);
    assert.equal(untrustedReason(hook), undefined);
  },
);
