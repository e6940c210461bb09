import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { AdminServer } from "../../src/admin/server.ts";
import type { AdminServerOptions } from "../../src/admin/server.ts";
import { ADMIN_PATHS } from "../../src/protocol/admin.ts";
import type { Log } from "../../src/system/log.ts";
import { sampleStatus } from "../support/status.ts";

const QUIET: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function temporaryDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "vipair-admin-"));
  t.after(() => {
    rmSync(dir, { recursive: true });
  });
  return dir;
}

async function maintained(node: string) {
  return Promise.resolve({ kind: "done", result: { node, replicated: true, pending: null } } as const);
}

async function resumed(node: string) {
  return Promise.resolve({
    kind: "done",
    result: { node, ended: "maintenance", replicated: true, unstored: null },
  } as const);
}

const FILES = {
  node: "pi-a",
  path: "/etc/vipair/vipair.yaml",
  text: "a",
  peer: { node: "pi-b", path: "/etc/vipair/vipair.yaml", text: "b" },
} as const;
const ORDERED = { replicated: false, warning: null, weight: 3 };
const COUNTED = { node: "pi-a", connections: 2, peer: null, ordered: "drain" } as const;

function makeServer(
  t: TestContext,
  runtimeDir: string,
  options: Partial<AdminServerOptions> = {},
): AdminServer {
  const server = new AdminServer({
    runtimeDir,
    log: QUIET,
    status: async () => Promise.resolve(sampleStatus()),
    configFiles: async () => Promise.resolve({ kind: "done", result: FILES }),
    pushConfig: async () => Promise.resolve({ kind: "done", result: { kind: "same", peer: "pi-b" } }),
    reload: async () =>
      Promise.resolve({ kind: "done", result: { configHash: "0123456789ab", needsRestart: [] } }),
    switchover: async () => Promise.resolve({ kind: "done", result: { active: "pi-b", tookMs: 45 } }),
    standby: async ({ node = "pi-a" }) => maintained(node),
    resume: async ({ node = "pi-a" }) => resumed(node),
    orderBackend: async () => Promise.resolve({ kind: "done", result: ORDERED }),
    countConnections: async () => Promise.resolve({ kind: "done", result: COUNTED }),
    ...options,
  });
  t.after(async () => server.stop());
  return server;
}

async function started(t: TestContext, options: Partial<AdminServerOptions> = {}): Promise<string> {
  const runtimeDir = temporaryDir(t);
  assert.deepEqual(await makeServer(t, runtimeDir, options).start(), { kind: "started" });
  return join(runtimeDir, "admin.sock");
}

interface Answer {
  readonly status: number | undefined;
  readonly allow: string | undefined;
  readonly body: unknown;
}

async function ask(socketPath: string, method: string, path: string, body = ""): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => {
        resolve({
          status: response.statusCode,
          allow: response.headers.allow,
          body: JSON.parse(text) as unknown,
        });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

test("the status is served as it is", async (t) => {
  const socket = await started(t);
  assert.deepEqual(await ask(socket, "GET", ADMIN_PATHS.status), {
    status: 200,
    allow: undefined,
    body: sampleStatus(),
  });
});

test("a switchover answers who is active now", async (t) => {
  const socket = await started(t);
  const { status, body } = await ask(socket, "POST", ADMIN_PATHS.switchover);
  assert.equal(status, 200);
  assert.deepEqual(body, { active: "pi-b", tookMs: 45 });
});

const refuse = async () =>
  Promise.resolve({ kind: "refused", error: "pi-b is in fault: no carrier" } as const);

test("an order that is not possible answers 409 and why", async (t) => {
  const socket = await started(t, {
    switchover: refuse,
    standby: refuse,
    resume: refuse,
    orderBackend: refuse,
    countConnections: refuse,
  });
  const { switchover, standby, resume, backend, connections } = ADMIN_PATHS;
  for (const path of [switchover, standby, resume, backend, connections]) {
    const { status, body } = await ask(
      socket,
      "POST",
      path,
      '{"pool":"web","backend":"big","state":"drain"}',
    );
    assert.deepEqual({ status, body }, { status: 409, body: { error: "pi-b is in fault: no carrier" } });
  }
});

test("an order is handed on as it was written, and what is not said is left out", async (t) => {
  const orders: unknown[] = [];
  const note = (order: object) => orders.push(order);
  const socket = await started(t, {
    switchover: async (order) => {
      note(order);
      return Promise.resolve({ kind: "done", result: { active: "pi-b", tookMs: 45 } });
    },
    standby: async (order) => {
      note(order);
      return maintained(order.node ?? "pi-a");
    },
    resume: async (order) => {
      note(order);
      return resumed(order.node ?? "pi-a");
    },
    orderBackend: async (order) => {
      note(order);
      return Promise.resolve({ kind: "done", result: ORDERED });
    },
    countConnections: async (name) => {
      note(name);
      return Promise.resolve({ kind: "done", result: COUNTED });
    },
  });
  const { switchover, standby, resume, backend, connections } = ADMIN_PATHS;
  for (const [path, body, order, result] of [
    [
      switchover,
      '{"group":"west","force":true}',
      { group: "west", force: true },
      { active: "pi-b", tookMs: 45 },
    ],
    [switchover, "{}", { force: false }, { active: "pi-b", tookMs: 45 }],
    [standby, "", { force: false }, { node: "pi-a", replicated: true, pending: null }],
    [
      standby,
      '{"node":"pi-b","force":true}',
      { node: "pi-b", force: true },
      { node: "pi-b", replicated: true, pending: null },
    ],
    [
      resume,
      '{"node":"pi-b"}',
      { node: "pi-b", force: false },
      { node: "pi-b", ended: "maintenance", replicated: true, unstored: null },
    ],
    ...(["drain", "maintenance", "ready"] as const).map(
      (state) =>
        [
          backend,
          `{"pool":"web","backend":"big","state":"${state}"}`,
          { pool: "web", backend: "big", state },
          ORDERED,
        ] as const,
    ),
    [
      backend,
      '{"pool":"web","backend":"big","weight":"50%"}',
      { pool: "web", backend: "big", weight: "50%" },
      ORDERED,
    ],
    [connections, '{"pool":"web","backend":"big","more":1}', { pool: "web", backend: "big" }, COUNTED],
  ] as const) {
    const answer = await ask(socket, "POST", path, body);
    assert.deepEqual(answer, { status: 200, allow: undefined, body: result });
    assert.deepEqual(orders.splice(0), [order]);
  }
});

const unexpected = async () => Promise.reject(new Error("unexpected"));

test("an order that makes no sense gets 400 and why, and is handed to nobody", async (t) => {
  const socket = await started(t, {
    switchover: unexpected,
    standby: unexpected,
    resume: unexpected,
    orderBackend: unexpected,
    countConnections: unexpected,
  });
  const noOrder = "pool and backend must be names, state drain, maintenance or ready; or weight a text";
  const { switchover, standby, resume, backend, connections } = ADMIN_PATHS;
  for (const [path, body, error] of [
    [switchover, "force", "the body must be empty or a JSON object"],
    [standby, "[]", "the body must be empty or a JSON object"],
    [resume, "null", "the body must be empty or a JSON object"],
    [switchover, '{"group":1}', "group must be the name of a group, force true or false"],
    [standby, '{"node":{}}', "node must be the name of a node, force true or false"],
    [resume, '{"node":true}', "node must be the name of a node, force true or false"],
    [backend, "", noOrder],
    [connections, '{"pool":"web"}', "pool and backend must be names"],
    [switchover, '{"force":"yes"}', "group must be the name of a group, force true or false"],
    [backend, '{"pool":"web","backend":"big","state":"down"}', noOrder],
    [backend, '{"pool":"web","backend":"big","weight":10}', noOrder],
    [backend, '{"pool":"web","backend":"big","state":"ready","weight":"10"}', noOrder],
    [backend, '{"pool":"web","backend":1,"state":"drain"}', noOrder],
  ] as const) {
    assert.deepEqual(await ask(socket, "POST", path, body), {
      status: 400,
      allow: undefined,
      body: { error },
    });
  }
});

test("what is not in the API gets 404, another method 405, a huge body 413, each in JSON", async (t) => {
  const orders: number[] = [];
  const socket = await started(t, {
    switchover: async () => {
      orders.push(1);
      return Promise.resolve({ kind: "refused", error: "" });
    },
  });
  assert.equal((await ask(socket, "GET", "/v1/nothing")).status, 404);
  assert.equal((await ask(socket, "GET", "/v1/status/")).status, 404);
  const wrongMethod = await ask(socket, "GET", ADMIN_PATHS.switchover);
  assert.deepEqual(wrongMethod, {
    status: 405,
    allow: "POST",
    body: { error: "/v1/switchover takes POST" },
  });
  assert.equal((await ask(socket, "DELETE", ADMIN_PATHS.status)).allow, "GET");
  assert.equal((await ask(socket, "POST", ADMIN_PATHS.switchover, "x".repeat(65_537))).status, 413);
  assert.deepEqual(orders, []);
});

test("a handler that fails answers 500 and does not end the server", async (t) => {
  let fail = true;
  const socket = await started(t, {
    status: async () => (fail ? Promise.reject(new Error("boom")) : Promise.resolve(sampleStatus())),
  });
  const { status, body } = await ask(socket, "GET", ADMIN_PATHS.status);
  assert.equal(status, 500);
  assert.doesNotMatch(JSON.stringify(body), /boom/);
  fail = false;
  assert.equal((await ask(socket, "GET", ADMIN_PATHS.status)).status, 200);
});

test("only the node's own user can open the socket, whatever the umask", async (t) => {
  const umask = process.umask(0);
  t.after(() => process.umask(umask));
  const runtimeDir = temporaryDir(t);
  const server = makeServer(t, runtimeDir);
  const socket = join(runtimeDir, "admin.sock");
  // Its mode at the first moment at which it can be seen at all.
  const starting = server.start();
  const end = performance.now() + 5_000;
  while (!existsSync(socket) && performance.now() < end)
    await new Promise((resolve) => setImmediate(resolve));
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  await starting;
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  assert.equal(process.umask(0), 0);
});

test("a missing runtime directory is made, and stop leaves no socket behind", async (t) => {
  const runtimeDir = join(temporaryDir(t), "deep", "run");
  const server = makeServer(t, runtimeDir);
  assert.deepEqual(await server.start(), { kind: "started" });
  const socket = join(runtimeDir, "admin.sock");
  assert.ok(existsSync(socket));
  await server.stop();
  assert.ok(!existsSync(socket));
});

test("the socket of a dead process is taken over", async (t) => {
  const runtimeDir = temporaryDir(t);
  const socket = join(runtimeDir, "admin.sock");
  const script = join(runtimeDir, "listen.mjs");
  writeFileSync(
    script,
    `import { createServer } from "node:net"; createServer().listen(process.argv[2], () => process.send("up"));`,
  );
  const dead = fork(script, [socket], { execArgv: [] });
  await once(dead, "message");
  dead.kill("SIGKILL");
  await once(dead, "exit");
  assert.ok(existsSync(socket));
  assert.deepEqual(await makeServer(t, runtimeDir).start(), { kind: "started" });
  assert.equal((await ask(socket, "GET", ADMIN_PATHS.status)).status, 200);
});

test("a second vipair with the same runtime directory is refused, and the first goes on", async (t) => {
  const runtimeDir = temporaryDir(t);
  await makeServer(t, runtimeDir).start();
  const second = makeServer(t, runtimeDir);
  assert.deepEqual(await second.start(), {
    kind: "refused",
    problem: `another vipair runs with this runtime directory, pid ${String(process.pid)}. Stop it or choose another --runtime-dir`,
  });
  await second.stop();
  assert.equal((await ask(join(runtimeDir, "admin.sock"), "GET", ADMIN_PATHS.status)).status, 200);
});

test("a frozen vipair keeps its runtime directory too", async (t) => {
  const runtimeDir = temporaryDir(t);
  const frozen = createServer();
  frozen.on("connection", (socket) => t.after(() => socket.destroy()));
  frozen.listen(join(runtimeDir, "admin.sock"));
  await once(frozen, "listening");
  t.after(() => frozen.close());
  const result = await makeServer(t, runtimeDir).start();
  assert.equal(
    result.kind === "refused" && /^another vipair runs .* does not say its pid/.test(result.problem),
    true,
  );
});

test("a runtime directory that cannot be used is refused with the reason", async (t) => {
  const dir = temporaryDir(t);
  writeFileSync(join(dir, "file"), "");
  const notDirectory = await makeServer(t, join(dir, "file")).start();
  assert.match(
    notDirectory.kind === "refused" ? notDirectory.problem : "",
    /^cannot use the runtime directory/,
  );
  mkdirSync(join(dir, "run"));
  writeFileSync(join(dir, "run", "admin.sock"), "precious");
  const occupied = await makeServer(t, join(dir, "run")).start();
  assert.match(occupied.kind === "refused" ? occupied.problem : "", /is not a socket\. Remove it$/);
  const long = await makeServer(t, join(dir, "x".repeat(100))).start();
  assert.match(long.kind === "refused" ? long.problem : "", /too long for a socket/);
});
