// Those who read slowly or not at all, and those who send slowly or only a half: what is buffered for them has
// a bound, by the worker's own bytes and not by what the process happens to occupy; who makes progress lives,
// who does not is let go.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OK, RawBackend, type RawPeer, type TestWorker } from "./harness.ts";
import { answering, askOnce, eventually, get, openClient, serve } from "./harness.ts";

const PEERS = 10;
/** A read that is kept, and what a stream takes until it says stop: its 64 KiB, and the read that crosses them. */
const BYTES_EACH_MAX = 4 * 65_536;
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
const block = Buffer.alloc(65_536, "x");

/** Sends without end, as fast as it is taken. */
function pour(peer: RawPeer, bytes: Buffer = block): void {
  const more = (): void => {
    while (!peer.hasClosed && peer.socket.writable && peer.socket.write(bytes));
  };
  peer.socket.on("drain", more);
  more();
}

function pouring(head: string, bytes: Buffer = block): RawBackend {
  return new RawBackend((peer) => {
    peer.socket.once("data", () => {
      peer.send(head);
      pour(peer, bytes);
    });
  });
}

/** A backend that reads nothing; with `head` it answers at once. */
function deaf(head = ""): RawBackend {
  return new RawBackend((peer) => {
    if (head === "") peer.socket.pause();
    else
      peer.socket.once("data", () => {
        peer.send(head);
        peer.socket.pause();
      });
  });
}

interface Flood {
  readonly what: string;
  readonly backend: () => RawBackend;
  readonly request: string;
  /** What the client goes on to send. */
  readonly more?: Buffer;
}

const UPGRADE = get("/", "Connection: Upgrade", "Upgrade: x");
const INTERIMS = Buffer.from(`HTTP/1.1 103 Early Hints\r\nLink: ${"x".repeat(900)}\r\n\r\n`.repeat(60));

const FLOODS: readonly Flood[] = [
  {
    what: "a response with a length",
    backend: () => pouring("HTTP/1.1 200 OK\r\nContent-Length: 900000000000\r\n\r\n"),
    request: get("/"),
  },
  {
    what: "a chunked response",
    backend: () =>
      pouring(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        Buffer.from(`400\r\n${"x".repeat(1024)}\r\n`.repeat(60)),
      ),
    request: get("/"),
  },
  {
    what: "interim responses without end",
    backend: () => pouring("HTTP/1.1 102 P\r\n\r\n", INTERIMS),
    request: get("/"),
  },
  { what: "a tunnel from the backend", backend: () => pouring(SWITCHED), request: UPGRADE },
  {
    what: "answers to a pipeline",
    backend: () => answering(`HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n${"x".repeat(30_000)}`),
    request: get("/"),
    more: Buffer.from(get("/").repeat(1000)),
  },
  {
    what: "a request body with a length",
    backend: () => deaf(),
    request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000000\r\n\r\n",
    more: block,
  },
  {
    what: "a chunked request body",
    backend: () => deaf(),
    request: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    more: Buffer.from(`400\r\n${"x".repeat(1024)}\r\n`.repeat(60)),
  },
  { what: "a tunnel from the client", backend: () => deaf(SWITCHED), request: UPGRADE, more: block },
];

for (const { what, backend, request, more } of FLOODS) {
  test(`nobody reads ${what}: each connection holds at most 256 KiB`, async (t) => {
    const { worker, port } = await serve(t, { backends: [backend()], isAlone: true });
    // The first connections bring code and pools to life.
    await askOnce(port, get("/", "Connection: close", "Bad"));
    const before = (await worker.census()).bufferBytes;
    for (let i = 0; i < PEERS; i += 1) {
      const client = await openClient(t, port);
      client.socket.pause();
      client.send(request);
      if (more !== undefined) pour(client, more);
    }
    const held = await settled(worker, before);
    t.diagnostic(`${String(Math.round(held / PEERS / 1024))} KiB each`);
    assert.ok(held > 0 && held <= PEERS * BYTES_EACH_MAX, `${String(held / PEERS)} bytes each`);
  });
}

/** What the worker holds in buffers above `before`, once nothing moves any more. */
async function settled(worker: TestWorker, before: number): Promise<number> {
  let last = -1;
  let held = 0;
  for (let calm = 0; calm < 3;) {
    await sleep(150);
    const { unsentBytes: unsent } = await worker.holdings();
    calm = unsent === last ? calm + 1 : 0;
    last = unsent;
    // Between two looks of which both find it calm: on its way, more is held for a moment.
    if (calm === 2) held = (await worker.census()).bufferBytes - before;
  }
  return held;
}

test("slow-loris gets 408 and a close, while slow uploads and others are served", async (t) => {
  const HEAD_MS = 800;
  const uploading = new RawBackend((peer) => {
    peer.socket.on("data", () => {
      if (peer.text.startsWith("GET") || peer.text.endsWith("0123456789")) peer.send(OK);
    });
  });
  const { port } = await serve(t, {
    backends: [uploading],
    timeouts: { bodyMs: HEAD_MS },
    listener: { timeouts: { headMs: HEAD_MS, idleMs: 60_000 } },
  });
  const startedAt = performance.now();
  const loris = await Promise.all(Array.from({ length: 60 }, () => openClient(t, port)));
  const uploads = await Promise.all(Array.from({ length: 5 }, () => openClient(t, port)));
  for (const client of loris) client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
  for (const client of uploads) client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
  let step = 0;
  // Each upload takes ten steps: twice the head's time.
  const dribble = setInterval(() => {
    for (const client of loris) if (!client.hasEnded && client.socket.writable) client.send("x");
    if (step < 10) for (const client of uploads) client.send(String(step));
    step += 1;
  }, 160);
  t.after(() => {
    clearInterval(dribble);
  });
  assert.match(await askOnce(port, get("/", "Connection: close")), /^HTTP\/1\.1 200 /u);
  await eventually("all are let go", () => loris.every((client) => client.hasEnded || client.hasClosed));
  const tookMs = performance.now() - startedAt;
  for (const client of loris) assert.match(client.text, /^HTTP\/1\.1 408 [^]*Connection: close/u);
  assert.ok(tookMs >= HEAD_MS, `${String(tookMs)} ms`);
  for (const client of uploads) assert.match(await client.receives("ok"), /^HTTP\/1\.1 200 /u);
  assert.ok(step >= 10);
});

// ── half-closed ────────────────────────────────────────────────────────────────────────────────

const HALF: readonly (readonly [when: string, sends: string, gets: RegExp])[] = [
  ["behind a pipeline", get("/1") + get("/2") + get("/3"), /^(?:HTTP\/1\.1 200 [^]*?ok){3}$/u],
  ["inside a head", "GET / HTTP/1.1\r\nHo", /^$/u],
  ["inside a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf", /^$/u],
  ["before it has asked", "", /^$/u],
  ["behind an upgrade that was not granted", UPGRADE, /^HTTP\/1\.1 200 [^]*ok$/u],
];

for (const [when, sends, gets] of HALF) {
  test(`a client that half-closes ${when} gets what it is due, and then the end`, async (t) => {
    const { worker, port } = await serve(t, { backends: [answeringWhole()] });
    const client = await openClient(t, port);
    client.socket.end(sends);
    assert.match(await client.endsOrCloses(), gets);
    await eventually("closed", async () => (await worker.counters()).connections === 0);
  });
}

/** Answers GET only. */
function answeringWhole(): RawBackend {
  return new RawBackend((peer) => {
    peer.socket.on("data", (bytes: Buffer) => {
      if (bytes.toString().startsWith("GET")) peer.send(OK);
    });
  });
}

test("a backend that half-closes behind its answer is not asked again on that connection", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.on("data", () => peer.socket.end(OK));
  });
  const { worker, port } = await serve(t, { backends: [backend] });
  await askThrice(t, port);
  assert.equal(backend.peers.length, 3);
  assert.equal((await worker.counters()).backends["web"]?.["b1"]?.failures, 0);
});

async function askThrice(t: TestContext, port: number): Promise<void> {
  const client = await openClient(t, port);
  for (let i = 0; i < 3; i += 1) {
    client.forget();
    client.send(get("/"));
    assert.match(await client.receives("ok"), /^HTTP\/1\.1 200 /u);
  }
}

test("a backend that half-closes instead of answering gives 502", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.once("data", () => peer.socket.end());
  });
  const { port } = await serve(t, { backends: [backend] });
  assert.match(await askOnce(port, get("/", "Connection: close")), /^HTTP\/1\.1 502 /u);
});
