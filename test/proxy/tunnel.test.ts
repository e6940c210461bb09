// Upgrades: a connection becomes a tunnel after the backend's 101, not before.

import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import {
  OK,
  RawBackend,
  type TestWorker,
  type RawPeer,
  answering,
  openClient,
  eventually,
  get,
  inTime,
  serve,
} from "./harness.ts";

const UPGRADE = get("/chat", "Connection: Upgrade", "Upgrade: echo");
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/** Switches, says hello at once, then echoes. */
function echoing(): RawBackend {
  return new RawBackend((peer) => {
    peer.socket.once("data", () => {
      peer.send(`${SWITCH}hello`);
      peer.socket.on("data", (bytes) => peer.socket.write(bytes));
    });
    peer.socket.on("end", () => peer.socket.end("bye"));
  });
}

test("after 101 bytes go both ways, the first ones included", async (t) => {
  const backend = echoing();
  const { worker, port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send(UPGRADE);
  const text = await peer.receives("hello");
  assert.match(text, /^HTTP\/1\.1 101 [^\r]*\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello$/u);
  assert.match((await backend.peer()).text, /\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n$/u);
  peer.send("\0\r\n\r\n\xff raw");
  await peer.receives("\0\r\n\r\n\xff raw");
  assert.equal((await worker.counters()).backends["web"]?.["b1"]?.activeConnections, 1);
});

test("what a client sends before the 101 waits for it", async (t) => {
  let before = "";
  const backend = new RawBackend((peer) => {
    peer.socket.once("data", () => {
      setTimeout(() => {
        before = peer.text;
        peer.send(SWITCH);
      }, 50);
    });
  });
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send(`${UPGRADE}early bytes`);
  await (await backend.peer()).receives("early bytes");
  assert.equal(before.includes("early"), false);
  assert.equal(before.endsWith("\r\n\r\n"), true);
});

test("without a 101 the connection stays HTTP", async (t) => {
  const backend = answering(OK);
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send(UPGRADE + get("/next"));
  await eventually("two answers", () => peer.text.split("HTTP/1.1 200").length === 3);
  assert.match((await backend.peer()).text, /GET \/next HTTP/u);
});

test("one side of a tunnel may end before the other", async (t) => {
  const { port } = await serve(t, { backends: [echoing()] });
  const peer = await openClient(t, port);
  peer.send(UPGRADE);
  await peer.receives("hello");
  peer.socket.end("last words");
  const text = await peer.endsOrCloses();
  assert.match(text, /hellolast wordsbye$/u);
});

test("a backend that dies in a tunnel closes the client's end", async (t) => {
  const backend = echoing();
  const { worker, port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send(UPGRADE);
  await peer.receives("hello");
  (await backend.peer()).socket.resetAndDestroy();
  await eventually("closed", () => peer.hasClosed || peer.hasEnded);
  assert.equal((await worker.counters()).backends["web"]?.["b1"]?.activeConnections, 0);
});

/** More than the kernel holds for a reader that waits. */
const MUCH = 8_000_000;

/** Switches and does the rest of its work when it is told to. */
function waiting(): RawBackend {
  return new RawBackend((peer) => {
    peer.socket.once("data", () => {
      peer.send(SWITCH);
    });
  });
}

/** Sends until the kernel takes no more and a part waits in the worker. Returns how many bytes that were. */
async function fill(worker: TestWorker, peer: RawPeer): Promise<number> {
  const piece = Buffer.alloc(30_000, "x");
  for (let sent = 0; sent < MUCH; sent += piece.length) {
    if ((await worker.holdings()).unsentBytes > 0) return sent;
    peer.send(piece);
  }
  throw new Error("the kernel takes everything");
}

for (const ended of ["client", "backend"] as const) {
  test(`what was sent to a slow ${ended} reaches it, though both had ended and the sender has gone`, async (t) => {
    const backend = waiting();
    const { worker, port } = await serve(t, { backends: [backend] });
    const client = await openClient(t, port);
    client.send(UPGRADE);
    await client.receives("\r\n\r\n");
    const atBackend = await backend.peer();
    const [reader, sender] = ended === "client" ? [client, atBackend] : [atBackend, client];
    reader.forget();
    reader.socket.pause();
    reader.socket.end();
    await eventually("the reader's end", () => sender.hasEnded);
    const sent = await fill(worker, sender);
    sender.socket.end();
    await eventually("the sender's connection has closed", () => sender.hasClosed);
    assert.ok((await worker.holdings()).unsentBytes > 0);
    reader.socket.resume();
    await eventually("the end", () => reader.hasEnded || reader.hasClosed);
    assert.equal(reader.received.length, sent);
  });
}

test("a client that never reads the end of a tunnel is closed after the tunnel's idle time", async (t) => {
  const backend = waiting();
  const { worker, port } = await serve(t, { backends: [backend], timeouts: { tunnelIdleMs: 300 } });
  const peer = await openClient(t, port);
  peer.send(UPGRADE);
  await peer.receives("\r\n\r\n");
  peer.socket.pause();
  peer.socket.end();
  const atBackend = await backend.peer();
  atBackend.socket.end(Buffer.alloc(MUCH, "x"));
  await eventually("closed", async () => (await worker.counters()).connections === 0);
});

test("a client that only sends after the backend is lost is closed", async (t) => {
  const backend = waiting();
  const { worker, port } = await serve(t, { backends: [backend], timeouts: { tunnelIdleMs: 300 } });
  const peer = await openClient(t, port);
  peer.send(UPGRADE);
  await peer.receives("\r\n\r\n");
  const atBackend = await backend.peer();
  atBackend.socket.end();
  await eventually("the backend's end", () => peer.hasEnded);
  atBackend.socket.resetAndDestroy();
  const chatter = setInterval(() => peer.send("more"), 50);
  t.after(() => {
    clearInterval(chatter);
  });
  await eventually("closed", async () => (await worker.counters()).connections === 0);
});

test("a reset in a tunnel is passed on as a reset, in either direction", async (t) => {
  const backend = waiting();
  const { port } = await serve(t, { backends: [backend] });
  for (const i of [0, 1]) {
    const peer = await openClient(t, port);
    peer.send(UPGRADE);
    await peer.receives("\r\n\r\n");
    const atBackend = await backend.peer(i);
    const [resetting, other] = i === 0 ? [peer, atBackend] : [atBackend, peer];
    resetting.socket.resetAndDestroy();
    await eventually("closed", () => other.hasClosed || other.hasEnded);
    assert.equal(other.hasEnded, false, "no orderly end");
    assert.match(other.error?.message ?? "", /ECONNRESET/u);
  }
});

test("a silent tunnel is closed after the tunnel's idle time", async (t) => {
  const { port } = await serve(t, { backends: [echoing()], timeouts: { tunnelIdleMs: 150 } });
  const peer = await openClient(t, port);
  peer.send(UPGRADE);
  await peer.receives("hello");
  await peer.endsOrCloses();
});

test("a WebSocket client and server do not notice the balancer", async (t) => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  server.on("connection", (socket) => {
    socket.on("message", (data, isBinary) => {
      socket.send(data, { binary: isBinary });
    });
  });
  await once(server, "listening");
  t.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  const { port } = await serve(t, { ports: [(server.address() as AddressInfo).port] });
  const socket = new WebSocket(`ws://127.0.0.1:${String(port)}/`);
  t.after(() => {
    socket.terminate();
  });
  await inTime("open", once(socket, "open"));
  const large = Buffer.alloc(3 * 1024 * 1024, 7);
  socket.send("hello");
  const [small] = (await inTime("echo", once(socket, "message"))) as [Buffer];
  assert.equal(small.toString(), "hello");
  socket.send(large);
  const [echo] = (await inTime("large echo", once(socket, "message"))) as [Buffer];
  assert.equal(echo.equals(large), true);
  socket.close(1000, "done");
  const [code] = (await inTime("close", once(socket, "close"))) as [number];
  assert.equal(code, 1000);
});
