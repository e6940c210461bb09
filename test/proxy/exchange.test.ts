// The life of ordinary requests through a real worker.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  type PoolOptions,
  type RawBackend,
  type TestWorker,
  OK,
  answering,
  connectRaw,
  get,
  pool,
  startWorker,
} from "./harness.ts";

async function start(
  t: TestContext,
  backends: readonly RawBackend[],
  options: PoolOptions = {},
): Promise<{ worker: TestWorker; port: number }> {
  for (const backend of backends) {
    await backend.start();
    t.after(() => {
      backend.close();
    });
  }
  const started = await startWorker([pool({ ports: backends.map(({ port }) => port), ...options })]);
  t.after(() => started.worker.stop());
  return started;
}

test("requests on one connection share one backend connection", async (t) => {
  const backend = answering(OK);
  const { worker, port } = await start(t, [backend]);
  const client = await connectRaw(port);
  t.after(() => {
    client.close();
  });
  for (let i = 0; i < 5; i += 1) {
    client.forget();
    client.send(get(`/${String(i)}`));
    await client.receives("ok");
  }
  assert.equal(backend.peers.length, 1);
  const counters = await worker.counters();
  assert.equal(counters.requests, 5);
  assert.deepEqual(counters.backends, { web: { b1: { activeConnections: 0, requests: 5, failures: 0 } } });
});
