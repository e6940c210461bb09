import assert from "node:assert/strict";
import { test } from "node:test";
import { findProgram } from "../../src/system/program-path.ts";

test("a bare name is looked for in PATH, a path relative to the given directory", () => {
  assert.match(findProgram("true", "/etc/vipair"), /^\/(usr\/)?bin\/true$/);
  assert.equal(findProgram("./true", "/etc/vipair"), "/etc/vipair/true");
  assert.equal(findProgram("checks/uplink", "/etc/vipair"), "/etc/vipair/checks/uplink");
  assert.equal(findProgram("/opt/uplink", "/etc/vipair"), "/opt/uplink");
});

test("a name that PATH does not have is reported beside the configuration", () => {
  assert.equal(findProgram("no-such-program", "/etc/vipair"), "/etc/vipair/no-such-program");
});
