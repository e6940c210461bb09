// Requests that a backend has failed, and what is left for them: when the others cannot be connected to, when there
// is no other, and what the client gets when nothing helps.

import assert from "node:assert/strict";
import { type TestContext, describe, test } from "node:test";
import type { BackendConfig, PoolConfig } from "../../src/config/config.ts";
import type { RetryOn } from "../../src/config/resilience-config.ts";
import {
  OK,
  RETRY,
  RawBackend,
  type RawPeer,
  type TestWorker,
  answering,
  eventually,
  freePort,
  get,
  openClient,
  serve,
} from "./harness.ts";

const BUSY = "HTTP/1.1 503 Service Unavailable\r\nX-From: b1\r\nContent-Length: 4\r\n\r\nbusy";

function on(more: Partial<RetryOn>, settings: Partial<PoolConfig["retry"]> = {}): Partial<PoolConfig> {
  return { balance: { kind: "first" }, retry: { ...RETRY, on: { ...RETRY.on, ...more }, ...settings } };
}

/** What each request gets in turn; the last one for all that follow. */
class Scripted extends RawBackend {
  asked = 0;

  constructor(script: readonly ((peer: RawPeer) => void)[]) {
    super((peer) => {
      peer.socket.on("data", () => {
        const act = script[Math.min(this.asked, script.length - 1)];
        this.asked += 1;
        act?.(peer);
      });
    });
  }
}

const says = (text: string) => (peer: RawPeer) => {
  peer.send(text);
};
const resets = (peer: RawPeer): void => {
  peer.socket.resetAndDestroy();
};

interface Rig {
  readonly worker: TestWorker;
  readonly port: number;
  readonly client: RawPeer;
}

/** The backends in their order; a number is a port. */
async function rig(
  t: TestContext,
  members: readonly (RawBackend | number)[],
  settings: Partial<PoolConfig>,
  limits: readonly number[] = [],
): Promise<Rig> {
  const raw = members.filter((one) => one instanceof RawBackend);
  for (const backend of raw) await backend.start();
  t.after(() => {
    for (const backend of raw) backend.close();
  });
  const backends = members.map((one, i): BackendConfig => {
    const maxConnections = limits[i];
    return {
      name: `b${String(i + 1)}`,
      host: "127.0.0.1",
      port: typeof one === "number" ? one : one.port,
      weight: 1,
      isBackup: false,
      ...(maxConnections === undefined ? {} : { maxConnections }),
    };
  });
  const { worker, port } = await serve(t, { settings: { backends, ...settings } });
  return { worker, port, client: await openClient(t, port) };
}

describe("one that had the request is asked again", () => {
  test("when it reset the connection and the others refuse theirs", async (t) => {
    const backend = new Scripted([resets, says(OK)]);
    const { client, worker } = await rig(t, [backend, await freePort(), await freePort()], on({}));
    client.send(get("/"));
    assert.match(await client.receives("ok"), /^HTTP\/1\.1 200 /u);
    assert.equal(backend.asked, 2);
    const { backends, pools } = await worker.counters();
    assert.deepEqual(
      Object.values(backends["web"] ?? {}).map(({ failures }) => failures),
      [1, 1, 1],
      "each that refused was asked once",
    );
    assert.equal(pools["web"]?.retries, 3);
  });

  test("when its answer was not wanted and the others refuse their connections", async (t) => {
    const backend = new Scripted([says(BUSY), says(OK)]);
    const { client } = await rig(t, [backend, await freePort()], on({ statuses: [503] }));
    client.send(get("/"));
    assert.match(await client.receives("ok"), /^HTTP\/1\.1 200 /u);
    assert.equal(backend.asked, 2);
  });

  test("as often as attempts allows, and those that refused never again", async (t) => {
    const backend = new Scripted([resets]);
    const { client, worker } = await rig(t, [backend, await freePort()], on({}, { attempts: 4 }));
    client.send(get("/"));
    assert.match(await client.receives("\r\n\r\n"), /^HTTP\/1\.1 502 /u);
    assert.equal(backend.asked, 4);
    assert.equal((await worker.counters()).backends["web"]?.["b2"]?.failures, 1);
  });

  test("on a status, when it is the only one and may have one request at a time", async (t) => {
    const backend = new Scripted([says(BUSY), says(OK)]);
    const { client } = await rig(
      t,
      [backend],
      { ...on({ statuses: [503] }), queue: { length: 10, timeoutMs: 5000 } },
      [1],
    );
    client.send(get("/"));
    assert.match(await client.receives("ok"), /^HTTP\/1\.1 200 /u);
    assert.equal(backend.asked, 2);
    assert.equal(backend.peers.length, 1, "on the same connection");
  });
});

/** Answers once, and nobody can connect to it any more. */
function dying(answer: string): Scripted {
  const backend: Scripted = new Scripted([
    (peer) => {
      backend.stopListening();
      peer.send(answer);
    },
    resets,
  ]);
  return backend;
}

describe("an answer that was not wanted is better than none", () => {
  for (const [framing, fields, body] of [
    ["a length", "Content-Length: 4", "busy"],
    ["chunks", "Transfer-Encoding: chunked", "4\r\nbusy\r\n0\r\n\r\n"],
    ["no body", "Content-Length: 0", ""],
  ] as const) {
    test(`with ${framing} it is passed on as it was when nobody can be connected to, and the client asks on`, async (t) => {
      const answer = `HTTP/1.1 503 Busy\r\nX-From: b1\r\nConnection: close\r\n${fields}\r\n\r\n${body}`;
      const { client } = await rig(t, [dying(answer), await freePort()], on({ statuses: [503] }));
      client.send(get("/"));
      const text = await client.receives(`\r\n\r\n${body}`);
      assert.match(text, /^HTTP\/1\.1 503 Busy\r\nX-From: b1\r\n/u);
      client.forget();
      client.send(get("/"));
      // Nobody is there now, and nothing is kept of what was.
      const second = await client.receives("\r\n\r\n");
      assert.match(second, /^HTTP\/1\.1 503 Service Unavailable\r\n/u);
      assert.doesNotMatch(second, /X-From/u);
    });
  }

  test("to HEAD it has no body", async (t) => {
    const answer = BUSY.replace("busy", "").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    const { client } = await rig(t, [dying(answer), await freePort()], on({ statuses: [503] }));
    client.send(get("/").replace("GET", "HEAD"));
    const text = await client.receives("\r\n\r\n");
    assert.match(text, /^HTTP\/1\.1 503 [^]*\r\nX-From: b1\r\n[^]*\r\n\r\n$/u);
    assert.match(text, /\r\nContent-Length: 4\r\n/u);
  });

  test("of one that had not come whole the status is left", async (t) => {
    const backend = dying("HTTP/1.1 500 Oops\r\nContent-Length: 10\r\n\r\nhalf");
    const { client } = await rig(t, [backend, await freePort()], on({ statuses: [500] }));
    client.send(get("/"));
    const text = await client.receives("500 Internal Server Error\n");
    assert.match(text, /^HTTP\/1\.1 500 /u);
    assert.doesNotMatch(text, /half/u);
  });

  test("it comes when the retry has waited for a full backend in vain", async (t) => {
    const busy = answering(BUSY);
    const full = new RawBackend();
    const { client, port, worker } = await rig(
      t,
      [full, busy],
      { ...on({ statuses: [503] }, { attempts: 2 }), queue: { length: 10, timeoutMs: 300 } },
      [1, 1],
    );
    const holder = await openClient(t, port);
    holder.send(get("/held"));
    await (await full.peer()).receives("/held");
    client.send(get("/"));
    assert.match(await client.receives("busy"), /^HTTP\/1\.1 503 /u);
    assert.equal((await worker.counters()).pools["web"]?.queued, 0);
  });
});

test("a request that was lost gets 502 when nobody is left, not even the backend that had it", async (t) => {
  const backend = new RawBackend();
  const { client, worker } = await rig(t, [backend], on({}));
  client.send(get("/"));
  const peer = await backend.peer();
  await peer.receives("\r\n\r\n");
  worker.send({ kind: "health", health: { web: { b1: { health: "down" } } } });
  await worker.counters();
  peer.socket.resetAndDestroy();
  assert.match(await client.receives("\r\n\r\n"), /^HTTP\/1\.1 502 /u);
});

describe("bounds", () => {
  test("one request tries sixteen connects at the most", async (t) => {
    const dead: number[] = [];
    for (let i = 0; i < 20; i += 1) dead.push(await freePort());
    const { client, worker } = await rig(t, dead, on({}));
    client.send(get("/"));
    assert.match(await client.receives("\r\n\r\n"), /^HTTP\/1\.1 503 /u);
    const { backends, pools } = await worker.counters();
    const failures = Object.values(backends["web"] ?? {}).reduce((sum, one) => sum + one.failures, 0);
    assert.equal(failures, 16);
    assert.equal(pools["web"]?.retries, 15);
  });

  test("an upload holds a place in the retry budget only while backends have it whole", async (t) => {
    const good = new RawBackend();
    const failing = new Scripted([resets]);
    const settings = on({}, { budget: { percent: 0, floor: 1 } });
    const { client: upload, port } = await rig(t, [failing, good], settings);
    upload.send("PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    const held = await good.peer();
    await held.receives("abc");
    // Its client sends no more for now: another one's request may be sent again.
    const other = await openClient(t, port);
    other.send(get("/other"));
    const second = await good.peer(1);
    await second.receives("/other");
    second.send(OK);
    await other.receives("ok");
    upload.send("def");
    await held.receives("abcdef");
    // Now the backend works on it, and the budget is spent.
    other.forget();
    other.send(get("/third"));
    assert.match(await other.receives("\r\n\r\n"), /^HTTP\/1\.1 502 /u);
    held.send(OK);
    await upload.receives("ok");
    other.forget();
    other.send(get("/fourth"));
    await eventually("it is sent again", () => good.peers.some(({ text }) => text.includes("/fourth")));
  });

  test("a backend that had the request only for the rest of total has not failed", async (t) => {
    const slow = new RawBackend();
    const late = new RawBackend();
    const settings = on({ timeout: true }, { perTryMs: 1500, totalMs: 2000 });
    const { client, worker } = await rig(t, [slow, late], settings);
    client.send(get("/"));
    await (await late.peer()).receives("\r\n\r\n");
    assert.match(await client.receives("\r\n\r\n"), /^HTTP\/1\.1 504 /u);
    const { backends } = await worker.counters();
    assert.equal(backends["web"]?.["b1"]?.failures, 1);
    assert.equal(backends["web"]?.["b2"]?.failures, 0);
  });

  test("a backend that had the request for most of total has failed", async (t) => {
    const { client, worker } = await rig(
      t,
      [new Scripted([resets]), new RawBackend()],
      on({}, { totalMs: 1000 }),
    );
    client.send(get("/"));
    assert.match(await client.receives("\r\n\r\n"), /^HTTP\/1\.1 504 /u);
    assert.equal((await worker.counters()).backends["web"]?.["b2"]?.failures, 1);
  });
});
