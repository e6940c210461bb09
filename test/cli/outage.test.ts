import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { OutageTally, type Attempt, type OutageReport } from "../../src/cli/outage.ts";

/** One attempt each 5 ms: "." succeeds within 1 ms, "x" is refused, "t" times out after 400 ms. */
function tallyOf(story: string, mergeMs = 10): OutageReport {
  const tally = new OutageTally({ fromMs: 0, mergeMs, latencyMsMax: 400 });
  for (const [slot, sign] of Array.from(story).entries()) {
    const startMs = slot * 5;
    const common = { startMs, late: false, backend: sign === "." ? "one" : null };
    const attempts: Record<string, Attempt> = {
      ".": { ...common, endMs: startMs + 1, outcome: "ok" },
      x: { ...common, endMs: startMs, outcome: "refused" },
      t: { ...common, endMs: startMs + 400, outcome: "timeout" },
    };
    tally.add(attempts[sign]!);
  }
  return tally.report();
}

/** "START+LENGTH/FAILED"; "..." after it when it has not ended. */
function outagesOf(story: string, mergeMs?: number): string {
  return tallyOf(story, mergeMs)
    .outages.map(
      ({ startMs, lengthMs, failed, ended }) =>
        `${String(startMs)}+${String(lengthMs)}/${String(failed)}${ended ? "" : "..."}`,
    )
    .join(" ");
}

test("an outage lasts from the start of the first failed attempt to the start of the next good one", () => {
  assert.equal(outagesOf("....."), "");
  assert.equal(outagesOf("..xxx.."), "10+15/3");
  assert.equal(outagesOf("x.."), "0+5/1");
});

test("a timeout counts from its start, not from its end", () => {
  assert.equal(outagesOf(".ttt."), "5+15/3");
});

test("outages closer than mergeMs are one", () => {
  assert.equal(outagesOf("x.x...x.", 10), "0+15/2 30+5/1");
  assert.equal(outagesOf("x..x...", 10), "0+5/1 15+5/1");
  assert.equal(outagesOf("x..x...", 11), "0+20/2");
});

test("an outage that has not ended is reported up to the latest attempt, and says so", () => {
  assert.equal(outagesOf("..xxx"), "10+10/3...");
  assert.equal(tallyOf("..xxx").longestOutageMs, 10);
});

test("a report counts attempts by outcome and by backend", () => {
  const report = tallyOf("..xt.");
  assert.equal(report.total, 5);
  assert.equal(report.failed, 2);
  assert.deepEqual(report.outcomes, { ok: 3, refused: 1, timeout: 1 });
  assert.deepEqual(report.backends, { one: 3 });
  assert.deepEqual(report.outages[0]?.outcomes, { refused: 1, timeout: 1 });
});

test("without a good attempt there is no latency", () => {
  assert.equal(tallyOf("xx").latencyMs, null);
});

test("latency percentiles are exact to a tenth of a millisecond, by nearest rank", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 399, noNaN: true }), { minLength: 1, maxLength: 200 }),
      (latencies) => {
        const tally = new OutageTally({ fromMs: 0, mergeMs: 0, latencyMsMax: 400 });
        for (const ms of latencies) {
          tally.add({ startMs: 0, endMs: ms, outcome: "ok", backend: null, late: false });
        }
        const sorted = latencies.toSorted((a, b) => a - b);
        const { latencyMs } = tally.report();
        assert.ok(latencyMs !== null);
        for (const [got, share] of [
          [latencyMs.p50, 0.5],
          [latencyMs.p90, 0.9],
          [latencyMs.p99, 0.99],
          [latencyMs.max, 1],
        ] as const) {
          const exact = sorted[Math.ceil(share * sorted.length) - 1]!;
          assert.ok(
            Math.abs(got - exact) <= 0.16,
            `share ${String(share)}: ${String(got)} for ${String(exact)}`,
          );
        }
      },
    ),
  );
});

test("every failed attempt belongs to exactly one outage, and outages are apart", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(".", "x", "t"), maxLength: 300 }), (story) => {
      const report = tallyOf(story);
      const failed = report.outages.reduce((sum, outage) => sum + outage.failed, 0);
      assert.equal(failed, story.length - story.replaceAll(/[xt]/g, "").length);
      for (const [index, outage] of report.outages.entries()) {
        const next = report.outages[index + 1];
        if (next !== undefined) assert.ok(next.startMs - (outage.startMs + outage.lengthMs) >= 10);
      }
    }),
  );
});

test("of very many outages the latest are kept, the others are counted, and the longest is known", () => {
  const report = tallyOf(`xxxx${"..x".repeat(1100)}.`);
  assert.equal(report.outages.length, 1000);
  assert.equal(report.earlierOutages, 101);
  assert.equal(report.longestOutageMs, 20);
});
