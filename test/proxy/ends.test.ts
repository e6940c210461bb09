// The ends of clients' connections on which something is under way: what is lost shows, to the client and in the log, and
// whoever still takes what it is sent is not given up. In this process, with sockets, so that a deadline can be said to
// have passed.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, type Socket, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AccessLog } from "../../src/proxy/access-log.ts";
import { BackendConnection } from "../../src/proxy/backend-connection.ts";
import type { ClientConnection } from "../../src/proxy/client-connection.ts";
import type { Expiring } from "../../src/proxy/timers.ts";
import { SendWatch } from "../../src/proxy/kernel-state.ts";
import type { ByteStream } from "../../src/proxy/stream.ts";
import { OK, RawBackend, type RawPeer, answering, eventually, get, openClient } from "./harness.ts";
import { type StreamRig, openStreamRig } from "./stream-rig.ts";

interface Ends extends StreamRig {
  readonly backend: RawBackend;
  /** A new client, and the worker's side of it. */
  readonly open: () => Promise<{ client: RawPeer; socket: Socket; connection: ClientConnection }>;
  /** The worker's side of the connection to the backend that was made last. */
  readonly toBackend: () => BackendConnection;
  /** The lines of the access log; waits for as many. */
  readonly lines: (count: number) => Promise<readonly Readonly<Record<string, unknown>>[]>;
}

async function openEnds(t: TestContext, backend = new RawBackend()): Promise<Ends> {
  await backend.start();
  const folder = mkdtempSync(join(tmpdir(), "vipair-ends-"));
  const file = join(folder, "access.log");
  const rig = openStreamRig(t, [backend.port]);
  const watch = t.mock.method(rig.context.timers, "watch");
  const accessLog = new AccessLog({ config: { file }, node: "test", log: rig.context.log });
  rig.context.accessLog = accessLog;
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    server.close();
    backend.close();
    await accessLog.close({ withinMs: 1000 });
    rmSync(folder, { recursive: true });
  });
  const { port } = server.address() as AddressInfo;
  return {
    ...rig,
    backend,
    open: async () => {
      const accepted = once(server, "connection") as Promise<[Socket]>;
      const client = await openClient(t, port);
      const [socket] = await accepted;
      return { client, socket, connection: rig.take(socket) };
    },
    toBackend: () => {
      const watched = watch.mock.calls.map(({ arguments: [one] }) => one);
      const last = watched.findLast((one) => one instanceof BackendConnection);
      assert.ok(last instanceof BackendConnection);
      return last;
    },
    lines: async (count) => {
      await eventually(`${String(count)} lines`, () => readLines(file).length >= count);
      return readLines(file).map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
    },
  };
}

function readLines(file: string): string[] {
  return readFileSync(file, "latin1").split("\n").slice(0, -1);
}

const CHUNK_BYTES = 16_384;
/** So small that the backend is not stopped when the first one waits. */
const CHUNK = `4000\r\n${"x".repeat(CHUNK_BYTES)}\r\n`;

/** Sends chunks until the kernel takes no more for the client and a part waits in this process. Returns how many. */
async function fill(atBackend: RawPeer, socket: Socket): Promise<number> {
  for (let sent = 1; sent < 2000; sent += 1) {
    atBackend.send(CHUNK);
    await eventually("taken", () => atBackend.socket.writableLength === 0);
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    if (socket.writableLength > 0) return sent;
  }
  throw new Error("the kernel takes everything");
}

/** The tables of the kernel are read twice a second. */
const TABLES_MS = 600;

/** Its deadline passes. */
async function expire(ends: Ends, connection: Expiring): Promise<void> {
  assert.equal(ends.context.tally.connections, 1, "closed before its time");
  connection.deadlineAt = 0;
  await eventually("the tick", () => connection.deadlineAt !== 0);
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
}

/** A client that reads nothing has asked for an answer without a length, and a part of it waits in the worker. */
async function unread(ends: Ends) {
  const { client, socket, connection } = await ends.open();
  client.socket.pause();
  client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  const atBackend = await ends.backend.peer();
  await atBackend.receives("\r\n\r\n");
  atBackend.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  const chunks = await fill(atBackend, socket);
  return { client, socket, connection, atBackend, bodyBytes: chunks * CHUNK_BYTES };
}

/** Reads about as many bytes and no more. */
async function take({ socket, received }: RawPeer, bytes: number): Promise<void> {
  const before = socket.bytesRead;
  const stop = (): void => {
    if (socket.bytesRead >= before + bytes) socket.pause();
  };
  socket.on("data", stop);
  socket.resume();
  await eventually(`${String(bytes)} more than ${String(received.length)} bytes`, () => socket.isPaused());
  socket.off("data", stop);
}

/**
 * Reads until the kernel that sends knows of it: how much must be free before the one that receives says so depends on
 * the buffer that it has grown to.
 */
async function takeSome(peer: RawPeer, sender: ByteStream): Promise<void> {
  const watch = new SendWatch();
  watch.hasMoved(sender);
  for (let i = 0; i < 5; i += 1) {
    await take(peer, 300_000);
    await sleep(TABLES_MS);
    if (watch.hasMoved(sender)) return;
  }
  throw new Error("the kernel says nothing of 1.5 MB");
}

/** Sends chunks without end, as fast as they are taken. */
function pour(peer: RawPeer): void {
  const more = (): void => {
    while (!peer.hasClosed && peer.socket.writable && peer.socket.write(CHUNK));
  };
  peer.socket.on("drain", more);
  more();
}

function bodyOf(client: RawPeer): number {
  return client.received.length - client.received.indexOf("\r\n\r\n") - 4;
}

async function assertCut(client: RawPeer): Promise<void> {
  client.socket.resume();
  await eventually("the end", () => client.hasClosed || client.hasEnded);
  assert.equal(client.hasEnded, false, "an orderly end looks whole");
  assert.match(client.error?.message ?? "", /ECONNRESET/u);
}

test("a client that takes no more of a whole answer is cut so that it shows, and the log says so", async (t) => {
  const ends = await openEnds(t);
  const { client, connection, atBackend, bodyBytes } = await unread(ends);
  atBackend.send("0\r\n\r\n");
  await eventually("all of it is written", () => ends.inFlight() === 0);
  // The first look cannot tell whether anything moves.
  await expire(ends, connection);
  await expire(ends, connection);
  await eventually("closed", () => ends.context.tally.connections === 0);
  await assertCut(client);
  const [line] = await ends.lines(1);
  assert.equal(line?.["end"], "client-timeout");
  assert.equal(line["status"], 200);
  assert.ok(Number(line["bytesOut"]) < bodyBytes, `${String(line["bytesOut"])} of ${String(bodyBytes)}`);
});

test("a client that takes the rest of an answer slowly gets all of it, and its line then", async (t) => {
  const ends = await openEnds(t);
  const { client, socket, connection, atBackend, bodyBytes } = await unread(ends);
  atBackend.send("0\r\n\r\n");
  await eventually("all of it is written", () => ends.inFlight() === 0);
  for (let i = 0; i < 2; i += 1) {
    await takeSome(client, socket);
    await expire(ends, connection);
    assert.equal(ends.context.tally.connections, 1, "given up");
  }
  client.socket.resume();
  await eventually("the end", () => client.hasClosed || client.hasEnded);
  assert.equal(client.error, null);
  assert.equal(bodyOf(client), bodyBytes);
  const [line] = await ends.lines(1);
  assert.equal(line?.["end"], "ok");
  client.close();
});

test("a grace that ends inside an answer without a length cuts it so that it shows", async (t) => {
  const ends = await openEnds(t);
  const { client, connection } = await ends.open();
  client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  const atBackend = await ends.backend.peer();
  await atBackend.receives("\r\n\r\n");
  atBackend.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNK}`);
  await client.receives("xxx");
  connection.cut();
  await assertCut(client);
  const [line] = await ends.lines(1);
  assert.equal(line?.["end"], "shutdown");
});

test("a grace that ends while the end of an answer waits cuts it so that it shows", async (t) => {
  const ends = await openEnds(t);
  const { client, connection, atBackend, bodyBytes } = await unread(ends);
  atBackend.send("0\r\n\r\n");
  await eventually("all of it is written", () => ends.inFlight() === 0);
  connection.cut();
  await assertCut(client);
  const [line] = await ends.lines(1);
  assert.equal(line?.["end"], "shutdown");
  assert.ok(Number(line["bytesOut"]) < bodyBytes);
});

test("a grace that ends in a tunnel cuts it so that it shows", async (t) => {
  const ends = await openEnds(t);
  const { client, connection } = await ends.open();
  client.send(get("/", "Connection: Upgrade", "Upgrade: x"));
  const atBackend = await ends.backend.peer();
  await atBackend.receives("\r\n\r\n");
  atBackend.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  await client.receives("\r\n\r\n");
  connection.cut();
  await assertCut(client);
});

test("a client that takes an answer slowly while it comes is not given up, and one that takes nothing is", async (t) => {
  const ends = await openEnds(t);
  const { client, socket, atBackend } = await unread(ends);
  pour(atBackend);
  await eventually("the backend is stopped", () => ends.toBackend().stream.isPaused());
  for (let i = 0; i < 3; i += 1) {
    await takeSome(client, socket);
    await expire(ends, ends.toBackend());
    assert.equal(ends.context.tally.connections, 1, "given up");
  }
  await sleep(TABLES_MS);
  await expire(ends, ends.toBackend());
  await eventually("closed", () => ends.context.tally.connections === 0);
  await assertCut(client);
  const [line] = await ends.lines(1);
  assert.equal(line?.["end"], "client-timeout");
});

test("a backend that takes a body slowly is not given up, and one that takes nothing is", async (t) => {
  const ends = await openEnds(t);
  const { client } = await ends.open();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000\r\n\r\n");
  const atBackend = await ends.backend.peer();
  await atBackend.receives("\r\n\r\n");
  atBackend.socket.pause();
  pour(client);
  await eventually("the client is stopped", () => ends.toBackend().stream.writableNeedDrain);
  for (let i = 0; i < 3; i += 1) {
    await takeSome(atBackend, ends.toBackend().stream);
    await expire(ends, ends.toBackend());
    assert.equal(ends.inFlight(), 1, "given up");
  }
  await sleep(TABLES_MS);
  await expire(ends, ends.toBackend());
  assert.match(await client.receives("\r\n\r\n"), /^HTTP\/1\.1 504 /u);
  const [line] = await ends.lines(1);
  assert.equal(line?.["end"], "backend-timeout");
});

for (const [what, behind] of [
  ["an empty line", "\r\n"],
  ["a few empty lines", "\r\n\r\n\r\n"],
  ["half an empty line", "\r"],
] as const) {
  test(`${what} behind a request leaves the connection idle`, async (t) => {
    const ends = await openEnds(t, answering(OK));
    const { client, connection, socket } = await ends.open();
    client.send(`GET /1 HTTP/1.1\r\nHost: a\r\n\r\n${behind}`);
    await client.receives("ok");
    client.forget();
    if (behind === "\r") client.send("\n");
    client.send(get("/2"));
    await client.receives("ok");
    client.send(behind);
    await eventually("read", () => socket.bytesRead === client.socket.bytesWritten);
    client.forget();
    connection.leave();
    assert.equal(await client.endsOrCloses(), "");
    client.close();
    assert.equal((await ends.lines(2)).length, 2);
  });

  test(`${what} behind a request is not asked to be a request in time`, async (t) => {
    const ends = await openEnds(t, answering(OK));
    const { client, connection, socket } = await ends.open();
    client.send(get("/1") + behind);
    await client.receives("ok");
    await eventually("read", () => socket.bytesRead === client.socket.bytesWritten);
    client.forget();
    await expire(ends, connection);
    assert.equal(await client.endsOrCloses(), "");
    client.close();
  });
}

/** A client sends this and its end while a part of the answer to its request before waits in this process; it gets all of it. */
async function endBehindAnswer(ends: Ends, sent: string): Promise<void> {
  const { client, socket } = await ends.open();
  client.socket.pause();
  client.send(get("/"));
  const atBackend = await ends.backend.peer();
  await atBackend.receives("\r\n\r\n");
  atBackend.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  await fill(atBackend, socket);
  atBackend.send("0\r\n\r\n");
  await eventually("all of it is written", () => ends.inFlight() === 0);
  assert.ok(socket.writableLength > 0, "a part waits in this process");
  client.socket.end(sent);
  await eventually("read", () => socket.bytesRead === client.socket.bytesWritten);
  client.socket.resume();
  await eventually("the end", () => client.hasClosed || client.hasEnded);
  assert.equal(client.error, null);
  assert.ok(client.text.endsWith("\r\n0\r\n\r\n"));
}

test("a client that ends inside its next request gets the rest of the answer before, and the log has its line", async (t) => {
  const ends = await openEnds(t);
  await endBehindAnswer(ends, "GET /cut HTT");
  const [whole, cut] = await ends.lines(2);
  assert.equal(whole?.["end"], "ok");
  assert.equal(cut?.["end"], "client-closed");
  assert.equal(cut["requestLine"], "GET /cut HTT");
});

test("a client that ends inside a body without an answer gets the rest of the answer before", async (t) => {
  const ends = await openEnds(t);
  await endBehindAnswer(ends, "POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
  const [, cut] = await ends.lines(2);
  assert.equal(cut?.["end"], "client-closed");
});

test("a client that ends inside its body after its answer has begun sees that the answer is not whole", async (t) => {
  const ends = await openEnds(t);
  const { client } = await ends.open();
  client.send("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
  const atBackend = await ends.backend.peer();
  await atBackend.receives("half");
  atBackend.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000\r\n");
  await client.receives("\r\n\r\n");
  client.socket.end();
  await assertCut(client);
});

test("who is answered early may send on while it reads: bytes that come put the end off, to a limit", async (t) => {
  const ends = await openEnds(t);
  let nowMs = 1e12;
  const { client, socket, connection } = await ends.open();
  t.mock.method(ends.context.timers, "after", (ms: number) => nowMs + ms);
  client.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nContent-Length: 99999\r\n\r\n");
  assert.match(await client.receives("\r\n\r\n"), /^HTTP\/1\.1 20[04] /u);
  await eventually("the end", () => client.hasEnded);
  const begunAtMs = nowMs;
  assert.equal(connection.deadlineAt, begunAtMs + 2000);
  for (const [passedMs, deadlineMs] of [
    [1500, 3500],
    [20_000, 22_000],
    [29_000, 30_000],
  ] as const) {
    nowMs = begunAtMs + passedMs;
    client.send("x".repeat(1000));
    await eventually("read", () => socket.bytesRead === client.socket.bytesWritten);
    assert.equal(connection.deadlineAt, begunAtMs + deadlineMs);
  }
});
