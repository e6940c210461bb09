// Clients that vanish and backends that reset, in every phase of an exchange: what the other side sees, that
// the next client is served, and (at the end of each test, see serve) that the worker keeps nothing of it.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { OK, RawBackend, type RawPeer, deafPort, eventually, get, openClient, serve } from "./harness.ts";

const LENGTH_100 = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
const POST_10 = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
const CHUNKED = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const UPGRADE = get("/", "Connection: Upgrade", "Upgrade: x");

function closeAtOnce(peer: RawPeer): void {
  peer.close();
}

function reset(peer: RawPeer): void {
  peer.socket.resetAndDestroy();
}

interface ClientPhase {
  readonly when: string;
  /** What it has sent by then. */
  readonly sends: string;
  /** What the backend says to it. */
  readonly answer?: string;
  /** What the client has got by then. */
  readonly gets?: string;
  /** Something has reached the backend. */
  readonly reaches?: string;
  /**
   * The request is whole: a client that has closed may only have ended its side, so it is still answered
   * (RFC 9112 9.6). What the backend says to that; "": it closes.
   */
  readonly rest?: string;
}

const CLIENT_PHASES: readonly ClientPhase[] = [
  { when: "before it has asked", sends: "" },
  { when: "inside its request line", sends: "GET /abc" },
  { when: "inside its fields", sends: "GET / HTTP/1.1\r\nHost: a\r\nX: " },
  { when: "inside a body with a length", sends: `${POST_10}half`, reaches: "half" },
  { when: "before the first byte of its body", sends: POST_10, reaches: "\r\n\r\n" },
  { when: "inside a chunk", sends: `${CHUNKED}a\r\nhalf`, reaches: "half" },
  { when: "between two chunks", sends: `${CHUNKED}4\r\nhalf\r\n`, reaches: "half" },
  { when: "inside its trailers", sends: `${CHUNKED}0\r\nX-T: `, reaches: "\r\n\r\n" },
  { when: "while the backend thinks", sends: get("/"), reaches: "\r\n\r\n", rest: OK },
  { when: "with more requests in its pipeline", sends: get("/1").repeat(50), reaches: "\r\n\r\n", rest: OK },
  {
    when: "while the backend has sent half a head",
    sends: get("/"),
    answer: "HTTP/1.1 200 OK\r\nX: ",
    reaches: "/",
    rest: "\r\nContent-Length: 2\r\n\r\nok",
  },
  {
    when: "after an interim response",
    sends: get("/"),
    answer: "HTTP/1.1 102 Processing\r\n\r\n",
    gets: "102 Processing",
    rest: OK,
  },
  {
    when: "inside a response with a length",
    sends: get("/"),
    answer: `${LENGTH_100}part`,
    gets: "part",
    rest: "x".repeat(96),
  },
  {
    when: "inside a chunked response",
    sends: get("/"),
    answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
    gets: "part",
    rest: "0\r\n\r\n",
  },
  { when: "between two requests", sends: get("/"), answer: OK, gets: "ok" },
  { when: "after its last response", sends: get("/", "Connection: close"), answer: OK, gets: "ok" },
  { when: "in a tunnel", sends: UPGRADE, answer: `${SWITCHED}hi`, gets: "hi", rest: "" },
  {
    when: "after an early answer to half a body",
    sends: `${POST_10}half`,
    answer: "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n",
    gets: "413",
  },
];

for (const { when, sends, answer, gets, reaches, rest } of CLIENT_PHASES) {
  test(`a client that vanishes ${when} leaves nothing behind`, async (t) => {
    let asked: RawPeer | null = null;
    let isReady = false;
    const backend = new RawBackend((peer) => {
      peer.socket.on("data", (bytes: Buffer) => {
        asked = peer;
        if (bytes.toString().includes("/next") || isReady) peer.send(OK);
        else if (answer !== undefined) peer.send(answer);
      });
    });
    const { worker, port } = await serve(t, { backends: [backend] });
    for (const leave of [closeAtOnce, reset]) {
      asked = null;
      isReady = false;
      const client = await openClient(t, port);
      if (sends !== "") client.send(sends);
      if (gets !== undefined) await client.receives(gets);
      const atBackend = (): RawPeer | null => asked;
      if (reaches !== undefined) {
        await eventually(`${reaches} at the backend`, () => atBackend()?.text.includes(reaches) === true);
      }
      leave(client);
      // A client with a pipeline is not read from, so that even its reset is heard with the next write only.
      if (rest !== undefined && (leave === closeAtOnce || sends.length > 1000)) {
        if (rest === "") atBackend()?.close();
        else atBackend()?.send(rest);
        // Some more requests of the pipeline may be sent before the first write finds the client gone.
        isReady = true;
      }
      await eventually("the connection is gone", async () => (await worker.counters()).connections === 0);
      await eventually("nothing is in flight", async () => {
        return (await worker.counters()).backends["web"]?.["b1"]?.activeConnections === 0;
      });
      assert.equal((await worker.counters()).backends["web"]?.["b1"]?.failures, 0, "no fault of the backend");
    }
    const next = await openClient(t, port);
    next.send(get("/next"));
    assert.match(await next.receives("ok"), /^HTTP\/1\.1 200 /u);
  });
}

test("a client that vanishes while the backend is connected to leaves nothing behind", async (t) => {
  const { worker, port } = await serve(t, { ports: [await deafPort(t)] });
  for (const leave of [closeAtOnce, reset]) {
    const client = await openClient(t, port);
    client.send(get("/"));
    await eventually("connecting", async () => {
      return (await worker.counters()).backends["web"]?.["b1"]?.activeConnections === 1;
    });
    leave(client);
    await eventually("the connection is gone", async () => (await worker.counters()).connections === 0);
  }
});

// ── backends ───────────────────────────────────────────────────────────────────────────────────

/** Sends `part` of an answer when it has read `after`, then resets. */
function resetting(after: string, part: string): RawBackend {
  return new RawBackend((peer) => {
    const leave = (): void => {
      if (part === "") {
        peer.socket.resetAndDestroy();
        return;
      }
      peer.send(part);
      // The reset must not overtake what was sent.
      setTimeout(() => peer.socket.resetAndDestroy(), 50);
    };
    if (after === "") leave();
    else {
      const hear = (): void => {
        if (!peer.text.includes(after)) return;
        peer.socket.off("data", hear);
        leave();
      };
      peer.socket.on("data", hear);
    }
  });
}

interface BackendPhase {
  readonly when: string;
  readonly sends: string;
  readonly after: string;
  readonly part: string;
  /** Statuses; "cut": the client's connection is reset inside the response. */
  readonly gives: "502" | "502 or 503" | "cut";
}

const BACKEND_PHASES: readonly BackendPhase[] = [
  { when: "as it is connected to", sends: get("/"), after: "", part: "", gives: "502 or 503" },
  { when: "when it has the request", sends: get("/"), after: "\r\n\r\n", part: "", gives: "502" },
  { when: "inside the request body", sends: `${POST_10}half`, after: "half", part: "", gives: "502" },
  {
    when: "inside a chunked request body",
    sends: `${CHUNKED}4\r\nhalf\r\n`,
    after: "half",
    part: "",
    gives: "502",
  },
  {
    when: "inside the head of its response",
    sends: get("/"),
    after: "GET",
    part: "HTTP/1.1 200 OK\r\nX",
    gives: "502",
  },
  {
    when: "after an interim response",
    sends: get("/"),
    after: "GET",
    part: "HTTP/1.1 102 P\r\n\r\n",
    gives: "502",
  },
  { when: "behind the head of its response", sends: get("/"), after: "GET", part: LENGTH_100, gives: "cut" },
  {
    when: "inside a response with a length",
    sends: get("/"),
    after: "GET",
    part: `${LENGTH_100}a`,
    gives: "cut",
  },
  {
    when: "inside a chunked response",
    sends: get("/"),
    after: "GET",
    part: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
    gives: "cut",
  },
  {
    when: "before the last chunk's end",
    sends: get("/"),
    after: "GET",
    part: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\n",
    gives: "cut",
  },
  {
    when: "inside a response that its close would have ended",
    sends: get("/"),
    after: "GET",
    part: "HTTP/1.1 200 OK\r\n\r\npart",
    gives: "cut",
  },
  { when: "in a tunnel", sends: UPGRADE, after: "GET", part: `${SWITCHED}hi`, gives: "cut" },
];

for (const { when, sends, after, part, gives } of BACKEND_PHASES) {
  test(`a backend that resets ${when}: the client sees it (${gives})`, async (t) => {
    const backend = resetting(after, part);
    const { worker, port } = await serve(t, { backends: [backend] });
    const client = await openClient(t, port);
    client.send(sends);
    if (gives === "cut") {
      await eventually("the client's connection is cut", () => client.hasClosed);
      assert.equal(client.hasEnded, false, "a reset, not an end");
      assert.equal(client.text.includes("\r\n0\r\n\r\n"), false);
    } else {
      const text = await client.receives("Date: ");
      const interim = part.startsWith("HTTP/1.1 102") ? part : "";
      assert.ok(text.startsWith(`${interim}HTTP/1.1 50`), text);
      // Before the request has left it counts as a connect that failed.
      assert.ok(gives.includes(text.slice(interim.length + 9, interim.length + 12)), text);
    }
    // What a tunnel carries is its own business.
    const failures = when === "in a tunnel" ? 0 : 1;
    assert.equal((await worker.counters()).backends["web"]?.["b1"]?.failures, failures);
    assert.equal(backend.peers.length, 1, "nothing was sent twice");
  });
}

test("an answer that comes before the whole body, and then a reset, reaches the client", async (t) => {
  const backend = new RawBackend((peer) => {
    peer.socket.once("data", () => {
      peer.socket.pause();
      peer.socket.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch", () => {
        // Unread bytes of the body make a reset of it.
        peer.socket.destroy();
      });
    });
  });
  const { port } = await serve(t, { backends: [backend] });
  const results = await Promise.all(Array.from({ length: 40 }, () => upload(t, port)));
  const answered = results.filter((text) => text.startsWith("HTTP/1.1 413 ")).length;
  assert.equal(
    answered,
    results.length,
    JSON.stringify(results.filter((text) => !text.includes(" 413 "))[0]),
  );
});

/** Sends a long body as fast as it is taken; returns the answer. */
async function upload(t: TestContext, port: number): Promise<string> {
  const client = await openClient(t, port);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
  const block = Buffer.alloc(16_384);
  const pour = (): void => {
    while (client.socket.writable && client.text === "" && client.socket.write(block));
  };
  client.socket.on("drain", pour);
  pour();
  await eventually(
    "an answer",
    () => client.text.includes("\r\n\r\n") || client.hasClosed || client.hasEnded,
  );
  return client.text;
}

// ── resets of those who are not read from ──────────────────────────────────────────────────────

test("a client with bytes behind its request that resets while the backend thinks is noticed", async (t) => {
  const backend = new RawBackend();
  const { worker, port } = await serve(t, { backends: [backend], timeouts: { responseMs: 60_000 } });
  const client = await openClient(t, port);
  client.send(`${get("/hang")}G`);
  const atBackend = await backend.peer();
  await atBackend.receives("\r\n\r\n");
  reset(client);
  await eventually("the backend is let go", () => atBackend.hasClosed || atBackend.hasEnded);
  const { connections, backends } = await worker.counters();
  assert.equal(connections, 0);
  assert.equal(backends["web"]?.["b1"]?.failures, 0, "no fault of the backend");
});

for (const flooding of ["client", "backend"] as const) {
  test(`a ${flooding} that resets a tunnel whose other side reads nothing is noticed`, async (t) => {
    const backend = new RawBackend((peer) => {
      peer.socket.once("data", () => {
        peer.send(SWITCHED);
      });
    });
    const { worker, port } = await serve(t, { backends: [backend] });
    const client = await openClient(t, port);
    client.send(UPGRADE);
    await client.receives("\r\n\r\n");
    const atBackend = await backend.peer();
    const [sender, reader] = flooding === "client" ? [client, atBackend] : [atBackend, client];
    reader.socket.pause();
    sender.send(Buffer.alloc(30_000_000, "x"));
    await eventually("the worker is full", async () => (await worker.holdings()).unsentBytes >= 65_536);
    reset(sender);
    await eventually("the tunnel is gone", async () => (await worker.counters()).connections === 0);
  });
}
