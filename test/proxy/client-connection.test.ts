// A client connection in this process, on streams that are no sockets: the engine asks for nothing more than
// a duplex byte stream.

import assert from "node:assert/strict";
import { type Duplex, duplexPair } from "node:stream";
import { type TestContext, test } from "node:test";
import type { Context } from "../../src/proxy/context.ts";
import { OK, answering, eventually, get } from "./harness.ts";
import { openStreamRig } from "./stream-rig.ts";

interface Rig {
  readonly context: Context;
  /** The client's end of the stream. */
  readonly client: Duplex;
  /** What the client got. */
  readonly received: () => string;
}

async function rig(t: TestContext, answer: string): Promise<Rig> {
  const backend = await answering(answer).start();
  const { context, take } = openStreamRig(t, [backend.port]);
  t.after(() => {
    backend.close();
  });
  const [client, stream] = duplexPair();
  let received = "";
  client.on("data", (bytes: Buffer) => {
    received += bytes.toString("latin1");
  });
  take(stream);
  t.after(() => {
    client.destroy();
  });
  return { context, client, received: () => received };
}

test("requests are answered on a stream that is no socket", async (t) => {
  const { context, client, received } = await rig(t, OK);
  client.write(get("/a") + get("/b"));
  await eventually("two answers", () => received() === OK + OK);
  assert.equal(context.tally.requests, 2);
});

test("after Connection: close the stream ends, and nothing is left when the client has ended too", async (t) => {
  const { context, client, received } = await rig(t, OK);
  let hasEnded = false;
  client.on("end", () => {
    hasEnded = true;
  });
  client.write(get("/", "Connection: close"));
  await eventually("the end", () => hasEnded);
  assert.match(received(), /Connection: close\r\n\r\nok$/u);
  client.end();
  await eventually("closed", () => context.tally.connections === 0);
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
