import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { lifetimeWarning } from "../../../src/cli/pairing/address-lifetime.ts";

const OWN = "2: eth0    inet 192.168.1.11/24 brd 192.168.1.255 scope global";

/** From here on `ip` prints that. */
function playIp(t: TestContext, shown: string): void {
  const folder = mkdtempSync(join(tmpdir(), "vipair-ip-"));
  const path = process.env["PATH"];
  writeFileSync(join(folder, "ip"), `#!/bin/sh\ncat <<'END'\n${shown}\nEND\n`, { mode: 0o755 });
  process.env["PATH"] = `${folder}:${String(path)}`;
  t.after(() => {
    process.env["PATH"] = path;
    rmSync(folder, { recursive: true });
  });
}

test("an address that DHCP has given out is said to be one for a time", async (t) => {
  playIp(t, `${OWN} dynamic noprefixroute eth0\\       valid_lft 86281sec preferred_lft 86281sec`);
  assert.match(
    (await lifetimeWarning("192.168.1.11")) ?? "",
    /^192\.168\.1\.11 is .* for a time only.*reserve it/,
  );
});

test("nothing is said of an address that stays, nor of one that is not there", async (t) => {
  playIp(t, `${OWN} eth0\\       valid_lft forever preferred_lft forever`);
  assert.equal(await lifetimeWarning("192.168.1.11"), undefined);
  playIp(t, "");
  assert.equal(await lifetimeWarning("192.168.1.11"), undefined);
});
