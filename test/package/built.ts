// The packages under test, made once for all tests of a file: for both architectures, and once more from a copy of the checkout elsewhere.

import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const ROOT = join(import.meta.dirname, "../..");
/** Alone it takes ten seconds, but it may be the first that has to fetch the runtime of the other architecture. */
const MAKING_MS_MAX = 300_000;
/** What a package is made of. */
const INPUTS = [
  "src",
  "scripts",
  "systemd",
  "docs",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "README.md",
];

export const EPOCH = 1_700_000_000;
const VERSION = "1.2.3-rc.1";
/** Of this machine, in Debian's words. */
export const ARCHITECTURE = process.arch === "arm64" ? "arm64" : "amd64";

const run = promisify(execFile);

export class BuiltPackages {
  readonly folder = mkdtempSync(join(tmpdir(), "vipair-package-"));

  /** The .deb of an architecture. */
  path(architecture: string): string {
    return join(this.folder, `vipair_1.2.3~rc.1_${architecture}.deb`);
  }

  /** The same, made from a copy. */
  get again(): string {
    return join(this.folder, "again", `vipair_1.2.3~rc.1_${ARCHITECTURE}.deb`);
  }

  /** The content of this machine's package, unpacked. */
  get root(): string {
    return join(this.folder, "root");
  }

  async make(): Promise<void> {
    const copy = join(this.folder, "copy");
    mkdirSync(copy);
    for (const input of INPUTS) cpSync(join(ROOT, input), join(copy, input), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
    await build(ROOT, ["all", "--output", this.folder], {});
    // Another time zone, language and mask, as on somebody else's machine.
    await build(copy, [ARCHITECTURE, "--output", join(this.folder, "again")], {
      TZ: "Asia/Tokyo",
      LC_ALL: "de_DE.UTF-8",
    });
    rmSync(copy, { recursive: true });
    await run("dpkg-deb", ["--extract", this.path(ARCHITECTURE), this.root]);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function build(checkout: string, args: readonly string[], env: Record<string, string>): Promise<void> {
  const command = [
    'umask 027; exec "$@"',
    "sh",
    join(checkout, "scripts/package.sh"),
    ...args,
    "--version",
    VERSION,
    "--uncompressed",
  ];
  await run("sh", ["-c", ...command], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(EPOCH), ...env },
    timeout: MAKING_MS_MAX,
    maxBuffer: 16 * 1024 * 1024,
  });
}
