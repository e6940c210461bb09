// Policies at work in a real worker: what of the request they go by, and that loads and times reach them.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { BalanceConfig } from "../../src/config/balance-config.ts";
import type { PoolHealth } from "../../src/routing/pool.ts";
import { RawBackend, answering, askOnce, eventually, get, openClient, serve } from "./harness.ts";

/** Path and field lines. */
type Request = readonly [path: string, ...lines: string[]];

/** Backends that answer with their number: the first one with 1. */
function numbered(count: number): readonly RawBackend[] {
  return Array.from({ length: count }, (_, i) =>
    answering(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n#${String(i + 1)}`),
  );
}

/** Who answers a request: "1" for the first backend. */
async function askWho(port: number, ...[path, ...lines]: Request): Promise<string> {
  return (await askOnce(port, get(path, "Connection: close", ...lines))).split("#")[1] ?? "nobody";
}

async function askAll(port: number, requests: readonly Request[]): Promise<readonly string[]> {
  const answers: string[] = [];
  for (const request of requests) answers.push(await askWho(port, ...request));
  return answers;
}

/** Requests with the same key go to one backend, those with different keys to several. */
async function expectHash(
  port: number,
  request: (key: string) => Request,
  same: (key: string) => Request = request,
): Promise<void> {
  const keys = Array.from({ length: 12 }, (_, i) => `k${String(i)}`);
  const first = await askAll(port, keys.map(request));
  assert.ok(new Set(first).size > 1, `all went to ${String(first[0])}`);
  assert.deepEqual(await askAll(port, keys.map(same)), first);
}

function balanced(balance: BalanceConfig) {
  return { backends: numbered(3), settings: { balance } };
}

test("uri-hash goes by the path without its query", async (t) => {
  const { port } = await serve(t, balanced({ kind: "uri-hash", query: false }));
  await expectHash(
    port,
    (key) => [`/${key}?a`],
    (key) => [`/${key}?b`, "X-Other: 1"],
  );
});

test("uri-hash with the query goes by all of it", async (t) => {
  const { port } = await serve(t, balanced({ kind: "uri-hash", query: true }));
  await expectHash(port, (key) => [`/?${key}`]);
});

test("header-hash goes by a field, whatever the case of its name", async (t) => {
  const { port } = await serve(t, balanced({ kind: "header-hash", header: "x-user" }));
  await expectHash(
    port,
    (key) => ["/", `X-User: ${key}`],
    (key) => ["/other", `x-USER: ${key}`],
  );
});

test("cookie-hash goes by a cookie of the application, which the backend still gets", async (t) => {
  const options = balanced({ kind: "cookie-hash", cookie: "session" });
  const { port } = await serve(t, options);
  await expectHash(
    port,
    (key) => ["/", `Cookie: session=${key}`],
    (key) => ["/", `Cookie: other=1; session=${key}; more=2`],
  );
  const seen = options.backends.flatMap(({ peers }) => peers.map(({ text }) => text)).join("");
  assert.match(seen, /Cookie: other=1; session=k0; more=2/u);
});

test("source-hash goes by the client's address, behind a trusted proxy by the one that it tells of", async (t) => {
  const { port } = await serve(t, {
    ...balanced({ kind: "source-hash" }),
    listener: { trustedProxies: ["127.0.0.0/8"] },
  });
  await expectHash(
    port,
    (key) => ["/", `X-Forwarded-For: 10.0.0.${key.slice(1)}`],
    (key) => ["/", `X-Forwarded-For: 6.6.6.6, 10.0.0.${key.slice(1)}`],
  );
});

test("an untrusted client cannot choose its backend with X-Forwarded-For", async (t) => {
  const { port } = await serve(t, balanced({ kind: "source-hash" }));
  const requests = Array.from(
    { length: 8 },
    (_, i) => ["/", `X-Forwarded-For: 10.0.0.${String(i)}`] as const,
  );
  assert.equal(new Set(await askAll(port, requests)).size, 1);
});

test("requests without the field take turns", async (t) => {
  const { port } = await serve(t, balanced({ kind: "header-hash", header: "x-user" }));
  assert.deepEqual(await askAll(port, [["/"], ["/"], ["/"]]), ["1", "2", "3"]);
});

test("a hashed request whose backend refuses the connection goes to another one, always the same", async (t) => {
  const options = balanced({ kind: "header-hash", header: "x-user" });
  const { port } = await serve(t, options);
  const owner = await askWho(port, "/", "X-User: me");
  options.backends[Number(owner) - 1]?.close();
  const heirs = await askAll(port, [
    ["/", "X-User: me"],
    ["/", "X-User: me"],
  ]);
  assert.notEqual(heirs[0], owner);
  assert.equal(heirs[0], heirs[1]);
});

test("least-connections: while one backend holds a request, the next ones go elsewhere", async (t) => {
  const silent = new RawBackend();
  const options = {
    backends: [silent, ...numbered(2)],
    settings: { balance: { kind: "least-connections" } as const },
  };
  const { port } = await serve(t, options);
  const waiting = await openClient(t, port);
  waiting.send(get("/"));
  await eventually("the first request is with the first backend", () => silent.peers.length === 1);
  const answers = await askAll(port, [["/"], ["/"], ["/"], ["/"], ["/"]]);
  assert.ok(!answers.includes("nobody"), answers.join());
  assert.deepEqual([...new Set(answers)].toSorted(), ["1", "2"]);
});

test("least-response-time: a slow backend gets few requests once it is known", async (t) => {
  const slow = new RawBackend((peer) => {
    peer.socket.on("data", () => {
      setTimeout(() => {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n#9");
      }, 60);
    });
  });
  const { port } = await serve(t, {
    backends: [slow, ...numbered(2)],
    settings: { balance: { kind: "least-response-time" } },
  });
  const answers = await askAll(
    port,
    Array.from({ length: 60 }, () => ["/"] as const),
  );
  const count = answers.filter((who) => who === "9").length;
  // Its fair share is 20: a few until it has answered once, then hardly one.
  assert.ok(count < 8, `${String(count)} of 60`);
});

test("random: requests are spread over all", async (t) => {
  const { port } = await serve(t, balanced({ kind: "random" }));
  const answers = await askAll(
    port,
    Array.from({ length: 40 }, () => ["/"] as const),
  );
  assert.equal(new Set(answers).size, 3);
});

test("first: requests stay with the first until it fails", async (t) => {
  const options = balanced({ kind: "first" });
  const { port } = await serve(t, options);
  assert.deepEqual(await askAll(port, [["/"], ["/"]]), ["1", "1"]);
  options.backends[0]?.close();
  assert.deepEqual(await askAll(port, [["/"], ["/"]]), ["2", "2"]);
});

test("weights, states and backups come with the health table", async (t) => {
  const backends = numbered(3);
  const { worker, port } = await serve(t, { backends });
  const tell = (states: PoolHealth): void => {
    worker.send({ kind: "health", health: { web: states } });
  };
  tell({ b1: { health: "up", weight: 0 }, b2: { health: "up", weight: 2 } });
  await worker.counters();
  const answers = await askAll(
    port,
    Array.from({ length: 6 }, () => ["/"] as const),
  );
  assert.deepEqual(answers.toSorted(), ["2", "2", "2", "2", "3", "3"]);
});

test("a backend that has just recovered is not met by a herd", async (t) => {
  const { worker, port } = await serve(t, { backends: numbered(2), settings: { slowStartMs: 600_000 } });
  worker.send({ kind: "health", health: { web: { b1: { health: "up", recoveredAgoMs: 0 } } } });
  await worker.counters();
  const answers = await askAll(
    port,
    Array.from({ length: 33 }, () => ["/"] as const),
  );
  // A tenth of the weight of the other one: 3 of 33.
  const count = answers.filter((who) => who === "1").length;
  assert.ok(count >= 2 && count <= 4, String(count));
});
