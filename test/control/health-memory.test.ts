// What is known of a backend stays known: through reloads, and through a recovery that is told for slow start.

import assert from "node:assert/strict";
import { test } from "node:test";
import { OFTEN, ONCE, patient, until, watch, web } from "./health-rig.ts";
import { accept, refusedPort, serve } from "./probe-rig.ts";

const ASKED_ONCE = `health: { kind: http, ${ONCE} }`;

test("a new configuration keeps what is known of a backend, unless its address changed", async (t) => {
  const dead = await refusedPort();
  const alive = await serve(t, (_request, response) => response.end());
  const { checker, state, reason } = watch(t, [web(ASKED_ONCE, { a: dead, b: dead })]);
  await until(() => state("a") === "down" && state("b") === "down", "both are down");
  checker.configure([web(ASKED_ONCE, { a: dead, b: alive, c: alive })]);
  assert.deepEqual(checker.table(), {
    web: { a: { health: "down" }, b: { health: "up" }, c: { health: "up" } },
  });
  assert.equal(reason("a"), "connect refused");
});

test("another check, another interval and another agent change nothing of what is known", async (t) => {
  const dead = await refusedPort();
  const { checker, state, tables } = watch(t, [web(ASKED_ONCE, { a: dead })]);
  await until(() => state() === "down", "down");
  for (const yaml of [
    `health: { kind: http, path: /other, ${ONCE}, rise: 9 }`,
    `health: { kind: tcp, ${ONCE} }`,
    `health: { kind: exec, command: "true", ${ONCE} }`,
    `health: { kind: tcp, ${ONCE} }, agent: { port: ${String(dead)}, interval: 1m }`,
  ]) {
    checker.configure([web(yaml, { a: dead })]);
    assert.equal(state(), "down", yaml);
  }
  assert.equal(tables.length, 1, "nothing has changed on the way");
  checker.configure([web("health: { kind: none }", { a: dead })]);
  assert.equal(state(), "up", "whoever is not checked any more is up");
  assert.equal(checker.status("web", "a").lastCheck, null);
});

test("a reload in the middle of a recovery goes on with it", async (t) => {
  let status = 503;
  let checks = 0;
  const port = await serve(t, (_request, response) => {
    checks += 1;
    response.writeHead(status).end();
  });
  const slow = `health: { kind: http, ${ONCE}, rise: 2, fastInterval: 1m }`;
  const { checker, state } = watch(t, [web(slow, { a: port })]);
  await until(() => state() === "down", "down");
  status = 200;
  checker.configure([web(slow, { a: port })]);
  await until(() => checks === 2 && checker.status("web", "a").lastCheck?.good === true, "one good check");
  assert.equal(state(), "down");
  checker.configure([web(slow, { a: port })]);
  await until(() => state() === "up", "up with the second");
});

test("a recovery is told with its age; a start, a reload and a slip that went by are none", async (t) => {
  let status = 200;
  const port = await serve(t, (_request, response) => response.writeHead(status).end());
  const yaml = `health: { kind: http, ${OFTEN}, fall: 3 }`;
  const { checker, state, tables } = watch(t, [patient(web(yaml, { a: port }))]);
  const recoveredAgoMs = () => checker.table()["web"]?.["a"]?.recoveredAgoMs;
  await until(() => checker.status("web", "a").lastCheck !== null, "a good check");
  assert.equal(recoveredAgoMs(), undefined, "a start is no recovery");
  checker.configure([patient(web(yaml, { a: port }))]);
  assert.equal(recoveredAgoMs(), undefined, "a reload is no recovery");
  status = 503;
  await until(() => state() === "suspect", "suspect");
  status = 200;
  await until(() => state() === "up", "up again");
  assert.equal(recoveredAgoMs(), undefined, "it was never down");
  status = 503;
  await until(() => state() === "down", "down");
  assert.equal(recoveredAgoMs(), undefined);
  status = 200;
  await until(() => state() === "up", "recovered");
  const told = tables.at(-1)?.["web"]?.["a"];
  assert.equal(told?.health, "up");
  assert.ok((told.recoveredAgoMs ?? Infinity) < 20, "the workers hear of it as it happens");
  await until(() => (recoveredAgoMs() ?? 0) > 400, "its age grows through many good checks");
  checker.configure([patient(web(yaml, { a: port }))]);
  assert.ok((recoveredAgoMs() ?? 0) > 400, "a reload does not begin it anew");
});

test("a degraded backend has the weight that the rule gives it, and says why", async (t) => {
  let page: object = { disk: 50 };
  const port = await serve(t, (_request, response) => response.end(JSON.stringify(page)));
  const yaml = `health: { kind: http, ${OFTEN}, json: { degraded: disk > 90, unhealthy: disk > 98, degradedWeight: 30 } }`;
  const { checker, state, events } = watch(t, [patient(web(yaml, { a: port }))]);
  const row = () => checker.table()["web"]?.["a"];
  await until(() => checker.status("web", "a").lastCheck !== null, "a check");
  assert.deepEqual(row(), { health: "up" });
  page = { disk: 91 };
  await until(() => row()?.weightPercent === 30, "degraded");
  assert.equal(state(), "up");
  assert.equal(checker.status("web", "a").degraded, "disk is 91");
  assert.equal(checker.status("web", "a").reason, null);
  checker.configure([patient(web(yaml, { a: port }))]);
  assert.equal(row()?.weightPercent, 30, "a reload keeps it");
  page = { free: 1 };
  await until(() => row()?.weightPercent === undefined, "whole again");
  const doubt = "unhealthy: disk is missing; degraded: disk is missing";
  assert.equal(checker.status("web", "a").lastCheck?.doubt, doubt);
  page = { disk: 99 };
  await until(() => state() === "down", "unhealthy");
  assert.equal(checker.status("web", "a").reason, "unhealthy: disk is 99");
  assert.deepEqual(events.slice(0, 2), ["backend degraded", "backend no longer degraded"]);
});

test("weights that change again and again are told together, and a failure tells them at once", async (t) => {
  let percent = 0;
  const agent = await accept(t, (socket) => {
    percent = (percent + 1) % 100;
    socket.end(`${String(percent)}%\n`);
  });
  const backends = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`b${String(n)}`, n + 1]));
  const yaml = `health: { kind: none }, agent: { port: ${String(agent)}, interval: 50ms, timeout: 50ms }`;
  const { tables } = watch(t, [patient(web(yaml, backends))]);
  await until(() => percent > 60, "three rounds of twenty agents");
  // Between two tables lie 100 ms, in which each agent has spoken about twice.
  assert.ok(tables.length < 20, `${String(tables.length)} tables for more than 60 weights`);
});
