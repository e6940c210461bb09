import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import type { RequestListener } from "node:http";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { HealthConfig } from "../../src/config/check-config.ts";
import type { PoolConfig } from "../../src/config/config.ts";
import { HealthChecker } from "../../src/control/health-checker.ts";
import type { HealthTable } from "../../src/protocol/worker.ts";
import { monotonicClock } from "../../src/system/clock.ts";
import type { Log } from "../../src/system/log.ts";

const TIMING = {
  intervalMs: 40,
  fastIntervalMs: 40,
  downIntervalMs: 40,
  timeoutMs: 250,
  rise: 2,
  fall: 2,
} as const;
const HTTP: HealthConfig = {
  kind: "http",
  path: "/health?deep=1",
  method: "GET",
  expectedStatus: [{ from: 200, to: 299 }],
  expectedHeaders: {},
  ...TIMING,
};
const TCP: HealthConfig = { kind: "tcp", ...TIMING };

/** Only the first look, and what hints bring. */
function slowly(health: HealthConfig): HealthConfig {
  return { ...health, intervalMs: 60_000, downIntervalMs: 60_000 } as HealthConfig;
}

interface Watch {
  readonly checker: HealthChecker;
  readonly tables: HealthTable[];
  readonly events: string[];
  readonly state: (backend?: string) => string;
}

function watch(t: TestContext, pools: readonly PoolConfig[]): Watch {
  const tables: HealthTable[] = [];
  const events: string[] = [];
  const note = (_subject: object, event: string) => {
    events.push(event);
  };
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const checker = new HealthChecker({
    log,
    clock: monotonicClock,
    random: () => 0.5,
    configDir: "/",
    onChange: (table) => tables.push(table),
  });
  checker.configure(pools);
  t.after(() => {
    checker.stop();
  });
  return { checker, tables, events, state: (backend = "a") => checker.status("web", backend).state };
}

function pool(health: HealthConfig, ports: Record<string, number>, host = "127.0.0.1"): PoolConfig {
  return {
    name: "web",
    balance: { kind: "round-robin" },
    sticky: null,
    slowStartMs: 0,
    panicThreshold: 0,
    backends: Object.entries(ports).map(([name, port]) => ({ name, host, port, weight: 1, isBackup: false })),
    health,
    timeouts: { connectMs: 1, responseMs: 1, bodyMs: 1, tunnelIdleMs: 1 },
  };
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 10_000;
  while (!holds()) {
    assert.ok(performance.now() < end, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A listening server that is closed with all its connections after the test. */
async function listen(t: TestContext, server: Server, port = 0): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen({ host: "127.0.0.1", port });
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function serve(t: TestContext, answer: RequestListener): Promise<number> {
  return listen(t, createHttpServer(answer));
}

/** A backend that answers every connection with these bytes. */
async function speak(t: TestContext, bytes: string, { end }: { end: boolean }): Promise<number> {
  const server = createServer((socket) => {
    socket.once("data", () => (end ? socket.end(bytes) : socket.write(bytes)));
  });
  return listen(t, server);
}

async function refusedPort(): Promise<number> {
  const server = createServer();
  server.listen({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("a backend is up before its first check, and a dead one is down with the first", async (t) => {
  const started = performance.now();
  const { state, tables, checker } = watch(t, [pool(slowly(HTTP), { a: await refusedPort() })]);
  assert.equal(state(), "up");
  await until(() => state() === "down", "down");
  // The interval is a minute: only the first check can have told.
  assert.ok(performance.now() - started < 5_000);
  assert.deepEqual(tables, [{ web: { a: { health: "down" } } }]);
  assert.equal(checker.status("web", "a").reason, "connect refused");
});

test("a check asks for the path, names itself and keeps nothing open", async (t) => {
  const seen: Record<string, unknown>[] = [];
  const port = await serve(t, (request, response) => {
    seen.push({ method: request.method, url: request.url, ...request.headers });
    response.end("fine");
  });
  watch(t, [pool({ ...HTTP, host: "www.example.lan" }, { a: port })]);
  await until(() => seen.length > 0, "a check");
  assert.deepEqual(seen[0], {
    method: "GET",
    url: "/health?deep=1",
    host: "www.example.lan",
    "user-agent": "vipair-health",
    connection: "close",
  });
});

test("without a configured host the backend's address is sent", async (t) => {
  const hosts: unknown[] = [];
  const port = await serve(t, (request, response) => {
    hosts.push(request.headers.host);
    response.end();
  });
  watch(t, [pool(HTTP, { a: port })]);
  await until(() => hosts.length > 0, "a check");
  assert.equal(hosts[0], `127.0.0.1:${String(port)}`);
});

test("a backend that fails is suspect at once, then down, and back after rise good checks", async (t) => {
  let status = 200;
  let checks = 0;
  const port = await serve(t, (_request, response) => {
    checks += 1;
    response.writeHead(status).end();
  });
  const { state, tables, events, checker } = watch(t, [pool(HTTP, { a: port })]);
  await until(() => checks >= 3, "three good checks");
  assert.equal(tables.length, 0);
  status = 503;
  await until(() => state() === "down", "down");
  assert.equal(checker.status("web", "a").reason, "status 503");
  status = 200;
  await until(() => state() === "up", "up");
  assert.equal(checker.status("web", "a").reason, null);
  assert.deepEqual(
    tables.map((table) => table.web?.a?.health),
    ["suspect", "down", "up"],
  );
  assert.deepEqual(events, ["backend suspect", "backend down", "backend up"]);
});

test("a backend that goes silent is out of the rotation within one interval and one timeout", async (t) => {
  let silent = false;
  let checks = 0;
  const port = await serve(t, (_request, response) => {
    checks += 1;
    if (!silent) response.end();
  });
  const health: HealthConfig = { ...HTTP, intervalMs: 200, timeoutMs: 100, fall: 3 };
  const { state, checker } = watch(t, [pool(health, { a: port })]);
  await until(() => checks >= 1, "a good check");
  silent = true;
  const silentSince = performance.now();
  await until(() => state() !== "up", "out");
  assert.equal(state(), "suspect");
  assert.equal(checker.status("web", "a").reason, "no answer within 100 ms");
  // 300 ms, and what a busy machine adds.
  assert.ok(performance.now() - silentSince < 800);
});

for (const { what, answer, end, state } of [
  { what: "garbage", answer: "SSH-2.0-x\r\n\r\n", end: false, state: "down" },
  {
    what: "an endless head",
    answer: `HTTP/1.1 200 OK\r\nx: ${"x".repeat(40_000)}`,
    end: false,
    state: "down",
  },
  {
    what: "a cut response",
    answer: "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx",
    end: true,
    state: "down",
  },
  {
    what: "a body that never ends",
    answer: "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx",
    end: false,
    state: "down",
  },
  {
    what: "an upgrade nobody asked for",
    answer: "HTTP/1.1 101 Hi\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    end: false,
    state: "down",
  },
  { what: "nothing", answer: "", end: true, state: "down" },
  {
    what: "a redirect",
    answer: "HTTP/1.1 302 F\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
    end: false,
    state: "down",
  },
]) {
  test(`a backend that answers a check with ${what} is ${state}`, async (t) => {
    const port = await speak(t, answer, { end });
    const seen = watch(t, [pool(slowly(HTTP), { a: port })]);
    await until(() => seen.state() === state, state);
    assert.notEqual(seen.checker.status("web", "a").reason, null);
  });
}

test("of a large body only a part is read, and the status decides", async (t) => {
  let checks = 0;
  let written = 0;
  const port = await serve(t, (_request, response) => {
    const chunk = Buffer.alloc(65_536);
    const pour = () => {
      while (!response.destroyed && written < 1e9) {
        written += chunk.length;
        if (!response.write(chunk)) {
          response.once("drain", pour);
          return;
        }
      }
    };
    response.on("close", () => (checks += 1));
    pour();
  });
  const { state, tables } = watch(t, [pool({ ...HTTP, intervalMs: 60_000, timeoutMs: 5_000 }, { a: port })]);
  await until(() => checks === 1, "one check");
  assert.equal(state(), "up");
  assert.equal(tables.length, 0);
  assert.ok(written < 1e8);
});

test("a tcp check is content with a connection", async (t) => {
  let connections = 0;
  const port = await listen(
    t,
    createServer(() => (connections += 1)),
  );
  const { state, checker } = watch(t, [pool(TCP, { a: port, b: await refusedPort() })]);
  await until(() => state("b") === "down" && connections > 0, "b is down, a was checked");
  assert.equal(state("a"), "up");
  assert.equal(checker.status("web", "b").reason, "connect refused");
});

test("a name is looked up, and one that does not resolve is a reason", async (t) => {
  const port = await serve(t, (_request, response) => response.end());
  const named: PoolConfig = {
    ...pool(HTTP, {}),
    backends: [
      { name: "a", host: "localhost", port, weight: 1, isBackup: false },
      { name: "b", host: "no-such-name.invalid", port, weight: 1, isBackup: false },
    ],
  };
  const { state, checker } = watch(t, [{ ...named, health: { ...HTTP, timeoutMs: 8_000 } }]);
  await until(() => state("b") === "down", "b is down");
  assert.equal(checker.status("web", "b").reason, "its name does not resolve");
  assert.equal(state("a"), "up");
});

test("a failed request makes the checker look at once, but not in a storm", async (t) => {
  let status = 200;
  let checks = 0;
  const port = await serve(t, (_request, response) => {
    checks += 1;
    response.writeHead(status).end();
  });
  const { state, checker } = watch(t, [pool(slowly(HTTP), { a: port })]);
  await until(() => checks === 1, "the first check");
  await new Promise((resolve) => setTimeout(resolve, 20));
  status = 500;
  const storm = setInterval(() => {
    for (let n = 0; n < 100; n += 1) checker.noteFailure("web", "a");
  }, 1);
  const hintedSince = performance.now();
  await until(() => state() === "down", "down");
  clearInterval(storm);
  assert.ok(performance.now() - hintedSince < 5_000);
  assert.ok(checks <= 6, `${String(checks)} checks`);
  checker.noteFailure("web", "unknown");
  checker.noteFailure("unknown", "a");
});

test("a pool without checks is always up", async (t) => {
  const { state, checker, tables } = watch(t, [pool({ kind: "none" }, { a: await refusedPort() })]);
  checker.noteFailure("web", "a");
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(state(), "up");
  assert.equal(tables.length, 0);
  assert.deepEqual(checker.table(), { web: { a: { health: "up" } } });
});

test("a new configuration keeps what is known of a backend, unless its address changed", async (t) => {
  const dead = await refusedPort();
  const alive = await serve(t, (_request, response) => response.end());
  const { checker } = watch(t, [pool(slowly(HTTP), { a: dead, b: dead })]);
  await until(() => checker.status("web", "a").state === "down", "a is down");
  await until(() => checker.status("web", "b").state === "down", "b is down");
  checker.configure([pool(slowly(HTTP), { a: dead, b: alive, c: alive })]);
  assert.deepEqual(checker.table(), {
    web: { a: { health: "down" }, b: { health: "up" }, c: { health: "up" } },
  });
  assert.equal(checker.status("web", "a").reason, "connect refused");
});

test("after stop nothing is checked and nothing is told", async (t) => {
  let checks = 0;
  const port = await serve(t, () => (checks += 1));
  const { checker, tables } = watch(t, [pool({ ...HTTP, timeoutMs: 60 }, { a: port })]);
  await until(() => checks === 1, "a check is under way");
  checker.stop();
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(checks, 1);
  assert.equal(tables.length, 0);
});
