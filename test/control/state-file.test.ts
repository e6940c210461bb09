import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { ChangesFile, StateFile } from "../../src/control/state-file.ts";

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

const CHANGE = { key: "maintenance/a", value: true, epoch: 3, counter: 1, node: "a" };

test("run-time changes: no file is a first start, and what was written is read again, readable for people", async (t) => {
  const folder = join(openFolder(t), "one", "two");
  const file = new ChangesFile(folder);
  assert.deepEqual(file.read(), { kind: "changes", changes: [] });
  const changes = [CHANGE, { ...CHANGE, key: "weight/web/big", value: 2.5, counter: 2 }];
  await file.write(changes);
  assert.deepEqual(new ChangesFile(folder).read(), { kind: "changes", changes });
  assert.equal(readFileSync(file.path, "utf8").split("\n").length, changes.length + 3);
  assert.equal(statSync(file.path).mode & 0o777, 0o600);
});

test("run-time changes: what a crash left half written is no harm, and a link in the way is not followed", async (t) => {
  const folder = openFolder(t);
  const file = new ChangesFile(folder);
  writeFileSync(`${file.path}.new`, '{"version":1,"cha');
  assert.deepEqual(file.read(), { kind: "changes", changes: [] });
  await file.write([CHANGE]);
  const victim = join(folder, "victim");
  writeFileSync(victim, "precious");
  symlinkSync(victim, `${file.path}.new`);
  await file.write([]);
  assert.equal(readFileSync(victim, "utf8"), "precious");
  assert.deepEqual(file.read(), { kind: "changes", changes: [] });
  assert.deepEqual(readdirSync(folder).toSorted(), ["changes.json", "victim"]);
});

test("run-time changes: a damaged file that cannot be moved is told of, too", (t) => {
  const folder = openFolder(t);
  const file = new ChangesFile(folder);
  // A directory with something in it takes the place where it would be kept.
  mkdirSync(join(folder, "changes.json.damaged", "something"), { recursive: true });
  writeFileSync(file.path, "garbage");
  const read = file.read();
  assert.ok(read.kind === "damaged");
  assert.deepEqual([read.keptAs, read.keys], [undefined, []]);
  assert.match(read.reason, /JSON/);
});
