// Requests that a backend has failed: which of them go to another one, which must not, and what bounds that.

import assert from "node:assert/strict";
import { mkdtempSync, chmodSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, describe, test } from "node:test";
import type { RetryConfig, RetryOn } from "../../src/config/resilience-config.ts";
import {
  OK,
  RETRY,
  RawBackend,
  type RawPeer,
  answering,
  askOnce,
  deafPort,
  eventually,
  freePort,
  get,
  openClient,
  serve,
} from "./harness.ts";

const BUSY = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

/** Settings beside the defaults, which send again what was reset. */
function retry(on: Partial<RetryOn>, more: Partial<RetryConfig> = {}): { readonly retry: RetryConfig } {
  return { retry: { ...RETRY, on: { ...RETRY.on, ...on }, ...more } };
}

/** Fails in this way as soon as `enough` has come. */
function failing(
  fail: (peer: RawPeer) => void = (peer) => peer.socket.resetAndDestroy(),
  enough = "\r\n\r\n",
): RawBackend {
  return new RawBackend((peer) => {
    peer.socket.on("data", () => {
      if (peer.text.includes(enough)) fail(peer);
    });
  });
}

/** Answers once the request ends in this. */
function answeringTo(end: string): RawBackend {
  return new RawBackend((peer) => {
    peer.socket.on("data", () => {
      if (peer.text.endsWith(end)) peer.send(OK);
    });
  });
}

function request(method: string, body: string): string {
  return `${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`;
}

async function statusOf(t: TestContext, port: number, asked: string): Promise<number> {
  const client = await openClient(t, port);
  client.send(asked);
  return Number((await client.receives("\r\n\r\n")).split(" ")[1]);
}

describe("what is sent again", () => {
  for (const [how, fail] of [
    ["resets", (peer: RawPeer) => peer.socket.resetAndDestroy()],
    ["closes", (peer: RawPeer) => peer.socket.end()],
    ["closes within the head of its answer", (peer: RawPeer) => peer.socket.end("HTTP/1.1 200 OK\r\nCont")],
  ] as const) {
    test(`a GET whose backend ${how} goes to another one`, async (t) => {
      const bad = failing(fail);
      const { worker, port } = await serve(t, { backends: [bad, answering(OK)], settings: retry({}) });
      assert.equal(await statusOf(t, port, get("/")), 200);
      assert.equal(bad.peers.length, 1);
      const { pools, backends } = await worker.counters();
      assert.equal(pools["web"]?.retries, 1);
      assert.equal(backends["web"]?.["b1"]?.failures, 1);
    });
  }

  for (const method of ["POST", "PATCH"]) {
    test(`a ${method} that a backend has got is not`, async (t) => {
      const backends = [failing(), answering(OK)];
      const { port } = await serve(t, { backends, settings: retry({ timeout: true, statuses: [503] }) });
      assert.equal(await statusOf(t, port, request(method, "x")), 502);
      assert.equal(backends[1]?.peers.length, 0);
    });
  }

  test("a POST that no backend has got goes to one that can be connected to", async (t) => {
    const good = await answeringTo("hello").start();
    t.after(() => {
      good.close();
    });
    const { port } = await serve(t, { ports: [await freePort(), good.port], settings: retry({}) });
    assert.equal(await statusOf(t, port, request("POST", "hello")), 200);
  });

  test("without connect nothing goes on after a connect that failed", async (t) => {
    const good = await answering(OK).start();
    t.after(() => {
      good.close();
    });
    const settings = retry({ connect: false });
    const { port } = await serve(t, { ports: [await freePort(), good.port], settings });
    assert.equal(await statusOf(t, port, get("/")), 503);
    assert.equal(good.peers.length, 0);
  });

  test("nothing is after an interim response has reached the client", async (t) => {
    const bad = failing((peer) => peer.socket.end("HTTP/1.1 103 Early Hints\r\n\r\n"));
    const { port } = await serve(t, { backends: [bad, answering(OK)], settings: retry({}) });
    const client = await openClient(t, port);
    client.send(get("/"));
    assert.match(await client.receives("502 Bad Gateway\n"), /^HTTP\/1\.1 103 [^]*HTTP\/1\.1 502 /u);
  });

  test("nothing is after the head of the answer: the client's connection is cut", async (t) => {
    const bad = failing((peer) => peer.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"));
    const other = answering(OK);
    const { port } = await serve(t, { backends: [bad, other], settings: retry({}) });
    assert.match(await askOnce(port, get("/")), /half$/u);
    assert.equal(other.peers.length, 0);
  });

  test("a request goes to the same backend again if there is no other", async (t) => {
    let connections = 0;
    const backend = new RawBackend((peer) => {
      connections += 1;
      const isFirst = connections === 1;
      peer.socket.on("data", () => {
        if (isFirst) peer.socket.resetAndDestroy();
        else peer.send(OK);
      });
    });
    const { port } = await serve(t, { backends: [backend], settings: retry({}) });
    assert.equal(await statusOf(t, port, get("/")), 200);
    assert.equal(connections, 2);
  });

  test("an upgrade goes to another backend before its 101", async (t) => {
    const good = answering("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhi");
    const { port } = await serve(t, { backends: [failing(), good], settings: retry({}) });
    const client = await openClient(t, port);
    client.send(get("/", "Connection: Upgrade", "Upgrade: x"));
    assert.match(await client.receives("hi"), /^HTTP\/1\.1 101 /u);
  });
});

describe("bodies", () => {
  for (const [framing, head, body] of [
    ["a length", "Content-Length: 10", "0123456789"],
    ["chunks", "Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\nx-sum: 7\r\n\r\n"],
  ] as const) {
    test(`a PUT whose body has ${framing} is sent again byte for byte`, async (t) => {
      const bad = failing(undefined, body);
      const good = answeringTo(body);
      const { port } = await serve(t, { backends: [bad, good], settings: retry({}) });
      const asked = `PUT / HTTP/1.1\r\nHost: a\r\n${head}\r\n\r\n${body}`;
      assert.equal(await statusOf(t, port, asked), 200);
      assert.equal(good.peers[0]?.text, bad.peers[0]?.text);
    });
  }

  test("of a body that is still coming the next backend gets what there was, and then the rest", async (t) => {
    const bad = failing(undefined, "first ");
    const good = answeringTo("first second");
    const { port } = await serve(t, { backends: [bad, good], settings: retry({}) });
    const client = await openClient(t, port);
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nfirst ");
    await (await good.peer()).receives("first ");
    client.send("second");
    await client.receives("ok");
  });

  test("a body that is longer than bodyBytes is not kept: 502", async (t) => {
    const body = "x".repeat(101);
    const settings = retry({}, { bodyBytes: 100 });
    for (const asked of [
      request("PUT", body),
      `PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n${body}\r\n0\r\n\r\n`,
    ]) {
      const backends = [failing(undefined, body), answering(OK)];
      const { port } = await serve(t, { backends, settings });
      assert.equal(await statusOf(t, port, asked), 502);
      assert.equal(backends[1]?.peers.length, 0);
    }
  });

  test("a body of exactly bodyBytes is sent again, in however many pieces it came", async (t) => {
    const body = "x".repeat(9999) + "!";
    const settings = retry({}, { bodyBytes: 10_000 });
    const good = answeringTo(body);
    const { port } = await serve(t, { backends: [failing(undefined, "!"), good], settings });
    const client = await openClient(t, port);
    client.send(request("PUT", body).slice(0, -body.length));
    for (let at = 0; at < body.length; at += 1111) client.send(body.slice(at, at + 1111));
    await client.receives("ok");
  });

  test("a kept connection that closes unheard does not lose a body either", async (t) => {
    let connections = 0;
    const backend = new RawBackend((peer) => {
      connections += 1;
      const isFirst = connections === 1;
      peer.socket.on("data", () => {
        if (!peer.text.includes("/again")) peer.send(OK);
        else if (isFirst) peer.socket.resetAndDestroy();
        else if (peer.text.endsWith("body")) peer.send(OK);
      });
    });
    const settings = retry({}, { budget: { percent: 0, floor: 0 } });
    const { worker, port } = await serve(t, { backends: [backend], settings });
    const client = await openClient(t, port);
    client.send(get("/first"));
    await client.receives("ok");
    client.forget();
    client.send("PUT /again HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    await client.receives("ok");
    // That was nobody's failure, and no retry.
    const { backends, pools } = await worker.counters();
    assert.equal(backends["web"]?.["b1"]?.failures, 0);
    assert.equal(pools["web"]?.retries, 0);
  });
});

describe("statuses", () => {
  test("an answer with a chosen status is thrown away, and its connection kept", async (t) => {
    const busy = answering(BUSY);
    const { port } = await serve(t, {
      backends: [busy, answering(OK)],
      settings: retry({ statuses: [503] }),
    });
    const client = await openClient(t, port);
    for (let i = 0; i < 4; i += 1) {
      client.forget();
      client.send(get("/"));
      assert.match(await client.receives("ok"), /^HTTP\/1\.1 200 /u);
    }
    assert.equal(busy.peers.length, 1);
    assert.ok((busy.peers[0]?.text.split("GET").length ?? 0) > 2);
  });

  test("one whose body has not come yet costs its connection", async (t) => {
    const busy = answering("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbu");
    const settings = retry({ statuses: [503] });
    const { port } = await serve(t, { backends: [busy, answering(OK)], settings });
    assert.equal(await statusOf(t, port, get("/")), 200);
    const peer = await busy.peer();
    await eventually("it is closed", () => peer.hasEnded || peer.hasClosed);
  });

  test("the answer of the last try is passed on, whatever its status", async (t) => {
    const backends = [answering(BUSY), answering(BUSY.replace("busy", "2nd!")), answering(OK)];
    const settings = retry({ statuses: [503] }, { attempts: 2 });
    const { worker, port } = await serve(t, { backends, settings });
    const client = await openClient(t, port);
    client.send(get("/"));
    assert.match(await client.receives("2nd!"), /^HTTP\/1\.1 503 /u);
    assert.equal(backends[2]?.peers.length, 0);
    assert.equal((await worker.counters()).pools["web"]?.retries, 1);
  });

  test("a status that is not chosen, and one for a POST, are passed on", async (t) => {
    const settings = retry({ statuses: [502] });
    const { port } = await serve(t, { backends: [answering(BUSY), answering(OK)], settings });
    assert.equal(await statusOf(t, port, get("/")), 503);
    const other = await serve(t, {
      backends: [answering(BUSY), answering(OK)],
      settings: retry({ statuses: [503] }),
    });
    assert.equal(await statusOf(t, other.port, request("POST", "x")), 503);
  });

  test("an answer that comes before the whole body has the rest of it go to the next backend", async (t) => {
    const good = answeringTo("0123456789");
    const settings = retry({ statuses: [503] });
    const { port } = await serve(t, { backends: [answering(BUSY), good], settings });
    const client = await openClient(t, port);
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    await (await good.peer()).receives("01234");
    client.send("56789");
    await client.receives("ok");
  });
});

describe("bounds", () => {
  test("a request is sent as often as attempts says, and connects that failed do not count", async (t) => {
    const backends = [failing(), failing(), failing()];
    for (const backend of backends) await backend.start();
    t.after(() => {
      for (const backend of backends) backend.close();
    });
    const ports = [await freePort(), ...backends.map(({ port }) => port)];
    const { worker, port } = await serve(t, { ports, settings: retry({}, { attempts: 2 }) });
    assert.equal(await statusOf(t, port, get("/")), 502);
    const asked = backends.filter(({ peers }) => peers.length > 0);
    assert.equal(asked.length, 2);
    assert.equal((await worker.counters()).pools["web"]?.retries, 2);
  });

  test("perTry ends a try that hangs, and the next backend answers", async (t) => {
    const settings = retry({ timeout: true }, { perTryMs: 100 });
    const { port } = await serve(t, { backends: [new RawBackend(), answering(OK)], settings });
    const before = performance.now();
    assert.equal(await statusOf(t, port, get("/")), 200);
    const tookMs = performance.now() - before;
    assert.ok(tookMs >= 100 && tookMs < 4000, `took ${String(tookMs)} ms`);
  });

  test("a timeout is tried again where it is asked for", async (t) => {
    const settings = retry({ timeout: true });
    const timeouts = { responseMs: 100 };
    const { port } = await serve(t, { backends: [new RawBackend(), answering(OK)], settings, timeouts });
    assert.equal(await statusOf(t, port, get("/")), 200);
  });

  test("total ends all tries together with 504, hanging ones and connects", async (t) => {
    const settings = retry({ timeout: true }, { perTryMs: 120, totalMs: 200, attempts: 10 });
    const hanging = [new RawBackend(), new RawBackend()];
    const { port } = await serve(t, { backends: hanging, settings });
    const before = performance.now();
    assert.equal(await statusOf(t, port, get("/")), 504);
    const tookMs = performance.now() - before;
    assert.ok(tookMs >= 200 && tookMs < 4000, `took ${String(tookMs)} ms`);
    const sent = hanging.reduce((sum, { peers }) => sum + peers.length, 0);
    assert.ok(sent === 2, `sent ${String(sent)} times`);
    const deaf = await deafPort(t);
    const other = await serve(t, { ports: [deaf], settings: retry({}, { totalMs: 100 }) });
    assert.equal(await statusOf(t, other.port, get("/")), 504);
  });

  test("total does not end an answer that has begun, nor an upload that goes on", async (t) => {
    const settings = retry({}, { totalMs: 50 });
    const backend = new RawBackend((peer) => {
      peer.socket.on("data", () => {
        if (peer.text.endsWith("end")) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
      });
    });
    const { port } = await serve(t, { backends: [backend], settings });
    const client = await openClient(t, port);
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsta");
    const pauseMs = 250;
    await new Promise((resolve) => {
      setTimeout(resolve, pauseMs);
    });
    client.send("end");
    await client.receives("ha");
    await new Promise((resolve) => {
      setTimeout(resolve, pauseMs);
    });
    (await backend.peer()).send("lf");
    await client.receives("half");
  });

  test("retries beyond the budget do not happen, and a place is free again with the answer", async (t) => {
    const hanging = new RawBackend();
    const settings = retry({}, { budget: { percent: 0, floor: 1 } });
    const { worker, port } = await serve(t, {
      backends: [failing(), hanging],
      settings: { ...settings, balance: { kind: "first" } },
    });
    const clients = [await openClient(t, port), await openClient(t, port)];
    for (const [i, client] of clients.entries()) {
      client.send(get("/"));
      const held = await hanging.peer();
      await held.receives("\r\n\r\n");
      assert.equal(await statusOf(t, port, get("/")), 502);
      const { pools } = await worker.counters();
      assert.equal(pools["web"]?.retries, i + 1);
      assert.equal(pools["web"].retriesRefused, i + 1);
      held.forget();
      held.send(OK);
      await client.receives("ok");
    }
  });

  test("a client that leaves while its request is being sent again takes it along", async (t) => {
    const hanging = new RawBackend();
    const settings = retry({}, { budget: { percent: 0, floor: 1 } });
    const { worker, port } = await serve(t, { backends: [failing(), hanging], settings });
    const client = await openClient(t, port);
    client.send(get("/"));
    const peer = await hanging.peer();
    await peer.receives("\r\n\r\n");
    client.socket.resetAndDestroy();
    await eventually("the backend's connection is closed", () => peer.hasClosed || peer.hasEnded);
    await eventually("nobody is connected", async () => (await worker.counters()).connections === 0);
  });
});

test("the access log has the backend that answered, how often it was tried before, and the end", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "vipair-retry-"));
  chmodSync(folder, 0o777);
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, "access.log");
  const { port } = await serve(t, {
    backends: [failing(), answering(BUSY), answering(OK)],
    settings: retry({ statuses: [503] }),
    accessLog: { file },
  });
  assert.equal(await statusOf(t, port, get("/")), 200);
  const read = (): string => {
    try {
      return readFileSync(file, "utf8");
    } catch {
      return "";
    }
  };
  await eventually("a line", () => read().includes("\n"));
  const line: unknown = JSON.parse(read());
  assert.ok(typeof line === "object" && line !== null);
  const { backend, retries, status, end } = line as Record<string, unknown>;
  assert.deepEqual({ backend, retries, status, end }, { backend: "b3", retries: 2, status: 200, end: "ok" });
});
