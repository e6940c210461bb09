import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { AdminServer } from "../../src/admin/server.ts";
import type { AdminServerOptions } from "../../src/admin/server.ts";
import { runCommandLine } from "../../src/cli/program.ts";
import type { RunOptions } from "../../src/cli/program.ts";
import type { Status } from "../../src/protocol/status.ts";
import { sampleStatus } from "../support/status.ts";

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly runs: readonly RunOptions[];
}

/** One command line, performed in this process. */
async function vipair(...args: string[]): Promise<Outcome> {
  const runs: RunOptions[] = [];
  let out = "";
  let err = "";
  const code = await runCommandLine({
    args,
    run: async (options) => {
      runs.push(options);
      return Promise.resolve(42);
    },
    peerProtocol: 1,
    terminal: { print: (text) => (out += `${text}\n`), complain: (text) => (err += `${text}\n`) },
  });
  return { code, out, err, runs };
}

function temporaryDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "vipair-cli-"));
  t.after(() => {
    rmSync(dir, { recursive: true });
  });
  return dir;
}

const quiet = () => {};

const FILES = {
  node: "pi-a",
  path: "/etc/vipair/vipair.yaml",
  text: "workers: 1\n",
  peer: { node: "pi-b", path: "/etc/vipair/vipair.yaml", text: "workers: 2\n" },
} as const;

/** The runtime directory of a node that answers like this. */
async function runningNode(t: TestContext, options: Partial<AdminServerOptions> = {}): Promise<string> {
  const runtimeDir = temporaryDir(t);
  const server = new AdminServer({
    runtimeDir,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    status: async () => Promise.resolve(sampleStatus()),
    configFiles: async () => Promise.resolve({ kind: "done", result: FILES }),
    pushConfig: async () => Promise.resolve({ kind: "done", result: { kind: "same", peer: "pi-b" } }),
    reload: async () =>
      Promise.resolve({ kind: "done", result: { configHash: "0123456789ab", needsRestart: ["pair"] } }),
    switchover: async () => Promise.resolve({ kind: "done", result: { active: "pi-b", tookMs: 45.4 } }),
    standby: async ({ node = "pi-a" }) =>
      Promise.resolve({ kind: "done", result: { node, replicated: true, pending: null } }),
    resume: async ({ node = "pi-a" }) =>
      Promise.resolve({
        kind: "done",
        result: { node, ended: "maintenance", replicated: false, unstored: null },
      }),
    orderBackend: async () =>
      Promise.resolve({ kind: "done", result: { replicated: true, warning: null, weight: 1.5 } }),
    countConnections: async () =>
      Promise.resolve({
        kind: "done",
        result: { node: "pi-a", connections: 0, peer: null, ordered: "drain" },
      }),
    ...options,
  });
  t.after(async () => server.stop());
  assert.deepEqual(await server.start(), { kind: "started" });
  return runtimeDir;
}

test("run gets its options, and ends with what the node ends with", async () => {
  const { code, runs } = await vipair(
    "run",
    "--config",
    "a.yaml",
    "--node",
    "pi-a",
    "--runtime-dir",
    "/tmp/a",
  );
  assert.equal(code, 42);
  assert.deepEqual(runs, [{ config: "a.yaml", node: "pi-a", runtimeDir: "/tmp/a" }]);
});

test("run has defaults, and takes the node's name from the environment", async (t) => {
  assert.deepEqual((await vipair("run")).runs, [
    { config: "/etc/vipair/vipair.yaml", runtimeDir: "/run/vipair" },
  ]);
  process.env["VIPAIR_NODE"] = "pi-b";
  t.after(() => delete process.env["VIPAIR_NODE"]);
  assert.equal((await vipair("run")).runs[0]?.node, "pi-b");
});

test("role prints one word", async (t) => {
  for (const role of ["active", "standby", "fault"] as const) {
    const runtimeDir = await runningNode(t, { status: async () => Promise.resolve(sampleStatus({ role })) });
    const { code, out, err } = await vipair("role", "--runtime-dir", runtimeDir);
    assert.deepEqual({ code, out, err }, { code: 0, out: `${role}\n`, err: "" });
  }
});

test("without a vipair every question ends with 3 and says so", async (t) => {
  const runtimeDir = temporaryDir(t);
  for (const command of [
    "role",
    "status",
    "switchover",
    "standby",
    "resume",
    "drain web/big",
    "drain web/big --wait",
    "maintenance web/big",
    "ready web/big",
    "weight web/big 3",
  ]) {
    const { code, out, err } = await vipair(...command.split(" "), "--runtime-dir", runtimeDir);
    assert.deepEqual({ code, out }, { code: 3, out: "" });
    assert.equal(err, `vipair: no vipair runs with the runtime directory ${runtimeDir}\n`);
  }
});

test("status counts the requests that were copied, and those that should have been", async (t) => {
  const lineOf = async (mirrors: { readonly sent: number; readonly dropped: number }) => {
    const runtimeDir = await runningNode(t, {
      status: async () => Promise.resolve(sampleStatus({ mirrors })),
    });
    const { out } = await vipair("status", "--runtime-dir", runtimeDir);
    return /^mirrored .*$/m.exec(out)?.[0];
  };
  assert.equal(await lineOf({ sent: 0, dropped: 0 }), undefined);
  assert.equal(await lineOf({ sent: 1, dropped: 0 }), "mirrored   1 request");
  assert.equal(await lineOf({ sent: 12, dropped: 3 }), "mirrored   12 requests  3 dropped");
});

test("status --json prints the status as it is", async (t) => {
  const { code, out } = await vipair("status", "--json", "--runtime-dir", await runningNode(t));
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(out), sampleStatus());
});

test("status shows a person everything that matters, aligned", async (t) => {
  const since = new Date(Date.now() - 3_725_000).toISOString();
  const runtimeDir = await runningNode(t, { status: async () => Promise.resolve(sampleStatus({ since })) });
  const { code, out } = await vipair("status", "--runtime-dir", runtimeDir);
  assert.equal(code, 0);
  assert.equal(
    out,
    `\
node       pi-a  priority 150
role       active  for 1 h 2 min  epoch 7
addresses  192.168.1.50 on eth0  held
peer       pi-b  standby  connected  heard 80 ms ago
arbiter    192.168.1.1  answered 120 ms ago
checks     uplink  good
workers    pid 4711   up 2 min 5 s  12 connections
           pid 47110  up 900 ms     1 connection
listeners  web    vip:80        open
           plain  0.0.0.0:8080  closed  (port 8080 on 0.0.0.0 is in use by another process)
pool web   192.168.1.21:8080      up    weight 1  at 50 %  3 active  1234 requests  0 failures  (degraded: disk_usage is 91)  check 200 in 3 ms, 400 ms ago
           big 192.168.1.22:8080  down  weight 3           0 active  99 requests    1 failure   (connect refused)  check bad in 0 ms, 1 s ago  agent "up 100%"  (connect refused)
requests   1333
vipair     0.1.0  up 2 min 5 s  config 0123456789ab
`,
  );
});

test("status says what is wrong: the reason of a fault, a lost peer, configurations that differ", async (t) => {
  const changes: Partial<Status> = {
    role: "fault",
    reason: "5 workers died within 10 s",
    virtualAddresses: [{ address: "192.168.1.50", interface: "eth0", held: false }],
    peer: {
      node: "pi-b",
      role: "unknown",
      connected: false,
      lastHeardMs: null,
      configMatches: false,
      newerFile: null,
      problem: "pi-b has another secret",
      paths: [],
    },
  };
  const runtimeDir = await runningNode(t, { status: async () => Promise.resolve(sampleStatus(changes)) });
  const { out } = await vipair("status", "--runtime-dir", runtimeDir);
  assert.match(out, /^reason {5}5 workers died within 10 s$/m);
  assert.match(out, /^addresses {2}192\.168\.1\.50 on eth0 {2}not held$/m);
  assert.match(
    out,
    /^peer {7}pi-b {2}unknown {2}not connected {2}never heard\n {11}its configuration differs from this node's: `vipair config diff` shows in what, .*\n {11}pi-b has another secret$/m,
  );
  const alone = await runningNode(t, {
    status: async () =>
      Promise.resolve(sampleStatus({ peer: null, priority: null, virtualAddresses: [], groups: [] })),
  });
  assert.match(
    (await vipair("status", "--runtime-dir", alone)).out,
    /^node {7}pi-a\n.*\npeer {7}none: this node has no standby$/m,
  );
});

test("switchover says who is active now and how long it took", async (t) => {
  const { code, out } = await vipair("switchover", "--runtime-dir", await runningNode(t));
  assert.deepEqual({ code, out }, { code: 0, out: "active is now pi-b (45 ms)\n" });
});

test("a switchover that is refused ends with 1 and the reason", async (t) => {
  const runtimeDir = await runningNode(t, {
    switchover: async () => Promise.resolve({ kind: "refused", error: "pi-b is in fault: no carrier" }),
  });
  const { code, out, err } = await vipair("switchover", "--runtime-dir", runtimeDir);
  assert.deepEqual({ code, out, err }, { code: 1, out: "", err: "vipair: pi-b is in fault: no carrier\n" });
});

test("an order sends what was typed", async (t) => {
  const orders: unknown[] = [];
  const note =
    <Result>(what: string, result: Result) =>
    async (order: object) => {
      orders.push({ what, ...order });
      return Promise.resolve({ kind: "done", result } as const);
    };
  const maintained = { node: "pi-a", replicated: true, pending: null };
  const runtimeDir = await runningNode(t, {
    switchover: note("switchover", { active: "pi-b", tookMs: 45 }),
    standby: note("standby", maintained),
    resume: note("resume", { node: "pi-a", ended: "maintenance", replicated: true, unstored: null }),
    orderBackend: note("backend", { replicated: true, warning: null, weight: 3 }),
  });
  for (const [line, order] of [
    ["switchover", { what: "switchover", force: false }],
    ["switchover --group west --force", { what: "switchover", group: "west", force: true }],
    ["standby", { what: "standby", force: false }],
    ["standby pi-b --force", { what: "standby", node: "pi-b", force: true }],
    ["resume", { what: "resume", force: false }],
    ["resume pi-b", { what: "resume", node: "pi-b", force: false }],
    ["drain web/big", { what: "backend", pool: "web", backend: "big", state: "drain" }],
    ["maintenance web/big", { what: "backend", pool: "web", backend: "big", state: "maintenance" }],
    ["ready web/[::1]:80", { what: "backend", pool: "web", backend: "[::1]:80", state: "ready" }],
    ["weight web/a/b 50%", { what: "backend", pool: "web", backend: "a/b", weight: "50%" }],
  ] as const) {
    const { code, err } = await vipair(...line.split(" "), "--runtime-dir", runtimeDir);
    assert.deepEqual({ code, err }, { code: 0, err: "" }, line);
    assert.deepEqual(orders.pop(), order, line);
    assert.equal(orders.length, 0);
  }
});

test("an order says what was done, and whether the other node knows", async (t) => {
  const runtimeDir = await runningNode(t);
  const away = await runningNode(t, {
    orderBackend: async () =>
      Promise.resolve({ kind: "done", result: { replicated: false, warning: null, weight: 3 } }),
  });
  const unknown = " (the other node is not in touch and learns of it when it is)";
  for (const [dir, line, said] of [
    [runtimeDir, "standby", "pi-a is in maintenance; `vipair resume` ends it"],
    [runtimeDir, "resume pi-b", `pi-b is back in service${unknown}`],
    [runtimeDir, "drain web/big", "web/big gets no new requests"],
    [runtimeDir, "maintenance web/big", "web/big is in maintenance: no requests, no health checks"],
    [runtimeDir, "ready web/big", "web/big gets requests again"],
    [runtimeDir, "weight web/big 50%", "web/big has weight 1.5"],
    [away, "weight web/big reset", `web/big has weight 3, as configured${unknown}`],
    [away, "drain web/big", `web/big gets no new requests${unknown}`],
  ] as const) {
    const { code, out, err } = await vipair(...line.split(" "), "--runtime-dir", dir);
    assert.deepEqual({ code, out, err }, { code: 0, out: `${said}\n`, err: "" });
  }
});

test("resume says what it ended: maintenance, flap damping, or nothing", async (t) => {
  for (const [ended, replicated, said] of [
    ["maintenance", true, "pi-b is back in service"],
    ["damping", true, "pi-b may change roles again: its flap damping has ended"],
    ["nothing", true, "pi-b was not in maintenance"],
    [
      "nothing",
      false,
      "pi-b was not in maintenance, as far as is known here (the other node is not in touch and may know better)",
    ],
  ] as const) {
    const runtimeDir = await runningNode(t, {
      resume: async ({ node = "" }) =>
        Promise.resolve({ kind: "done", result: { node, ended, replicated, unstored: null } }),
    });
    const { code, out, err } = await vipair("resume", "pi-b", "--runtime-dir", runtimeDir);
    assert.deepEqual({ code, out, err }, { code: 0, out: `${said}\n`, err: "" });
  }
});

test("a standby that is ordered but waits ends with 1 and says what it waits for", async (t) => {
  const pending = "still active: goes into maintenance as soon as pi-b can take over";
  const runtimeDir = await runningNode(t, {
    standby: async () =>
      Promise.resolve({ kind: "done", result: { node: "pi-a", replicated: true, pending } }),
  });
  const { code, out, err } = await vipair("standby", "--runtime-dir", runtimeDir);
  assert.deepEqual({ code, out }, { code: 1, out: "" });
  assert.equal(err, `vipair: maintenance of pi-a is ordered, but not yet in effect: ${pending}\n`);
});

const refuse = async () => Promise.resolve({ kind: "refused", error: "not now" } as const);

test("an order that is refused ends with 1 and the reason", async (t) => {
  const runtimeDir = await runningNode(t, { standby: refuse, resume: refuse, orderBackend: refuse });
  for (const line of ["standby", "resume", "drain web/big", "ready web/big", "weight web/big 0"]) {
    const { code, out, err } = await vipair(...line.split(" "), "--runtime-dir", runtimeDir);
    assert.deepEqual({ code, out, err }, { code: 1, out: "", err: "vipair: not now\n" });
  }
});

test("a backend that is not written as POOL/BACKEND ends with 2, and nobody is asked", async (t) => {
  const runtimeDir = temporaryDir(t);
  for (const target of ["web", "web/", "/big"]) {
    const { code, err } = await vipair("drain", target, "--runtime-dir", runtimeDir);
    assert.equal(code, 2);
    assert.equal(
      err,
      `vipair: "${target}" is no backend. Write POOL/BACKEND, such as web/192.168.1.21:8080\n`,
    );
  }
  assert.equal((await vipair("drain", "--runtime-dir", runtimeDir)).code, 2);
});

test("a weight or a wait that is none ends with 2, and nobody is asked", async (t) => {
  const runtimeDir = temporaryDir(t);
  for (const [line, problem] of [
    ["weight web/big 257", 'vipair: "257" is not a weight. Write 0 to 256, 50% or reset\n'],
    ["weight web/big half", 'vipair: "half" is not a weight. Write 0 to 256, 50% or reset\n'],
    ["drain web/big --wait=30", /'30' is invalid. Write|"30" is not a duration/],
  ] as const) {
    const { code, err } = await vipair(...line.split(" "), "--runtime-dir", runtimeDir);
    assert.equal(code, 2, line);
    if (typeof problem === "string") assert.equal(err, problem);
    else assert.match(err, problem);
  }
});

test("an order that leaves a pool without a backend is carried out with a warning", async (t) => {
  const warning = "no backend of pool web gets new requests now";
  const runtimeDir = await runningNode(t, {
    orderBackend: async () =>
      Promise.resolve({ kind: "done", result: { replicated: true, warning, weight: 0 } }),
  });
  for (const line of ["drain web/big", "weight web/big 0"]) {
    const { code, err } = await vipair(...line.split(" "), "--runtime-dir", runtimeDir);
    assert.deepEqual({ code, err }, { code: 0, err: `vipair: warning: ${warning}\n` });
  }
});

interface Left {
  readonly here: number;
  readonly there: number | null;
  readonly ordered?: "drain" | null;
}

/** A node that counts these connections, one after the other, and the last for ever. */
async function countingNode(t: TestContext, ...looks: readonly Left[]): Promise<string> {
  const left = [...looks];
  return runningNode(t, {
    countConnections: async () => {
      const { here, there, ordered = "drain" } = (left.length > 1 ? left.shift() : left[0]) ?? raise();
      const problem = there === null ? "it is not in touch" : null;
      const peer = { node: "pi-b", connections: there, problem };
      return Promise.resolve({ kind: "done", result: { node: "pi-a", connections: here, peer, ordered } });
    },
  });
}

function raise(): never {
  throw new Error("no looks");
}

test("drain --wait shows what is left on each node, and ends when the last connection has gone on both", async (t) => {
  const runtimeDir = await countingNode(
    t,
    { here: 2, there: 1 },
    { here: 2, there: 1 },
    { here: 0, there: null },
    { here: 0, there: 1 },
    // A worker that counted before it heard of the order.
    { here: 0, there: 0 },
    { here: 1, there: 0 },
    { here: 0, there: 0 },
  );
  const { code, out, err } = await vipair("drain", "web/big", "--wait", "--runtime-dir", runtimeDir);
  assert.deepEqual({ code, err }, { code: 0, err: "" });
  assert.deepEqual(out.trimEnd().split("\n"), [
    "web/big gets no new requests",
    "web/big: 2 connections on pi-a, 1 on pi-b",
    "web/big: 0 connections on pi-a, 1 on pi-b",
    "web/big: 1 connection on pi-a, 0 on pi-b",
    "web/big is drained: its last connection has gone",
  ]);
});

test("drain --wait=DURATION ends with 1 when connections are left, and when the order is taken back", async (t) => {
  for (const [looks, problem] of [
    [[{ here: 3, there: 0 }], "web/big is not drained after 500ms: 3 connections on pi-a, 0 on pi-b"],
    [
      [{ here: 0, there: null }],
      "web/big is not drained after 500ms: 0 connections on pi-a, pi-b does not say how many it has: it is not in touch",
    ],
    [
      [
        { here: 1, there: 0 },
        { here: 1, there: 0, ordered: null },
      ],
      "web/big is ready again: somebody has ordered it",
    ],
  ] as const) {
    const runtimeDir = await countingNode(t, ...looks);
    const { code, err } = await vipair("drain", "web/big", "--wait=500ms", "--runtime-dir", runtimeDir);
    assert.deepEqual({ code, err }, { code: 1, err: `vipair: ${problem}\n` });
  }
});

test("status shows what becomes of a drained backend's connections, and the ordered weight", async (t) => {
  const sample = sampleStatus();
  const [pool] = sample.pools;
  const first = pool?.backends[0];
  assert.ok(pool !== undefined && first !== undefined);
  const order = { state: "drain", weight: 10, node: "pi-b" } as const;
  for (const [state, activeConnections, shown] of [
    ["drain", 3, "draining (3 connections)"],
    ["drain", 0, "drained"],
    ["maintenance", 1, "maintenance (1 connection)"],
    ["maintenance", 0, "maintenance"],
  ] as const) {
    const backend = { ...first, state, activeConnections, order, reason: "ordered on pi-b" };
    const pools = [{ ...pool, backends: [backend] }];
    const runtimeDir = await runningNode(t, { status: async () => Promise.resolve({ ...sample, pools }) });
    const { out } = await vipair("status", "--runtime-dir", runtimeDir);
    const line = out.split("\n").find((one) => one.startsWith("pool web"));
    assert.ok(line?.includes(`  ${shown}  weight `) === true, line);
    assert.match(line, /now 10 \(ordered on pi-b\)/);
    assert.match(line, /\(ordered on pi-b\)/);
  }
});

test("status shows of a pool who waits, what overflowed and what was sent again, when there was any", async (t) => {
  const [pool] = sampleStatus().pools;
  assert.ok(pool !== undefined);
  const show = async (counts: Partial<typeof pool>) => {
    const pools = [{ ...pool, ...counts }];
    const runtimeDir = await runningNode(t, {
      status: async () => Promise.resolve(sampleStatus({ pools })),
    });
    return (await vipair("status", "--runtime-dir", runtimeDir)).out;
  };
  assert.doesNotMatch(await show({}), /waiting|overflow|retr|reconnect/);
  assert.match(
    await show({ queued: 3, overflows: 1, retries: 12, retriesRefused: 2, reconnects: 1 }),
    /\n +3 waiting  1 overflow  12 retries  2 refused by the budget  1 reconnect\n/,
  );
  assert.match(await show({ retries: 1 }), /\n +1 retry\n/);
});

test("status shows who is ejected, whose circuit breaker is not closed, and which pool panics, each with its reason", async (t) => {
  const sample = sampleStatus();
  const [pool] = sample.pools;
  const first = pool?.backends[0];
  assert.ok(pool !== undefined && first !== undefined);
  const show = async (changes: Partial<typeof first>, panic: string | null = null) => {
    const pools = [{ ...pool, panic, backends: [{ ...first, ...changes }] }];
    const runtimeDir = await runningNode(t, { status: async () => Promise.resolve({ ...sample, pools }) });
    return (await vipair("status", "--runtime-dir", runtimeDir)).out;
  };
  const reason = "5 responses with status 500 or above in a row, the last one: status 503";
  assert.match(
    await show({ state: "ejected", reason, ejection: { reason, count: 2, remainingMs: 42_300 } }),
    /  ejected  .*  \(5 responses with status 500 or above in a row, the last one: status 503\)  ejection 2, 42 s left/,
  );
  const breaker = { openWorkers: 1, halfOpenWorkers: 2, reason: "9 of 12 requests failed", trialsInMs: 3100 };
  assert.match(
    await show({ breaker }),
    /  breaker open in 1 worker, half-open in 2 workers \(9 of 12 requests failed\), trials in 3 s/,
  );
  assert.match(
    await show({ breaker: { ...breaker, openWorkers: 0, trialsInMs: null } }),
    /  breaker half-open in 2 workers \(9 of 12 requests failed\)/,
  );
  assert.match(
    await show({}, "1 of 4 backends healthy, less than 30 %: all are used"),
    /\npool web +in panic: 1 of 4 backends healthy, less than 30 %: all are used\n/,
  );
});

test("status lists the groups when there are several, nodes in maintenance, and a lowered priority", async (t) => {
  const sample = sampleStatus();
  const [east] = sample.groups;
  assert.ok(east !== undefined);
  const west = { ...east, name: "west", role: "standby", peerRole: "active", epoch: 12 } as const;
  const show = async (changes: Partial<Status>) => {
    const runtimeDir = await runningNode(t, { status: async () => Promise.resolve(sampleStatus(changes)) });
    return (await vipair("status", "--runtime-dir", runtimeDir)).out;
  };
  assert.match(
    await show({ groups: [{ ...east, name: "east" }, west] }),
    new RegExp(
      "^groups +east {2}active {3}priority 150 {2}epoch 7 {3}peer standby {2}192\\.168\\.1\\.50\n" +
        " +west {2}standby {2}priority 150 {2}epoch 12 {2}peer active {3}192\\.168\\.1\\.50$",
      "m",
    ),
  );
  const impaired = await show({
    groups: [{ ...east, effectivePriority: 90 }],
    maintenance: ["pi-a", "pi-b"],
  });
  assert.match(impaired, /^node +pi-a {2}priority 150 \(now 90\)$/m);
  assert.match(impaired, /^maintenance +pi-a\n +pi-b$/m);
  assert.doesNotMatch(impaired, /^groups/m);
});

test("something else behind the socket is a clear failure", async (t) => {
  const runtimeDir = temporaryDir(t);
  const impostor = createServer((socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"));
  impostor.listen(join(runtimeDir, "admin.sock"));
  await once(impostor, "listening");
  t.after(() => impostor.close());
  const { code, err } = await vipair("role", "--runtime-dir", runtimeDir);
  assert.deepEqual({ code, err }, { code: 1, err: "vipair: vipair answered 200 without JSON\n" });
});

test("a command line that makes no sense ends with 2 and a suggestion", async () => {
  const command = await vipair("statsu");
  assert.equal(command.code, 2);
  assert.match(command.err, /unknown command 'statsu'[\s\S]*Did you mean status/);
  const option = await vipair("status", "--jsn");
  assert.equal(option.code, 2);
  assert.match(option.err, /unknown option '--jsn'[\s\S]*Did you mean --json/);
  assert.equal((await vipair("role", "extra")).code, 2);
  assert.equal((await vipair()).code, 2);
});

test("help and version end with 0", async () => {
  assert.match((await vipair("--version")).out, /^\d+\.\d+\.\d+\n$/);
  const { code, out } = await vipair("run", "--help");
  assert.equal(code, 0);
  assert.match(out, /--runtime-dir <dir>/);
});

const PAIR = (extra: string) => `\
pair:
  nodes:
    pi-a: { address: 127.30.1.1, priority: 150 }
    pi-b: { address: 127.30.1.2, priority: 100 }
  ${extra}
virtualAddresses:
  - { address: 127.30.1.9/8, interface: lo }
listeners:
  - { name: web, bind: vip:8080, protocol: http, routes: [{ pool: web }] }
pools:
  web:
    backends: [127.30.1.3:80]
`;

/** What check says about this text; the path of the file is written FILE. */
async function check(dir: string, text: string): Promise<Outcome> {
  const file = join(dir, "vipair.yaml");
  writeFileSync(file, text);
  const outcome = await vipair("check", "--config", file);
  const shorten = (said: string) => said.replaceAll(file, "FILE").replaceAll(dir, "DIR");
  return { ...outcome, out: shorten(outcome.out), err: shorten(outcome.err) };
}

test("check is content with a good file", async (t) => {
  const dir = temporaryDir(t);
  writeFileSync(join(dir, "secret"), "correct horse battery staple\n", { mode: 0o600 });
  const { code, out, err } = await check(dir, PAIR("secretFile: secret"));
  assert.deepEqual({ code, out, err }, { code: 0, out: "FILE: ok\n", err: "" });
});

test("check reports every mistake with its place and ends with 1", async (t) => {
  const { code, out, err } = await check(
    temporaryDir(t),
    PAIR("secretFile: secret")
      .replace("priority: 150", "priority: 300")
      .replace("127.30.1.3:80", "127.30.1.3:80800"),
  );
  assert.deepEqual({ code, out }, { code: 1, out: "" });
  const lines = err.trimEnd().split("\n");
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? "", /^FILE:3:\d+ {2}pair\.nodes\.pi-a\.priority: /);
  assert.match(lines[1] ?? "", /^FILE:12:\d+ {2}pools\.web\.backends\[0\]/);
});

test("check refuses what could never work or never end, each with its line", async (t) => {
  const { code, err } = await check(
    temporaryDir(t),
    `listeners:
  - name: web
    bind: 127.0.0.1:8080
    routes:
      - match: { path: { regex: "((a|b?){30}){30}" } }
        pool: web
      - { match: { path: /split }, split: { pools: { web: 0, lazy: 0 } } }
      - pool: wbe
pools:
  lazy:
    backends:
      - { address: 192.168.1.21:8080, weight: 0 }
      - { address: 192.168.1.22:8080, weight: 0 }
  web:
    backends: [192.168.1.23:8080]
    health:
      kind: http
      interval: 1s
      timeout: 2s
      expectedBody: { regex: "((a|b?){30}){30}" }
      json: { healthy: ok }
  hasty:
    backends: [192.168.1.24:8080]
    health: { kind: tcp, send: PING }
`,
  );
  assert.equal(code, 1);
  const expected = [
    /^FILE:5:\d+ {2}listeners\[0\]\.routes\[0\]\.match\.path\.regex: .* too long or repeats too much: /,
    /^FILE:7:\d+ {2}listeners\[0\]\.routes\[1\]\.split\.pools: All weights are 0: /,
    /^FILE:8:\d+ {2}listeners\[0\]\.routes\[2\]\.pool: There is no pool "wbe"\. Did you mean "web"\?$/,
    /^FILE:11:\d+ {2}pools\.lazy\.backends: Every weight is 0, /,
    /^FILE:19:\d+ {2}pools\.web\.health\.timeout: The timeout \(2s\) is longer than the interval \(1s\)\. /,
    /^FILE:20:\d+ {2}pools\.web\.health\.expectedBody\.regex: .* too long or repeats too much: /,
    /^FILE:21:\d+ {2}pools\.web\.health\.json: There is expectedBody as well\. /,
    /^FILE:24:\d+ {2}pools\.hasty\.health\.send: Nobody looks at the answer\. /,
  ];
  const lines = err.trimEnd().split("\n");
  assert.equal(lines.length, expected.length, err);
  for (const [i, line] of lines.entries()) assert.match(line, expected[i] ?? /^$/);
});

test("check looks at the files that the configuration names", async (t) => {
  const dir = temporaryDir(t);
  const missing = await check(dir, PAIR("secretFile: secret\n  hook: hooks/vip"));
  assert.equal(missing.code, 1);
  assert.equal(
    missing.err,
    "FILE:5:15  pair.secretFile: DIR/secret does not exist.\nFILE:6:9  pair.hook: DIR/hooks/vip does not exist.\n",
  );

  writeFileSync(join(dir, "secret"), "correct horse battery staple\n");
  chmodSync(join(dir, "secret"), 0o644);
  const open = await check(dir, PAIR("secretFile: secret"));
  assert.equal(
    open.err,
    "FILE:5:15  pair.secretFile: DIR/secret can be read or written by every user. Run chmod 600 DIR/secret.\n",
  );

  writeFileSync(join(dir, "secret"), " \n");
  chmodSync(join(dir, "secret"), 0o600);
  writeFileSync(join(dir, "vip"), "#!/bin/sh\n", { mode: 0o644 });
  const weak = await check(dir, PAIR("secretFile: secret\n  hook: vip"));
  assert.match(weak.err, /^FILE:5:15 {2}pair\.secretFile: .*shorter than 16 characters/m);
  assert.match(weak.err, /^FILE:6:9 {2}pair\.hook: DIR\/vip is not executable: chmod \+x it\.$/m);
});

function checksOf(program: string, ca: string): string {
  return `\
listeners: [{ name: web, bind: 127.0.0.1:80, pool: a }]
pools:
  a: { backends: [10.0.0.1:80], health: { kind: exec, command: [${program}] } }
  b: { backends: [10.0.0.1:80], health: { kind: https, ca: ${ca} } }
`;
}

test("check looks at the programs and certificates that checks of pools name", async (t) => {
  const dir = temporaryDir(t);
  writeFileSync(join(dir, "look"), "#!/bin/sh\n", { mode: 0o644 });
  writeFileSync(join(dir, "none.pem"), "nothing\n");
  const bad = await check(dir, checksOf("./look", "none.pem"));
  assert.equal(
    bad.err,
    "FILE:3:55  pools.a.health.command: DIR/look is not executable: chmod +x it.\n" +
      "FILE:4:60  pools.b.health.ca: DIR/none.pem has no certificates in PEM.\n",
  );
  const missing = await check(dir, checksOf("/bin/true", "absent.pem"));
  assert.equal(missing.err, "FILE:4:60  pools.b.health.ca: DIR/absent.pem does not exist.\n");
  copyFileSync(join(import.meta.dirname, "fixtures/self-signed.pem"), join(dir, "good.pem"));
  assert.equal((await check(dir, checksOf("/bin/true", "good.pem"))).err, "");
});

test("check says that a file is missing or a directory", async (t) => {
  const dir = temporaryDir(t);
  const missing = await vipair("check", "--config", join(dir, "none.yaml"));
  assert.equal(missing.code, 1);
  assert.equal(missing.err, `${join(dir, "none.yaml")}:1:1  The file does not exist.\n`);
  assert.equal((await vipair("check", "--config", dir)).err, `${dir}:1:1  The file is a directory.\n`);
});

test("a reader that closes the pipe early gets no stack trace", async (t) => {
  const runtimeDir = await runningNode(t);
  const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
  const child = spawn(process.execPath, [main, "status", "--runtime-dir", runtimeDir], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.destroy();
  let err = "";
  child.stderr.on("data", (bytes: Buffer) => (err += bytes.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  assert.equal(err, "");
  assert.equal(code, 0);
});
