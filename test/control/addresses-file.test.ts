// What is written for scripts/release-addresses, and that program with it: the two agree on every column.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { writeAddressesFile } from "../../src/control/addresses-file.ts";

const RELEASE = join(import.meta.dirname, "../../scripts/release-addresses");
/** As root where only root can put anything, because others' hooks are not run. */
const PARENT = process.getuid?.() === 0 ? "/run" : tmpdir();

const ADDRESSES = [
  { address: "192.168.1.50", prefixLength: 24, interface: "eth0", group: "default" },
  { address: "fd00::50", prefixLength: 64, interface: "eth0.7", group: "mail" },
];

function open(t: TestContext): { readonly folder: string; readonly hook: (text: string) => string } {
  const folder = mkdtempSync(join(PARENT, "vipair-test-"));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  return {
    folder,
    hook: (text) => {
      const path = join(folder, "hook");
      writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
      return path;
    },
  };
}

function release(folder: string) {
  return spawnSync(RELEASE, [join(folder, "addresses")], { encoding: "utf8", timeout: 20_000 });
}

test("every address is released by the hook of the node that ran, whatever has become of the node", (t) => {
  const { folder, hook } = open(t);
  const path = hook(
    `echo "$1 $VIPAIR_ADDRESS/$VIPAIR_PREFIX_LENGTH $VIPAIR_INTERFACE \${VIPAIR_EPOCH?} \${VIPAIR_NODE?}\${VIPAIR_PEER?}\${VIPAIR_PEER_ADDRESS?}\${VIPAIR_LEASE_SECONDS?}" >> ${folder}/calls`,
  );
  writeAddressesFile(folder, { hook: path, addresses: ADDRESSES });
  const { status, stderr } = release(folder);
  assert.deepEqual([status, stderr], [0, ""]);
  assert.deepEqual(readFileSync(join(folder, "calls"), "utf8").split("\n").filter(Boolean).toSorted(), [
    "release 192.168.1.50/24 eth0 0 1",
    "release fd00::50/64 eth0.7 0 1",
  ]);
});

test("a node that holds nothing, or never was one, leaves nothing to release", (t) => {
  const { folder } = open(t);
  assert.equal(release(folder).status, 0);
  writeAddressesFile(folder, { hook: "", addresses: [] });
  assert.equal(release(folder).status, 0);
});

test("a hook that hangs is killed, and does not keep the others waiting", (t) => {
  const { folder, hook } = open(t);
  const path = hook(
    `[ "$VIPAIR_ADDRESS" != 192.168.1.50 ] || sleep 60\necho $VIPAIR_ADDRESS >> ${folder}/calls`,
  );
  writeAddressesFile(folder, { hook: path, addresses: ADDRESSES });
  assert.equal(release(folder).status, 1);
  assert.equal(readFileSync(join(folder, "calls"), "utf8"), "fd00::50\n");
});

test(
  "root runs no hook that somebody else could have changed",
  { skip: process.getuid?.() !== 0 && "needs root" },
  (t) => {
    const { folder, hook } = open(t);
    const path = hook(`echo called > ${folder}/calls`);
    chmodSync(path, 0o777);
    writeAddressesFile(folder, { hook: path, addresses: ADDRESSES });
    const { status, stderr } = release(folder);
    assert.equal(status, 1);
    assert.match(stderr, /could be changed by someone other than root: 192\.168\.1\.50 is not released/);
    assert.throws(() => readFileSync(join(folder, "calls")), /ENOENT/);
  },
);
