// The Debian that the machines are booted from: made once by debootstrap, then only read. Machines write to layers of their own.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** What Raspberry Pi OS was made from when vipair began; its systemd is the oldest that the units must suit. */
const RELEASE = "bookworm";
/** What a plain installation has, and what the package depends on: dpkg does not fetch anything. */
const PACKAGES = [
  "adduser",
  "dbus",
  "iproute2",
  "iputils-arping",
  "iputils-ping",
  "nftables",
  "perl-base",
  "procps",
  "systemd",
  "systemd-sysv",
];
const CACHE = "/var/cache/vipair-test";
const MAKING_MS_MAX = 600_000;

export interface Image {
  /** Its root directory; there once it was made. */
  readonly folder: string;
}

export function image(): Image {
  const recipe = createHash("sha256")
    .update(JSON.stringify([RELEASE, PACKAGES]))
    .digest("hex")
    .slice(0, 12);
  return { folder: join(CACHE, `${RELEASE}-${recipe}`) };
}

/** Makes the image unless it is there: about a minute, and it needs a mirror of Debian. */
export async function makeImage(): Promise<Image> {
  const made = image();
  if (existsSync(made.folder)) return made;
  mkdirSync(CACHE, { recursive: true });
  const unfinished = `${made.folder}.${String(process.pid)}`;
  rmSync(unfinished, { recursive: true, force: true });
  await run("debootstrap", ["--variant=minbase", `--include=${PACKAGES.join(",")}`, RELEASE, unfinished], {
    timeout: MAKING_MS_MAX,
    maxBuffer: 16 * 1024 * 1024,
  });
  for (const left of ["var/cache/apt/archives", "var/lib/apt/lists"]) {
    rmSync(join(unfinished, left), { recursive: true, force: true });
  }
  renameSync(unfinished, made.folder);
  return made;
}
