// Copies of requests for a second pool: what its backends get, and that nothing of them is felt by the client, whatever
// they do. Every worker must have let go of everything in the end.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { MirrorConfig } from "../../src/config/route-config.ts";
import {
  OK,
  RawBackend,
  RawPeer,
  type TestWorker,
  answering,
  askOnce,
  deafPort,
  eventually,
  freePort,
  get,
  openClient,
  pool,
  startWorker,
} from "./harness.ts";
import { takeSharedProcess } from "./shared-process.ts";

/** As src/proxy/mirror.ts has them. */
const MIRRORS_MAX = 64;
const BODY_BYTES_MAX = 64 * 1024;

interface Mirrored {
  readonly worker: TestWorker;
  readonly port: number;
}

/** A worker whose only route leads to `web` and copies to `shadow`. */
async function serveMirrored(
  t: TestContext,
  {
    web,
    shadow,
    share = 100,
    timeouts = {},
  }: {
    readonly web: readonly (RawBackend | number)[];
    readonly shadow: RawBackend | number;
    readonly share?: number;
    readonly timeouts?: Parameters<typeof pool>[0]["timeouts"];
  },
): Promise<Mirrored> {
  const raw = [...web, shadow].filter((backend) => backend instanceof RawBackend);
  for (const backend of raw) await backend.start();
  const mirror: MirrorConfig = { pool: "shadow", share };
  const started = await startWorker(
    [pool({ ports: web.map(portOf) }), pool({ name: "shadow", ports: [portOf(shadow)], timeouts })],
    { routes: [{ name: "all", match: {}, action: { kind: "pool", pool: "web" }, rewrite: null, mirror }] },
    { shared: takeSharedProcess() },
  );
  t.after(async () => {
    for (const peer of RawPeer.open) peer.close();
    for (const backend of raw) backend.close();
    try {
      await started.worker.leavesNothing();
    } finally {
      await started.worker.stop();
    }
  });
  return started;
}

function portOf(backend: RawBackend | number): number {
  return typeof backend === "number" ? backend : backend.port;
}

async function mirrorsOf(worker: TestWorker): Promise<{ readonly sent: number; readonly dropped: number }> {
  return (await worker.counters()).mirrors;
}

function post(body: string, ...lines: readonly string[]): string {
  return ["POST /x?y HTTP/1.1", "Host: example.lan:8080", ...lines, "", body].join("\r\n");
}

const CHUNKED = "Transfer-Encoding: chunked";

for (const { name, request } of [
  { name: "a GET", request: get("/x?y", "Cookie: a=b").replace("example.lan", "example.lan:8080") },
  { name: "a body with its length", request: post("hello", "Content-Length: 5") },
  {
    name: "a body that came without waiting for 100",
    request: post("hello", "Content-Length: 5", "Expect: 100-continue"),
  },
  {
    name: "a chunked body with trailers",
    request: post("3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n", CHUNKED, "Trailer: X-Sum"),
  },
]) {
  test(`the copy of ${name} is that of the backend, but for -shadow behind its host; its answer goes nowhere`, async (t) => {
    const web = answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nweb");
    const shadow = answering("HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\nshadow");
    const { worker, port } = await serveMirrored(t, { web: [web], shadow });
    const client = await openClient(t, port);
    client.send(request);
    const answer = await client.receives("\r\n\r\nweb");
    await eventually("the copy", () => shadow.peers[0]?.text.length === (web.peers[0]?.text.length ?? 0) + 7);
    assert.equal(
      shadow.peers[0]?.text.replace(
        "\r\nHost: example.lan-shadow:8080\r\n",
        "\r\nHost: example.lan:8080\r\n",
      ),
      web.peers[0]?.text,
    );
    assert.match(shadow.peers[0]?.text ?? "", /\r\nX-Forwarded-Host: example\.lan:8080\r\n/);
    // The next one shows that nothing else came behind the answer.
    client.forget();
    client.send(get("/z"));
    assert.equal(strip(await client.receives("\r\n\r\nweb")), strip(answer));
    assert.deepEqual(await mirrorsOf(worker), { sent: 2, dropped: 0 });
  });
}

function strip(answer: string): string {
  return answer.replace(/Date: .*\r\n/, "");
}

for (const { host, told } of [
  { host: "example.lan", told: "example.lan-shadow" },
  { host: "192.0.2.1", told: "192.0.2.1-shadow" },
  { host: "[::1]:80", told: "[::1]:80" },
]) {
  test(`a copy for ${host} asks for ${told}`, async (t) => {
    const shadow = answering(OK);
    const { port } = await serveMirrored(t, { web: [answering(OK)], shadow });
    await askOnce(port, `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    assert.ok((await (await shadow.peer()).receives("\r\n\r\n")).includes(`\r\nHost: ${told}\r\n`));
  });
}

test("share is that percentage of the requests, by lot", async (t) => {
  const { worker, port } = await serveMirrored(t, { web: [answering(OK)], shadow: answering(OK), share: 25 });
  const client = await openClient(t, port);
  for (let n = 0; n < 400; n += 1) {
    client.send(get("/"));
    await client.receives("\r\n\r\nok");
    client.forget();
  }
  const { sent, dropped } = await mirrorsOf(worker);
  assert.equal(dropped, 0);
  // 100 are expected; six standard deviations.
  assert.ok(sent > 48 && sent < 152, String(sent));
});

test("a request that goes to a second backend of its pool is copied once", async (t) => {
  const shadow = answering(OK);
  const { worker, port } = await serveMirrored(t, {
    web: [await freePort(), await freePort(), answering(OK)],
    shadow,
  });
  for (let n = 0; n < 3; n += 1)
    assert.match(await askOnce(port, get("/", "Connection: close")), /^HTTP\/1.1 200 /);
  assert.deepEqual(await mirrorsOf(worker), { sent: 3, dropped: 0 });
});

test("a request for an upgrade is not copied", async (t) => {
  const web = answering("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
  const shadow = new RawBackend();
  const { worker, port } = await serveMirrored(t, { web: [web], shadow });
  const client = await openClient(t, port);
  client.send(get("/", "Connection: Upgrade", "Upgrade: echo"));
  await client.receives("101 Switching");
  assert.deepEqual(await mirrorsOf(worker), { sent: 0, dropped: 0 });
  assert.equal(shadow.peers.length, 0);
});

for (const { how, lines, bodyOf } of [
  {
    how: "with its length",
    lines: (size: number) => [`Content-Length: ${String(size)}`],
    bodyOf: (size: number) => "a".repeat(size),
  },
  {
    how: "chunked",
    lines: () => [CHUNKED],
    bodyOf: (size: number) => `1000\r\n${"a".repeat(4096)}\r\n`.repeat(size / 4096) + "0\r\n\r\n",
  },
]) {
  test(`a body ${how} that is too long for a copy reaches its backend whole, and nobody else`, async (t) => {
    const size = BODY_BYTES_MAX + 4096;
    const body = bodyOf(size);
    const web = new RawBackend((peer) => {
      peer.socket.on("data", () => {
        // Chunks may come in other pieces than they left.
        const sent = peer.text.slice(peer.text.indexOf("\r\n\r\n"));
        if (sent.split("a").length === size + 1 && sent.endsWith(body.slice(-5))) peer.send(OK);
      });
    });
    const shadow = new RawBackend();
    const { worker, port } = await serveMirrored(t, { web: [web], shadow });
    const client = await openClient(t, port);
    client.send(post(body, ...lines(size)));
    await client.receives("\r\n\r\nok");
    assert.deepEqual(await mirrorsOf(worker), { sent: 0, dropped: 1 });
    assert.equal(shadow.peers.length, 0);
  });
}

test("of a client that goes within its body nothing is copied, and its place is free again", async (t) => {
  const shadow = answering(OK);
  const { worker, port } = await serveMirrored(t, { web: [answering(OK)], shadow });
  for (let n = 0; n < MIRRORS_MAX; n += 1) {
    const client = await openClient(t, port);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    client.close();
  }
  await eventually("all have gone", async () => (await worker.counters()).connections === 0);
  assert.deepEqual(await mirrorsOf(worker), { sent: 0, dropped: 0 });
  await askOnce(port, get("/", "Connection: close"));
  assert.deepEqual(await mirrorsOf(worker), { sent: 1, dropped: 0 });
});

/** What a backend of raw sockets may do instead of answering. */
const MOODS: Readonly<Record<string, (t: TestContext) => Promise<RawBackend | number>>> = {
  "refuses connections": () => freePort(),
  "accepts none": (t) => deafPort(t),
  "never answers": () => Promise.resolve(new RawBackend()),
  "reads nothing": () =>
    Promise.resolve(
      new RawBackend((peer) => {
        peer.socket.pause();
      }),
    ),
  "resets at once": () =>
    Promise.resolve(
      new RawBackend((peer) => {
        peer.socket.resetAndDestroy();
      }),
    ),
  "resets within its answer": () =>
    Promise.resolve(
      new RawBackend((peer) => {
        peer.socket.once("data", () => {
          peer.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", () =>
            peer.socket.resetAndDestroy(),
          );
        });
      }),
    ),
  "answers with rubbish": () => Promise.resolve(answering("what?\r\n\r\n")),
  "closes after each answer": () =>
    Promise.resolve(
      new RawBackend((peer) => {
        peer.socket.once("data", () => peer.socket.end(OK));
      }),
    ),
};

for (const [mood, make] of Object.entries(MOODS)) {
  test(`a shadow that ${mood} costs no client a byte of its answers`, async (t) => {
    const CLIENTS = 8;
    const REQUESTS = 60;
    // Long enough to come in several reads.
    const answer = `HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n${"0123456789".repeat(20_000)}`;
    const web = answering(answer);
    // Bodies that hold no empty line, because the backend counts these.
    const requests = [
      get("/"),
      post("x".repeat(1000), "Content-Length: 1000"),
      post(`3e8\r\n${"x".repeat(1000)}\r\n0\r\nX-End: 1\r\n\r\n`, CHUNKED),
    ];
    const { worker, port } = await serveMirrored(t, { web: [web], shadow: await make(t) });
    await Promise.all(
      Array.from({ length: CLIENTS }, async (_, c) => {
        const client = await openClient(t, port);
        for (let n = 0; n < REQUESTS; n += 1) {
          client.send(requests[(c + n) % 2] ?? "");
          await eventually("the whole answer", () => client.text.endsWith("6789") && isWhole(client.text));
          client.forget();
        }
        client.send(requests[2] ?? "");
        await eventually("the answer to a chunked body", () => isWhole(client.text));
      }),
    );
    const { sent, dropped } = await mirrorsOf(worker);
    assert.equal(sent + dropped, CLIENTS * (REQUESTS + 1));
    assert.ok(sent >= MIRRORS_MAX, `${String(sent)} copies left`);
  });
}

test("a shadow that hangs keeps no client waiting: all are answered before it says anything", async (t) => {
  const shadow = new RawBackend();
  const timeouts = { connectMs: 600_000, responseMs: 600_000, bodyMs: 600_000 };
  const { port } = await serveMirrored(t, { web: [answering(OK)], shadow, timeouts });
  const client = await openClient(t, port);
  for (let n = 0; n < MIRRORS_MAX; n += 1) {
    client.send(n % 2 === 0 ? get("/") : post("hello", "Content-Length: 5"));
    await client.receives("\r\n\r\nok");
    client.forget();
  }
  await eventually("all copies", () => shadow.peers.length === MIRRORS_MAX);
  for (const peer of shadow.peers) assert.ok(!peer.hasEnded && !peer.hasClosed, "they are still waited for");
});

function isWhole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  return text.startsWith("HTTP/1.1 200 ") && end !== -1 && text.length === end + 4 + 200_000;
}

test("no more copies are under way at once than the bound; the others are dropped at once", async (t) => {
  const shadow = new RawBackend();
  const { worker, port } = await serveMirrored(t, { web: [answering(OK)], shadow });
  const client = await openClient(t, port);
  for (let n = 0; n < MIRRORS_MAX + 10; n += 1) {
    client.send(get("/"));
    await client.receives("\r\n\r\nok");
    client.forget();
  }
  assert.deepEqual(await mirrorsOf(worker), { sent: MIRRORS_MAX, dropped: 10 });
  await eventually("their connections", () => shadow.peers.length === MIRRORS_MAX);
  for (const peer of shadow.peers) peer.close();
  await eventually("places are free again", async () => {
    client.send(get("/"));
    await client.receives("\r\n\r\nok");
    client.forget();
    return (await mirrorsOf(worker)).sent > MIRRORS_MAX;
  });
});

test("an answer without an end, fast or slow, is listened to for a while only", async (t) => {
  const endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const chunk = `4000\r\n${"a".repeat(16_384)}\r\n`;
  const timers: NodeJS.Timeout[] = [];
  t.after(() => {
    for (const timer of timers) clearInterval(timer);
  });
  const pour = (piece: string, everyMs: number) =>
    new RawBackend((peer) => {
      peer.socket.once("data", () => {
        peer.send(endless);
        timers.push(
          setInterval(() => {
            if (peer.socket.writable) peer.send(piece);
          }, everyMs),
        );
      });
    });
  for (const shadow of [pour(chunk, 1), pour("1\r\na\r\n", 50)]) {
    const timeouts = { connectMs: 200, responseMs: 200, bodyMs: 200 };
    const { port } = await serveMirrored(t, { web: [answering(OK)], shadow, timeouts });
    assert.match(await askOnce(port, get("/", "Connection: close")), /^HTTP\/1.1 200 /);
    const peer = await shadow.peer();
    await eventually("the worker has heard enough", () => peer.hasEnded || peer.hasClosed);
  }
});
