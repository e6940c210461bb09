import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as fc from "fast-check";
import { encodeFrame, FRAME_BYTES_MAX } from "../../src/control/peer-frame.ts";
import { ChangesFile } from "../../src/control/state-file.ts";
import type { Change, ChangeValue } from "../../src/election/changes.ts";
import { KEYS_MAX } from "../../src/election/changes.ts";
import { monotonicClock } from "../../src/system/clock.ts";
import { errorCode } from "../../src/system/errno.ts";
import {
  type Holder,
  type Name,
  holderOf,
  openFolder,
  openFullFolder,
  sorted,
  stored,
  Wire,
} from "./changes-pair.ts";
import { eventually, keepTalking, newPlace, nodeOf } from "./peer-pair.ts";
import { Stopwatch } from "../support/stopwatch.ts";

/** statfs(2). */
const TMPFS = 0x01_02_19_94;

test("rule 12: a change is stored before it takes effect, and survives a restart", async (t) => {
  const stateDir = join(openFolder(t), "not", "there", "yet");
  const seen: (ChangeValue | undefined)[] = [];
  const first: Holder = holderOf(t, "a", {
    stateDir,
    onChange: (news) => seen.push(...news.map(({ key }) => stored(first, key))),
  });
  assert.deepEqual(await first.changes.set("maintenance/a", true), { replicated: false });
  await first.changes.set("weight/web/big", 2.5);
  assert.deepEqual(seen, [true, 2.5]);
  await first.changes.close();
  const second = holderOf(t, "a", { stateDir });
  assert.deepEqual(second.changes.entries(), first.changes.entries());
  assert.equal(second.changes.get("maintenance/a"), true);
  assert.equal(second.changes.get("maintenance/b"), undefined);
  assert.deepEqual(second.news, [], "what is known from the start is no news");
  assert.deepEqual(readdirSync(stateDir), ["changes.json"]);
});

test("rule 12: a state directory that a reboot empties is warned of at the start, also while it is missing", (t) => {
  if (statfsSync("/dev/shm").type !== TMPFS) return t.skip("/dev/shm is no tmpfs here");
  const folder = mkdtempSync("/dev/shm/vipair-changes-");
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  for (const stateDir of [folder, join(folder, "not", "there", "yet")]) {
    const { warnings } = holderOf(t, "a", { stateDir });
    assert.deepEqual(warnings, [
      {
        subject: { stateDir },
        event: "orders such as maintenance will not survive a reboot: name a --state-dir on a disk",
      },
    ]);
  }
  for (const stateDir of [openFolder(t), join(openFolder(t), "not", "there", "yet")]) {
    if (statfsSync(tmpdir()).type !== TMPFS) {
      assert.deepEqual(holderOf(t, "a", { stateDir }).warnings, []);
    }
  }
});

test("a change is acknowledged as replicated when the peer has stored it", async (t) => {
  const wire = new Wire(t);
  wire.connect();
  assert.deepEqual(await wire.a.changes.set("drain/web/big", true), { replicated: true });
  assert.equal(stored(wire.b, "drain/web/big"), true);
  assert.deepEqual(wire.b.news, wire.a.changes.entries());
  assert.deepEqual(await wire.b.changes.set("drain/web/big", false), { replicated: true });
  assert.equal(wire.a.changes.get("drain/web/big"), false);
});

test("what was changed while the nodes were apart is told in full when the link is back", async (t) => {
  const wire = new Wire(t);
  assert.deepEqual(await wire.a.changes.set("maintenance/a", true), { replicated: false });
  await wire.a.changes.set("drain/web/1", true);
  await wire.b.changes.set("drain/web/1", false);
  await wire.b.changes.set("drain/web/2", true);
  assert.equal(wire.sent.length, 0);
  wire.connect();
  await eventually(() => wire.isSettled() && wire.a.changes.entries().length === 3);
  // Both set it as their first or second change: the counter decides, then the name.
  assert.equal(wire.b.changes.get("drain/web/1"), true);
  await eventually(() => stored(wire.b, "maintenance/a") === true && stored(wire.a, "drain/web/2") === true);
});

test("the node that knows of the newer claim has the last word", async (t) => {
  const wire = new Wire(t, { a: { epoch: () => 7 } });
  await wire.a.changes.set("k", 1);
  await wire.b.changes.set("k", 2);
  await wire.b.changes.set("k", 3);
  wire.connect();
  await eventually(() => wire.isSettled());
  assert.equal(wire.b.changes.get("k"), 1);
  // And whoever has seen that may overrule it.
  await wire.b.changes.set("k", 4);
  assert.equal(wire.a.changes.get("k"), 4);
});

test("a peer that does not confirm within 2 s is not waited for, and told until it does", async (t) => {
  const wire = new Wire(t);
  wire.connect();
  wire.isLost = ({ kind }) => kind === "changes-stored";
  const stopwatch = new Stopwatch(t);
  const since = monotonicClock();
  assert.deepEqual(await wire.a.changes.set("k", true), { replicated: false });
  const tookMs = monotonicClock() - since;
  assert.ok(tookMs > 1900, String(tookMs));
  stopwatch.assertBelow(3000, tookMs);
  wire.isLost = () => false;
  const before = wire.sent.length;
  await eventually(() => wire.sent.slice(before).some(({ kind }) => kind === "changes-stored"));
  const count = wire.sent.length;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.equal(wire.sent.length, count, "nothing more is sent once it is confirmed");
});

test("a change whose frame is lost with its path is sent again, in time for the operator", async (t) => {
  const wire = new Wire(t);
  wire.connect();
  let lost = 0;
  wire.isLost = () => (lost += 1) === 1;
  assert.deepEqual(await wire.a.changes.set("k", true), { replicated: true });
});

test("an operator who waits is told at once when the pair is no longer in touch", async (t) => {
  const wire = new Wire(t);
  wire.connect();
  wire.isLost = () => true;
  const outcome = wire.a.changes.set("k", true);
  await eventually(() => wire.sent.length > 0);
  const stopwatch = new Stopwatch(t);
  wire.cut();
  assert.deepEqual(await outcome, { replicated: false });
  stopwatch.assertBelow(500);
});

test("a change that cannot be stored is refused with a reason, and nothing has changed", async (t) => {
  const wire = new Wire(t);
  wire.connect();
  await wire.a.changes.set("k", 1);
  const { stateDir } = wire.a;
  const file = readFileSync(join(stateDir, "changes.json"), "utf8");
  // A directory that is not empty cannot be removed or written through.
  mkdirSync(join(stateDir, "changes.json.new", "in the way"), { recursive: true });
  const [news, sent] = [wire.a.news.length, wire.sent.length];
  await assert.rejects(
    wire.a.changes.set("k", 2),
    /^Error: cannot store run-time changes in .*changes\.json: /,
  );
  assert.equal(wire.a.changes.get("k"), 1);
  assert.equal(readFileSync(join(stateDir, "changes.json"), "utf8"), file);
  assert.deepEqual([wire.a.news.length, wire.sent.length], [news, sent]);
  rmSync(join(stateDir, "changes.json.new"), { recursive: true });
  assert.deepEqual(await wire.a.changes.set("k", 3), { replicated: true });
});

test("rule 12: an order can be ended though the disk takes nothing; it is said, told to the peer, and stored when it can be", async (t) => {
  const wire = new Wire(t);
  await wire.a.changes.set("maintenance/a", true);
  const inTheWay = join(wire.a.stateDir, "changes.json.new");
  mkdirSync(join(inTheWay, "in the way"), { recursive: true });
  const ended = await wire.a.changes.end("maintenance/a");
  assert.equal(ended.replicated, false);
  assert.match(ended.unstored ?? "", /^cannot store run-time changes in .*changes\.json: /);
  assert.equal(wire.a.changes.get("maintenance/a"), false);
  assert.equal(wire.a.news.at(-1)?.value, false);
  assert.equal(stored(wire.a, "maintenance/a"), true);
  wire.connect();
  await eventually(() => stored(wire.b, "maintenance/a") === false);
  rmSync(inTheWay, { recursive: true });
  await eventually(() => wire.a.changes.problem() === null);
  assert.equal(stored(wire.a, "maintenance/a"), false);
  assert.equal(wire.a.errors.length, 1, "once, not at each attempt");

  await wire.a.changes.set("maintenance/a", true);
  assert.deepEqual(await wire.a.changes.end("maintenance/a"), { replicated: true, unstored: null });
});

test("rule 12: what was ended and not stored is stored by itself, without a peer", async (t) => {
  const wire = new Wire(t);
  await wire.a.changes.set("maintenance/a", true);
  const inTheWay = join(wire.a.stateDir, "changes.json.new");
  mkdirSync(join(inTheWay, "in the way"), { recursive: true });
  await wire.a.changes.end("maintenance/a");
  rmSync(inTheWay, { recursive: true });
  await eventually(() => wire.a.changes.problem() === null);
  assert.equal(stored(wire.a, "maintenance/a"), false);
});

test("on a full disk a change is refused, what was stored stays, and it goes on when there is room", (t) => {
  const stateDir = openFolder(t);
  const child = join(import.meta.dirname, "fixtures/full-disk-child.ts");
  const script = `mount -t tmpfs -o size=64k none "$1" && exec "$2" "$3" "$1"`;
  const isRoot = process.getuid?.() === 0;
  const { status, stdout, stderr, error } = spawnSync(
    "unshare",
    [isRoot ? "-m" : "-Urm", "sh", "-c", script, "sh", stateDir, process.execPath, child],
    { encoding: "utf8", timeout: 20_000 },
  );
  if (errorCode(error) === "ENOENT" || /^(unshare|mount):/.test(stderr)) {
    t.skip(`a test may not make a file system of its own here: ${stderr}`);
    return;
  }
  assert.equal(status, 0, stderr);
  const { refusal, ...rest } = JSON.parse(stdout) as { refusal: string };
  assert.match(refusal, /cannot store run-time changes in .*ENOSPC/);
  assert.deepEqual(rest, {
    during: { table: ["first"], told: 1 },
    isSame: true,
    after: ["first", "third"],
  });
});

test("a peer that cannot store what it is told obeys, does not confirm, says why, and confirms when it can", async (t) => {
  const wire = new Wire(t);
  wire.connect();
  const inTheWay = join(wire.b.stateDir, "changes.json.new");
  mkdirSync(join(inTheWay, "in the way"), { recursive: true });
  assert.deepEqual(await wire.a.changes.set("maintenance/a", true), { replicated: false });
  assert.equal(wire.b.changes.get("maintenance/a"), true);
  assert.match(wire.b.changes.problem() ?? "", /cannot store run-time changes/);
  assert.equal(wire.b.errors.length, 1, "once, not at each attempt");
  rmSync(inTheWay, { recursive: true });
  await eventually(() => wire.b.changes.problem() === null);
  assert.equal(stored(wire.b, "maintenance/a"), true);
});

for (const [what, text, lost] of [
  ["half a file", '{"version":1,"changes":[\n{"key":"maintenance/a","value":true,"ep', ["maintenance/a"]],
  ["no JSON", "\u0000\u0000\u0000\u0000", []],
  ["another version", '{"version":2,"changes":[]}', []],
  ["one bad change", '{"version":1,"changes":[{"key":"drain/web/1","value":"yes"}]}', ["drain/web/1"]],
] as const) {
  test(`a damaged file (${what}) is kept aside, what was lost is logged, and the peer brings it back`, async (t) => {
    const stateDir = openFolder(t);
    writeFileSync(join(stateDir, "changes.json"), text);
    const wire = new Wire(t, { a: { stateDir } });
    assert.deepEqual(wire.a.changes.entries(), []);
    assert.equal(wire.a.errors.length, 1);
    const keptAs = join(stateDir, "changes.json.damaged");
    const subject = { ...wire.a.errors[0]?.subject } as { lost?: string[]; keptAs?: string };
    assert.deepEqual([subject.lost, subject.keptAs], [lost, keptAs]);
    await wire.b.changes.set("maintenance/a", true);
    wire.connect();
    await eventually(() => stored(wire.a, "maintenance/a") === true);
    assert.equal(readFileSync(keptAs, "utf8"), text);
  });
}

test("many operators at once: each change is stored, and the last one of a key wins", async (t) => {
  const wire = new Wire(t);
  wire.connect();
  const outcomes = await Promise.all(
    Array.from({ length: 40 }, (_, index) => wire.a.changes.set(`k${String(index % 4)}`, index)),
  );
  assert.ok(outcomes.every(({ replicated }) => replicated));
  for (const { changes } of [wire.a, wire.b]) {
    assert.deepEqual(
      sorted(changes.entries()).map(({ value }) => value),
      [36, 37, 38, 39],
    );
  }
  const flood = Array.from({ length: 200 }, (_, index) => wire.a.changes.set("flood", index));
  const refused = (await Promise.allSettled(flood)).filter(({ status }) => status === "rejected");
  assert.ok(refused.length > 0 && refused.length < 200, String(refused.length));
});

test("a full table travels in frames of bounded size, few at a time, and a new change goes first", async (t) => {
  const wire = new Wire(t, { a: { stateDir: await openFullFolder(t) } });
  let unconfirmed = 0;
  let most = 0;
  wire.isLost = (message) => {
    unconfirmed += message.kind === "changes" ? 1 : -1;
    most = Math.max(most, unconfirmed);
    return false;
  };
  wire.isUp = true;
  wire.a.changes.linkConnected();
  assert.deepEqual(await wire.a.changes.set("drain/web/big", true), { replicated: true });
  assert.ok(wire.b.changes.entries().length < KEYS_MAX, "the rest is still on its way");
  await eventually(() => wire.b.changes.entries().length === KEYS_MAX, 20_000);
  assert.ok(most <= 4, String(most));
  const head = { n: Number.MAX_SAFE_INTEGER, boot: "x".repeat(64), node: "€".repeat(64) };
  const sizes = wire.sent.map((message) => Buffer.byteLength(encodeFrame({ ...head, message })));
  assert.ok(Math.max(...sizes) <= FRAME_BYTES_MAX);
  await assert.rejects(wire.a.changes.set("one more", true), /512 run-time changes already/);
});

test("over the peer link: a full table holds up no advertisement, and a later change is confirmed", async (t) => {
  const place = await newPlace();
  const holders = { a: undefined as Holder | undefined, b: undefined as Holder | undefined };
  const links = { a: nodeOf(t, "a", place), b: nodeOf(t, "b", place) };
  for (const name of ["a", "b"] as const) {
    const { link } = links[name];
    holders[name] = holderOf(t, name, {
      // oxlint-disable-next-line no-await-in-loop -- one after the other is as well
      stateDir: name === "a" ? await openFullFolder(t) : openFolder(t),
      send: (message) => link.tell(message),
    });
  }
  const { a, b } = holders;
  assert.ok(a !== undefined && b !== undefined);
  for (const name of ["a", "b"] as const) {
    links[name].listeners.changes = (message) => holders[name]?.changes.receive(message);
  }
  const saidAtMs = keepTalking(t, links.a);
  keepTalking(t, links.b);
  await eventually(() => links.a.link.status().connections === 2 && links.b.link.status().connections === 2);
  const delaysMs: number[] = [];
  links.b.listeners.advertisement = ({ epoch }) => {
    delaysMs.push(monotonicClock() - (saidAtMs.get(epoch) ?? NaN));
  };
  a.changes.linkConnected();
  b.changes.linkConnected();
  await eventually(() => b.changes.entries().length === KEYS_MAX - 1 && delaysMs.length > 5, 20_000);
  const median = delaysMs.toSorted((x, y) => x - y)[Math.floor(delaysMs.length / 2)] ?? NaN;
  t.diagnostic(
    `meanwhile an advertisement took ${median.toFixed(1)} ms, the median of ${String(delaysMs.length)}`,
  );
  assert.ok(median < 50, "less than the advertisement interval");
  assert.equal(links.a.link.status().connections, 2, "no connection was given up");
  assert.deepEqual(await b.changes.set("drain/web/big", true), { replicated: true });
  assert.equal(a.changes.get("drain/web/big"), true);
});

/** The keys of a node's table, and of its file, but for those that keep the count. */
function keysOf(holder: Holder): readonly string[] {
  return holder.changes.entries().map(({ key }) => key);
}

test("an order about something that neither configuration names is taken back, then forgotten by both nodes", async (t) => {
  const wire = new Wire(t);
  wire.connect();
  for (const key of ["drain/old/1", "drain/old/2", "maintenance/gone"]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other, as an operator does
    await wire.a.changes.set(key, true);
  }
  await wire.b.changes.set("drain/web/1", true);
  // As after a restart, each node tells the other all it has.
  await wire.restart("b");
  wire.connect();
  wire.isObsolete = (key) => /old|gone/.test(key);
  wire.a.changes.tidy();
  wire.b.changes.tidy();
  await eventually(() => [wire.a, wire.b].every((holder) => keysOf(holder).length <= 3));
  for (const holder of [wire.a, wire.b]) {
    for (const { key, value } of holder.changes.entries()) assert.equal(value, key === "drain/web/1", key);
  }
  await wire.restart("a");
  await wire.restart("b");
  wire.connect();
  await wire.a.changes.set("drain/web/2", true);
  await eventually(() => wire.isSettled());
  for (const holder of [wire.a, wire.b]) {
    assert.notEqual(holder.changes.get("drain/old/1"), true);
    assert.equal(stored(holder, "drain/web/1"), true);
    assert.equal(stored(holder, "drain/web/2"), true);
  }
});

test("what was taken back does not come back from a node that was away, and a new order for it wins", async (t) => {
  const wire = new Wire(t);
  wire.connect();
  await wire.a.changes.set("drain/web/1", true);
  wire.cut();
  // While the nodes are apart nobody knows what the other one's configuration names.
  wire.isObsolete = () => wire.isUp;
  wire.a.changes.tidy();
  assert.equal(wire.a.changes.get("drain/web/1"), true);
  wire.connect();
  wire.a.changes.tidy();
  wire.b.changes.tidy();
  await eventually(() => wire.isSettled() && wire.a.changes.get("drain/web/1") !== true);
  wire.isObsolete = () => false;
  await wire.restart("a");
  wire.connect();
  await eventually(() => wire.isSettled());
  for (const { changes } of [wire.a, wire.b]) assert.notEqual(changes.get("drain/web/1"), true);
  await wire.b.changes.set("drain/web/1", true);
  await eventually(() => wire.isSettled() && wire.a.changes.get("drain/web/1") === true);
});

test("an order that is taken back spares one that was given for the same meanwhile, on the other node", async (t) => {
  for (const [first, second] of [
    ["a", "b"],
    ["b", "a"],
  ] as const) {
    const wire = new Wire(t);
    wire.connect();
    // oxlint-disable-next-line no-await-in-loop -- one story after the other
    await wire[first].changes.set("drain/web/1", true);
    wire.cut();
    // The file of the first has the backend again, and the second has not heard of that.
    // oxlint-disable-next-line no-await-in-loop -- as above
    await wire[first].changes.set("drain/web/1", true);
    wire.isObsolete = () => true;
    wire[second].changes.tidy();
    // oxlint-disable-next-line no-await-in-loop -- as above
    await eventually(() => wire[second].changes.get("drain/web/1") === false);
    wire.isObsolete = () => false;
    wire.connect();
    // oxlint-disable-next-line no-await-in-loop -- as above
    await eventually(() => wire.isSettled() && stored(wire[second], "drain/web/1") === true);
    assert.equal(wire[first].changes.get("drain/web/1"), true);
  }
});

test("rule 12: a full table makes room by what was taken back and is known to both; maintenance needs none", async (t) => {
  const stateDir = openFolder(t);
  const changes = Array.from({ length: KEYS_MAX }, (_, index): Change => {
    const isBack = index < 10;
    return { key: `drain/web/${String(index)}`, value: !isBack, epoch: 1, counter: index + 1, node: "a" };
  });
  await new ChangesFile(stateDir).write(changes);
  const wire = new Wire(t, { a: { stateDir } });
  await assert.rejects(wire.a.changes.set("drain/web/new", true), /512 run-time changes already/);
  assert.deepEqual(await wire.a.changes.set("maintenance/a", true), { replicated: false });
  wire.connect();
  await eventually(() => wire.b.changes.get("drain/web/511") === true && wire.isSettled(), 20_000);
  assert.deepEqual(await wire.a.changes.set("drain/web/new", true), { replicated: true });
  assert.equal(wire.b.changes.get("maintenance/a"), true);
  for (const change of changes.slice(10)) assert.equal(wire.a.changes.get(change.key), true);
});

test("what was acknowledged is never lost: cuts, losses and restarts in any order", async (t) => {
  const anyStep = fc.oneof(
    { weight: 5, arbitrary: fc.record({ node: fc.constantFrom("a", "b"), key: fc.nat({ max: 2 }) }) },
    { weight: 1, arbitrary: fc.constantFrom("cut" as const, "connect" as const, "lossy" as const) },
    { weight: 1, arbitrary: fc.constantFrom("restart a" as const, "restart b" as const) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { minLength: 5, maxLength: 20 }), async (steps) => {
      const wire = new Wire(t);
      const acknowledged = new Map<string, number>();
      let value = 0;
      for (const step of steps) {
        value += 1;
        if (step === "cut") wire.cut();
        else if (step === "connect") wire.connect();
        else if (step === "lossy") wire.isLost = ({ kind, id }) => kind === "changes" && id % 2 === 0;
        // oxlint-disable-next-line no-await-in-loop -- one step after the other
        else if (typeof step === "string") await wire.restart(step === "restart a" ? "a" : "b");
        else {
          const key = `${step.node}/${String(step.key)}`;
          // oxlint-disable-next-line no-await-in-loop -- one step after the other
          await wire[step.node as Name].changes.set(key, value);
          acknowledged.set(key, value);
        }
      }
      wire.isLost = () => false;
      wire.connect();
      await eventually(() => wire.isSettled());
      for (const [key, expected] of acknowledged) assert.equal(wire.b.changes.get(key), expected, key);
      await Promise.all([wire.a.changes.close(), wire.b.changes.close()]);
      for (const [key, expected] of acknowledged) assert.equal(stored(wire.a, key), expected, key);
    }),
    { numRuns: 12 },
  );
});
