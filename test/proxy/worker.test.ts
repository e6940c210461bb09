// The worker as the control process sees it: the messages of protocol/worker.ts, its life and its end.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type Socket, connect, createServer } from "node:net";
import { test } from "node:test";
import autocannon from "autocannon";
import {
  OK,
  RawBackend,
  TestWorker,
  answering,
  askOnce,
  connectRaw,
  eventually,
  get,
  inTime,
  openClient,
  pool,
  serve,
  startWorker,
  workerConfig,
} from "./harness.ts";
import { Stopwatch } from "../support/stopwatch.ts";

/** The process is the subject here: each worker has its own, with the real entry. */
async function serveAlone(...[t, options]: Parameters<typeof serve>): ReturnType<typeof serve> {
  return serve(t, { ...options, isAlone: true });
}

/** Answers every request after a while. */
function answeringAfter(ms: number): RawBackend {
  return new RawBackend((peer) => {
    peer.socket.on("data", () => {
      setTimeout(() => peer.send(OK), ms);
    });
  });
}

test("10,000 keep-alive requests through two backends: no error, an even split", async (t) => {
  const backends = [answeringFast(), answeringFast()];
  const { worker, port } = await serveAlone(t, { backends });
  const result = await autocannon({
    url: `http://127.0.0.1:${String(port)}/`,
    connections: 20,
    amount: 10_000,
  });
  assert.equal(result.errors, 0);
  assert.equal(result.non2xx, 0);
  assert.equal(result["2xx"], 10_000);
  const counters = await worker.counters();
  assert.equal(counters.requests, 10_000);
  for (const name of ["b1", "b2"]) {
    const count = counters.backends["web"]?.[name];
    assert.ok(Math.abs((count?.requests ?? 0) - 5000) <= 1, `${name}: ${String(count?.requests)}`);
    assert.equal(count?.failures, 0);
  }
  const opened = backends.reduce((sum, backend) => sum + backend.peers.length, 0);
  assert.ok(opened <= 40, `${String(opened)} backend connections for 20 clients`);
});

/** Like answering(OK), without remembering what it read. */
function answeringFast(): RawBackend {
  return new RawBackend((peer) => {
    peer.socket.removeAllListeners("data");
    peer.socket.on("data", () => peer.socket.write(OK));
  });
}

test("a response that the client does not read stops the backend, and memory stays bounded", async (t) => {
  let written = 0;
  const block = Buffer.alloc(64 * 1024);
  const backend = new RawBackend((peer) => {
    peer.socket.once("data", () => {
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
      const pour = (): void => {
        while (written < 1_000_000_000) {
          written += block.length;
          if (!peer.socket.write(block)) break;
        }
      };
      peer.socket.on("drain", pour);
      pour();
    });
  });
  const { worker, port } = await serveAlone(t, { backends: [backend] });
  const before = residentBytes(worker);
  const peer = await connectRaw(port);
  t.after(() => {
    peer.close();
  });
  peer.socket.pause();
  peer.send(get("/"));
  await settled(() => written);
  // The kernel's buffers on two connections hold some MiB; the rest must still be at the backend.
  assert.ok(written < 64 * 1024 * 1024, `${String(written)} bytes left the backend`);
  const grown = residentBytes(worker) - before;
  assert.ok(grown < 32 * 1024 * 1024, `the worker grew by ${String(grown)} bytes`);
  assert.equal((await worker.counters()).backends["web"]?.["b1"]?.activeConnections, 1);
});

test("a request body that the backend does not read stops the client, and memory stays bounded", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.pause();
  });
  const { worker, port } = await serveAlone(t, { backends: [backend] });
  const before = residentBytes(worker);
  const peer = await openClient(t, port);
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
  const block = Buffer.alloc(64 * 1024);
  let written = 0;
  const pour = (): void => {
    while (written < 1_000_000_000) {
      written += block.length;
      if (!peer.socket.write(block)) break;
    }
  };
  peer.socket.on("drain", pour);
  pour();
  await settled(() => written);
  assert.ok(written < 64 * 1024 * 1024, `${String(written)} bytes left the client`);
  const grown = residentBytes(worker) - before;
  assert.ok(grown < 32 * 1024 * 1024, `the worker grew by ${String(grown)} bytes`);
});

/** Waits until a number has not changed for a while. */
async function settled(read: () => number): Promise<void> {
  let last = -1;
  let since = performance.now();
  await eventually("no more moves", () => {
    if (read() !== last) since = performance.now();
    last = read();
    return last > 0 && performance.now() - since > 300;
  });
}

/** proc(5) VmRSS. */
function residentBytes(worker: TestWorker): number {
  const status = readFileSync(`/proc/${String(worker.process.pid)}/status`, "latin1");
  return Number(/VmRSS:\s+(\d+) kB/u.exec(status)?.[1]) * 1024;
}

test("a drain answers what is in flight, says so with Connection: close, and exits 0", async (t) => {
  const { worker, port } = await serveAlone(t, { backends: [answeringAfter(300)] });
  const busy = await openClient(t, port);
  busy.send(get("/"));
  assert.equal(await inFlight(worker), 1);
  worker.send({ kind: "drain", graceMs: 5000 });
  const text = await busy.endsOrCloses();
  assert.match(text, /\r\nConnection: close\r\n\r\nok$/u);
  busy.close();
  assert.equal(await inTime("exit", worker.exited), 0);
  const last = worker.messages.at(-1);
  assert.ok(last?.kind === "report", "the last counters arrived");
  assert.equal(last.counters.requests, 1);
  assert.equal(last.counters.connections, 0);
});

async function inFlight(worker: TestWorker): Promise<number> {
  for (let i = 0; i < 100; i += 1) {
    const { backends } = await worker.counters();
    const active = backends["web"]?.["b1"]?.activeConnections ?? 0;
    if (active > 0) return active;
  }
  return 0;
}

test("a drain ends idle connections and cuts what is left after the grace", async (t) => {
  const { worker, port } = await serveAlone(t, { backends: [answering(OK)] });
  const idle = await openClient(t, port);
  idle.send(get("/"));
  await idle.receives("ok");
  const silent = await openClient(t, port);
  await accepted(worker, 2);
  const stopwatch = new Stopwatch(t);
  const before = performance.now();
  worker.send({ kind: "drain", graceMs: 400 });
  await idle.endsOrCloses();
  // Before the grace is over.
  stopwatch.assertBelow(350);
  assert.equal(await inTime("exit", worker.exited), 0);
  assert.ok(performance.now() - before >= 390, "the one that had not asked yet had its grace");
  await silent.endsOrCloses();
});

test("a connection that has not asked yet is served once after a close", async (t) => {
  const { worker, port } = await serveAlone(t, { backends: [answering(OK)] });
  const late = await openClient(t, port);
  await accepted(worker, 1);
  worker.send({ kind: "close", socketId: "s1", graceMs: 5000 });
  await refused(port);
  late.send(get("/"));
  assert.match(await late.endsOrCloses(), /\r\nConnection: close\r\n\r\nok$/u);
  late.close();
  await worker.message("closed");
});

async function accepted(worker: TestWorker, count: number): Promise<void> {
  for (let i = 0; i < 200; i += 1) {
    if ((await worker.counters()).connections >= count) return;
  }
  assert.fail("not accepted in time");
}

/** Connects that follow each other without a pause keep the accept queue from being empty for at most a second. */
const REFUSED_WITHIN_MS = 5000;

/** Waits until connects to the port are refused. */
async function refused(port: number): Promise<void> {
  const end = performance.now() + REFUSED_WITHIN_MS;
  while (performance.now() < end) {
    const socket = connect(port, "127.0.0.1");
    const isRefused = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => {
        resolve(false);
      });
      socket.once("error", () => {
        resolve(true);
      });
    });
    socket.destroy();
    if (isRefused) return;
  }
  assert.fail("still listening");
}

test("whoever stands in the accept queue when the socket closes is served", async (t) => {
  const { worker, port } = await serveAlone(t, { backends: [answering(OK)] });
  const waiting = await Promise.all(Array.from({ length: 50 }, () => openClient(t, port)));
  worker.send({ kind: "close", socketId: "s1", graceMs: 5000 });
  for (const peer of waiting) peer.send(get("/"));
  for (const peer of waiting) {
    assert.match(await peer.endsOrCloses(), /ok$/u);
    peer.close();
  }
  await worker.message("closed");
});

test("a queue as long as a stopped worker leaves it is served to the last connection", async (t) => {
  const { worker, port } = await serveAlone(t, { backends: [answering(OK)] });
  // The kernel opens connections for a worker that does nothing, and they wait.
  worker.process.kill("SIGSTOP");
  const waiting = await Promise.all(Array.from({ length: 300 }, () => openClient(t, port)));
  for (const peer of waiting) peer.send(get("/"));
  worker.send({ kind: "close", socketId: "s1", graceMs: 5000 });
  worker.process.kill("SIGCONT");
  for (const peer of waiting) {
    assert.match(await peer.endsOrCloses(), /ok$/u);
    peer.close();
  }
  await worker.message("closed");
});

test("a tunnel lives through a drain until the grace is over", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.once("data", () => {
      peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
      peer.socket.on("data", (bytes) => peer.socket.write(bytes));
    });
  });
  const { worker, port } = await serveAlone(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send(get("/", "Connection: Upgrade", "Upgrade: x"));
  await peer.receives("\r\n\r\n");
  worker.send({ kind: "drain", graceMs: 3000 });
  await refused(port);
  peer.send("still here");
  await peer.receives("still here");
  assert.equal(await inTime("exit", worker.exited), 0);
  assert.equal(peer.hasClosed || peer.hasEnded, true);
});

test("connections to an address of ours that is gone are cut, now and later, and others are not", async (t) => {
  const { worker, port } = await serveAlone(t, { backends: [answering(OK)] });
  const there = await openClient(t, port);
  const elsewhere = await openClient(t, await worker.listen({ socketId: "s2", host: "127.0.0.2" }), {
    host: "127.0.0.2",
  });
  for (const peer of [there, elsewhere]) {
    peer.send(get("/"));
    await peer.receives("ok");
  }
  worker.send({ kind: "cut", addresses: ["127.0.0.1"] });
  await eventually("cut", () => there.hasEnded || there.hasClosed);
  const late = await openClient(t, port);
  await eventually("cut as well", () => late.hasEnded || late.hasClosed);
  elsewhere.forget();
  elsewhere.send(get("/"));
  await elsewhere.receives("ok");
});

test("closing one socket leaves the others alone", async (t) => {
  const { worker, port } = await serveAlone(t, { backends: [answering(OK)] });
  const second = await worker.listen({ socketId: "s2" });
  worker.send({ kind: "close", socketId: "s1", graceMs: 1000 });
  await worker.message("closed", ({ socketId }) => socketId === "s1");
  await refused(port);
  assert.match(await askOnce(second, get("/", "Connection: close")), /ok$/u);
});

test("closing a socket that is not there is answered", async (t) => {
  const { worker } = await serveAlone(t, { backends: [answering(OK)] });
  worker.send({ kind: "close", socketId: "nobody", graceMs: 0 });
  await worker.message("closed", ({ socketId }) => socketId === "nobody");
});

test("a connection that the control process accepted is served", async (t) => {
  const { worker } = await serveAlone(t, { backends: [answering(OK)] });
  const server = createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const arrival = once(server, "connection");
  const peer = await openClient(t, address.port);
  peer.send(get("/"));
  const [socket] = (await arrival) as [Socket];
  worker.send({ kind: "connection", listener: "web" }, socket);
  assert.match(await peer.receives("ok"), /^HTTP\/1\.1 200 /u);
  server.close();
  peer.close();
});

test("a reload changes backends and keeps connections and counters", async (t) => {
  const [first, second] = [answering(OK), answering(OK.replace("ok", "2!"))];
  await second.start();
  t.after(() => {
    second.close();
  });
  const { worker, port } = await serveAlone(t, { backends: [first] });
  const peer = await openClient(t, port);
  peer.send(get("/"));
  await peer.receives("ok");
  const backends = [
    { name: "b1", host: "127.0.0.1", port: first.port, weight: 1, isBackup: false },
    { name: "b2", host: "127.0.0.1", port: second.port, weight: 1, isBackup: false },
  ];
  worker.configure(workerConfig([pool({ backends })]));
  await worker.counters();
  peer.send(get("/") + get("/"));
  await peer.receives("2!");
  const counters = await worker.counters();
  assert.equal(counters.requests, 3);
  assert.equal(counters.backends["web"]?.["b1"]?.requests, 2);
  assert.equal(counters.backends["web"]?.["b2"]?.requests, 1);
  worker.configure(workerConfig([pool({ backends: backends.slice(1) })]));
  await worker.counters();
  peer.forget();
  peer.send(get("/"));
  await peer.receives("2!");
  const atFirst = await first.peer();
  await eventually(
    "the connection to the removed backend closes",
    () => atFirst.hasEnded || atFirst.hasClosed,
  );
});

test("counters come unasked once something has changed", async (t) => {
  const { worker, port } = await serveAlone(t, { backends: [answering(OK)] });
  assert.match(await askOnce(port, get("/", "Connection: close")), /ok$/u);
  await worker.message("report", ({ counters }) => counters.requests === 1);
});

test("a worker leaves privileges behind, ignores signals, and goes with its channel", async () => {
  const worker = new TestWorker({ env: { VIPAIR_WORKER_UID: "65533", VIPAIR_WORKER_GID: "65532" } });
  await worker.message("ready");
  const status = readFileSync(`/proc/${String(worker.process.pid)}/status`, "latin1");
  if (process.getuid?.() === 0) {
    assert.match(status, /^Uid:\t65533\t65533\t65533\t65533$/mu);
    assert.match(status, /^Gid:\t65532\t65532\t65532\t65532$/mu);
    assert.match(status, /^Groups:\s*$/mu);
    assert.match(status, /^CapEff:\t0+$/mu);
  }
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) worker.process.kill(signal);
  worker.configure(workerConfig([]));
  await worker.counters();
  worker.process.disconnect();
  assert.equal(await inTime("exit", worker.exited), 0);
});

test("a message that breaks the engine ends the worker with a failure, not in silence", async () => {
  const worker = new TestWorker();
  await worker.message("ready");
  worker.process.send({ kind: "configure" });
  assert.equal(await inTime("exit", worker.exited), 1);
  await eventually("the log says why", () => worker.output.includes("worker failed"));
});

test("a worker is ready soon after it was forked", async (t) => {
  const stopwatch = new Stopwatch(t);
  const { worker } = await startWorker([pool({ ports: [1] })]);
  stopwatch.assertBelow(2000);
  await worker.stop();
});
