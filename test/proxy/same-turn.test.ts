// What a worker finds when it comes back to its sockets after a while: bytes and the reset behind them, in one turn of
// the event loop. The worker is stopped while its peers speak, so that nothing of this depends on chance.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  OK,
  RawBackend,
  type RawPeer,
  type TestWorker,
  eventually,
  get,
  openClient,
  serve,
} from "./harness.ts";

const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
const UPGRADE = get("/", "Connection: Upgrade", "Upgrade: x");

/** Runs `speak` while the worker sees nothing of it. */
async function whileStopped(worker: TestWorker, speak: () => Promise<void>): Promise<void> {
  worker.process.kill("SIGSTOP");
  try {
    await speak();
  } finally {
    worker.process.kill("SIGCONT");
  }
}

/** Sends bytes, and a reset right behind them when the kernel has them. */
async function sendAndReset(peer: RawPeer, bytes: string): Promise<void> {
  await sent(peer, bytes);
  peer.socket.resetAndDestroy();
}

for (const [what, answer] of [
  ["that its close would have ended", "HTTP/1.1 200 OK\r\n\r\npart"],
  ["with a length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"],
  ["in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"],
] as const) {
  test(`a response ${what} and a reset in one turn: the client sees a cut`, async (t) => {
    const backend = new RawBackend();
    const { worker, port } = await serve(t, { backends: [backend] });
    const client = await openClient(t, port);
    client.send(get("/"));
    const peer = await backend.peer();
    await peer.receives("\r\n\r\n");
    await whileStopped(worker, () => sendAndReset(peer, answer));
    await eventually("the end", () => client.hasClosed || client.text.includes("\r\n0\r\n\r\n"));
    assert.equal(client.text.includes("\r\n0\r\n\r\n"), false, client.text);
    assert.equal(client.hasEnded, false, "a reset, not an end");
  });
}

for (const from of ["client", "backend"] as const) {
  test(`bytes in a tunnel and a reset of the ${from} in one turn: the other side sees a cut`, async (t) => {
    const backend = new RawBackend((peer) => {
      peer.socket.once("data", () => peer.send(SWITCHED));
    });
    const { worker, port } = await serve(t, { backends: [backend] });
    const client = await openClient(t, port);
    client.send(UPGRADE);
    await client.receives("\r\n\r\n");
    const peer = await backend.peer();
    const [teller, hearer] = from === "client" ? [client, peer] : [peer, client];
    await whileStopped(worker, () => sendAndReset(teller, "last words"));
    await eventually("the end", () => hearer.hasClosed || hearer.hasEnded);
    assert.equal(hearer.hasEnded, false, "a reset, not an end");
  });
}

const EARLY: readonly (readonly [what: string, answer: string])[] = [
  ["with a length", "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch"],
  ["in chunks", "HTTP/1.1 413 Content Too Large\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmuch\r\n0\r\n\r\n"],
  ["without a body", "HTTP/1.1 204 No Content\r\n\r\n"],
  [
    "behind an interim response",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch",
  ],
];

/** The answer as the client gets it. */
function passedOn(answer: string): string {
  const at = answer.lastIndexOf("\r\n\r\n", answer.includes("chunked") ? answer.indexOf("4\r\n") : undefined);
  return `${answer.slice(0, at)}\r\nConnection: close${answer.slice(at)}`;
}

for (const [what, answer] of EARLY) {
  for (const reads of ["reads nothing", "reads"] as const) {
    test(`a backend that ${reads} answers early ${what} and resets in one turn: the client gets the answer`, async (t) => {
      const { client, peer, worker } = await uploading(t, { isRead: reads === "reads" });
      await whileStopped(worker, async () => {
        // First in the kernel's list of what has come: the worker writes to the backend before it reads from it.
        if (reads === "reads") await sent(client, "more");
        await sendAndReset(peer, answer);
      });
      await eventually("the end", () => client.hasClosed || client.hasEnded);
      assert.equal(client.text, passedOn(answer));
      assert.equal(client.hasEnded, true);
    });
  }
}

test("a backend answers early until its close, whole, and then resets: the client gets the answer", async (t) => {
  const { client, peer, worker } = await uploading(t, { isRead: true });
  await whileStopped(worker, async () => {
    peer.socket.pause();
    await sent(client, "more");
    peer.socket.end("HTTP/1.1 413 Content Too Large\r\n\r\nmuch");
    await once(peer.socket, "finish");
    peer.socket.destroy();
  });
  for (let i = 0; i < 20 && !client.hasEnded; i += 1) {
    client.send("more");
    await sleep(1);
  }
  await eventually("the end", () => client.hasClosed || client.hasEnded);
  assert.match(client.text, /^HTTP\/1\.1 413 [^]*\r\n\r\n4\r\nmuch\r\n0\r\n\r\n$/u);
});

test("a backend answers early until its close and resets inside, in one turn: the client sees a cut", async (t) => {
  const { client, peer, worker } = await uploading(t, { isRead: true });
  await whileStopped(worker, async () => {
    await sent(client, "more");
    await sendAndReset(peer, "HTTP/1.1 413 Content Too Large\r\n\r\nmu");
  });
  await eventually("the end", () => client.hasClosed || client.text.includes("\r\n0\r\n\r\n"));
  assert.equal(client.text.includes("\r\n0\r\n\r\n"), false, client.text);
  assert.equal(client.hasEnded, false, "a reset, not an end");
});

function post(body: string): string {
  return `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`;
}

test("a connection whose last write failed is not used again, though its answer was whole", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.on("data", () => {
      if (peer.text.endsWith("second")) peer.send(OK);
    });
  });
  const { worker, port } = await serve(t, { backends: [backend] });
  const client = await openClient(t, port);
  const whole = post("firstmore") + post("second");
  const at = whole.indexOf("more");
  client.send(whole.slice(0, at));
  const peer = await backend.peer();
  await peer.receives("first");
  await whileStopped(worker, async () => {
    await sent(client, whole.slice(at));
    await sendAndReset(peer, OK);
  });
  await eventually("two answers", () => client.text.split("HTTP/1.1 ").length === 3 || client.hasClosed);
  assert.equal(client.text, OK + OK);
});

/** A client inside its request body, and the backend that has begun to get it. */
async function uploading(
  t: TestContext,
  { isRead }: { readonly isRead: boolean },
): Promise<{ readonly client: RawPeer; readonly peer: RawPeer; readonly worker: TestWorker }> {
  const backend = new RawBackend((peer) => {
    if (!isRead) peer.socket.once("data", () => peer.socket.pause());
  });
  const { worker, port } = await serve(t, { backends: [backend] });
  const client = await openClient(t, port);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000\r\n\r\nfirst");
  const peer = await backend.peer();
  await peer.receives("first");
  if (!isRead) {
    pour(client, t);
    await stalled(client);
  }
  return { client, peer, worker };
}

/** The kernel has the bytes. */
async function sent(peer: RawPeer, bytes: string): Promise<void> {
  await new Promise<void>((resolve) => {
    peer.socket.write(bytes, "latin1", () => resolve());
  });
}

/** Sends without end, as fast as it is taken. */
function pour(client: RawPeer, t: TestContext): void {
  const block = Buffer.alloc(65_536, "x");
  const more = (): void => {
    while (!client.hasClosed && client.socket.writable && client.socket.write(block));
  };
  client.socket.on("drain", more);
  t.after(() => client.socket.off("drain", more));
  more();
}

/** Waits until nothing more is taken of what the client sends. */
async function stalled(client: RawPeer): Promise<void> {
  let last = -1;
  let since = performance.now();
  await eventually("nothing more is taken", () => {
    if (client.socket.bytesWritten !== last) since = performance.now();
    last = client.socket.bytesWritten;
    return performance.now() - since > 150;
  });
}
