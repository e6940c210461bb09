// What a node that has lost its own address knows of its peer, where the kernel lets programs send from addresses that the machine does
// not have. A network namespace has this setting for itself.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { labIsMissing } from "../lab/requirements.ts";

const CONTROL = join(import.meta.dirname, "../control");
const SCRIPT = `
set -eu
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind
exec "$@"`;

test(
  "net.ipv4.ip_nonlocal_bind, which the package sets, does not hide that the own address is missing",
  { skip: labIsMissing() },
  () => {
    const files = ["peer-link.test.ts", "peer-paths.test.ts"].map((file) => join(CONTROL, file));
    const argv = [
      process.execPath,
      "--test",
      "--test-reporter=tap",
      "--test-name-pattern=own address",
      ...files,
    ];
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { status, stdout } = spawnSync("unshare", ["--net", "sh", "-c", SCRIPT, "sh", ...argv], {
      encoding: "utf8",
      timeout: 60_000,
      env,
    });
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^# pass [2-9]/m);
  },
);

const UNPLUGGED = `
ip link add eth1 type veth peer name far
ip link set eth1 up
ip addr add 192.0.2.9/24 dev eth1
ip addr add 2001:db8::9/64 dev eth1 nodad`;

test(
  "an address on an interface without a carrier is this machine's for the peer link, the arbiter and the pairing, and so is all of 127.0.0.0/8",
  { skip: labIsMissing() },
  () => {
    const look = join(import.meta.dirname, "fixtures/own-address.ts");
    const seen = (address: string): unknown => {
      const script = `set -eu\nip link set lo up\n${UNPLUGGED}\nexec "$@"`;
      const argv = ["--net", "sh", "-c", script, "sh", process.execPath, look, address];
      const { stdout, stderr } = spawnSync("unshare", argv, { encoding: "utf8", timeout: 60_000 });
      assert.equal(stderr, "");
      return JSON.parse(stdout);
    };
    for (const address of ["192.0.2.9", "2001:db8::9", "127.9.9.9"]) {
      const arbiter = `the arbiter ${address} is an address of this machine: set pair.arbiter.address to another machine's, or pair.arbiter.kind to none`;
      assert.deepEqual(seen(address), { peerLink: true, arbiter, pairing: true });
    }
    assert.deepEqual(seen("192.0.2.10"), { peerLink: false, arbiter: null, pairing: false });
  },
);
