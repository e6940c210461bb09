// What a worker that was taken over could send, and what the control process makes of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_COUNTERS } from "../../src/control/worker-counters.ts";
import { parseFromWorker } from "../../src/control/worker-messages.ts";

const ROW = { kind: "5xx", length: 5, reason: "status 503" };
const TOLD = { kind: "failure-row", pool: "web", backend: "a", row: ROW };
const BREAKER = { pool: "web", backend: "a", phase: "open", reason: "why", trialsInMs: 0 };
const COUNTERS = { ...NO_COUNTERS, breakers: [BREAKER] };

test("a row of failures is taken as it is, without what does not belong to it", () => {
  assert.deepEqual(parseFromWorker({ ...TOLD, more: 1, row: { ...ROW, more: 1 } }), TOLD);
});

test("the reasons of workers are cut", () => {
  const reason = "x".repeat(10_000);
  const row = parseFromWorker({ ...TOLD, row: { ...ROW, reason } });
  assert.ok(row?.kind === "failure-row" && row.row.reason.length === 200);
  const report = parseFromWorker({
    kind: "report",
    counters: { ...COUNTERS, breakers: [{ ...BREAKER, reason }] },
  });
  assert.ok(report?.kind === "report" && report.counters.breakers[0]?.reason.length === 200);
});

test("a row that is none is no message", () => {
  for (const change of [
    { pool: 1 },
    { backend: undefined },
    { row: null },
    { row: "5xx" },
    { row: { ...ROW, kind: "4xx" } },
    { row: { ...ROW, length: -1 } },
    { row: { ...ROW, length: Number.NaN } },
    { row: { ...ROW, reason: 5 } },
  ]) {
    assert.equal(parseFromWorker({ ...TOLD, ...change }), undefined, JSON.stringify(change));
  }
});

test("a report whose breakers are none is no message", () => {
  assert.notEqual(parseFromWorker({ kind: "report", counters: COUNTERS }), undefined);
  for (const breakers of [
    undefined,
    {},
    "open",
    [null],
    [{ ...BREAKER, pool: 1 }],
    [BREAKER, { ...BREAKER, phase: "closed" }],
    [{ ...BREAKER, trialsInMs: Infinity }],
    [{ ...BREAKER, reason: null }],
  ]) {
    const message = { kind: "report", counters: { ...COUNTERS, breakers } };
    assert.equal(parseFromWorker(message), undefined, JSON.stringify(breakers));
  }
});
