// Clients that make it hard for a proxy to keep bytes apart: they send in small and large pieces, read
// slowly and fast, pipeline, use lengths, chunks and tunnels, and check every byte that they get. What one
// does follows from its seed. They speak to an echo backend (test/support/echo-backend.ts).

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { contentOf, createRandom, hashOf } from "../support/content.ts";
import { type ReadResponse, ResponseReader } from "../support/response-reader.ts";
import { eventually, inTime } from "./harness.ts";

type Random = () => number;

interface Visit {
  readonly port: number;
  readonly seed: number;
  /** A connection to the proxy; over TCP when nothing else is said. */
  readonly connect?: (port: number) => Socket;
}

function connectPlain(port: number): Socket {
  return connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
}

const REQUESTS = 6;
/** Larger than what the kernel holds for a reader that pauses. */
const LARGE_BYTES = 6_000_000;
const SIZES = [0, 1, 100, 5000, 65_535, 65_536, 70_000, 300_000];

function pick<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)]!;
}

/** Writes bytes in pieces of any size, with pauses. */
async function writeInPieces(socket: Socket, bytes: Buffer, random: Random): Promise<void> {
  const pieceMax = pick(random, [17, 900, 20_000, 65_536, 1_000_000]);
  let at = 0;
  let pieces = 0;
  while (at < bytes.length) {
    // Single bytes all the way would take too long.
    const size = pieces < 200 ? 1 + Math.floor(random() * pieceMax) : 65_536;
    const hasRoom = socket.write(bytes.subarray(at, at + size));
    at += size;
    pieces += 1;
    if (!hasRoom) await once(socket, "drain");
    else if (random() < 0.3) await new Promise(setImmediate);
    else if (random() < 0.02) await sleep(5);
  }
}

interface Asked {
  readonly request: Buffer;
  readonly bodyBytes: number;
  readonly hash: string;
}

function chunked(body: Buffer, random: Random): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  while (at < body.length) {
    const size = Math.min(body.length - at, 1 + Math.floor(random() * pick(random, [50, 5000, 90_000])));
    parts.push(Buffer.from(`${size.toString(16)}\r\n`), body.subarray(at, at + size), Buffer.from("\r\n"));
    at += size;
  }
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
}

/** A request whose answer is known. */
function makeRequest(random: Random, seed: number, bodyBytes: number): Asked {
  const hash = hashOf(seed, bodyBytes);
  if (random() < 0.4) {
    const query = random() < 0.5 ? "?chunked" : "";
    const head = `GET /bytes/${String(bodyBytes)}/${String(seed)}${query} HTTP/1.1\r\nHost: a\r\n\r\n`;
    return { request: Buffer.from(head), bodyBytes, hash };
  }
  const body = Buffer.concat([...contentOf(seed, bodyBytes)]);
  const start = `POST /keep${random() < 0.3 ? "?slow" : ""} HTTP/1.1\r\nHost: a\r\n`;
  const request =
    random() < 0.5
      ? [Buffer.from(`${start}Content-Length: ${String(bodyBytes)}\r\n\r\n`), body]
      : [Buffer.from(`${start}Transfer-Encoding: chunked\r\n\r\n`), chunked(body, random)];
  return { request: Buffer.concat(request), bodyBytes, hash };
}

/** A client with some requests: pipelines or waits, reads fast or slowly, and checks each answer. */
export async function runClient({ port, seed, connect: open = connectPlain }: Visit): Promise<void> {
  const random = createRandom(seed);
  const socket = open(port);
  const isSlow = random() < 0.4;
  const isPipelining = random() < 0.5;
  let failure: Error | null = null;
  socket.on("error", (error) => (failure = error));
  const reader = new ResponseReader();
  socket.on("data", (bytes: Buffer) => {
    try {
      reader.read(bytes);
    } catch (error) {
      failure = error as Error;
      socket.destroy();
    }
    if (!isSlow || random() > 0.2) return;
    socket.pause();
    setTimeout(() => socket.resume(), random() * 25);
  });
  const asked: Asked[] = [];
  for (let i = 0; i < REQUESTS; i += 1) {
    const size = isSlow && i === 0 ? LARGE_BYTES : pick(random, SIZES);
    asked.push(makeRequest(random, seed * 100 + i, size));
  }
  const check = (response: ReadResponse, i: number): void => {
    const { bodyBytes, hash } = asked[i]!;
    const where = `seed ${String(seed)}, answer ${String(i)}`;
    assert.equal(response.status, 200, where);
    assert.equal(response.bodyBytes, bodyBytes, where);
    assert.equal(response.hash, hash, where);
  };
  for (const [i, { request }] of asked.entries()) {
    await writeInPieces(socket, request, random);
    if (!isPipelining) await answered(i + 1);
  }
  await answered(REQUESTS);
  socket.destroy();

  async function answered(count: number): Promise<void> {
    await eventually(
      () => `answer ${String(count)}, seed ${String(seed)}`,
      () => {
        if (failure !== null) throw failure;
        return reader.responses.length >= count;
      },
    );
    for (const [i, response] of reader.responses.entries()) check(response, i);
  }
}

/** A tunnel: what goes in comes back. */
export async function runTunnel({ port, seed, connect: open = connectPlain }: Visit): Promise<void> {
  const random = createRandom(seed);
  const socket = open(port);
  const bytes = Buffer.concat([...contentOf(seed, 1_500_000)]);
  const hash = createHash("sha256");
  let received = 0;
  let head = "";
  socket.on("data", (piece: Buffer) => {
    let body = piece;
    if (!head.endsWith("\r\n\r\n")) {
      const text = piece.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      head += end === -1 ? text : text.slice(0, end + 4);
      body = end === -1 ? Buffer.alloc(0) : piece.subarray(end + 4);
    }
    hash.update(body);
    received += body.length;
    if (random() > 0.1) return;
    socket.pause();
    setTimeout(() => socket.resume(), random() * 25);
  });
  const ended = once(socket, "end");
  const upgrade = Buffer.from("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
  await writeInPieces(socket, Buffer.concat([upgrade, bytes]), random);
  socket.end();
  await inTime(`the end of the tunnel, seed ${String(seed)}`, ended);
  const where = `tunnel, seed ${String(seed)}`;
  assert.match(head, /^HTTP\/1\.1 101 /u, where);
  assert.equal(received, bytes.length, where);
  assert.equal(hash.digest("hex"), createHash("sha256").update(bytes).digest("hex"), where);
  socket.destroy();
}

/** Begins something and leaves in the middle of it. */
export async function vanish({ port, seed, connect: open = connectPlain }: Visit): Promise<void> {
  const random = createRandom(seed);
  const socket = open(port);
  socket.on("error", () => socket.destroy());
  if (random() < 0.5) socket.resume();
  const starts = [
    "",
    "GET / HT",
    "GET /bytes/4000000/1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /bytes/10/1 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20),
    `POST /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n${"x".repeat(100_000)}`,
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    `GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n${"x".repeat(50_000)}`,
  ];
  socket.write(pick(random, starts));
  await sleep(random() * 60);
  // A TLS socket has no reset of its own.
  if (random() < 0.5 && open === connectPlain) socket.resetAndDestroy();
  else socket.destroy();
}
