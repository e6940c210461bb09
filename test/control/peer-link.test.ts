import assert from "node:assert/strict";
import { readFile } from "node:fs";
import { test } from "node:test";
import type { WebSocket } from "ws";
import { monotonicClock } from "../../src/system/clock.ts";
import {
  advertisementOf,
  dialAsPeer,
  eventually,
  frame,
  keepTalking,
  listenPlain,
  newPlace,
  nodeOf,
  startChild,
  startImpostor,
} from "./peer-pair.ts";
import { Stopwatch } from "../support/stopwatch.ts";

test("two nodes hear each other over two connections, each advertisement once and in order", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  const b = nodeOf(t, "b", place);
  a.say();
  b.say();
  await eventually(() => a.link.status().connections === 2 && b.link.status().connections === 2);
  for (let epoch = 10; epoch < 60; epoch += 1) a.say({ epoch });
  await eventually(() => b.heard.at(-1)?.epoch === 59);
  const epochs = b.heard.map(({ epoch }) => epoch).filter((epoch) => epoch >= 10);
  assert.deepEqual(
    epochs,
    Array.from({ length: 50 }, (_, index) => index + 10),
  );
  assert.deepEqual(b.heard.at(-1), advertisementOf("a", { epoch: 59 }));
  const { connected, lastHeardMs, problem, rejectedMessages } = b.link.status();
  assert.deepEqual([connected, problem, rejectedMessages], [true, null, 0]);
  assert.ok(lastHeardMs !== null && lastHeardMs < 1000);
  assert.equal(b.events.filter((event) => event === "connected").length, 1);
});

test("what was said before the peer came is said to it as it comes", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  a.say({ epoch: 42 });
  const b = nodeOf(t, "b", place);
  await eventually(() => b.heard.length > 0);
  assert.equal(b.heard[0]?.epoch, 42);
});

test("a peer whose machine refuses is dead from the start, and told so again and again", async (t) => {
  const a = nodeOf(t, "a", await newPlace());
  await eventually(() => a.events.length >= 3);
  assert.deepEqual(new Set(a.events), new Set(["never-there"]));
  assert.match(a.link.status().problem ?? "", /refuses connections: vipair does not run there/);
  assert.equal(a.logged.length, 1);
});

test("rule 1: a killed process is known to be dead within 100 ms", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  keepTalking(t, a);
  const child = await startChild(t, place);
  await eventually(() => a.link.status().connections === 2);
  const stopwatch = new Stopwatch(t);
  const killedAt = monotonicClock();
  child.kill("SIGKILL");
  await eventually(() => a.events.includes("dead"));
  const afterKillMs = (a.at.get("dead") ?? Infinity) - killedAt;
  const lastDisconnect = a.events.lastIndexOf("disconnected");
  assert.ok(lastDisconnect >= 0 && lastDisconnect < a.events.indexOf("dead"));
  assert.ok(!a.events.includes("estranged"));
  t.diagnostic(`dead ${afterKillMs.toFixed(1)} ms after the kill`);
  stopwatch.assertBelow(100, afterKillMs);
});

test("a process that is killed again and again is never taken for estranged, and is heard when it returns", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  keepTalking(t, a);
  for (let round = 0; round < 5; round += 1) {
    a.events.length = 0;
    // oxlint-disable no-await-in-loop -- one life of the peer after the other
    const child = await startChild(t, place);
    await eventually(() => a.events.includes("connected"));
    child.kill("SIGKILL");
    await eventually(() => a.events.includes("dead"));
    // oxlint-enable no-await-in-loop
    assert.ok(!a.events.includes("estranged"));
  }
});

test("a peer that stops says goodbye, frees its port first and is known to be gone at once", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  const b = nodeOf(t, "b", place);
  a.say();
  b.say();
  await eventually(() => a.link.status().connections === 2 && b.link.status().connections === 2);
  const stopwatch = new Stopwatch(t);
  const stopAt = monotonicClock();
  await b.link.stop();
  const tookMs = monotonicClock() - stopAt;
  stopwatch.assertBelow(500, tookMs);
  await eventually(() => a.events.includes("dead"));
  stopwatch.assertBelow(100, (a.at.get("dead") ?? Infinity) - stopAt);
  const count = b.events.length;
  await b.link.stop();
  assert.equal(b.events.length, count);
});

test("a frozen process is neither dead nor estranged: nothing is said, and the link returns with it", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  keepTalking(t, a);
  const child = await startChild(t, place);
  await eventually(() => a.link.status().connections === 2);
  a.events.length = 0;
  child.kill("SIGSTOP");
  await eventually(() => a.events.includes("disconnected"));
  // Several times over what a verdict would take.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.deepEqual(a.events, ["disconnected"]);
  a.heard.length = 0;
  child.kill("SIGCONT");
  await eventually(() => a.events.includes("connected"), 3000);
  await eventually(() => a.heard.length > 5);
  const epochs = a.heard.map(({ epoch }) => epoch);
  assert.deepEqual(
    epochs,
    epochs.toSorted((x, y) => x - y),
  );
  assert.ok(!a.events.includes("dead") && !a.events.includes("estranged"));
});

test("a stop that finds the peer frozen still ends within 500 ms", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  keepTalking(t, a);
  const child = await startChild(t, place);
  await eventually(() => a.link.status().connections === 2);
  child.kill("SIGSTOP");
  const stopwatch = new Stopwatch(t);
  const stopAt = monotonicClock();
  await a.link.stop();
  stopwatch.assertBelow(500, monotonicClock() - stopAt);
});

test("while our own port is busy the pair stays in touch over the other connection, and it opens later", async (t) => {
  const place = await newPlace();
  const blocker = await listenPlain(t, place.a, place.port, (socket) => socket.destroy());
  const a = nodeOf(t, "a", place);
  const b = nodeOf(t, "b", place);
  a.say();
  b.say();
  await eventually(() => a.link.status().connected && b.link.status().connected);
  assert.match(a.link.status().problem ?? "", /^cannot listen on .*: another program uses the port$/);
  assert.equal(a.logged.filter((line) => line.includes("cannot listen")).length, 1);
  blocker.close();
  await eventually(() => a.link.status().connections === 2);
  assert.equal(a.link.status().problem, null);
});

test("a node whose own address is missing says so and does not judge the peer", async (t) => {
  const place = { a: "203.0.113.77", b: (await newPlace()).b, port: 17946 };
  const a = nodeOf(t, "a", place);
  await eventually(() => (a.link.status().problem ?? "").includes("cannot listen"));
  await eventually(() => (a.link.status().problem ?? "").includes("cannot dial"));
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.deepEqual(a.events, []);
});

test("the silence of one connection is noticed and the link dials anew", async (t) => {
  const place = await newPlace();
  let connections = 0;
  startImpostor(t, place, (webSocket) => {
    connections += 1;
    webSocket.send(frame({ boot: `life ${String(connections)}` }));
  });
  const a = nodeOf(t, "a", place);
  await eventually(() => connections >= 3);
  assert.ok(a.events.includes("connected") && a.events.includes("disconnected"));
  assert.ok(!a.events.includes("dead") && !a.events.includes("estranged"));
});

test("rule 11: a peer that says that it speaks more rarely is not silent between two of its words", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  const b = nodeOf(t, "b", place);
  keepTalking(t, a);
  b.say({ intervalMs: 1000 });
  await eventually(() => a.link.status().connections === 2);
  // By its own interval it would have given up the connections after 263 ms.
  await eventually(() => (a.link.status().lastHeardMs ?? 0) > 800);
  assert.equal(a.link.status().connections, 2);
  assert.ok(!a.events.includes("disconnected"));
});

test("what an older connection holds of a former life of the peer is not heard", async (t) => {
  const place = await newPlace();
  const older: WebSocket[] = [];
  startImpostor(t, place, (webSocket) => older.push(webSocket));
  const a = nodeOf(t, "a", place);
  await eventually(() => older.length === 1);
  const newer = await dialAsPeer(t, place);
  newer.send(frame({ boot: "new", epoch: 9 }));
  await eventually(() => a.heard.length === 1);
  const closes: number[] = [];
  older[0]?.on("close", (code) => closes.push(code));
  older[0]?.send(frame({ boot: "old", epoch: 3, seq: 1000 }));
  await eventually(() => closes.length === 1);
  newer.send(frame({ boot: "new", epoch: 10, n: 2, seq: 2 }));
  await eventually(() => a.heard.length === 2);
  assert.deepEqual(
    a.heard.map(({ epoch }) => epoch),
    [9, 10],
  );
});

test("while a connection of the peer is open, refused dials do not mean that it is dead", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  const caller = await dialAsPeer(t, place);
  caller.send(frame({}));
  await eventually(() => a.events.includes("connected"));
  // The link dials each 100 ms and is refused, as nothing listens at b.
  for (let n = 2; n < 12; n += 1) {
    // oxlint-disable-next-line no-await-in-loop -- half a second of a living peer
    await new Promise((resolve) => setTimeout(resolve, 50));
    caller.send(frame({ n, seq: n }));
  }
  assert.deepEqual(a.events.slice(a.events.indexOf("connected")), ["connected"]);
  assert.equal(a.link.status().problem, null);
  caller.terminate();
  await eventually(() => a.events.includes("dead"));
});

test("of two incoming connections the newer one replaces the older with its first good message", async (t) => {
  const place = await newPlace();
  nodeOf(t, "a", place);
  const older = await dialAsPeer(t, place);
  older.send(frame({}));
  const closes: number[] = [];
  older.on("close", (code) => closes.push(code));
  const newer = await dialAsPeer(t, place);
  newer.send(frame({ seq: 2 }));
  await eventually(() => closes.length === 1);
  assert.deepEqual(closes, [4003]);
  assert.equal(newer.readyState, newer.OPEN);
});

test("a node that was held up itself reads what has come before it judges the peer", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  keepTalking(t, a);
  await startChild(t, place, 10_000);
  await eventually(() => a.link.status().connections === 2);
  // The event loop stands still for longer than a silent connection lives, in the callback of some
  // other input: then timers run before what has come meanwhile is read.
  await new Promise<void>((resolve) => {
    readFile(import.meta.filename, () => {
      const until = performance.now() + 700;
      while (performance.now() < until);
      resolve();
    });
  });
  const heard = a.heard.length;
  await eventually(() => a.heard.length > heard + 5);
  assert.deepEqual(a.events.slice(a.events.indexOf("connected")), ["connected"]);
});
