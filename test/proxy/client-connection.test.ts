// A client connection in this process, on streams that are no sockets: the engine asks for nothing more
// than a duplex byte stream, so that TLS sockets and HTTP/2 streams can stand in its place.

import assert from "node:assert/strict";
import { type Duplex, duplexPair } from "node:stream";
import { type TestContext, test } from "node:test";
import { DEFAULT_HEAD_LIMITS } from "../../src/http1/scan.ts";
import type { FromWorker } from "../../src/protocol/worker.ts";
import { ClientConnection } from "../../src/proxy/client-connection.ts";
import type { Context } from "../../src/proxy/context.ts";
import { Listener } from "../../src/proxy/listener.ts";
import { RequestIds } from "../../src/proxy/request-id.ts";
import { Pool } from "../../src/proxy/pool.ts";
import { Timers } from "../../src/proxy/timers.ts";
import { createLog } from "../../src/system/log.ts";
import { OK, answering, eventually, get, pool, workerConfig } from "./harness.ts";

interface Rig {
  readonly context: Context;
  /** The client's end of the stream. */
  readonly client: Duplex;
  /** What the client got. */
  readonly received: () => string;
  readonly isClosed: () => boolean;
}

async function rig(t: TestContext, answer: string): Promise<Rig> {
  const backend = await answering(answer).start();
  t.after(() => {
    backend.close();
  });
  const config = workerConfig([pool({ ports: [backend.port] })]);
  const pools = new Map<string, Pool>();
  const context: Context = {
    log: createLog({ level: "error", subject: {} }),
    accessLog: null,
    requestIds: new RequestIds(),
    timers: new Timers(),
    tally: { connections: 0, requests: 0, refusedConnections: 0, refusing: 0, hasChanged: false },
    responseHeadLimits: DEFAULT_HEAD_LIMITS,
    pools,
    tell: (message: FromWorker) => {
      assert.fail(`unexpected ${message.kind}`);
    },
  };
  for (const entry of config.pools) pools.set(entry.name, new Pool(context, entry, {}));
  t.after(() => {
    for (const entry of pools.values()) entry.retire();
  });
  const [listener] = config.listeners;
  assert.ok(listener !== undefined);
  const [client, stream] = duplexPair();
  let received = "";
  let isClosed = false;
  client.on("data", (bytes: Buffer) => {
    received += bytes.toString("latin1");
  });
  const connection = new ClientConnection({
    context,
    listener: new Listener(listener, 1),
    stream,
    sender: { address: "192.0.2.1", isTrusted: false, scheme: "https" },
    onClosed: () => {
      isClosed = true;
    },
  });
  t.after(() => {
    connection.cut();
    client.destroy();
  });
  return { context, client, received: () => received, isClosed: () => isClosed };
}

test("requests are answered on a stream that is no socket", async (t) => {
  const { context, client, received } = await rig(t, OK);
  client.write(get("/a") + get("/b"));
  await eventually("two answers", () => received() === OK + OK);
  assert.equal(context.tally.requests, 2);
});

test("after Connection: close the stream ends, and nothing is left when the client has ended too", async (t) => {
  const { context, client, received, isClosed } = await rig(t, OK);
  let hasEnded = false;
  client.on("end", () => {
    hasEnded = true;
  });
  client.write(get("/", "Connection: close"));
  await eventually("the end", () => hasEnded);
  assert.match(received(), /Connection: close\r\n\r\nok$/u);
  client.end();
  await eventually("closed", isClosed);
  assert.equal(context.tally.connections, 0);
});

test("a client that reads nothing gets no further requests of its answered", async (t) => {
  const body = "x".repeat(40_000);
  const { context, client } = await rig(t, `HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n${body}`);
  client.pause();
  client.write(Array.from({ length: 50 }, () => get("/")).join(""));
  await eventually("some answers", () => context.tally.requests > 0);
  // Buffers of two streams hold a few responses; the other requests wait.
  await new Promise((resolve) => {
    setTimeout(resolve, 200);
  });
  assert.ok(context.tally.requests < 20, `${String(context.tally.requests)} answered`);
  client.resume();
  await eventually("all answers", () => context.tally.requests === 50);
});
