// Each limit of a listener: what is just allowed, what is one too many, and the status that it gets.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  LIMITS,
  OK,
  type RawPeer,
  answering,
  askOnce,
  eventually,
  get,
  openClient,
  serve,
} from "./harness.ts";

interface Edge {
  readonly limit: string;
  readonly limits: Partial<typeof LIMITS>;
  readonly allowed: string;
  readonly refused: string;
  readonly status: number;
}

/** A head of exactly so many bytes. */
function headOf(bytes: number): string {
  const start = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: ";
  return `${start}${"x".repeat(bytes - start.length - 4)}\r\n\r\n`;
}

/** A request line of exactly so many bytes, without its end. */
function lineOf(bytes: number): string {
  const target = "/".padEnd(bytes - "GET  HTTP/1.1".length, "x");
  return `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
}

function fieldsOf(count: number): string {
  const more = Array.from({ length: count - 2 }, (_, i) => `X-${String(i)}: y`);
  return get("/", "Connection: close", ...more);
}

function bodyOf(bytes: number): string {
  return `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${String(bytes)}\r\n\r\n${"x".repeat(bytes)}`;
}

function chunkedBodyOf(bytes: number): string {
  const chunk = `${bytes.toString(16)}\r\n${"x".repeat(bytes)}\r\n0\r\n\r\n`;
  return `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`;
}

const EDGES: readonly Edge[] = [
  { limit: "head", limits: { headBytes: 2000 }, allowed: headOf(2000), refused: headOf(2001), status: 431 },
  {
    limit: "requestLine",
    limits: { requestLineBytes: 300 },
    allowed: lineOf(300),
    refused: lineOf(301),
    status: 414,
  },
  { limit: "fields", limits: { fields: 20 }, allowed: fieldsOf(20), refused: fieldsOf(21), status: 431 },
  { limit: "body", limits: { bodyBytes: 50 }, allowed: bodyOf(50), refused: bodyOf(51), status: 413 },
  {
    limit: "body (chunked)",
    limits: { bodyBytes: 50 },
    allowed: chunkedBodyOf(50),
    refused: chunkedBodyOf(51),
    status: 413,
  },
];

for (const { limit, limits, allowed, refused, status } of EDGES) {
  test(`${limit}: one more than allowed gets ${String(status)} and a close`, async (t) => {
    const backend = answering(OK);
    const { port } = await serve(t, {
      backends: [backend],
      listener: { limits: { ...LIMITS, ...limits } },
    });
    assert.match(await askOnce(port, allowed), /^HTTP\/1\.1 200 /u);
    const text = await askOnce(port, refused);
    assert.match(text, new RegExp(`^HTTP/1\\.1 ${String(status)} `, "u"));
    assert.match(text, /\r\nConnection: close\r\n/u);
  });
}

async function isServed(peer: RawPeer): Promise<void> {
  peer.forget();
  peer.send(get("/"));
  assert.match(await peer.receives("ok"), /^HTTP\/1\.1 200 /u);
}

test("connections: one more gets 503 before it has asked, and the others live on", async (t) => {
  const { worker, port } = await serve(t, {
    backends: [answering(OK)],
    listener: { limits: { ...LIMITS, connections: 2 } },
  });
  const first = await openClient(t, port);
  const second = await openClient(t, port);
  await isServed(first);
  const third = await openClient(t, port);
  const text = await third.endsOrCloses();
  assert.match(text, /^HTTP\/1\.1 503 /u);
  assert.match(text, /\r\nRetry-After: \d+\r\n/u);
  assert.match(text, /\r\nConnection: close\r\n/u);
  await isServed(first);
  await isServed(second);
  const counters = await worker.counters();
  assert.equal(counters.connections, 2);
  assert.equal(counters.refusedConnections, 1);
  second.close();
  await eventually("room", async () => (await worker.counters()).connections === 1);
  await isServed(await openClient(t, port));
});

test("connectionsPerAddress: one more of that address gets 429, other addresses are served", async (t) => {
  const { worker, port } = await serve(t, {
    backends: [answering(OK)],
    listener: { limits: { ...LIMITS, connectionsPerAddress: 1 } },
  });
  await isServed(await openClient(t, port));
  assert.match(await askOnce(port, get("/")), /^HTTP\/1\.1 429 /u);
  await isServed(await openClient(t, port, { from: "127.0.0.9" }));
  assert.equal((await worker.counters()).refusedConnections, 1);
});

test("a flood of refused connections is answered as far as there is room, then reset, and costs nothing", async (t) => {
  const { worker, port } = await serve(t, {
    backends: [answering(OK)],
    listener: { limits: { ...LIMITS, connections: 1 } },
  });
  const first = await openClient(t, port);
  await isServed(first);
  worker.process.kill("SIGSTOP");
  const flood = await Promise.all(Array.from({ length: 400 }, () => openClient(t, port)));
  worker.process.kill("SIGCONT");
  await eventually("all have their answer", () => flood.every((peer) => peer.hasEnded || peer.hasClosed));
  for (const peer of flood) if (peer.text !== "") assert.match(peer.text, /^HTTP\/1\.1 503 /u);
  assert.ok(
    flood.some((peer) => peer.text === ""),
    "some were reset",
  );
  assert.ok(flood.filter((peer) => peer.text !== "").length >= 256);
  await isServed(first);
  assert.equal((await worker.counters()).refusedConnections, 400);
});

test("requestsPerConnection: the last one is answered with Connection: close", async (t) => {
  const backend = answering(OK);
  const { port } = await serve(t, {
    backends: [backend],
    listener: { limits: { ...LIMITS, requestsPerConnection: 3 } },
  });
  const text = await askOnce(port, get("/").repeat(5));
  const answers = text.split("HTTP/1.1 200 OK\r\n").slice(1);
  assert.equal(answers.length, 3);
  assert.deepEqual(
    answers.map((answer) => answer.includes("Connection: close\r\n")),
    [false, false, true],
  );
  assert.equal((await backend.peer()).text.split("GET ").length - 1, 3);
});
