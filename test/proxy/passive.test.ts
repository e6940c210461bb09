// What a worker concludes from the requests themselves: rows of failures that the control process hears of, and circuit
// breakers. Through a real worker, with backends that answer as the test says.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { PoolConfig } from "../../src/config/config.ts";
import {
  type RawPeer,
  OK,
  RawBackend,
  type TestWorker,
  askOnce,
  connectRaw,
  eventually,
  freePort,
  get,
  pool,
  serve,
  workerConfig,
} from "./harness.ts";

const OUTLIERS = {
  consecutive5xx: 3,
  consecutiveFailures: 3,
  baseEjectionMs: 30_000,
  maxEjectionMs: 300_000,
  maxEjectionPercent: 50,
};
const BREAKER = { failureRate: 50, minimumRequests: 4, windowMs: 60_000, openMs: 300, trials: 2 };
const FAILED = "HTTP/1.1 503 Broken\r\nContent-Length: 0\r\n\r\n";
const CUT = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";

/** A backend whose answers change. "hang" answers nothing; "cut" breaks off within the body. */
class Moody {
  mood: "ok" | "fail" | "cut" | "hang" | "reset" = "ok";
  requests = 0;
  readonly raw: RawBackend;

  constructor() {
    this.raw = new RawBackend((peer) => {
      peer.socket.on("data", () => {
        this.requests += 1;
        this.answer(peer);
      });
    });
  }

  private answer(peer: RawPeer): void {
    switch (this.mood) {
      case "ok":
        peer.send(OK);
        return;
      case "fail":
        peer.send(FAILED);
        return;
      case "cut":
        peer.socket.end(CUT);
        return;
      case "reset":
        peer.close();
        return;
      case "hang":
    }
  }
}

const CLOSE = get("/", "Connection: close");

/** The status of an answer on a connection of its own; "cut" if it did not come whole. */
async function ask(port: number): Promise<string> {
  const answer = await askOnce(port, CLOSE);
  if (answer.includes("half")) return "cut";
  return answer.split(" ")[1] ?? "none";
}

async function askMany(port: number, count: number): Promise<string> {
  const answers: string[] = [];
  for (let n = 0; n < count; n += 1) answers.push(await ask(port));
  return answers.join(" ");
}

async function serveMoody(
  t: TestContext,
  count: number,
  settings: Partial<PoolConfig>,
): Promise<{ readonly worker: TestWorker; readonly port: number; readonly moody: readonly Moody[] }> {
  const moody = Array.from({ length: count }, () => new Moody());
  const served = await serve(t, { backends: moody.map(({ raw }) => raw), settings });
  return { ...served, moody };
}

/** How many rows the control process has heard of. The report behind them makes sure that all have come. */
async function rows(worker: TestWorker): Promise<readonly object[]> {
  await worker.counters();
  return worker.messages.flatMap((message) => (message.kind === "failure-row" ? [message.row] : []));
}

test("the control process hears of a full row, once, and of nothing that is shorter", async (t) => {
  const { worker, port, moody } = await serveMoody(t, 1, { outliers: OUTLIERS });
  const [one] = moody;
  assert.ok(one !== undefined);
  for (const mood of ["fail", "fail", "ok", "fail", "fail", "ok"] as const) {
    one.mood = mood;
    await ask(port);
  }
  assert.deepEqual(await rows(worker), []);
  one.mood = "fail";
  assert.equal(await askMany(port, 3), "503 503 503");
  assert.deepEqual(await rows(worker), [{ kind: "5xx", length: 3, reason: "status 503" }]);
});

test("connects that are refused, and connections that are lost, make a row", async (t) => {
  const refused = await serve(t, { ports: [await freePort()], settings: { outliers: OUTLIERS } });
  assert.equal(await askMany(refused.port, 3), "503 503 503");
  const [row] = await rows(refused.worker);
  assert.deepEqual(row, { kind: "failures", length: 3, reason: (row as { reason: string }).reason });
  assert.match((row as { reason: string }).reason, /^connect: .*ECONNREFUSED/u);
  const { worker, port, moody } = await serveMoody(t, 1, { outliers: OUTLIERS });
  moody[0]!.mood = "reset";
  assert.equal(await askMany(port, 3), "502 502 502");
  assert.equal((await rows(worker)).length, 1);
});

test("responses that break off behind a good head make a row too, and a whole one ends it", async (t) => {
  const { worker, port, moody } = await serveMoody(t, 1, { outliers: OUTLIERS });
  const [one] = moody;
  assert.ok(one !== undefined);
  for (const mood of ["cut", "cut", "ok", "cut", "cut"] as const) {
    one.mood = mood;
    await ask(port);
  }
  assert.deepEqual(await rows(worker), []);
  one.mood = "cut";
  assert.equal(await ask(port), "cut");
  assert.equal((await rows(worker)).length, 1);
});

test("clients that go before the answer say nothing of the backend", async (t) => {
  const { worker, port, moody } = await serveMoody(t, 1, {
    outliers: { ...OUTLIERS, consecutive5xx: 1, consecutiveFailures: 1 },
  });
  const [one] = moody;
  assert.ok(one !== undefined);
  one.mood = "hang";
  for (let n = 1; n <= 3; n += 1) {
    const client = await connectRaw(port);
    client.send(CLOSE);
    await eventually("the request", () => one.requests === n);
    client.socket.resetAndDestroy();
  }
  await eventually("nobody waits", async () => (await worker.counters()).connections === 0);
  assert.deepEqual(await rows(worker), []);
});

test("after an ejection the rows begin anew", async (t) => {
  const { worker, port, moody } = await serveMoody(t, 2, { outliers: OUTLIERS });
  for (const one of moody) one.mood = "fail";
  assert.equal(await askMany(port, 4), "503 503 503 503");
  worker.send({ kind: "health", health: { web: { b1: { health: "ejected" } } } });
  worker.send({ kind: "health", health: { web: {} } });
  await worker.counters();
  assert.equal(await askMany(port, 2), "503 503");
  const told = await rows(worker);
  assert.equal(told.length, 1, "b2 alone has three in a row");
  assert.equal((await worker.message("failure-row")).backend, "b2");
});

test("a breaker opens, tells at once that nobody serves, and closes when the trials are good", async (t) => {
  const { worker, port, moody } = await serveMoody(t, 1, { circuitBreaker: { ...BREAKER, openMs: 3000 } });
  const [one] = moody;
  assert.ok(one !== undefined);
  one.mood = "fail";
  await askMany(port, 4);
  one.mood = "ok";
  assert.equal(await ask(port), "503");
  assert.equal(one.requests, 4, "the backend was not asked");
  const [report] = (await worker.counters()).breakers;
  assert.deepEqual([report?.pool, report?.backend, report?.phase], ["web", "b1", "open"]);
  assert.equal(report?.reason, "4 of 4 requests failed within 60 s, the last one: status 503");
  assert.ok(report.trialsInMs > 0 && report.trialsInMs <= 3000);
  assert.match(worker.output, /circuit breaker open/u);
  await eventually("a trial", async () => (await ask(port)) === "200");
  assert.equal((await worker.counters()).breakers[0]?.phase, "half-open");
  assert.equal(await askMany(port, 3), "200 200 200");
  assert.deepEqual((await worker.counters()).breakers, []);
});

test("while the breaker of one backend is open the others serve", async (t) => {
  const { port, moody } = await serveMoody(t, 3, { circuitBreaker: { ...BREAKER, openMs: 60_000 } });
  moody[1]!.mood = "fail";
  const answers = (await askMany(port, 60)).split(" ");
  assert.equal(answers.filter((status) => status === "503").length, 4, "as many as it takes to open");
  assert.equal(moody[1]!.requests, 4);
});

test("half-open no more than the trials reach the backend, however many ask at once", async (t) => {
  const { port, moody } = await serveMoody(t, 1, { circuitBreaker: { ...BREAKER, openMs: 2000 } });
  const [one] = moody;
  assert.ok(one !== undefined);
  one.mood = "fail";
  await askMany(port, 4);
  one.mood = "hang";
  const clients: RawPeer[] = [];
  t.after(() => {
    for (const client of clients) client.close();
  });
  /** How many of ten got through. Those that did not have their answer at once. */
  const crowd = async (): Promise<number> => {
    const before = one.requests;
    const asked = await Promise.all(Array.from({ length: 10 }, () => connectRaw(port)));
    clients.push(...asked);
    for (const client of asked) client.send(CLOSE);
    await eventually("an answer, or a trial, for each", () => {
      const refused = asked.filter(({ text }) => text.startsWith("HTTP/1.1 503"));
      return refused.length + one.requests - before === 10;
    });
    return one.requests - before;
  };
  let through = 0;
  await eventually("trials", async () => {
    through = await crowd();
    return through > 0;
  });
  assert.equal(through, 2);
  assert.equal(await crowd(), 0);
});

test("nobody queues for a backend that is full and that the breaker refuses anyway", async (t) => {
  const one = new Moody();
  await one.raw.start();
  const backend = { name: "b1", host: "127.0.0.1", port: one.raw.port, weight: 1, isBackup: false };
  const { port, worker } = await serve(t, {
    timeouts: { responseMs: 60_000 },
    settings: {
      backends: [{ ...backend, maxConnections: 1 }],
      queue: { length: 10, timeoutMs: 60_000 },
      circuitBreaker: { ...BREAKER, trials: 1, openMs: 3000 },
    },
  });
  t.after(() => {
    one.raw.close();
  });
  one.mood = "fail";
  await askMany(port, 4);
  one.mood = "hang";
  const onTrial: RawPeer[] = [];
  await eventually("a trial", async () => {
    const client = await connectRaw(port);
    onTrial.push(client);
    client.send(CLOSE);
    await eventually("refused or on trial", () => client.text !== "" || one.requests === 5);
    return one.requests === 5;
  });
  assert.equal(await ask(port), "503");
  assert.equal(onTrial.at(-1)?.text, "", "before the trial had its answer");
  assert.equal((await worker.counters()).pools["web"]?.queued, 0);
  for (const client of onTrial) client.socket.resetAndDestroy();
});

test("a client that goes during its trial gives it back: none leaks", async (t) => {
  const { port, moody, worker } = await serveMoody(t, 1, {
    circuitBreaker: { ...BREAKER, trials: 1, openMs: 1000 },
  });
  const [one] = moody;
  assert.ok(one !== undefined);
  one.mood = "fail";
  await askMany(port, 4);
  one.mood = "hang";
  // A trial that leaked would cost a second each before the next one.
  for (let n = 1; n <= 20; n += 1) {
    await eventually("the trial", async () => {
      const client = await connectRaw(port);
      client.send(CLOSE);
      await eventually("refused or on trial", () => client.text !== "" || one.requests === 4 + n);
      client.socket.resetAndDestroy();
      return one.requests === 4 + n;
    });
    await eventually("the client has gone", async () => (await worker.counters()).connections === 0);
  }
  assert.equal((await worker.counters()).breakers[0]?.phase, "half-open");
  one.mood = "ok";
  assert.equal(await ask(port), "200");
  assert.deepEqual((await worker.counters()).breakers, []);
});

/** A backend that hangs, with a breaker that is half-open, and one trial under way. */
async function serveOnTrial(t: TestContext): Promise<{
  readonly port: number;
  readonly one: Moody;
  readonly trial: RawPeer;
  readonly circuitBreaker: typeof BREAKER;
  readonly reload: (settings: Partial<PoolConfig>) => Promise<TestWorker>;
}> {
  const circuitBreaker = { ...BREAKER, openMs: 5000 };
  const { worker, port, moody } = await serveMoody(t, 1, { circuitBreaker });
  const [one] = moody;
  assert.ok(one !== undefined);
  one.mood = "fail";
  await askMany(port, 4);
  one.mood = "hang";
  let trial: RawPeer | null = null;
  await eventually("a trial", async () => {
    trial = await connectRaw(port);
    trial.send(CLOSE);
    await eventually("refused or on trial", () => trial?.text !== "" || one.requests === 5);
    return one.requests === 5;
  });
  assert.ok(trial !== null);
  const reload = async (settings: Partial<PoolConfig>): Promise<TestWorker> => {
    worker.configure(workerConfig([pool({ ports: [one.raw.port], settings })]));
    await worker.counters();
    return worker;
  };
  return { port, one, trial, circuitBreaker, reload };
}

test("a trial that is under way during a reload still counts, and the reload lets no further ones through", async (t) => {
  const { port, one, trial, circuitBreaker, reload } = await serveOnTrial(t);
  const worker = await reload({ circuitBreaker: { ...circuitBreaker }, slowStartMs: 1000 });
  one.mood = "ok";
  assert.equal(await ask(port), "200");
  assert.equal(await ask(port), "503", "two trials are all");
  assert.equal(one.requests, 6);
  assert.equal((await worker.counters()).breakers[0]?.phase, "half-open");
  one.raw.peers.find(({ hasClosed, hasEnded }) => !hasClosed && !hasEnded)?.send(OK);
  await trial.receives("200 OK");
  assert.deepEqual((await worker.counters()).breakers, []);
});

test("a trial of a breaker that a reload has replaced says nothing to the new one", async (t) => {
  const { port, one, trial, circuitBreaker, reload } = await serveOnTrial(t);
  const worker = await reload({ circuitBreaker: { ...circuitBreaker, failureRate: 60 } });
  for (const peer of one.raw.peers) peer.socket.resetAndDestroy();
  await trial.receives("502 Bad Gateway");
  one.mood = "fail";
  await askMany(port, 3);
  assert.deepEqual((await worker.counters()).breakers, []);
  await askMany(port, 2);
  assert.equal(one.requests, 5 + 4, "four failures open it");
  assert.equal((await worker.counters()).breakers[0]?.phase, "open");
});

test("a reload leaves a breaker open; other settings, or none, begin anew", async (t) => {
  const circuitBreaker = { ...BREAKER, openMs: 60_000 };
  const { worker, port, moody } = await serveMoody(t, 1, { circuitBreaker });
  const [one] = moody;
  assert.ok(one !== undefined);
  const reload = async (settings: Partial<PoolConfig>) => {
    worker.configure(workerConfig([pool({ ports: [one.raw.port], settings })]));
    await worker.counters();
  };
  one.mood = "fail";
  await askMany(port, 4);
  one.mood = "ok";
  await reload({ circuitBreaker: { ...circuitBreaker }, slowStartMs: 1000 });
  assert.equal(await ask(port), "503");
  await reload({ circuitBreaker: { ...circuitBreaker, failureRate: 60 } });
  assert.equal(await ask(port), "200");
  await reload({});
  one.mood = "fail";
  assert.equal(await askMany(port, 6), "503 503 503 503 503 503");
  assert.equal(one.requests, 4 + 1 + 6);
});
