// One line for each request, however it ends: through a real worker, with the file that it writes.

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { ListenerConfig, PoolConfig } from "../../src/config/config.ts";
import {
  LIMITS,
  OK,
  RawBackend,
  type TestWorker,
  answering,
  askOnce,
  eventually,
  freePort,
  get,
  openClient,
  pool,
  serve,
  workerConfig,
} from "./harness.ts";

type Line = Readonly<Record<string, unknown>>;

interface Logged {
  readonly worker: TestWorker;
  readonly port: number;
  readonly file: string;
  /** Waits for as many lines. */
  readonly lines: (count: number) => Promise<readonly Line[]>;
  /** The lines of the test, once there are as many and no more. */
  readonly exactly: (count: number) => Promise<readonly Line[]>;
}

/** A worker with an access log; the route of host "none.lan" leads nowhere. */
async function logged(
  t: TestContext,
  options: {
    readonly backends?: readonly RawBackend[];
    readonly ports?: readonly number[];
    readonly timeouts?: Partial<PoolConfig["timeouts"]>;
    readonly listener?: Partial<ListenerConfig>;
  },
): Promise<Logged> {
  const folder = mkdtempSync(join(tmpdir(), "vipair-access-"));
  // Workers that are started by root are somebody else.
  chmodSync(folder, 0o777);
  const file = join(folder, "access.log");
  const { worker, port } = await serve(t, { ...options, accessLog: { file } });
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const lines = async (count: number): Promise<readonly Line[]> => {
    let read: readonly Line[] = [];
    await eventually(
      () => `${String(count)} lines: ${JSON.stringify(read)}`,
      () => {
        read = readLines(file);
        return read.length >= count;
      },
    );
    return read;
  };
  const exactly = async (count: number): Promise<readonly Line[]> => {
    await lines(count);
    // A line too many would stand before this one.
    await askOnce(port, "SENTINEL\r\n\r\n");
    const all = await lines(count + 1);
    const last = all.findIndex(({ requestLine }) => requestLine === "SENTINEL");
    assert.equal(last, count, JSON.stringify(all));
    return all.slice(0, count);
  };
  return { worker, port, file, lines, exactly };
}

function readLines(file: string): Line[] {
  let text = "";
  try {
    text = readFileSync(file, "latin1");
  } catch {
    // The worker has not been told yet.
  }
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}

/** Of a line, what a test is about. */
function picked(line: Line | undefined, ...keys: readonly string[]): Line {
  return Object.fromEntries(keys.map((key) => [key, line?.[key]]));
}

/** How a request ended. */
function ended(line: Line | undefined): Line {
  return picked(line, "status", "end");
}

const HEAD_DONE = "\r\n\r\n";

test("a request that was answered has one line with everything in it", async (t) => {
  const { port, exactly } = await logged(t, { backends: [answering(OK)] });
  const client = await openClient(t, port);
  const request = 'POST /a?b="c"&d HTTP/1.1\r\nHost: example.lan:80\r\nContent-Length: 5\r\n\r\nhello';
  const before = Date.now();
  client.send(request);
  const answer = await client.receives("ok");
  const [line] = await exactly(1);
  const { time, id, headMs, connectMs, responseMs, totalMs, ...rest } = line ?? {};
  assert.deepEqual(rest, {
    client: `127.0.0.1:${String(client.socket.localPort)}`,
    listener: "web",
    pool: "web",
    backend: "b1",
    method: "POST",
    target: '/a?b="c"&d',
    host: "example.lan:80",
    protocol: "HTTP/1.1",
    status: 200,
    bytesIn: request.length,
    bytesOut: answer.length,
    retries: 0,
    end: "ok",
    node: "test",
    msg: "request",
  });
  assert.match(String(id), /^[0-9a-f]{12}-1$/u);
  const at = Date.parse(String(time));
  assert.ok(at >= before - 1 && at <= Date.now() + 1, String(time));
  const parts = [headMs, connectMs, responseMs].map(Number);
  for (const part of parts) assert.ok(part >= 0);
  assert.ok(parts.reduce((sum, part) => sum + part, 0) <= Number(totalMs) + 0.3);
});

test("pipelined requests have a line each, in their order, with ids of their own", async (t) => {
  const { port, exactly } = await logged(t, { backends: [answering(OK)] });
  const client = await openClient(t, port);
  client.send(get("/0") + get("/1") + get("/2"));
  await eventually("three answers", () => client.text.split("\r\n\r\nok").length === 4);
  const lines = await exactly(3);
  assert.deepEqual(
    lines.map(({ target }) => target),
    ["/0", "/1", "/2"],
  );
  for (const { bytesIn } of lines) assert.equal(bytesIn, get("/0").length);
  assert.equal(new Set(lines.map(({ id }) => id)).size, 3);
});

test("authorization and cookies are in no line", async (t) => {
  const { port, file, exactly } = await logged(t, { backends: [answering(OK)] });
  const client = await openClient(t, port);
  client.send(get("/", "Authorization: Bearer hunter2", "Cookie: session=hunter2"));
  await client.receives("ok");
  client.forget();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nCookie: hunter2\r\nBad Field: 1\r\n\r\n");
  await client.endsOrCloses();
  await exactly(2);
  assert.doesNotMatch(readFileSync(file, "latin1"), /hunter2/u);
});

test("an answer in chunks is counted as the client gets it", async (t) => {
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  const { port, exactly } = await logged(t, { backends: [answering(chunked)] });
  const client = await openClient(t, port);
  client.send(get("/"));
  await client.receives("0\r\n\r\n");
  const [line] = await exactly(1);
  assert.deepEqual(picked(line, "bytesOut", "end"), { bytesOut: client.received.length, end: "ok" });
});

const REFUSED: readonly (readonly [
  name: string,
  request: string,
  listener: Partial<ListenerConfig>,
  expected: Line,
])[] = [
  [
    "a head that is none",
    "GET /\r\n\r\n",
    {},
    { status: 400, end: "refused", method: null, requestLine: "GET /", bytesIn: 9 },
  ],
  [
    "a field that is none",
    "GET /x HTTP/1.1\r\nHost : a\r\n\r\n",
    {},
    { status: 400, end: "refused", method: null, requestLine: "GET /x HTTP/1.1", bytesIn: 29 },
  ],
  [
    "a head that is too long",
    `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(20_000)}${HEAD_DONE}`,
    {},
    { status: 431, end: "refused", requestLine: "GET / HTTP/1.1" },
  ],
  [
    "a body that is too long by its length",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n",
    { limits: { ...LIMITS, bodyBytes: 5 } },
    { status: 413, end: "refused", method: "POST", pool: null, backend: null },
  ],
  [
    "a body that becomes too long",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n",
    { limits: { ...LIMITS, bodyBytes: 5 } },
    { status: 413, end: "refused", backend: "b1", reason: "the body is too large" },
  ],
  [
    "a body that is none",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    {},
    { status: 400, end: "client-malformed", backend: "b1" },
  ],
  [
    "a request that may go no further",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n",
    {},
    { status: 200, end: "answered", method: "OPTIONS", target: "*", pool: null },
  ],
  [
    "a request without a route",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    { routes: [] },
    { status: 404, end: "no-route", method: "GET", host: "a", pool: null, backend: null },
  ],
];

for (const [name, request, listener, expected] of REFUSED) {
  test(`${name} has one line`, async (t) => {
    const { port, exactly } = await logged(t, { backends: [new RawBackend()], listener });
    await askOnce(port, request);
    const [line] = await exactly(1);
    assert.deepEqual(picked(line, ...Object.keys(expected)), expected);
  });
}

test("a head that comes too slowly has one line", async (t) => {
  const { port, exactly } = await logged(t, {
    backends: [answering(OK)],
    listener: { timeouts: { headMs: 200, idleMs: 10_000 } },
  });
  const answer = await askOnce(port, "GET / HTTP/1.1\r\nHo");
  assert.match(answer, /^HTTP\/1.1 408 /u);
  const [line] = await exactly(1);
  assert.deepEqual(picked(line, "status", "end", "requestLine", "headMs"), {
    status: 408,
    end: "client-timeout",
    requestLine: "GET / HTTP/1.1",
    headMs: null,
  });
});

test("a connection that is one too many has one line", async (t) => {
  const { port, exactly } = await logged(t, {
    backends: [answering(OK)],
    listener: { limits: { ...LIMITS, connections: 1 } },
  });
  const first = await openClient(t, port);
  first.send(get("/"));
  await first.receives("ok");
  await askOnce(port, "");
  first.close();
  const lines = await exactly(2);
  assert.deepEqual(picked(lines[1], "status", "end", "method", "reason"), {
    status: 503,
    end: "refused",
    method: null,
    reason: "too many connections",
  });
});

const BACKENDS: readonly (readonly [
  name: string,
  onPeer: ConstructorParameters<typeof RawBackend>[0],
  expected: Line,
])[] = [
  [
    "a backend that closes without an answer",
    (peer) => peer.socket.once("data", () => peer.socket.end()),
    { status: 502, end: "backend-closed", reason: "closed by the backend", responseMs: null },
  ],
  [
    "a backend that answers no HTTP",
    (peer) => peer.socket.once("data", () => peer.send("SSH-2.0\r\n")),
    { status: 502, end: "backend-malformed", reason: "malformed response: the status line is invalid" },
  ],
  [
    "a backend that does not answer in time",
    () => undefined,
    { status: 504, end: "backend-timeout", reason: "no response in time" },
  ],
  [
    "a response that is cut",
    (peer) =>
      peer.socket.once("data", () => {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        peer.socket.end();
      }),
    { status: 200, end: "backend-closed" },
  ],
  [
    "a response that stalls",
    (peer) => peer.socket.once("data", () => peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")),
    { status: 200, end: "backend-timeout", reason: "the response stalled" },
  ],
  [
    "a response whose chunks are none",
    (peer) =>
      peer.socket.once("data", () => {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
        setTimeout(() => peer.send("zz\r\n"), 50);
      }),
    { status: 200, end: "backend-malformed", reason: "malformed response: a chunk size is invalid" },
  ],
];

for (const [name, onPeer, expected] of BACKENDS) {
  test(`${name} has one line`, async (t) => {
    const { port, exactly } = await logged(t, {
      backends: [new RawBackend(onPeer)],
      timeouts: { responseMs: 200, bodyMs: 200 },
    });
    const client = await openClient(t, port);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    await client.endsOrCloses();
    const [line] = await exactly(1);
    assert.deepEqual(picked(line, ...Object.keys(expected)), expected);
    assert.equal(line?.["backend"], "b1");
    assert.equal(line["bytesOut"], client.received.length);
  });
}

test("backends that cannot be reached have one line together, which counts the retries", async (t) => {
  const { port, exactly } = await logged(t, { ports: [await freePort(), await freePort()] });
  await askOnce(port, get("/", "Connection: close"));
  const [line] = await exactly(1);
  assert.deepEqual(ended(line), { status: 503, end: "connect-failed" });
  assert.equal(line?.["retries"], 1);
  assert.equal(line["connectMs"], null);
  assert.match(String(line["reason"]), /^connect: .*ECONNREFUSED/u);
});

test("a request that another backend answered is ok and tells of it", async (t) => {
  const backend = await answering(OK).start();
  t.after(() => {
    backend.close();
  });
  const { port, exactly } = await logged(t, { ports: [await freePort(), backend.port] });
  await askOnce(port, get("/", "Connection: close"));
  await askOnce(port, get("/", "Connection: close"));
  const lines = await exactly(2);
  for (const line of lines) assert.deepEqual(picked(line, "end", "backend"), { end: "ok", backend: "b2" });
  assert.ok(
    lines.some(({ retries }) => retries === 1),
    "b1 was tried first once",
  );
});

test("a pool without a healthy backend has one line", async (t) => {
  const { worker, port, exactly } = await logged(t, { backends: [answering(OK)] });
  worker.send({ kind: "health", health: { web: { b1: { health: "drain" } } } });
  const answer = await askOnce(port, get("/", "Connection: close"));
  assert.match(answer, /^HTTP\/1.1 503 /u);
  const [line] = await exactly(1);
  assert.deepEqual(picked(line, "status", "end", "pool", "backend", "retries"), {
    status: 503,
    end: "no-backend",
    pool: "web",
    backend: null,
    retries: 0,
  });
});

test("a kept connection that had closed counts as a retry", async (t) => {
  const backend = new RawBackend((peer) => {
    let answered = 0;
    peer.socket.on("data", () => {
      answered += 1;
      // The second request on the first connection meets a reset.
      if (answered > 1) peer.socket.resetAndDestroy();
      else peer.send(OK);
    });
  });
  const { port, exactly } = await logged(t, { backends: [backend] });
  const client = await openClient(t, port);
  client.send(get("/0"));
  await client.receives("ok");
  client.forget();
  client.send(get("/1"));
  await client.receives("ok");
  const lines = await exactly(2);
  assert.deepEqual(
    lines.map((line) => picked(line, "retries", "end")),
    [
      { retries: 0, end: "ok" },
      { retries: 1, end: "ok" },
    ],
  );
});

test("a client that goes has one line, whenever it goes", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.on("data", () => {
      if (peer.text.includes("/body")) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
  });
  const { port, lines, exactly } = await logged(t, { backends: [backend] });
  const none = await openClient(t, port);
  none.close();
  const head = await openClient(t, port);
  head.send("GET /head HT");
  // It is read before the connection ends.
  await askOnce(port, "FIRST\r\n\r\n");
  head.close();
  await lines(2);

  const waiting = await openClient(t, port);
  waiting.send(get("/waiting"));
  await backend.peer(0);
  await eventually("the request", () => backend.peers[0]?.text.includes("/waiting") === true);
  waiting.socket.resetAndDestroy();
  await lines(3);

  const body = await openClient(t, port);
  body.send(get("/body"));
  await body.receives("half");
  body.socket.resetAndDestroy();
  const all = await exactly(4);
  const byTarget = (target: string) => ended(all.find((line) => line["target"] === target));
  assert.deepEqual(byTarget("/waiting"), { status: null, end: "client-closed" });
  assert.deepEqual(byTarget("/body"), { status: 200, end: "client-closed" });
  assert.deepEqual(
    all.filter(({ method }) => method === null).map(({ end }) => end),
    ["refused", "client-closed"],
  );
});

test("a tunnel has one line, at its end, with the bytes of both ways", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.once("data", () => {
      peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello");
    });
  });
  const { port, file, exactly } = await logged(t, { backends: [backend] });
  const client = await openClient(t, port);
  const request = get("/ws", "Connection: Upgrade", "Upgrade: x");
  client.send(request);
  await client.receives("hello");
  client.send("12345");
  const peer = await backend.peer();
  await peer.receives("12345");
  assert.deepEqual(readLines(file), []);
  client.socket.end();
  await eventually("the end", () => peer.hasEnded);
  peer.socket.end();
  await client.endsOrCloses();
  const [line] = await exactly(1);
  assert.deepEqual(picked(line, "status", "end", "bytesIn", "bytesOut"), {
    status: 101,
    end: "ok",
    bytesIn: request.length + 5,
    bytesOut: client.received.length,
  });
});

const TUNNELS = [
  ["the client resets", "client-closed"],
  ["the backend resets", "backend-closed"],
  ["nobody says anything", "idle"],
] as const;

for (const [name, end] of TUNNELS) {
  test(`a tunnel in which ${name} has one line`, async (t) => {
    const backend = new RawBackend((peer) => {
      peer.socket.once("data", () => {
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
      });
    });
    const { port, exactly } = await logged(t, {
      backends: [backend],
      timeouts: { tunnelIdleMs: end === "idle" ? 300 : 60_000 },
    });
    const client = await openClient(t, port);
    client.send(get("/ws", "Connection: Upgrade", "Upgrade: x"));
    await client.receives("101");
    if (end === "client-closed") client.socket.resetAndDestroy();
    if (end === "backend-closed") (await backend.peer()).socket.resetAndDestroy();
    const [line] = await exactly(1);
    assert.deepEqual(ended(line), { status: 101, end });
  });
}

test("what a trusted proxy calls a request is its id; what others say is not", async (t) => {
  const { worker, port, file, exactly } = await logged(t, {
    backends: [answering(OK)],
    listener: { trustedProxies: ["127.0.0.1"] },
  });
  const ask = async (id: string) => askOnce(port, get("/", `X-Request-Id: ${id}`, "Connection: close"));
  await ask("front-1");
  await ask('a"b');
  await ask("x".repeat(129));
  const lines = await exactly(3);
  assert.equal(lines[0]?.["id"], "front-1");
  for (const { id } of lines.slice(1)) assert.match(String(id), /^[0-9a-f]{12}-\d+$/u);
  assert.equal(worker.output, "");
  assert.match(readFileSync(file, "latin1"), /front-1/u);
});

test("a reload switches the log off and on, and opens a file anew that was moved away", async (t) => {
  const backend = answering(OK);
  const { worker, port, file, lines } = await logged(t, { backends: [backend] });
  const configure = (on: boolean) => {
    worker.configure(workerConfig([pool({ ports: [backend.port] })], {}, on ? { file } : null));
  };
  const client = await openClient(t, port);
  const ask = async (path: string): Promise<void> => {
    client.forget();
    client.send(get(path));
    await client.receives("ok");
  };
  await ask("/on");
  configure(false);
  await worker.counters();
  // What had been gathered before the change is written.
  assert.deepEqual(
    (await lines(1)).map(({ target }) => target),
    ["/on"],
  );
  await ask("/off");
  configure(true);
  await worker.counters();
  await ask("/on-again");
  assert.deepEqual(
    (await lines(2)).map(({ target }) => target),
    ["/on", "/on-again"],
  );
  renameSync(file, `${file}.1`);
  configure(true);
  await worker.counters();
  await ask("/rotated");
  assert.deepEqual(
    (await lines(1)).map(({ target }) => target),
    ["/rotated"],
  );
});

test("the last lines are written when a worker has drained", async (t) => {
  const backend = answering(OK);
  const { worker, port, file } = await logged(t, { backends: [backend] });
  const client = await openClient(t, port);
  client.send(get("/last"));
  await client.receives("ok");
  worker.send({ kind: "drain", graceMs: 1000 });
  assert.equal(await worker.exited, 0);
  assert.deepEqual(
    readLines(file).map(({ target }) => target),
    ["/last"],
  );
});

test("an exchange that the grace cuts off says so", async (t) => {
  const { worker, port, file } = await logged(t, { backends: [new RawBackend()] });
  const client = await openClient(t, port);
  client.send(get("/slow"));
  await eventually("the request", async () => (await worker.counters()).connections === 1);
  await eventually("the exchange", async () => {
    const { backends } = await worker.counters();
    return backends["web"]?.["b1"]?.requests === 1;
  });
  worker.send({ kind: "drain", graceMs: 100 });
  assert.equal(await worker.exited, 0);
  assert.deepEqual(readLines(file).map(ended), [{ status: null, end: "shutdown" }]);
});
