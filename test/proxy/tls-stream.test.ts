// The engine behind TLS, where `onread` does not exist and bytes come in memory of their own: a smoke test over
// node:tls for the seam in proxy/stream.ts. The listeners themselves are plain until https comes.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { type ConnectionOptions, type TLSSocket, connect as connectTls, createServer } from "node:tls";
import { startEchoBackend } from "../support/echo-backend.ts";
import { OK, RawBackend, RawPeer, answering, eventually, get } from "./harness.ts";
import { runClient, runTunnel, vanish } from "./mixed-clients.ts";
import { type StreamRig, openStreamRig } from "./stream-rig.ts";

function readFixture(name: string): Buffer {
  return readFileSync(new URL(`../cli/fixtures/${name}`, import.meta.url));
}

const key = readFixture("self-signed-key.pem");
const cert = readFixture("self-signed.pem");

interface TlsRig extends StreamRig {
  readonly port: number;
  /** The worker's ends. */
  readonly sockets: readonly TLSSocket[];
}

/** A TLS server whose connections go to the engine. */
async function serveTls(t: TestContext, backends: readonly { readonly port: number }[]): Promise<TlsRig> {
  const rig = openStreamRig(
    t,
    backends.map((backend) => backend.port),
  );
  const sockets: TLSSocket[] = [];
  const server = createServer({ key, cert, allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.push(socket);
    rig.take(socket);
  });
  // Clients that leave inside the handshake are no matter of the engine.
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
  });
  return { ...rig, port: (server.address() as AddressInfo).port, sockets };
}

function connectSecure(port: number): TLSSocket {
  const options: ConnectionOptions & { allowHalfOpen: boolean } = {
    port,
    host: "127.0.0.1",
    ca: cert,
    checkServerIdentity: () => undefined,
    allowHalfOpen: true,
  };
  return connectTls(options);
}

async function openSecure(t: TestContext, port: number): Promise<RawPeer> {
  const socket = connectSecure(port);
  await once(socket, "secureConnect");
  const peer = new RawPeer(socket);
  t.after(() => {
    peer.close();
  });
  return peer;
}

async function started(t: TestContext, backend: RawBackend): Promise<RawBackend> {
  await backend.start();
  t.after(() => {
    backend.close();
  });
  return backend;
}

/** What a backend gets for get(path). */
function told(path: string): string {
  return get(
    path,
    "X-Forwarded-For: 192.0.2.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: example.lan",
    "X-Real-IP: 192.0.2.1",
    'Forwarded: for=192.0.2.1;host="example.lan";proto=https',
  );
}

test("over TLS requests are answered in order, and a backend is told of https", async (t) => {
  const backend = await started(t, answering(OK));
  const { context, port } = await serveTls(t, [backend]);
  const client = await openSecure(t, port);
  client.send(get("/1") + get("/2") + get("/3"));
  await eventually("three answers", () => client.text === OK.repeat(3));
  assert.equal(context.tally.requests, 3);
  assert.equal((await backend.peer()).text, told("/1") + told("/2") + told("/3"));
});

test("over TLS a request is refused, and the connection ended, as over TCP", async (t) => {
  const backend = await started(t, answering(OK));
  const { port } = await serveTls(t, [backend]);
  const client = await openSecure(t, port);
  client.send("GET / HTTP/1.1\r\nHost : a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.match(await client.endsOrCloses(), /^HTTP\/1\.1 400 [^]*Connection: close[^]*400 Bad Request\n$/u);
  assert.equal(backend.peers.length, 0);
});

test("over TLS a client that half-closes gets its answer, and then the end", async (t) => {
  const backend = await started(t, answering(OK));
  const { context, port } = await serveTls(t, [backend]);
  const client = await openSecure(t, port);
  client.socket.end(get("/"));
  assert.equal(await client.endsOrCloses(), OK);
  await eventually("closed", () => context.tally.connections === 0);
});

test("over TLS a response that its backend cuts does not end as if it were whole", async (t) => {
  const cutting = new RawBackend((peer) => {
    peer.socket.once("data", () => {
      peer.send("HTTP/1.1 200 OK\r\n\r\npart");
      setTimeout(() => peer.socket.resetAndDestroy(), 20);
    });
  });
  const { context, port } = await serveTls(t, [await started(t, cutting)]);
  const client = await openSecure(t, port);
  client.send(get("/"));
  assert.match(await client.endsOrCloses(), /Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n$/u);
  await eventually("closed", () => context.tally.connections === 0);
});

test("over TLS a client that reads nothing stops its backend", async (t) => {
  let written = 0;
  const block = Buffer.alloc(65_536);
  const pouring = new RawBackend((peer) => {
    const pour = (): void => {
      do written += block.length;
      while (!peer.hasClosed && peer.socket.write(block));
    };
    peer.socket.once("data", () => {
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 900000000000\r\n\r\n");
      peer.socket.on("drain", pour);
      pour();
    });
  });
  const { port, sockets } = await serveTls(t, [await started(t, pouring)]);
  const client = await openSecure(t, port);
  client.socket.pause();
  client.send(get("/"));
  let last = -1;
  let since = performance.now();
  await eventually("no more moves", () => {
    if (written !== last) since = performance.now();
    last = written;
    return written > 0 && performance.now() - since > 300;
  });
  const held = sockets.reduce((sum, socket) => sum + socket.writableLength, 0);
  assert.ok(held > 0 && held <= 3 * 65_536, `${String(held)} bytes`);
  assert.ok(written < 64 * 1024 * 1024, `${String(written)} bytes left the backend`);
});

test("over TLS no byte of many connections at once is lost, changed or given to another", async (t) => {
  const backend = await startEchoBackend();
  t.after(() => {
    backend.close();
  });
  const { port } = await serveTls(t, [backend]);
  const seed = Number(process.env["VIPAIR_SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`VIPAIR_SEED=${String(seed)}`);
  const visit = (i: number) => ({ port, seed: seed * 1000 + i, connect: connectSecure });
  await Promise.all([
    ...Array.from({ length: 10 }, (_, i) => runClient(visit(i))),
    ...Array.from({ length: 3 }, (_, i) => runTunnel(visit(i + 100))),
    ...Array.from({ length: 8 }, (_, i) => vanish(visit(i + 200))),
  ]);
});
