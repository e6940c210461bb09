// Kept connections that a backend closes at the moment in which they are used again: what may be sent once
// more is (RFC 9110 9.2.2), the rest gets 502; nothing is sent a third time.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  OK,
  RETRY,
  RawBackend,
  type RawPeer,
  answering,
  eventually,
  get,
  openClient,
  serve,
} from "./harness.ts";

function ask(method: string, body = ""): string {
  const length = body === "" && method !== "POST" ? [] : [`Content-Length: ${String(body.length)}`];
  return [`${method} /again HTTP/1.1`, "Host: a", ...length, "", body].join("\r\n");
}

/** Answers the first request of each connection and leaves with the second one, in a way of the test's. */
function leaving(leave: (peer: RawPeer, connection: number) => void): RawBackend {
  let connections = 0;
  return new RawBackend((peer) => {
    const connection = connections;
    connections += 1;
    peer.socket.on("data", () => {
      const isFirst = peer.text.split("HTTP/1.1\r\n").length === 2;
      if (isFirst && connection < 1) peer.send(OK);
      else leave(peer, connection);
    });
  });
}

async function warmClient(t: TestContext, port: number): Promise<RawPeer> {
  const client = await openClient(t, port);
  client.send(get("/first"));
  await client.receives("ok");
  client.forget();
  return client;
}

const RETRIED = ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"] as const;

for (const [how, leave] of [
  ["resets", (peer: RawPeer) => peer.socket.resetAndDestroy()],
  ["ends", (peer: RawPeer) => peer.socket.end()],
] as const) {
  test(`a reused connection ${how} unheard: what is idempotent and not begun is sent again, the rest gets 502`, async (t) => {
    for (const request of [
      ...RETRIED.map((method) => ask(method)),
      ask("POST"),
      ask("PATCH"),
      ask("PUT", "body"),
    ]) {
      await t.test(JSON.stringify(request.slice(0, 40)), async (inner) => {
        const backend = leaving((peer, connection) => {
          if (connection === 0) leave(peer);
          else peer.send(OK);
        });
        const { port } = await serve(inner, { backends: [backend] });
        const client = await warmClient(inner, port);
        client.send(request);
        await client.receives("\r\n\r\n");
        const mayRepeat = !request.startsWith("P") || request === ask("PUT");
        assert.match(client.text, mayRepeat ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 502 /u);
        assert.equal(backend.peers.length, mayRepeat ? 2 : 1);
      });
    }
  });
}

test("a request is sent again once: when the fresh connection closes as well, it gets 502", async (t) => {
  const backend = leaving((peer) => peer.socket.resetAndDestroy());
  const { worker, port } = await serve(t, { backends: [backend] });
  const client = await warmClient(t, port);
  client.send(get("/again"));
  assert.match(await client.receives("Date"), /^HTTP\/1\.1 502 /u);
  assert.equal(backend.peers.length, 2);
  assert.equal((await worker.counters()).backends["web"]?.["b1"]?.failures, 1);
});

test("a reused connection that closes after an interim response was heard: 502", async (t) => {
  const backend = leaving((peer) => {
    peer.socket.end("HTTP/1.1 102 Processing\r\n\r\n");
  });
  const { port } = await serve(t, { backends: [backend] });
  const client = await warmClient(t, port);
  client.send(get("/again"));
  assert.match(await client.receives("Date"), /^HTTP\/1\.1 102 [^]*HTTP\/1\.1 502 /u);
  assert.equal(backend.peers.length, 1);
});

test("a reused connection that closes, and a backend that is gone by then: another one answers", async (t) => {
  const dying = leaving((peer) => {
    // In this order: who is told of the end finds nobody.
    dying.stopListening();
    peer.socket.resetAndDestroy();
  });
  const other = answering(OK.replace("ok", "2!"));
  const { port } = await serve(t, { backends: [dying, other] });
  const client = await warmClient(t, port);
  client.send(get("/second"));
  await client.receives("2!");
  client.forget();
  client.send(get("/again"));
  assert.match(await client.receives("2!"), /^HTTP\/1\.1 200 /u);
});

test("a connection whose end was heard while it was idle is never used: a POST is served", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.on("data", () => peer.socket.end(OK));
  });
  const { worker, port } = await serve(t, { backends: [backend] });
  const client = await openClient(t, port);
  for (let i = 0; i < 20; i += 1) {
    client.forget();
    client.send(ask("POST", "hello"));
    assert.match(await client.receives("ok"), /^HTTP\/1\.1 200 /u);
    await eventually("the end was heard", () => backend.peers.every((peer) => peer.hasEnded));
  }
  assert.equal((await worker.counters()).backends["web"]?.["b1"]?.failures, 0);
});

/** Answers the first request of each connection, and works on the second one for that long before it resets. */
function workingFor(ms: number): RawBackend {
  return new RawBackend((peer) => {
    peer.socket.on("data", () => {
      if (peer.text.includes("/again")) setTimeout(() => peer.socket.resetAndDestroy(), ms);
      else peer.send(OK);
    });
  });
}

test("a reused connection that closes when its backend has worked for more than a second was no race: 502, and a failure", async (t) => {
  const backend = workingFor(1200);
  const { worker, port } = await serve(t, { backends: [backend] });
  const client = await warmClient(t, port);
  client.send(get("/again"));
  assert.match(await client.receives("Date"), /^HTTP\/1\.1 502 /u);
  assert.equal(backend.peers.length, 1);
  const { backends, pools } = await worker.counters();
  assert.equal(backends["web"]?.["b1"]?.failures, 1);
  assert.equal(pools["web"]?.reconnects, 0);
});

test("such a request is a retry like any other, on another backend", async (t) => {
  const other = answering(OK.replace("ok", "2!"));
  const { worker, port } = await serve(t, {
    backends: [workingFor(1200), other],
    settings: { balance: { kind: "first" }, retry: RETRY },
  });
  const client = await warmClient(t, port);
  client.send(get("/again"));
  await client.receives("2!");
  const { pools } = await worker.counters();
  assert.equal(pools["web"]?.retries, 1);
  assert.equal(pools["web"].reconnects, 0);
});

test("requests that went once more for that are counted", async (t) => {
  const backend = leaving((peer, connection) => {
    if (connection === 0) peer.socket.resetAndDestroy();
    else peer.send(OK);
  });
  const { worker, port } = await serve(t, { backends: [backend] });
  const client = await warmClient(t, port);
  client.send(get("/again"));
  await client.receives("ok");
  const { pools } = await worker.counters();
  assert.equal(pools["web"]?.reconnects, 1);
  assert.equal(pools["web"].retries, 0);
});
