// What clients and the control process see when a backend, a client or a request is bad.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  LIMITS,
  OK,
  RawBackend,
  answering,
  askOnce,
  openClient,
  deafPort,
  eventually,
  freePort,
  get,
  serve,
} from "./harness.ts";
import { routeConfigs } from "../routing/routes.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

test("a request whose connect is refused goes to the next backend", async (t) => {
  const good = answering(OK);
  await good.start();
  t.after(() => {
    good.close();
  });
  const { worker, port } = await serve(t, { ports: [await freePort(), good.port] });
  const peer = await openClient(t, port);
  for (let i = 0; i < 4; i += 1) {
    peer.forget();
    peer.send(POST);
    assert.match(await peer.receives("ok"), /200 OK/u);
  }
  const failure = await worker.message("backend-failure");
  assert.equal(failure.backend, "b1");
  assert.match(failure.reason, /connect/u);
  const counters = await worker.counters();
  assert.equal(counters.backends["web"]?.["b2"]?.requests, 4);
  assert.equal(counters.backends["web"]?.["b1"]?.requests, 0);
  assert.ok((counters.backends["web"]?.["b1"]?.failures ?? 0) > 0);
});

test("a connect that nobody answers goes to the next backend after the connect timeout", async (t) => {
  const deaf = await deafPort(t);
  const good = answering(OK);
  await good.start();
  t.after(() => {
    good.close();
  });
  const { worker, port } = await serve(t, { ports: [deaf, good.port], timeouts: { connectMs: 200 } });
  const peer = await openClient(t, port);
  const stopwatch = new Stopwatch(t);
  const before = performance.now();
  peer.send(get("/"));
  await peer.receives("ok");
  const tookMs = performance.now() - before;
  assert.ok(tookMs >= 200, `took ${String(tookMs)} ms`);
  stopwatch.assertBelow(1500, tookMs);
  assert.match((await worker.message("backend-failure")).reason, /timed out/u);
});

test("with every connect refused the client gets 503 with Retry-After and keeps its connection", async (t) => {
  const { port } = await serve(t, { ports: [await freePort(), await freePort()] });
  const peer = await openClient(t, port);
  for (let i = 0; i < 2; i += 1) {
    peer.forget();
    peer.send(get("/"));
    const text = await peer.receives("503 Service Unavailable\n");
    assert.match(text, /^HTTP\/1\.1 503 /u);
    assert.match(text, /\r\nRetry-After: \d+\r\n/u);
  }
});

test("with every backend down the client gets 503 and no backend is asked", async (t) => {
  const backend = answering(OK);
  const { worker, port } = await serve(t, { backends: [backend] });
  worker.send({ kind: "health", health: { web: { b1: { health: "down" } } } });
  await worker.counters();
  assert.match(await askOnce(port, get("/", "Connection: close")), /^HTTP\/1\.1 503 /u);
  worker.send({ kind: "health", health: { web: { b1: { health: "up" } } } });
  await worker.counters();
  assert.match(await askOnce(port, get("/", "Connection: close")), /^HTTP\/1\.1 200 /u);
});

const BAD_ANSWERS: readonly (readonly [why: string, answer: string])[] = [
  ["garbage", "what?\r\n\r\n"],
  ["both framings", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["differing lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"],
  ["a 101 that was not asked for", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
  ["an endless head", `HTTP/1.1 200 OK\r\nx: ${"a".repeat(40_000)}`],
];
for (const [why, answer] of BAD_ANSWERS) {
  test(`a response with ${why} is answered with 502`, async (t) => {
    const backend = answering(answer);
    const { worker, port } = await serve(t, { backends: [backend] });
    const peer = await openClient(t, port);
    peer.send(get("/"));
    assert.match(await peer.receives("502 Bad Gateway\n"), /^HTTP\/1\.1 502 /u);
    assert.match((await worker.message("backend-failure")).reason, /malformed/u);
    const atBackend = await backend.peer();
    await eventually("the backend connection is closed", () => atBackend.hasEnded || atBackend.hasClosed);
  });
}

test("a backend that resets instead of answering gives 502, and nothing is sent twice", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.on("data", () => peer.socket.resetAndDestroy());
  });
  const { worker, port } = await serve(t, { backends: [backend, answering(OK)] });
  assert.match(await askOnce(port, get("/", "Connection: close")), /^HTTP\/1\.1 502 /u);
  assert.equal(backend.peers.length, 1);
  await worker.message("backend-failure");
});

for (const [framing, start] of [
  ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"],
  ["chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"],
] as const) {
  test(`a response with ${framing} that is cut cuts the client's connection`, async (t) => {
    const backend = new RawBackend((peer) => {
      peer.socket.once("data", () => {
        peer.socket.end(start);
      });
    });
    const { worker, port } = await serve(t, { backends: [backend] });
    const peer = await openClient(t, port);
    peer.send(get("/"));
    await eventually("the client's connection is cut", () => peer.hasClosed || peer.hasEnded);
    assert.equal(peer.text.includes("\r\n0\r\n\r\n"), false);
    assert.equal(peer.text.includes("502"), false);
    await worker.message("backend-failure");
  });
}

test("a backend that does not answer in time gives 504", async (t) => {
  const { worker, port } = await serve(t, { backends: [new RawBackend()], timeouts: { responseMs: 150 } });
  const peer = await openClient(t, port);
  peer.send(get("/"));
  assert.match(await peer.receives("504 Gateway Timeout\n"), /^HTTP\/1\.1 504 /u);
  await worker.message("backend-failure");
});

test("a response body that stalls cuts the client's connection", async (t) => {
  const backend = answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  const { port } = await serve(t, { backends: [backend], timeouts: { bodyMs: 150 } });
  const peer = await openClient(t, port);
  peer.send(get("/"));
  await eventually("cut", () => peer.hasClosed);
  assert.match(peer.text, /half$/u);
});

test("a request body that stalls gives 408 and is no fault of the backend", async (t) => {
  const { worker, port } = await serve(t, { backends: [new RawBackend()], timeouts: { bodyMs: 150 } });
  const peer = await openClient(t, port);
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
  assert.match(await peer.endsOrCloses(), /^HTTP\/1\.1 408 /u);
  assert.equal((await worker.counters()).backends["web"]?.["b1"]?.failures, 0);
});

test("a slow upload that makes progress lives longer than the body timeout", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.on("data", () => {
      if (peer.text.endsWith("0123456789")) peer.send(OK);
    });
  });
  const { port } = await serve(t, { backends: [backend], timeouts: { bodyMs: 200 } });
  const peer = await openClient(t, port);
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
  for (const digit of "0123456789") {
    await new Promise((resolve) => {
      setTimeout(resolve, 60);
    });
    peer.send(digit);
  }
  await peer.receives("ok");
});

test("a head that comes too slowly gives 408", async (t) => {
  const { port } = await serve(t, {
    backends: [answering(OK)],
    listener: { timeouts: { headMs: 150, idleMs: 10_000 } },
  });
  const peer = await openClient(t, port);
  peer.send("GET / HTTP/1.1\r\nHo");
  assert.match(await peer.endsOrCloses(), /^HTTP\/1\.1 408 /u);
});

test("an idle connection is closed without a word", async (t) => {
  const { port } = await serve(t, {
    backends: [answering(OK)],
    listener: { timeouts: { headMs: 10_000, idleMs: 150 } },
  });
  const peer = await openClient(t, port);
  peer.send(get("/"));
  assert.match(await peer.endsOrCloses(), /ok$/u);
});

const REFUSED: readonly (readonly [status: number, request: string])[] = [
  [400, "GET / HTTP/1.1\r\n\r\n"],
  [400, "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"],
  [
    400,
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil",
  ],
  [400, "nonsense\r\n\r\n"],
  [414, `GET /${"a".repeat(9000)}`],
  [431, `GET / HTTP/1.1\r\nHost: a\r\nx: ${"a".repeat(20_000)}`],
  [505, "GET / HTTP/3.0\r\nHost: a\r\n\r\n"],
];
for (const [status, request] of REFUSED) {
  test(`${JSON.stringify(request.slice(0, 60))} gets ${String(status)} and a close, and no backend hears of it`, async (t) => {
    const backend = answering(OK);
    const { port } = await serve(t, { backends: [backend] });
    const text = await askOnce(port, request);
    assert.match(text, new RegExp(`^HTTP/1\\.1 ${String(status)} `, "u"));
    assert.match(text, /\r\nConnection: close\r\n/u);
    assert.equal(text.split("HTTP/1.1 ").length, 2);
    assert.equal(backend.peers.length, 0);
  });
}

test("a bad chunk in a request gives 400 and the backend's connection is cut", async (t) => {
  const backend = new RawBackend();
  const { port } = await serve(t, { backends: [backend] });
  const text = await askOnce(
    port,
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n-1\r\n",
  );
  assert.match(text, /^HTTP\/1\.1 400 /u);
  for (const peer of backend.peers) await eventually("cut", () => peer.hasEnded || peer.hasClosed);
});

test("a body above the listener's limit gets 413, declared or chunked", async (t) => {
  const { port } = await serve(t, {
    backends: [new RawBackend()],
    listener: { limits: { ...LIMITS, bodyBytes: 10 } },
  });
  assert.match(
    await askOnce(port, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"),
    /^HTTP\/1\.1 413 /u,
  );
  const chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n";
  assert.match(await askOnce(port, chunked), /^HTTP\/1\.1 413 /u);
});

test("a request that no route matches gets 404", async (t) => {
  const { port } = await serve(t, {
    backends: [answering(OK)],
    listener: { routes: routeConfigs("{ match: { path: /v1 }, pool: web }") },
  });
  assert.match(await askOnce(port, get("/v10", "Connection: close")), /^HTTP\/1\.1 404 /u);
  assert.match(await askOnce(port, get("/v1", "Connection: close")), /^HTTP\/1\.1 200 /u);
});

/** Answers the first request on each connection and resets when it gets a second one. */
function closingSecond(): RawBackend {
  return new RawBackend((peer) => {
    peer.socket.once("data", () => {
      peer.send(OK);
      peer.socket.once("data", () => peer.socket.resetAndDestroy());
    });
  });
}

test("a reused connection that closes unheard: GET is sent again on a fresh one", async (t) => {
  const backend = closingSecond();
  const { worker, port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  for (let i = 0; i < 4; i += 1) {
    peer.forget();
    peer.send(get("/"));
    assert.match(await peer.receives("ok"), /^HTTP\/1\.1 200 /u);
  }
  const counters = await worker.counters();
  assert.deepEqual(counters.backends["web"]?.["b1"], { activeConnections: 0, requests: 4, failures: 0 });
});

test("a reused connection that closes unheard: POST gets 502, because it may have been done", async (t) => {
  const { port } = await serve(t, { backends: [closingSecond()] });
  const peer = await openClient(t, port);
  peer.send(POST);
  await peer.receives("ok");
  peer.forget();
  peer.send(POST);
  await peer.receives("502 Bad Gateway\n");
});

test("a client that resets tears the backend connection down", async (t) => {
  const backend = new RawBackend();
  const { worker, port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send(get("/"));
  const atBackend = await backend.peer();
  await atBackend.receives("\r\n\r\n");
  peer.socket.resetAndDestroy();
  await eventually("the backend connection is closed", () => atBackend.hasEnded || atBackend.hasClosed);
  const counters = await worker.counters();
  assert.equal(counters.connections, 0);
  assert.deepEqual(counters.backends["web"]?.["b1"], { activeConnections: 0, requests: 1, failures: 0 });
});

test("a client that vanishes inside its body tears the backend connection down", async (t) => {
  const backend = new RawBackend();
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
  const atBackend = await backend.peer();
  await atBackend.receives("half");
  peer.close();
  await eventually("the backend connection is closed", () => atBackend.hasEnded || atBackend.hasClosed);
});

test("a client that closes while it is sent a long response tears the backend connection down", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.once("data", () => {
      peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      const timer = setInterval(() => peer.send("1\r\nx\r\n"), 5);
      peer.socket.on("close", () => {
        clearInterval(timer);
      });
      peer.socket.on("end", () => peer.socket.destroy());
    });
  });
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send(get("/"));
  await peer.receives("x");
  peer.close();
  const atBackend = await backend.peer();
  await eventually("the backend connection is closed", () => atBackend.hasClosed);
});
