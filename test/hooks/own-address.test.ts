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
