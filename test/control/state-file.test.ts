import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { StateFile } from "../../src/control/state-file.ts";

function openFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "vipair-state-"));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  return folder;
}

test("what was written is read again, by another life of the node too", (t) => {
  const folder = openFolder(t);
  new StateFile(folder).write({ epoch: 7 });
  new StateFile(folder).write({ epoch: 8 });
  assert.deepEqual(new StateFile(folder).read(), { epoch: 8 });
});

test("no file, and a damaged one, count as a first start", (t) => {
  const folder = openFolder(t);
  const file = new StateFile(folder);
  assert.deepEqual(file.read(), { epoch: 0 });
  for (const text of ["", "{", "null", '{"epoch":"1"}', '{"epoch":-1}', '{"epoch":1.5}']) {
    writeFileSync(join(folder, "state.json"), text);
    assert.deepEqual(file.read(), { epoch: 0 }, text);
  }
});

test("a link that somebody has put in its way is not followed", (t) => {
  const folder = openFolder(t);
  const victim = join(folder, "victim");
  writeFileSync(victim, "precious");
  symlinkSync(victim, join(folder, "state.json.new"));
  symlinkSync(victim, join(folder, "state.json"));
  new StateFile(folder).write({ epoch: 3 });
  assert.equal(readFileSync(victim, "utf8"), "precious");
  assert.deepEqual(new StateFile(folder).read(), { epoch: 3 });
});
