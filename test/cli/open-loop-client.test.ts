import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { test, type TestContext } from "node:test";
import { OpenLoopClient } from "../../src/cli/open-loop-client.ts";
import { startBackend } from "../support/backend.ts";

const HOST = "127.0.77.1";

/** A server that says `answer` to whoever connects and then closes; null: says nothing. */
async function serve(t: TestContext, answer: string | null): Promise<number> {
  const server: Server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    t.after(() => socket.destroy());
    if (answer !== null) socket.once("data", () => socket.end(answer));
  });
  server.listen(0, HOST);
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function measure(port: number, lastMs: number, timeoutMs = 400) {
  const client = new OpenLoopClient({ host: HOST, port, timeoutMs });
  client.start();
  await sleep(lastMs);
  return client.stop();
}

test("a good backend: every attempt succeeds and says who answered", async (t) => {
  const backend = await startBackend({ name: "one", host: HOST, port: 0 });
  t.after(() => backend.close());
  const report = await measure(backend.port, 300);
  assert.equal(report.failed, 0);
  assert.deepEqual(report.outages, []);
  assert.deepEqual(report.backends, { one: report.total });
  assert.equal(report.total, backend.requests());
});

test("attempts start at their interval whether or not the earlier ones are answered", async (t) => {
  const report = await measure(await serve(t, null), 500, 200);
  // 500 ms at 5 ms are 100 slots; what this machine held up is counted, not lost.
  assert.ok(report.total + report.missed >= 90, `${String(report.total)} attempts`);
  assert.deepEqual(report.outcomes, { timeout: report.total });
  assert.equal(report.outages.length, 1);
  assert.equal(report.outages[0]?.ended, false);
});

test("an outage is as long as the backend was away", async (t) => {
  const first = await startBackend({ name: "first", host: HOST, port: 0 });
  const client = new OpenLoopClient({ host: HOST, port: first.port });
  client.start();
  await sleep(100);
  client.mark("away");
  const awayFrom = performance.now();
  await first.close();
  await sleep(200);
  const second = await startBackend({ name: "second", host: HOST, port: first.port });
  const awayMs = performance.now() - awayFrom;
  t.after(() => second.close());
  await sleep(100);
  const whole = await client.stop();
  const since = client.outageSince("away");
  assert.equal(since.outages.length, 1);
  const [outage] = since.outages;
  assert.ok(outage !== undefined && outage.ended);
  // Either end may be off by an interval, more when this process was held up.
  const slackMs = 15 + since.stalledMs;
  assert.ok(
    Math.abs(outage.lengthMs - awayMs) <= slackMs,
    `${String(outage.lengthMs)} for ${String(awayMs)}`,
  );
  assert.ok((whole.backends["first"] ?? 0) > 0 && (whole.backends["second"] ?? 0) > 0);
  // Only what was in flight when it ended.
  assert.ok((since.backends["first"] ?? 0) <= 2);
});

for (const [story, answer, outcome] of [
  ["a status of 500", "HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n", "bad-status"],
  ["a body cut before its end", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "bad-response"],
  [
    "chunks without the last one",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    "bad-response",
  ],
  ["something that is not HTTP", "SSH-2.0-hello\r\n\r\n", "bad-response"],
  ["a close without an answer", "", "reset"],
  ["whole chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "ok"],
  [
    "an answer behind interim ones",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
    "ok",
  ],
  [
    "an error behind an interim answer",
    "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n",
    "bad-status",
  ],
  [
    "whole chunks and a trailer",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nDigest: x\r\n\r\n",
    "ok",
  ],
  ["a body that ends with the connection", "HTTP/1.0 200 OK\r\n\r\nabc", "ok"],
] as const) {
  test(`${story} is "${outcome}"`, async (t) => {
    const report = await measure(await serve(t, answer), 50);
    assert.ok(report.total > 0);
    assert.deepEqual(report.outcomes, { [outcome]: report.total });
  });
}

test("a closed port is refused", async () => {
  const backend = await startBackend({ name: "gone", host: HOST, port: 0 });
  await backend.close();
  const report = await measure(backend.port, 50);
  assert.deepEqual(report.outcomes, { refused: report.total });
});

test("when the client itself is held up, the pair is not blamed for it", async (t) => {
  const backend = await startBackend({ name: "one", host: HOST, port: 0 });
  t.after(() => backend.close());
  const client = new OpenLoopClient({ host: HOST, port: backend.port, timeoutMs: 100 });
  client.start();
  await sleep(50);
  const until = performance.now() + 300;
  while (performance.now() < until);
  await sleep(50);
  const report = await client.stop();
  assert.equal(report.failed, 0);
  assert.ok(report.stalledMs >= 280, `stalled ${String(report.stalledMs)}`);
  assert.ok(report.missed >= 40, `missed ${String(report.missed)}`);
  assert.ok(report.late > 0);
});
