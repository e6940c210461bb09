// The life of ordinary requests through a real worker: what the backend received and what the client
// got, byte by byte.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { OK, RawBackend, answering, askOnce, openClient, eventually, get, serve } from "./harness.ts";
import { Stopwatch } from "../support/stopwatch.ts";

/** Without the Date line of error pages, "|" for CR LF. */
function shown(text: string): string {
  return text.replaceAll("\r\n", "|");
}

test("requests on one connection share one backend connection", async (t) => {
  const backend = answering(OK);
  const { worker, port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  for (let i = 0; i < 5; i += 1) {
    peer.forget();
    peer.send(get(`/${String(i)}`));
    await peer.receives("ok");
  }
  assert.equal(backend.peers.length, 1);
  const counters = await worker.counters();
  assert.equal(counters.requests, 5);
  assert.equal(counters.connections, 1);
  assert.deepEqual(counters.backends, { web: { b1: { activeConnections: 0, requests: 5, failures: 0 } } });
});

test("the backend gets the request without hop-by-hop fields and with who asked", async (t) => {
  const backend = answering(OK);
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send(get("/a?b", "Connection: X-Hop", "X-Hop: 1", "X-Forwarded-For: 6.6.6.6", "Accept: */*"));
  assert.equal(shown(await peer.receives("ok")), "HTTP/1.1 200 OK|Content-Length: 2||ok");
  assert.equal(
    shown((await backend.peer()).text),
    "GET /a?b HTTP/1.1|Host: example.lan|Accept: */*|X-Forwarded-For: 127.0.0.1|X-Forwarded-Proto: http|" +
      "X-Forwarded-Host: example.lan|X-Real-IP: 127.0.0.1|" +
      'Forwarded: for=127.0.0.1;host="example.lan";proto=http||',
  );
});

test("a trusted proxy's word on who asked is kept", async (t) => {
  const backend = answering(OK);
  const { port } = await serve(t, { backends: [backend], listener: { trustedProxies: ["127.0.0.0/8"] } });
  const peer = await openClient(t, port);
  peer.send(get("/", "X-Forwarded-For: 6.6.6.6"));
  await peer.receives("ok");
  assert.match((await backend.peer()).text, /X-Forwarded-For: 6\.6\.6\.6, 127\.0\.0\.1\r\n/u);
});

test("pipelined requests are answered in order", async (t) => {
  const backend = new RawBackend((peer) => {
    let answered = 0;
    peer.socket.on("data", () => {
      const paths = [...peer.text.matchAll(/GET (\/\d+) /gu)].map((match) => match[1] ?? "");
      for (; answered < paths.length; answered += 1) {
        const body = paths[answered] ?? "";
        // The first one is the slowest.
        setTimeout(
          () => peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`),
          body === "/0" ? 50 : 0,
        );
      }
    });
  });
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send(Array.from({ length: 20 }, (_, i) => get(`/${String(i)}`)).join(""));
  const text = await peer.receives("/19");
  const order = [...text.matchAll(/\r\n\r\n(\/\d+)/gu)].map((match) => match[1]);
  assert.deepEqual(
    order,
    Array.from({ length: 20 }, (_, i) => `/${String(i)}`),
  );
});

test("a request that comes byte by byte is one request", async (t) => {
  const backend = answering(OK);
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  for (const character of get("/slow")) {
    peer.send(character);
    await new Promise(setImmediate);
  }
  await peer.receives("ok");
  assert.match((await backend.peer()).text, /^GET \/slow HTTP\/1\.1\r\n/u);
});

test("a chunked request body arrives chunked, with its trailers", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.on("data", () => {
      if (peer.text.endsWith("X-Sum: 1\r\n\r\n")) peer.send(OK);
    });
  });
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send(
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;ext\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n",
  );
  await peer.receives("ok");
  const { text } = await backend.peer();
  assert.match(text, /\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nX-Sum: 1\r\n\r\n$/u);
});

test("a response that comes byte by byte is passed on whole", async (t) => {
  const answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX-T: 1\r\n\r\n";
  const backend = new RawBackend((peer) => {
    peer.socket.once("data", () => {
      let at = 0;
      const timer = setInterval(() => {
        peer.send(answer[at] ?? "");
        at += 1;
        if (at === answer.length) clearInterval(timer);
      }, 1);
    });
  });
  const { port } = await serve(t, { backends: [backend] });
  const text = await askOnce(port, "GET / HTTP/1.0\r\n\r\n");
  assert.equal(shown(text), "HTTP/1.1 200 OK|Connection: close||abc");
});

test("a chunked response arrives chunked, and plain with a close for an HTTP/1.0 client", async (t) => {
  const backend = answering(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
  );
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send(get("/"));
  assert.equal(
    shown(await peer.receives("X-T: 1\r\n\r\n")),
    "HTTP/1.1 200 OK|Transfer-Encoding: chunked||3|abc|0|X-T: 1||",
  );
  const old = await askOnce(port, "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
  assert.equal(shown(old), "HTTP/1.1 200 OK|Connection: close||abc");
});

test("an HTTP/1.0 client that asks for it keeps its connection", async (t) => {
  const { port } = await serve(t, { backends: [answering(OK)] });
  const peer = await openClient(t, port);
  for (let i = 0; i < 2; i += 1) {
    peer.forget();
    peer.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert.match(await peer.receives("ok"), /Connection: keep-alive/u);
  }
});

test("a response that ends with the backend's connection is chunked and the client's connection lives", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.on("data", () => {
      peer.send("HTTP/1.1 200 OK\r\n\r\nuntil close");
      peer.socket.end();
    });
  });
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  for (let i = 0; i < 2; i += 1) {
    peer.forget();
    peer.send(get("/"));
    const text = await peer.receives("0\r\n\r\n");
    assert.match(text, /chunked\r\n\r\nb\r\nuntil close\r\n0\r\n\r\n$/u);
  }
  assert.equal(backend.peers.length, 2);
});

test("answers to HEAD, 204 and 304 have no body and the connection goes on", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.on("data", (bytes) => {
      const text = bytes.toString("latin1");
      if (text.startsWith("HEAD")) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
      else if (text.includes("/204")) peer.send("HTTP/1.1 204 No Content\r\n\r\n");
      else if (text.includes("/304")) peer.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n");
      else peer.send(OK);
    });
  });
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send(get("/").replace("GET", "HEAD") + get("/204") + get("/304") + get("/"));
  const text = shown(await peer.receives("ok"));
  assert.equal(
    text,
    "HTTP/1.1 200 OK|Content-Length: 500||HTTP/1.1 204 No Content||" +
      "HTTP/1.1 304 Not Modified|Content-Length: 500||HTTP/1.1 200 OK|Content-Length: 2||ok",
  );
  assert.equal(backend.peers.length, 1);
});

test("Expect: 100-continue goes to the backend, its 100 comes back, then the body goes", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.on("data", () => {
      if (peer.text.endsWith("\r\n\r\n")) peer.send("HTTP/1.1 100 Continue\r\n\r\n");
      else if (peer.text.endsWith("hello")) peer.send(OK);
    });
  });
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  await peer.receives("100 Continue\r\n\r\n");
  peer.send("hello");
  assert.equal(
    shown(await peer.receives("ok")),
    "HTTP/1.1 100 Continue||HTTP/1.1 200 OK|Content-Length: 2||ok",
  );
});

test("interim responses reach an HTTP/1.1 client and no HTTP/1.0 client", async (t) => {
  const early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  const { port } = await serve(t, { backends: [answering(early + early + OK)] });
  const peer = await openClient(t, port);
  peer.send(get("/"));
  assert.equal(await peer.receives("ok"), early + early + OK);
  assert.match(await askOnce(port, "GET / HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200 /u);
});

test("a backend connection is given up before the backend's own keep-alive time ends", async (t) => {
  const backend = answering(OK.replace("\r\n\r\n", "\r\nKeep-Alive: timeout=1\r\n\r\n"));
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send(get("/"));
  assert.doesNotMatch(await peer.receives("ok"), /Keep-Alive/u);
  const stopwatch = new Stopwatch(t);
  const atBackend = await backend.peer();
  await eventually("given up", () => atBackend.hasEnded || atBackend.hasClosed);
  stopwatch.assertBelow(1000);
});

test("concurrent clients share as few backend connections as they need", async (t) => {
  const backend = answering(OK);
  const { port } = await serve(t, { backends: [backend] });
  const peers = await Promise.all(Array.from({ length: 5 }, () => openClient(t, port)));
  for (let round = 0; round < 4; round += 1) {
    for (const peer of peers) {
      peer.forget();
      peer.send(get("/"));
    }
    for (const peer of peers) await peer.receives("ok");
  }
  assert.ok(backend.peers.length <= 5, `${String(backend.peers.length)} connections`);
});

test("an early answer reaches a client that is still sending, and its connection closes", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.once("data", () => {
      peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    });
  });
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome");
  const text = await peer.endsOrCloses();
  assert.equal(shown(text), "HTTP/1.1 403 Forbidden|Content-Length: 2|Connection: close||no");
  const atBackend = await backend.peer();
  await eventually("the backend connection is closed", () => atBackend.hasEnded || atBackend.hasClosed);
});

test("a client that half-closes after its request still gets its answer", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.once("data", () => {
      setTimeout(() => peer.send(OK), 50);
    });
  });
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  peer.socket.end(get("/"));
  assert.match(await peer.endsOrCloses(), /ok$/u);
});

test("bytes behind a response belong to nobody, and that connection is not used again", async (t) => {
  const backend = answering(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`);
  const { port } = await serve(t, { backends: [backend] });
  const peer = await openClient(t, port);
  for (let i = 0; i < 3; i += 1) {
    peer.forget();
    peer.send(get("/"));
    assert.match(await peer.receives("ok"), /ok$/u);
  }
  assert.equal(peer.text.includes("evil"), false);
  assert.equal(backend.peers.length, 3);
});

for (const kind of ["length", "chunked"] as const) {
  test(`8 MiB with ${kind} go both ways unchanged`, async (t) => {
    const sent = randomBytes(8 * 1024 * 1024);
    const atBackend = createHash("sha256");
    let left = sent.length;
    const { createServer } = await import("node:http");
    const server = createServer((request, response) => {
      request.on("data", (bytes: Buffer) => {
        atBackend.update(bytes);
        left -= bytes.length;
      });
      request.on("end", () => {
        if (kind === "length") response.setHeader("Content-Length", sent.length);
        for (let at = 0; at < sent.length; at += 100_000) response.write(sent.subarray(at, at + 100_000));
        response.end();
      });
    }).listen(0, "127.0.0.1");
    t.after(() => server.close());
    await eventually("the server listens", () => server.address() !== null);
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const { port } = await serve(t, { ports: [address.port] });
    const body = new ReadableStream({
      start(controller) {
        for (let at = 0; at < sent.length; at += 70_000) controller.enqueue(sent.subarray(at, at + 70_000));
        controller.close();
      },
    });
    const answer = await fetch(`http://127.0.0.1:${String(port)}/`, {
      method: "POST",
      headers: { connection: "close" },
      ...(kind === "length" ? { body: sent } : { body, duplex: "half" }),
    });
    const got = Buffer.from(await answer.arrayBuffer());
    assert.equal(left, 0);
    assert.equal(atBackend.digest("hex"), createHash("sha256").update(sent).digest("hex"));
    assert.equal(got.equals(sent), true);
  });
}
