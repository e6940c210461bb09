import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Workers } from "../../src/control/workers.ts";
import type { WorkersOptions } from "../../src/control/workers.ts";
import type { WorkerConfig } from "../../src/protocol/worker.ts";
import { monotonicClock } from "../../src/system/clock.ts";
import type { Log } from "../../src/system/log.ts";

// Real child processes, with a fake worker that answers a line with its pid.

const CONFIG: WorkerConfig = {
  node: "pi-a",
  errorPages: new Map(),
  listeners: [],
  pools: [],
  logLevel: "info",
  workers: 1,
  stickyKey: new Uint8Array(32),
  accessLog: null,
};

interface Team {
  readonly workers: Workers;
  readonly faults: string[];
  readonly recovered: number[];
  readonly failures: object[];
  readonly lines: { readonly subject: Record<string, unknown>; readonly event: string }[];
}

function team(t: TestContext, options: Partial<WorkersOptions> = {}): Team {
  const faults: string[] = [];
  const recovered: number[] = [];
  const failures: object[] = [];
  const lines: Team["lines"] = [];
  const note = (subject: object, event: string) => {
    lines.push({ subject: { ...subject }, event });
  };
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const workers = new Workers({
    count: 2,
    log,
    clock: monotonicClock,
    readHealth: () => ({}),
    entry: fixture("fake-worker"),
    onBackendFailure: (failure) => failures.push(failure),
    onFailureRow: (report) => failures.push(report),
    onFault: (reason) => faults.push(reason),
    onRecovered: () => recovered.push(1),
    ...options,
  });
  t.after(async () => {
    workers.killAll();
    await until(() => workers.status().length === 0, "all workers are gone");
  });
  return { workers, faults, recovered, failures, lines };
}

async function startedTeam(t: TestContext, options: Partial<WorkersOptions> = {}): Promise<Team> {
  const made = team(t, options);
  made.workers.configure(CONFIG);
  await made.workers.start();
  return made;
}

async function until(holds: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!holds()) {
    assert.ok(performance.now() < end, `not within ${String(timeoutMs)} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** As until(), for a test in which timers stand still. */
async function untilTurned(holds: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!holds()) {
    assert.ok(performance.now() < end, "not in time");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What came back for one line on a new connection; "" when it was refused, reset or cut. */
async function ask(port: number, line: string, host = "127.30.0.1"): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect({ host, port });
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => (answer += bytes.toString()));
    socket.on("close", () => {
      resolve(answer.trim());
    });
    socket.write(`${line}\n`);
  });
}

async function freePort(host = "127.30.0.1"): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ host, port: 0 }, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function pids(workers: Workers): number[] {
  return workers.status().map((worker) => worker.pid);
}

test("a listener is bound in every worker, and the kernel spreads the connections", async (t) => {
  const { workers } = await startedTeam(t);
  const port = await freePort();
  assert.deepEqual(await workers.open("web", [{ host: "127.30.0.1", port }]), { kind: "open" });
  assert.deepEqual(workers.listenerStatus("web"), { open: true, problem: null });
  const answers = await Promise.all(Array.from({ length: 60 }, async () => ask(port, "hello")));
  const counts = new Map<string, number>();
  for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  assert.deepEqual(
    [...counts.keys()].toSorted(),
    pids(workers)
      .map((pid) => `${String(pid)} pi-a`)
      .toSorted(),
  );
});

test("no connection is lost while a listener opens under load", async (t) => {
  const { workers } = await startedTeam(t);
  const port = await freePort();
  const opening = workers.open("web", [{ host: "127.30.0.1", port }]);
  const answers: string[] = [];
  // Refused ones are expected until the socket is bound; once one got through, all must be answered.
  let connected = 0;
  while (answers.length < 200) {
    const answer = await new Promise<string | undefined>((resolve) => {
      let text: string | undefined;
      const socket = connect({ host: "127.30.0.1", port }, () => {
        connected += 1;
        text = "";
        socket.write("hello\n");
      });
      socket.on("error", () => undefined);
      socket.on("data", (bytes) => (text = `${text ?? ""}${bytes.toString()}`));
      socket.on("close", () => {
        resolve(text);
      });
    });
    if (answer !== undefined) answers.push(answer);
  }
  await opening;
  assert.equal(connected, 200);
  assert.deepEqual(
    answers.filter((answer) => answer === ""),
    [],
  );
});

test("one listener opens on several addresses, IPv6 too", async (t) => {
  const { workers } = await startedTeam(t);
  const port = await freePort();
  const result = await workers.open("web", [
    { host: "127.30.0.1", port },
    { host: "127.30.0.2", port },
    { host: "::1", port },
  ]);
  assert.deepEqual(result, { kind: "open" });
  for (const host of ["127.30.0.1", "127.30.0.2", "::1"]) {
    assert.match(await ask(port, "hello", host), /^\d+ pi-a$/);
  }
});

test("0.0.0.0 and :: of the same port stand side by side", async (t) => {
  const { workers } = await startedTeam(t);
  const port = await freePort("0.0.0.0");
  assert.deepEqual(await workers.open("four", [{ host: "0.0.0.0", port }]), { kind: "open" });
  assert.deepEqual(await workers.open("six", [{ host: "::", port }]), { kind: "open" });
});

test("a worker that dies is replaced and listens again; the other one is untouched", async (t) => {
  const { workers, faults, lines } = await startedTeam(t);
  const port = await freePort();
  await workers.open("web", [{ host: "127.30.0.1", port }]);
  const [victim = 0, survivor = 0] = pids(workers);
  process.kill(victim, "SIGKILL");
  await until(() => !pids(workers).includes(victim) && pids(workers).length === 2, "two workers again");
  const seen = new Set<string>();
  const successor = pids(workers).find((pid) => pid !== survivor) ?? 0;
  await until(() => {
    void ask(port, "hello").then((answer) => seen.add(answer));
    return seen.has(`${String(successor)} pi-a`);
  }, "the successor answers");
  assert.ok(pids(workers).includes(survivor));
  assert.deepEqual(faults, []);
  const death = lines.find((line) => line.event === "worker died");
  assert.equal(death?.subject.worker, victim);
  assert.equal(death?.subject.signal, "SIGKILL");
});

test("a worker that hangs while it serves is killed after 5 s, and another one serves in its place", async (t) => {
  const { workers, faults, lines } = await startedTeam(t);
  const port = await freePort();
  await workers.open("web", [{ host: "127.30.0.1", port }]);
  const [victim = 0, survivor = 0] = pids(workers);
  process.kill(victim, "SIGSTOP");
  await until(() => !pids(workers).includes(victim) && pids(workers).length === 2, "another worker", 20_000);
  const death = lines.find((line) => line.event === "worker died");
  assert.equal(death?.subject.worker, victim);
  assert.equal(death?.subject.cause, "it has given no sign of life for 5 s");
  assert.ok(pids(workers).includes(survivor));
  assert.deepEqual(faults, []);
});

test("a port that a foreign process holds is a clear problem, and is taken once it is free", async (t) => {
  const { workers } = await startedTeam(t);
  const stranger = createServer();
  await new Promise<void>((resolve) => stranger.listen({ host: "127.30.0.1", port: 0 }, resolve));
  const { port } = stranger.address() as AddressInfo;
  const other = await freePort();
  const problem = `port ${String(port)} on 127.30.0.1 is in use by another process`;
  assert.deepEqual(await workers.open("busy", [{ host: "127.30.0.1", port }]), { kind: "failed", problem });
  assert.deepEqual(workers.listenerStatus("busy"), { open: false, problem });
  assert.deepEqual(await workers.open("free", [{ host: "127.30.0.1", port: other }]), { kind: "open" });
  assert.match(await ask(other, "hello"), /pi-a/);
  await new Promise((resolve) => stranger.close(resolve));
  await until(() => workers.listenerStatus("busy").problem === null, "the busy listener opens");
  assert.ok(workers.listenerStatus("busy").open);
  assert.match(await ask(port, "hello"), /pi-a/);
});

test("a port that another vipair of the same user shares is refused, unless the listener may share", async (t) => {
  const { workers } = await startedTeam(t);
  const stranger = createServer((socket) => socket.end("stranger\n"));
  await new Promise<void>((resolve) => {
    stranger.listen({ host: "127.30.0.1", port: 0, reusePort: true }, resolve);
  });
  t.after(() => stranger.close());
  const { port } = stranger.address() as AddressInfo;
  const addresses = [{ host: "127.30.0.1", port }];
  const refused = await workers.open("web", addresses);
  assert.equal(refused.kind, "failed");
  await workers.close("web", { graceMs: 0 });
  assert.deepEqual(await workers.open("web", addresses, { exclusive: false }), { kind: "open" });
});

test("a listener stays refused when a worker is replaced while a stranger holds the port", async (t) => {
  const { workers, lines } = await startedTeam(t, { count: 1 });
  const stranger = createServer((socket) => socket.end("stranger\n"));
  await new Promise<void>((resolve) => {
    stranger.listen({ host: "127.30.0.1", port: 0, reusePort: true }, resolve);
  });
  t.after(() => stranger.close());
  const { port } = stranger.address() as AddressInfo;
  await workers.open("web", [{ host: "127.30.0.1", port }]);
  const other = await freePort();
  await workers.open("other", [{ host: "127.30.0.1", port: other }]);
  await ask(other, "crash");
  await until(
    () => lines.some((line) => line.event === "worker died") && workers.listenerStatus("other").open,
    "the successor listens",
  );
  assert.equal(workers.listenerStatus("web").open, false);
  assert.equal(await ask(port, "hello"), "stranger");
});

/** The package sets it, so that listeners can be opened on a virtual address that the other node holds. */
const isAnyAddressFree = readFileSync("/proc/sys/net/ipv4/ip_nonlocal_bind", "utf8").trim() === "1";
const skip =
  isAnyAddressFree && "net.ipv4.ip_nonlocal_bind is set here: programs may bind to such an address";

test("an address that no interface has is a clear problem", { skip }, async (t) => {
  const { workers } = await startedTeam(t);
  const result = await workers.open("web", [{ host: "192.0.2.7", port: 8080 }]);
  assert.deepEqual(result, {
    kind: "failed",
    problem: "no interface of this machine has the address 192.0.2.7",
  });
});

test("a closed listener refuses connections at once and cuts what is left after the grace", async (t) => {
  const { workers } = await startedTeam(t);
  const port = await freePort();
  await workers.open("web", [{ host: "127.30.0.1", port }]);
  const socket = connect({ host: "127.30.0.1", port });
  await new Promise<void>((resolve) => {
    socket.once("data", () => {
      resolve();
    });
    socket.write("hold\n");
  });
  const cut = new Promise<number>((resolve) => {
    socket.on("error", () => undefined);
    socket.on("close", () => {
      resolve(performance.now());
    });
  });
  const started = performance.now();
  const closing = workers.close("web", { graceMs: 300 });
  await until(() => !workers.listenerStatus("web").open, "closed");
  await closing;
  assert.ok((await cut) - started >= 290);
  assert.equal(await ask(port, "hello"), "");
  assert.deepEqual(await workers.open("web", [{ host: "127.30.0.1", port }]), { kind: "open" });
});

test("a listener opens again, or under another name, while its old connections still drain", async (t) => {
  const { workers, lines } = await startedTeam(t);
  const port = await freePort();
  const addresses = [{ host: "127.30.0.1", port }];
  await workers.open("web", addresses);
  const held = connect({ host: "127.30.0.1", port });
  t.after(() => held.destroy());
  await new Promise<void>((resolve) => {
    held.once("data", () => {
      resolve();
    });
    held.write("hold\n");
  });
  const closing = [workers.close("web", { graceMs: 500 })];
  assert.deepEqual(await workers.open("web", addresses), { kind: "open" });
  assert.match(await ask(port, "hello"), /pi-a/);
  closing.push(workers.close("web", { graceMs: 500 }));
  assert.deepEqual(await workers.open("renamed", addresses), { kind: "open" });
  await Promise.all(closing);
  for (let n = 0; n < 20; n += 1) assert.match(await ask(port, "hello"), /pi-a/);
  assert.deepEqual(
    lines.filter((line) => line.event.startsWith("listener")),
    [],
  );
});

test("a listener on all addresses comes back beside one of ours on the same port", async (t) => {
  const { workers, lines } = await startedTeam(t, { count: 1 });
  const port = await freePort("0.0.0.0");
  await workers.open("all", [{ host: "0.0.0.0", port }]);
  assert.deepEqual(await workers.open("one", [{ host: "127.30.0.9", port }], { exclusive: false }), {
    kind: "open",
  });
  await ask(port, "crash", "127.30.0.9");
  await until(() => died(lines) === 1, "the death is noticed");
  await until(
    () => workers.listenerStatus("all").open && workers.listenerStatus("one").open,
    "both are back",
  );
  // Neither was ever refused.
  assert.deepEqual(
    lines.filter((line) => line.event.startsWith("listener")),
    [],
  );
});

test("counters are summed over workers and never go back when one dies", async (t) => {
  const { workers } = await startedTeam(t);
  const port = await freePort();
  await workers.open("web", [{ host: "127.30.0.1", port }]);
  for (let n = 0; n < 20; n += 1) await ask(port, "hello");
  assert.equal((await workers.report({ timeoutMs: 1_000 })).requests, 20);
  await ask(port, "crash");
  const after = await workers.report({ timeoutMs: 1_000 });
  assert.equal(after.requests, 20);
  assert.equal(after.backends.web?.a?.requests, 20);
});

test("a report waits no longer than it is allowed to", async (t) => {
  const { workers } = await startedTeam(t, { entry: fixture("stubborn-worker") });
  const started = performance.now();
  assert.equal((await workers.report({ timeoutMs: 100 })).requests, 0);
  assert.ok(performance.now() - started < 1_000);
});

test("a backend failure that a worker sees is passed on", async (t) => {
  const { workers, failures } = await startedTeam(t);
  const port = await freePort();
  await workers.open("web", [{ host: "127.30.0.1", port }]);
  await ask(port, "fail");
  await until(() => failures.length > 0, "the failure arrives");
  assert.deepEqual(failures, [
    { kind: "backend-failure", pool: "web", backend: "a", reason: "connect refused" },
  ]);
});

test("a worker that takes a dead one's place is told the health of that moment, not of the last change", async (t) => {
  let reads = 0;
  const { workers } = await startedTeam(t, {
    readHealth: () => {
      reads += 1;
      return {};
    },
  });
  const before = reads;
  const [first = 0] = pids(workers);
  process.kill(first, "SIGKILL");
  await until(() => !pids(workers).includes(first) && reads > before, "the health was read anew");
});

test("five deaths within ten seconds are a fault, and restarts slow down", async (t) => {
  const { workers, faults, lines } = team(t, { entry: fixture("dying-worker") });
  await workers.start();
  assert.deepEqual(faults, ["5 workers died within 10 s"]);
  const before = died(lines);
  await until(() => died(lines) >= before + 2, "restarts go on");
  assert.equal(faults.length, 1);
  assert.ok(died(lines) < before + 8, "restarts are not immediate any more");
});

test("in a fault each restart waits twice as long, and ten seconds of all workers up end it", async (t) => {
  // Timers stand still until ticked; processes are real.
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { workers, faults, recovered, lines } = await startedTeam(t, { count: 1 });
  const isReady = async () => (await workers.open("none", [])).kind === "open";
  const ready = async () => {
    while (!(await isReady())) await new Promise((resolve) => setImmediate(resolve));
  };
  const kill = async () => {
    const before = died(lines);
    process.kill(pids(workers)[0] ?? 0, "SIGKILL");
    await untilTurned(() => died(lines) > before);
  };
  for (let death = 0; death < 5; death += 1) {
    await untilTurned(() => pids(workers).length === 1);
    await kill();
  }
  assert.deepEqual(faults, ["5 workers died within 10 s"]);
  for (const delayMs of [500, 1_000]) {
    t.mock.timers.tick(delayMs - 1);
    assert.deepEqual(pids(workers), []);
    t.mock.timers.tick(1);
    assert.equal(pids(workers).length, 1);
    await ready();
    if (delayMs === 500) await kill();
  }
  t.mock.timers.tick(9_999);
  assert.deepEqual(recovered, []);
  t.mock.timers.tick(1);
  assert.deepEqual(recovered, [1]);
  assert.equal(faults.length, 1);
  // A worker that dies now is replaced at once again.
  await kill();
  assert.equal(pids(workers).length, 1);
  t.mock.timers.reset();
});

test("a spare worker takes a dead one's place at once, and a new spare stands by", async (t) => {
  const { workers, lines, faults } = await startedTeam(t);
  const spares = () =>
    lines.filter((line) => line.event === "spare worker ready").map((line) => line.subject.worker);
  for (let round = 0; round < 3; round += 1) {
    await until(() => spares().length === round + 1, "a spare");
    assert.ok(!pids(workers).includes(Number(spares().at(-1))));
    process.kill(pids(workers)[0] ?? 0, "SIGKILL");
    await until(() => died(lines) === round + 1, "the death is noticed");
    assert.equal(pids(workers)[0], spares().at(-1));
  }
  assert.deepEqual(faults, []);
});

test("the death of a spare worker is no fault of the node", async (t) => {
  const { workers, lines } = await startedTeam(t);
  const before = pids(workers);
  await until(() => lines.some((line) => line.event === "spare worker ready"), "a spare");
  process.kill(Number(lines.find((line) => line.event === "spare worker ready")?.subject.worker), "SIGKILL");
  await until(() => lines.some((line) => line.event === "spare worker died"), "its death is noticed");
  assert.equal(died(lines), 0);
  assert.deepEqual(pids(workers), before);
});

test("many workers killed together once are no crash loop", async (t) => {
  const { workers, faults } = await startedTeam(t, { count: 6 });
  const before = pids(workers);
  for (const pid of before) process.kill(pid, "SIGKILL");
  await until(
    () => pids(workers).length === 6 && !pids(workers).some((pid) => before.includes(pid)),
    "all back",
  );
  assert.deepEqual(faults, []);
});

test("a worker that talks no protocol is killed", async (t) => {
  const { workers, faults, lines } = team(t, { entry: fixture("garbage-worker") });
  await workers.start();
  await until(() => faults.length === 1, "a fault");
  const death = lines.find((line) => line.event === "worker died");
  assert.equal(death?.subject.cause, "it sent a message that no worker sends");
});

test("drain ends idle workers at once and kills those that do not end in time", async (t) => {
  const polite = await startedTeam(t);
  const port = await freePort();
  await polite.workers.open("web", [{ host: "127.30.0.1", port }]);
  const started = performance.now();
  await polite.workers.drain({ graceMs: 5_000 });
  assert.ok(performance.now() - started < 4_000);
  assert.deepEqual(polite.workers.status(), []);

  const stubborn = await startedTeam(t, { entry: fixture("stubborn-worker") });
  await stubborn.workers.drain({ graceMs: 100 });
  assert.deepEqual(stubborn.workers.status(), []);
});

test("workers inherit nothing of the environment but the folder of the compile cache", async (t) => {
  const before = process.env["NODE_COMPILE_CACHE"];
  process.env["VIPAIR_TEST_SECRET"] = "hunter2";
  const cache = mkdtempSync(join(tmpdir(), "vipair-test-"));
  process.env["NODE_COMPILE_CACHE"] = cache;
  t.after(() => {
    delete process.env["VIPAIR_TEST_SECRET"];
    if (before === undefined) delete process.env["NODE_COMPILE_CACHE"];
    else process.env["NODE_COMPILE_CACHE"] = before;
  });
  const { workers } = await startedTeam(t);
  t.after(() => {
    rmSync(cache, { recursive: true });
  });
  for (const pid of pids(workers)) {
    const environment = readFileSync(`/proc/${String(pid)}/environ`, "utf8");
    assert.doesNotMatch(environment, /hunter2|PATH=/);
    assert.ok(environment.split("\0").includes(`NODE_COMPILE_CACHE=${cache}`));
  }
});

function died(lines: Team["lines"]): number {
  return lines.filter((line) => line.event === "worker died").length;
}

function fixture(name: string): string {
  return fileURLToPath(new URL(`fixtures/${name}.ts`, import.meta.url));
}
