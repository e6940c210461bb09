import assert from "node:assert/strict";
import { test } from "node:test";
import { OFTEN, ONCE, patient, until, watch, web } from "./health-rig.ts";
import { accept, refusedPort, serve } from "./probe-rig.ts";

const HTTP = `health: { kind: http, path: /health, expectedStatus: 200-299, ${OFTEN} }`;
const HTTP_ONCE = `health: { kind: http, expectedStatus: 200-299, ${ONCE} }`;

test("a backend is up before its first check, and a dead one is down with the first", async (t) => {
  const { state, tables, reason } = watch(t, [web(HTTP_ONCE, { a: await refusedPort() })]);
  assert.equal(state(), "up");
  // The interval is a minute: only the first check can have told.
  await until(() => state() === "down", "down");
  assert.deepEqual(tables, [{ web: { a: { health: "down" } } }]);
  assert.equal(reason(), "connect refused");
});

test("a backend that fails is suspect at once, then down, and back after rise good checks", async (t) => {
  let status = 200;
  let checks = 0;
  const port = await serve(t, (_request, response) => {
    checks += 1;
    response.writeHead(status).end();
  });
  const { state, tables, events, reason } = watch(t, [patient(web(HTTP, { a: port }))]);
  await until(() => checks >= 3, "three good checks");
  assert.equal(tables.length, 0);
  status = 503;
  await until(() => state() === "down", "down");
  assert.equal(reason(), "status 503");
  status = 200;
  await until(() => state() === "up", "up");
  assert.equal(reason(), null);
  assert.deepEqual(
    tables.map((table) => table.web?.a?.health),
    ["suspect", "down", "up"],
  );
  assert.deepEqual(events, ["backend suspect", "backend down", "backend up"]);
});

test("a backend that goes silent is suspect after one timeout, with the time in its reason", async (t) => {
  let silent = false;
  let checks = 0;
  const port = await serve(t, (_request, response) => {
    checks += 1;
    if (!silent) response.end();
  });
  const { state, reason } = watch(t, [
    web("health: { kind: http, interval: 200ms, timeout: 200ms, fall: 100 }", { a: port }),
  ]);
  await until(() => checks >= 1 && state() === "up", "a good check");
  silent = true;
  await until(() => state() !== "up", "out");
  assert.equal(state(), "suspect");
  assert.equal(reason(), "no answer within 200 ms");
});

test("a backend in maintenance is not looked at, and what was known of it is forgotten; out of it, it is looked at at once and starts slowly", async (t) => {
  const looks = { a: 0, b: 0 };
  let status = 503;
  const open = async (name: "a" | "b") =>
    serve(t, (_request, response) => {
      looks[name] += 1;
      response.writeHead(status).end();
    });
  const pool = patient(web(HTTP, { a: await open("a"), b: await open("b") }));
  const { checker, state, events, inMaintenance } = watch(t, [pool]);
  await until(() => state("a") === "down" && state("b") === "down", "down");
  events.length = 0;

  inMaintenance.add("a");
  checker.noteOrders();
  assert.equal(state("a"), "up");
  const looksBefore = { ...looks };
  // Neither a hint nor a reload brings a look.
  checker.noteFailure("web", "a");
  checker.configure([pool]);
  checker.noteOrders();
  await until(() => looks.b > looksBefore.b + 3, "more looks at the other one");
  // One may have been under way.
  assert.ok(looks.a <= looksBefore.a + 1, `${String(looks.a - looksBefore.a)} looks`);
  assert.deepEqual(events, []);

  status = 200;
  const looksInMaintenance = looks.a;
  inMaintenance.delete("a");
  checker.noteOrders();
  const { recoveredAgoMs } = checker.table()["web"]?.["a"] ?? {};
  assert.ok(recoveredAgoMs !== undefined && recoveredAgoMs < 5_000);
  await until(() => looks.a > looksInMaintenance && state("b") === "up", "looked at again");
  assert.equal(state("a"), "up");
});

test("each kind of check finds its backends, and says what the last check was", async (t) => {
  const page = await serve(t, (_request, response) => response.writeHead(204).end());
  const wire = await accept(t, (socket) => socket.write("hello"));
  const http = watch(t, [web(HTTP_ONCE, { a: page })]);
  const tcp = watch(t, [web(`health: { kind: tcp, expect: hello, ${ONCE} }`, { a: wire, b: page })]);
  const exec = watch(t, [web(`health: { kind: exec, command: ["false"], ${ONCE} }`, { a: wire })]);
  const last = (watched: typeof http) => watched.checker.status("web", "a").lastCheck;
  await until(() => last(http) !== null && last(tcp) !== null && last(exec) !== null, "a check of each");
  const shown = (watched: typeof http) => ({ good: last(watched)?.good, code: last(watched)?.code });
  assert.deepEqual(shown(http), { good: true, code: 204 });
  assert.deepEqual(shown(tcp), { good: true, code: null });
  assert.deepEqual(shown(exec), { good: false, code: 1 });
  assert.equal(exec.reason(), "exit 1");
  for (const watched of [http, tcp, exec]) {
    assert.ok((last(watched)?.agoMs ?? -1) >= 0);
    assert.ok((last(watched)?.durationMs ?? -1) >= 0);
  }
});

test("a backend may be asked elsewhere, and for something else, than its pool says", async (t) => {
  const seen: string[] = [];
  const port = await serve(t, ({ method, url, headers }, response) => {
    seen.push(`${String(method)} ${String(url)} ${String(headers.host)}`);
    response.end();
  });
  const pool = web(`health: { kind: http, path: /pool, host: pool.lan, ${ONCE} }`, { a: 1 });
  const [backend] = pool.backends;
  assert.ok(backend !== undefined);
  const own = { ...backend, check: { port, path: "/own", host: "own.lan", method: "OPTIONS" } };
  const { state } = watch(t, [{ ...pool, backends: [own] }]);
  await until(() => seen.length > 0, "a check");
  assert.deepEqual(seen, ["OPTIONS /own own.lan"]);
  assert.equal(state(), "up");
});

test("the first checks of many backends are spread over 2 ms for each, so that they are no burst", async (t) => {
  const times: number[] = [];
  const port = await serve(t, (_request, response) => {
    times.push(performance.now());
    response.end();
  });
  const names = Array.from({ length: 100 }, (_, n) => `b${String(n)}`);
  const pool = web(HTTP_ONCE, Object.fromEntries(names.map((name) => [name, port])));
  let turn = 0;
  watch(t, [pool], { random: () => (turn++ % names.length) / names.length });
  await until(() => times.length === names.length, "a check of each");
  // A timer never fires early: what is spread over 200 ms cannot be seen within less, but for the ways of the first and the last.
  assert.ok((times.at(-1) ?? 0) - (times[0] ?? 0) > 100);
});

test("a failed request makes the checker look at once, but not in a storm", async (t) => {
  let status = 200;
  let checks = 0;
  const port = await serve(t, (_request, response) => {
    checks += 1;
    response.writeHead(status).end();
  });
  const { state, checker } = watch(t, [web(HTTP_ONCE, { a: port })]);
  await until(() => checker.status("web", "a").lastCheck !== null, "the first check");
  status = 500;
  const storm = setInterval(() => {
    for (let n = 0; n < 100; n += 1) checker.noteFailure("web", "a");
  }, 1);
  await until(() => state() === "down", "down");
  clearInterval(storm);
  assert.ok(checks <= 6, `${String(checks)} checks`);
  checker.noteFailure("web", "unknown");
  checker.noteFailure("unknown", "a");
});

test("a pool without checks is always up", async (t) => {
  const { state, checker, tables } = watch(t, [web("health: { kind: none }", { a: await refusedPort() })]);
  checker.noteFailure("web", "a");
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(state(), "up");
  assert.equal(tables.length, 0);
  assert.deepEqual(checker.table(), { web: { a: { health: "up" } } });
  assert.equal(checker.status("web", "a").lastCheck, null);
});

test("after stop nothing is checked and nothing is told", async (t) => {
  let checks = 0;
  const port = await serve(t, () => (checks += 1));
  const { checker, tables } = watch(t, [
    web("health: { kind: http, interval: 60ms, timeout: 60ms }", { a: port }),
  ]);
  await until(() => checks === 1, "a check is under way");
  checker.stop();
  // Requests may still fail while a node goes.
  checker.noteFailure("web", "a");
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(checks, 1);
  assert.equal(tables.length, 0);
});
