import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { test } from "node:test";
import type { WebSocket } from "ws";
import { PROTOCOL_VERSION } from "../../src/control/peer-frame.ts";
import { PeerLink } from "../../src/control/peer-link.ts";
import type { PeerLinkOptions } from "../../src/control/peer-link.ts";
import { monotonicClock } from "../../src/system/clock.ts";
import {
  SECRET,
  eventually,
  frame,
  listenPlain,
  keepTalking,
  newPlace,
  nodeOf,
  startImpostor,
  GROUPS,
} from "./peer-pair.ts";

test("another secret makes both nodes estranged, with a reason to act on, and one line in each log", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  const b = nodeOf(t, "b", place, { secret: "another" });
  await eventually(() => a.events.filter((event) => event === "estranged").length >= 3);
  await eventually(() => b.events.filter((event) => event === "estranged").length >= 3);
  assert.equal(a.link.status().problem, "b does not have our secret: is the secret the same on both nodes?");
  assert.equal(b.link.status().problem, "a does not have our secret: is the secret the same on both nodes?");
  assert.equal(a.logged.filter((line) => line.includes("secret")).length, 1);
  assert.equal(a.link.status().connected, false);
  assert.deepEqual(a.heard, []);
});

test("an estranged peer that is put right is heard, and the problem is gone", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  a.say();
  const wrong = nodeOf(t, "b", place, { secret: "another" });
  await eventually(() => a.events.includes("estranged"));
  await wrong.link.stop();
  const right = nodeOf(t, "b", place);
  right.say();
  await eventually(() => a.link.status().connections === 2);
  assert.equal(a.link.status().problem, null);
});

test("a peer that goes by another name is refused and estranged", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  nodeOf(t, "b", place, { selfName: "c" });
  await eventually(() => a.events.includes("estranged"));
  assert.match(a.link.status().problem ?? "", /^b and we disagree about the nodes' names/);
});

test("of two nodes that disagree about the name of one of them, neither hears the other", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  // It was renamed in the file of b, which was restarted, and runs with its old name still.
  const b = nodeOf(t, "b", place, { peerName: "x" });
  keepTalking(t, a);
  keepTalking(t, b);
  for (const node of [a, b])
    await eventually(() => node.events.filter((event) => event === "estranged").length >= 3);
  assert.ok(!a.events.includes("connected") && !b.events.includes("connected"), a.events.join());
  assert.match(a.link.status().problem ?? "", /^b and we disagree about the nodes' names/);
  assert.match(b.link.status().problem ?? "", /^x and we disagree about the nodes' names/);
  for (const { logged } of [a, b])
    assert.equal(logged.filter((line) => line.includes("names")).length, 1, logged.join("\n"));
});

/** A link of node a that is never started. */
function linkTo(peer: string, paths: PeerLinkOptions["paths"]): PeerLink {
  return new PeerLink({
    self: { name: "a" },
    groups: GROUPS,
    peer: { name: peer },
    paths,
    port: 1,
    secret: SECRET,
    intervalMs: 50,
    silenceMs: 200,
    clock: monotonicClock,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    events: {
      advertisement() {},
      changes() {},
      config() {},
      dead() {},
      estranged() {},
      connected() {},
      disconnected() {},
    },
  });
}

test("a node cannot be its own peer, nor can two paths share an address", () => {
  const first = { self: "127.41.1.1", peer: "127.41.1.2" };
  assert.throws(() => linkTo("a", [first]), /a cannot be its own peer/);
  assert.throws(() => linkTo("b", [{ ...first, peer: first.self }]), /a cannot be its own peer/);
  assert.throws(
    () => linkTo("b", [first, { ...first, peer: "127.41.1.3" }]),
    /nor an address be in two paths/,
  );
  assert.throws(() => linkTo("b", []), /no path/);
});

test("a peer of another protocol version is estranged at once and told so with code 4001", async (t) => {
  const place = await newPlace();
  const closes: number[] = [];
  startImpostor(t, place, (webSocket) => {
    webSocket.on("close", (code) => closes.push(code));
    webSocket.send(frame({ v: PROTOCOL_VERSION + 1 }));
  });
  const a = nodeOf(t, "a", place);
  await eventually(() => a.events.includes("estranged") && closes.length > 0);
  const [theirs, ours] = [String(PROTOCOL_VERSION + 1), String(PROTOCOL_VERSION)];
  const problem = `b speaks protocol version ${theirs}, this node ${ours}: upgrade both`;
  assert.equal(a.link.status().problem, problem);
  assert.equal(closes[0], 4001);
});

test("a peer that closes with 4001 is of another protocol version too", async (t) => {
  const place = await newPlace();
  startImpostor(t, place, (webSocket) => webSocket.close(4001, "another version only"));
  const a = nodeOf(t, "a", place);
  await eventually(() => a.events.includes("estranged"));
  const ours = `does not speak this node's protocol version ${String(PROTOCOL_VERSION)}: upgrade both`;
  assert.ok((a.link.status().problem ?? "").includes(ours));
});

for (const [what, talk] of [
  ["text that is not JSON", (ws) => ws.send("{")],
  ["a binary message", (ws) => ws.send(Buffer.from(frame({})))],
  ["a message of more than 4 KiB", (ws) => ws.send(frame({ padding: "x".repeat(5000) }))],
  ["a first message that is not number 1", (ws) => ws.send(frame({ n: 2 }))],
  ["a message twice", (ws) => [ws.send(frame({})), ws.send(frame({}))]],
  [
    "another life of the peer on the same connection",
    (ws) => [ws.send(frame({})), ws.send(frame({ n: 2, boot: "y" }))],
  ],
  ["an unknown kind", (ws) => ws.send(frame({ kind: "order" }))],
  ["another node's name", (ws) => ws.send(frame({ node: "z" }))],
  ["our own name", (ws) => ws.send(frame({ node: "a" }))],
  ["a priority out of range", (ws) => ws.send(frame({ priority: 300 }))],
] as readonly (readonly [string, (webSocket: WebSocket) => unknown])[]) {
  test(`${what} costs the connection and is counted; the node lives on`, async (t) => {
    const place = await newPlace();
    const closes: number[] = [];
    startImpostor(t, place, (webSocket) => {
      webSocket.on("close", (code) => closes.push(code));
      talk(webSocket);
    });
    const a = nodeOf(t, "a", place);
    await eventually(() => a.link.status().rejectedMessages >= 3 && closes.length >= 2);
    assert.ok(
      closes.every((code) => code === 4002 || code === 1009),
      closes.join(),
    );
    assert.equal(a.logged.filter((line) => line.includes("bad message")).length, 1);
    assert.ok(!a.events.includes("dead") && !a.events.includes("never-there"));
  });
}

test("three bad messages in a row, and nothing good, make a peer estranged", async (t) => {
  const place = await newPlace();
  let connections = 0;
  startImpostor(t, place, (webSocket) => {
    connections += 1;
    webSocket.send("garbage");
  });
  const a = nodeOf(t, "a", place);
  await eventually(() => a.events.includes("estranged"));
  assert.ok(connections >= 3);
  assert.match(a.link.status().problem ?? "", /^b sends what is no message of ours \(not JSON\)/);
});

test("another program on the peer's port makes the peer estranged, whether it answers or hangs up", async (t) => {
  const answering = await newPlace();
  await listenPlain(t, answering.b, answering.port, (socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end("HTTP/1.0 400 Bad Request\r\n\r\n"));
  });
  const a = nodeOf(t, "a", answering);
  const closing = await newPlace();
  await listenPlain(t, closing.b, closing.port, (socket) => socket.destroy());
  const other = nodeOf(t, "a", closing);
  await eventually(() => a.events.includes("estranged") && other.events.includes("estranged"));
  assert.match(a.link.status().problem ?? "", /is not vipair/);
  assert.match(other.link.status().problem ?? "", /closes every connection/);
});

test("strangers at our port are not taken for the peer, do not crowd it out and get two seconds", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  a.say();
  const strangers: Socket[] = [];
  t.after(() => strangers.forEach((socket) => socket.destroy()));
  let closed = 0;
  for (let index = 0; index < 30; index += 1) {
    const socket = connect({ host: place.a, port: place.port, localAddress: "127.41.9.9" });
    socket.on("error", () => {});
    socket.on("close", () => (closed += 1));
    strangers.push(socket);
  }
  // All but eight are shown the door at once; the others may sit there silently for a while.
  await eventually(() => closed >= 22);
  const openedAt = monotonicClock();
  const b = nodeOf(t, "b", place);
  b.say();
  await eventually(() => a.link.status().connections === 2);
  assert.ok(monotonicClock() - openedAt < 1500);
  const scanner = connect({ host: place.a, port: place.port, localAddress: "127.41.9.9" });
  t.after(() => scanner.destroy());
  scanner.on("error", () => {});
  scanner.write("GET / HTTP/1.0\r\n\r\n");
  await eventually(() => closed === 30, 4000);
  assert.ok(!a.events.includes("estranged"));
  assert.equal(a.link.status().problem, null);
});

test("garbage from the machine of a peer that does not run is not taken for the peer", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  await eventually(() => a.events.includes("never-there"));
  for (let index = 0; index < 5; index += 1) {
    const socket = connect({ host: place.a, port: place.port, localAddress: place.b });
    socket.on("error", () => {});
    socket.end("GET / HTTP/1.0\r\n\r\n");
    // oxlint-disable-next-line no-await-in-loop -- one scanner after the other
    await once(socket, "close");
  }
  await eventually(() => a.logged.some((line) => line.includes("is not vipair")));
  assert.ok(!a.events.includes("estranged"));
});

test("rule 13: without the secret there is no way in: neither plain WebSocket nor TLS of another kind", async (t) => {
  const place = await newPlace();
  const a = nodeOf(t, "a", place);
  const answer = await new Promise<string>((resolve) => {
    const socket = connect({ host: place.a, port: place.port });
    let text = "";
    socket.on("data", (data) => (text += data.toString("latin1")));
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
    socket.write("GET /v1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
  });
  assert.ok(!answer.includes("HTTP/1.1 101"));
  const withoutKey = connectTls({ host: place.a, port: place.port, rejectUnauthorized: false });
  const [error] = (await once(withoutKey, "error")) as [NodeJS.ErrnoException];
  assert.match(error.code ?? "", /^ERR_SSL_|ECONNRESET/);
  assert.equal(a.link.status().connected, false);
});
