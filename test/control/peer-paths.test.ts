// One peer link over two heartbeat paths.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { monotonicClock } from "../../src/system/clock.ts";
import { Cable } from "./cable.ts";
import {
  eventually,
  keepTalking,
  listenPlain,
  newAddress,
  newPlace,
  nodeOf,
  startChild,
} from "./peer-pair.ts";
import type { Node, Place } from "./peer-pair.ts";
import { Stopwatch } from "../support/stopwatch.ts";

/** An address that no machine has (RFC 5737). */
const NOWHERE = "203.0.113.77";
/** Several times over what a verdict would take. */
const LONG_MS = 1500;

/** Two paths without a cable: nothing between the nodes but the kernel. */
async function newDoublePlace(change: { readonly secondOfA?: string } = {}): Promise<Place> {
  const place = await newPlace();
  const [a, b] = [change.secondOfA ?? newAddress(), newAddress()];
  const first = { a: { self: place.a, peer: place.b }, b: { self: place.b, peer: place.a } };
  return { ...place, paths: [first, { a: { self: a, peer: b }, b: { self: b, peer: a } }] };
}

interface Cabled {
  readonly place: Place;
  readonly first: Cable;
  readonly second: Cable;
}

async function newCabledPlace(t: TestContext): Promise<Cabled> {
  const place = await newPlace();
  const first = await Cable.lay(t, place.port);
  const second = await Cable.lay(t, place.port);
  return { place: { ...place, paths: [first, second] }, first, second };
}

/** Both nodes talk, and all four connections carry it. */
async function startTalking(
  t: TestContext,
  place: Place,
  change: { readonly silenceMs?: number } = {},
): Promise<{ readonly a: Node; readonly b: Node }> {
  const a = nodeOf(t, "a", place, change);
  const b = nodeOf(t, "b", place, change);
  keepTalking(t, a);
  keepTalking(t, b);
  await eventually(() => a.link.status().connections === 4 && b.link.status().connections === 4);
  return { a, b };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What was told since the nodes met; before, the other one may have been "never-there". */
function eventsOf(node: Node): readonly string[] {
  return node.events.slice(node.events.indexOf("connected"));
}

function connectedPaths(node: Node): readonly boolean[] {
  return node.link.status().paths.map(({ connected }) => connected);
}

/** Each epoch is one more than the one before. */
function assertNothingMissed(node: Node): void {
  const epochs = node.heard.map(({ epoch }) => epoch);
  assert.deepEqual(
    epochs,
    epochs.map((_, index) => (epochs[0] ?? 0) + index),
  );
}

test("while one of two paths hangs nothing is missed and nothing is told; when both hang the pair is apart", async (t) => {
  const { place, first, second } = await newCabledPlace(t);
  // Long enough that a busy machine is not taken for a path that hangs.
  const { a, b } = await startTalking(t, place, { silenceMs: 500 });
  const heardAtMs: number[] = [];
  a.listeners.advertisement = () => heardAtMs.push(monotonicClock());
  second.cut();
  await eventually(() => connectedPaths(a)[1] === false && connectedPaths(b)[1] === false);
  assert.deepEqual([a.link.status().connected, a.link.status().problem], [true, null]);
  assert.ok(a.logged.includes("heartbeat path down"));
  await eventually(() => /does not answer/.test(a.link.status().paths[1]?.problem ?? ""));
  second.mend();
  await eventually(() => a.link.status().connections === 4 && b.link.status().connections === 4);
  assert.ok(a.logged.includes("heartbeat path up"));
  // The other way round: the path on which the pair met first.
  first.cut();
  await eventually(() => connectedPaths(a)[0] === false && connectedPaths(b)[0] === false);
  const heard = a.heard.length;
  await eventually(() => a.heard.length > heard + 10);
  for (const node of [a, b]) {
    assert.deepEqual(eventsOf(node), ["connected"]);
    assertNothingMissed(node);
  }
  // For people: on a busy machine both nodes may be held up together.
  const silences = heardAtMs.map((at, index) => at - (heardAtMs[index - 1] ?? at));
  t.diagnostic(`the longest silence was ${Math.max(...silences).toFixed(0)} ms at an interval of 50 ms`);
  second.cut();
  await eventually(() => a.events.includes("disconnected") && b.events.includes("disconnected"));
  assert.equal(a.link.status().connected, false);

  await pause(LONG_MS);
  for (const node of [a, b]) assert.deepEqual(eventsOf(node), ["connected", "disconnected"]);
  first.mend();
  await eventually(() => eventsOf(a).length === 3 && eventsOf(b).length === 3, 5000);
  for (const node of [a, b]) assert.deepEqual(eventsOf(node), ["connected", "disconnected", "connected"]);
});

test("rule 1: with two paths a killed process is known to be dead within 100 ms, too", async (t) => {
  const place = await newDoublePlace();
  const a = nodeOf(t, "a", place);
  keepTalking(t, a);
  const child = await startChild(t, place);
  await eventually(() => a.link.status().connections === 4);
  const stopwatch = new Stopwatch(t);
  const killedAt = monotonicClock();
  child.kill("SIGKILL");
  await eventually(() => a.events.includes("dead"));
  const afterKillMs = (a.at.get("dead") ?? Infinity) - killedAt;
  t.diagnostic(`dead ${afterKillMs.toFixed(1)} ms after the kill`);
  assert.deepEqual(eventsOf(a).slice(0, 3), ["connected", "disconnected", "dead"]);
  stopwatch.assertBelow(100, afterKillMs);
});

test("a peer that stops frees its ports on all paths first and is known to be gone at once", async (t) => {
  const { a, b } = await startTalking(t, await newDoublePlace());
  const stopwatch = new Stopwatch(t);
  const stopAt = monotonicClock();
  await b.link.stop();
  await eventually(() => a.events.includes("dead"));
  stopwatch.assertBelow(100, (a.at.get("dead") ?? Infinity) - stopAt);
  assert.deepEqual(eventsOf(a).slice(0, 3), ["connected", "disconnected", "dead"]);
});

test("a frozen process is neither dead nor estranged on two paths", async (t) => {
  const place = await newDoublePlace();
  const a = nodeOf(t, "a", place);
  keepTalking(t, a);
  const child = await startChild(t, place);
  await eventually(() => a.link.status().connections === 4);
  child.kill("SIGSTOP");
  await eventually(() => a.events.includes("disconnected"));
  await pause(LONG_MS);
  assert.deepEqual(eventsOf(a), ["connected", "disconnected"]);
  child.kill("SIGCONT");
  await eventually(() => eventsOf(a).includes("connected", 2), 3000);
});

test("a path that refuses says nothing about a peer that is heard on another", async (t) => {
  const { place, second } = await newCabledPlace(t);
  const { a } = await startTalking(t, place);
  second.refuse();
  await eventually(() => /refuses connections/.test(a.link.status().paths[1]?.problem ?? ""));
  await pause(LONG_MS / 3);
  assert.deepEqual(eventsOf(a), ["connected"]);
  assert.deepEqual([a.link.status().connections, a.link.status().problem], [2, null]);
});

test("a path that always refused, as a firewall does, is no proof of death when the working one falls silent", async (t) => {
  const { place, first, second } = await newCabledPlace(t);
  second.refuse();
  const a = nodeOf(t, "a", place);
  const b = nodeOf(t, "b", place);
  keepTalking(t, a);
  keepTalking(t, b);
  await eventually(() => a.link.status().connections === 2);
  a.events.length = 0;
  first.cut();
  await eventually(() => a.events.includes("disconnected"));
  await pause(LONG_MS);
  assert.deepEqual(a.events, ["disconnected"]);
});

test("when one path hangs and then the process dies, the refusal on the other path tells it", async (t) => {
  const { place, first, second } = await newCabledPlace(t);
  const { a } = await startTalking(t, place);
  second.cut();
  await eventually(() => connectedPaths(a)[1] === false);
  first.refuse();
  await eventually(() => a.events.includes("dead"));
  assert.deepEqual(eventsOf(a).slice(0, 3), ["connected", "disconnected", "dead"]);
});

test("an own address that this machine does not have is a problem of its path, not of the pair", async (t) => {
  const place = await newDoublePlace({ secondOfA: NOWHERE });
  const a = nodeOf(t, "a", place);
  const b = nodeOf(t, "b", place);
  a.say();
  b.say();
  await eventually(() => a.link.status().connections === 2);
  await eventually(() =>
    /cannot dial .* our own address; cannot listen on .* does not have the address/.test(
      a.link.status().paths[1]?.problem ?? "",
    ),
  );
  const { connected, problem, paths } = a.link.status();
  assert.deepEqual([connected, problem, paths[0]?.problem], [true, null, null]);
  assert.deepEqual([paths[1]?.self, paths[1]?.connected, paths[1]?.lastHeardMs], [NOWHERE, false, null]);
  assert.deepEqual(eventsOf(a), ["connected"]);
});

test("a listener that cannot open is a problem of its path, not of the pair", async (t) => {
  const place = await newDoublePlace();
  await listenPlain(t, place.paths?.[1]?.a.self ?? "", place.port, (socket) => socket.destroy());
  const a = nodeOf(t, "a", place);
  const b = nodeOf(t, "b", place);
  a.say();
  b.say();
  await eventually(() => a.link.status().connections === 3 && b.link.status().connections === 3);
  const { problem, paths } = a.link.status();
  assert.equal(problem, null);
  assert.match(paths[1]?.problem ?? "", /^cannot listen on .*: another program uses the port$/);
  assert.equal(b.link.status().problem, null);
  assert.deepEqual([eventsOf(a), eventsOf(b)], [["connected"], ["connected"]]);
});

test("another program at the end of one path is a problem of that path, and the peer's death is still known", async (t) => {
  const place = await newDoublePlace();
  // Node b has only the first path; the second one leads to a stranger.
  const [first] = place.paths ?? [];
  assert.ok(first);
  await listenPlain(t, place.paths?.[1]?.b.self ?? "", place.port, (socket) => socket.destroy());
  const a = nodeOf(t, "a", place);
  const b = nodeOf(t, "b", { ...place, paths: [first] });
  a.say();
  b.say();
  await eventually(() => a.link.status().connections === 2);
  await eventually(() => /closes every connection/.test(a.link.status().paths[1]?.problem ?? ""));
  a.events.length = 0;
  await b.link.stop();
  await eventually(() => a.events.includes("dead"));
  await pause(LONG_MS);
  assert.ok(!a.events.includes("estranged"));
});

test("while nobody was heard yet, one who answers and cannot be understood is not taken for dead", async (t) => {
  const place = await newDoublePlace();
  await listenPlain(t, place.paths?.[1]?.b.self ?? "", place.port, (socket) => socket.destroy());
  const a = nodeOf(t, "a", place);
  await eventually(() => a.events.includes("estranged"));
  const since = a.events.indexOf("estranged");
  await pause(LONG_MS);
  assert.ok(!a.events.includes("never-there", since), a.events.join());
});

test("another secret shows on every path and is one problem and one line", async (t) => {
  const place = await newDoublePlace();
  const a = nodeOf(t, "a", place);
  nodeOf(t, "b", place, { secret: "another" });
  await eventually(() => a.link.status().paths.every(({ problem }) => /secret/.test(problem ?? "")));
  assert.ok(a.events.includes("estranged"));
  assert.equal(a.link.status().problem, "b does not have our secret: is the secret the same on both nodes?");
  assert.equal(a.logged.filter((line) => line.includes("secret")).length, 1);
});

test("each group is heard for itself, and the newest of each is said on each connection that opens", async (t) => {
  const place = await newDoublePlace();
  const a = nodeOf(t, "a", place);
  for (const group of ["one", "two", "three"]) {
    for (let epoch = 1; epoch <= 3; epoch += 1) a.say({ group, epoch });
  }
  // The group that spoke first has also spoken last.
  a.say({ group: "one", epoch: 4 });
  const b = nodeOf(t, "b", place);
  b.say();
  await eventually(() => b.link.status().connections === 4);
  const heard = (): string[] => b.heard.map((said) => `${said.group} ${String(said.epoch)}`);
  assert.deepEqual(heard(), ["one 4", "two 3", "three 3"]);
  b.heard.length = 0;
  const expected: string[] = [];
  for (let epoch = 10; epoch < 30; epoch += 1) {
    for (const group of ["two", "one"]) {
      a.say({ group, epoch });
      expected.push(`${group} ${String(epoch)}`);
    }
  }
  await eventually(() => b.heard.length >= expected.length);
  assert.deepEqual(heard(), expected);
});
