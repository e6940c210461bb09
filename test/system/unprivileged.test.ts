import assert from "node:assert/strict";
import { test } from "node:test";
import { findWorkerUser } from "../../src/system/unprivileged.ts";

const OTHERS = "root:x:0:0:root:/root:/bin/bash\nvipair2:x:1000:1000::/:/bin/sh\n";

test("workers are the user of their own where there is one", () => {
  const passwd = `${OTHERS}vipair:x:997:996:vipair workers:/:/usr/sbin/nologin\n`;
  assert.deepEqual(findWorkerUser(passwd), { uid: 997, gid: 996 });
});

test("and nobody where there is none, or where it would be root", () => {
  for (const line of ["", "vipair:x:0:0:::\n", "vipair:x:997:0:::\n", "vipair\n", "vipair:x:a:b\n"]) {
    assert.equal(findWorkerUser(`${OTHERS}${line}`), undefined, line);
  }
});
