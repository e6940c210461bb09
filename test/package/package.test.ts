// What is in the package, and that Debian's own tools have nothing against it. What it does on a machine is in install.test.ts, and on two
// booted ones in test/systemd.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ARCHITECTURE, BuiltPackages, EPOCH } from "./built.ts";

interface Entry {
  readonly mode: string;
  readonly owner: string;
  readonly size: number;
  readonly date: string;
  readonly path: string;
}

/** What others rely on, with its mode. */
const FILES: Readonly<Record<string, string>> = {
  "./usr/bin/vipair -> ../lib/vipair/scripts/vipair": "lrwxrwxrwx",
  "./usr/lib/vipair/scripts/vipair": "-rwxr-xr-x",
  "./usr/lib/vipair/scripts/with-notify-fd": "-rwxr-xr-x",
  "./usr/lib/vipair/scripts/release-addresses": "-rwxr-xr-x",
  "./usr/lib/vipair/scripts/hooks/vip": "-rwxr-xr-x",
  "./usr/lib/vipair/scripts/hooks/announce": "-rwxr-xr-x",
  "./usr/lib/vipair/scripts/hooks/ask-arbiter": "-rwxr-xr-x",
  "./usr/lib/vipair/dist/main.js": "-rw-r--r--",
  "./usr/lib/vipair/dist/proxy/worker.js": "-rw-r--r--",
  "./usr/lib/vipair/package.json": "-rw-r--r--",
  "./etc/vipair/vipair.yaml": "-rw-r--r--",
  "./usr/lib/systemd/system/vipair.service": "-rw-r--r--",
  "./usr/lib/systemd/system/vipair-active.target": "-rw-r--r--",
  "./usr/lib/systemd/system/vipair-standby.target": "-rw-r--r--",
  "./usr/lib/sysctl.d/60-vipair.conf": "-rw-r--r--",
  "./usr/lib/tmpfiles.d/vipair.conf": "-rw-r--r--",
  "./usr/lib/sysusers.d/vipair.conf": "-rw-r--r--",
  "./usr/share/man/man8/vipair.8.gz": "-rw-r--r--",
  "./usr/share/bash-completion/completions/vipair": "-rw-r--r--",
  "./usr/share/zsh/vendor-completions/_vipair": "-rw-r--r--",
  "./usr/share/doc/vipair/copyright": "-rw-r--r--",
  "./usr/share/doc/vipair/configuration.md": "-rw-r--r--",
};
/** Uncompressed, and on disk. */
const INSTALLED_MIB_MAX = 140;
const WITHOUT_RUNTIME_MIB_MAX = 8;
/** The kinds of machine in the head of an ELF file. */
const ELF_MACHINES = { amd64: 0x3e, arm64: 0xb7 } as const;
const CPUS = { amd64: "x64", arm64: "arm64" } as const;
const MIB = 1024 * 1024;

const packages = new BuiltPackages();

function contents(architecture: string): readonly Entry[] {
  const listed = execFileSync("dpkg-deb", ["--contents", packages.path(architecture)], {
    encoding: "utf8",
    env: { ...process.env, TZ: "UTC" },
    maxBuffer: 16 * MIB,
  });
  return listed
    .trim()
    .split("\n")
    .map((line) => {
      const [mode = "", owner = "", size = "", date = "", time = "", ...path] = line.split(/ +/);
      return { mode, owner, size: Number(size), date: `${date} ${time}`, path: path.join(" ") };
    });
}

/** In MiB. */
function sizeOf(entries: readonly Entry[]): number {
  return entries.reduce((total, { size }) => total + size, 0) / MIB;
}

function field(architecture: string, name: string): string {
  return execFileSync("dpkg-deb", ["--field", packages.path(architecture), name], {
    encoding: "utf8",
  }).trim();
}

function isMissing(tool: string): string | false {
  const found = spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0;
  return found ? false : `${tool} is not installed`;
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

describe("the package", { skip: isMissing("dpkg-deb") }, () => {
  before(() => packages.make());
  after(() => {
    packages.remove();
  });

  for (const architecture of ["amd64", "arm64"] as const) {
    test(`${architecture}: all files are there, belong to root, and only root can write them`, () => {
      const entries = contents(architecture);
      const modes = Object.fromEntries(entries.map(({ path, mode }) => [path, mode]));
      for (const [path, mode] of Object.entries(FILES)) assert.equal(modes[path], mode, path);
      for (const { owner, mode, path, date } of entries) {
        assert.equal(owner, "root/root", path);
        if (!mode.startsWith("l")) assert.match(mode, /^[-d]rw[x-]r-[x-]r-[x-]$/, path);
        assert.equal(date, "2023-11-14 22:13", path);
      }
    });

    test(`${architecture}: its own runtime and no other, the packages that run and none for developers`, () => {
      const paths = contents(architecture).map(({ path }) => path);
      const modules = new Set(
        paths.flatMap((path) => /node_modules\/(@[^/]+\/[^/]+|[^@/][^/]*)\//.exec(path)?.[1] ?? []),
      );
      const { dependencies } = JSON.parse(readFileSync("package.json", "utf8")) as { dependencies: object };
      for (const name of Object.keys(dependencies)) assert.ok(modules.has(name), name);
      assert.ok(!modules.has("typescript") && !modules.has("fast-check"));
      assert.deepEqual(
        [...modules].filter((name) => name.startsWith("node-linux")),
        [`node-linux-${CPUS[architecture]}`],
      );
      const useless = paths.filter(
        (path) =>
          /\.(?:d\.ts|[cm]?ts|map|md)$|\/tests?\//.test(path) && path.includes("/vipair/node_modules/"),
      );
      assert.deepEqual(useless, []);
      for (const name of modules)
        assert.ok(
          paths.some((path) => new RegExp(`node_modules/${name}/LICEN[CS]E`).test(path)) ||
            name === "real-require",
          name,
        );
    });

    test(`${architecture}: it is as small as the runtime allows`, () => {
      const entries = contents(architecture);
      assert.ok(sizeOf(entries) < INSTALLED_MIB_MAX, `${String(sizeOf(entries))} MiB`);
      const others = entries.filter(({ path }) => !path.includes("/node-linux-"));
      assert.ok(sizeOf(others) < WITHOUT_RUNTIME_MIB_MAX, `${String(sizeOf(others))} MiB`);
    });

    test(`${architecture}: its control data say what it needs`, () => {
      assert.equal(field(architecture, "Architecture"), architecture);
      assert.equal(field(architecture, "Version"), "1.2.3~rc.1");
      for (const name of ["iproute2", "iputils-arping", "iputils-ping"]) {
        assert.ok(field(architecture, "Depends").split(", ").includes(name), name);
      }
      assert.equal(field(architecture, "Recommends"), "nftables");
      const conffiles = execFileSync("dpkg-deb", ["--info", packages.path(architecture), "conffiles"], {
        encoding: "utf8",
      });
      assert.equal(conffiles, "/etc/vipair/vipair.yaml\n");
    });
  }

  test("the same input gives the same bytes, wherever and by whomever it is built", () => {
    assert.equal(sha256(packages.again), sha256(packages.path(ARCHITECTURE)));
    assert.equal(EPOCH, Date.parse("2023-11-14T22:13:20Z") / 1000);
  });

  test("the runtime of each package is for its machine", () => {
    const folder = join(packages.folder, "other");
    for (const architecture of ["amd64", "arm64"] as const) {
      execFileSync("dpkg-deb", ["--extract", packages.path(architecture), folder]);
      const file = openSync(
        join(folder, `usr/lib/vipair/node_modules/node-linux-${CPUS[architecture]}/bin/node`),
        "r",
      );
      const head = Buffer.alloc(20);
      readSync(file, head, 0, 20, 0);
      closeSync(file);
      assert.equal(head.readUInt16LE(18), ELF_MACHINES[architecture], architecture);
    }
  });

  test("lintian finds no error", { skip: isMissing("lintian") }, () => {
    // These are about the haste of this test alone.
    const ours = "uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball";
    const { status, stdout, stderr } = spawnSync(
      "lintian",
      ["--fail-on", "error", "--suppress-tags", ours, packages.path(ARCHITECTURE)],
      { encoding: "utf8", timeout: 300_000 },
    );
    assert.equal(status, 0, stdout + stderr);
    assert.doesNotMatch(stdout, /^E: /m);
  });

  test("the program runs from what is installed, and says the version of the package", () => {
    const vipair = join(packages.root, "usr/bin/vipair");
    const env = { PATH: process.env["PATH"] };
    assert.equal(execFileSync(vipair, ["--version"], { encoding: "utf8", env }), "1.2.3-rc.1\n");
    const example = join(packages.root, "usr/share/doc/vipair/example.yaml");
    const { stdout, stderr } = spawnSync(vipair, ["check", "--config", example], { encoding: "utf8", env });
    // Its secret is nowhere; nothing else is wrong with it.
    assert.equal(stdout, "");
    assert.deepEqual(
      stderr
        .trim()
        .split("\n")
        .filter((line) => !/secretFile|Run chmod|could be changed/.test(line)),
      [],
    );
  });
});
