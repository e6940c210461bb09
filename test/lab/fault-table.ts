// The table of docs/failover.md as tests: each fault three times at one advertisement interval, in a lab that
// stays up. The faults take turns, so that three rounds of one do not share one bad moment of the machine, and so
// that workers killed in three rounds are not a crash loop.

import assert from "node:assert/strict";
import { after, before, test, type TestContext } from "node:test";
import { FAULTS, type Fault, type IntervalMs } from "./faults.ts";
import { Lab, LEASE_MS } from "./lab.ts";
import { type Meter, ms } from "./meter.ts";
import { tellFailures } from "./failures.ts";
import { labIsMissing } from "./requirements.ts";
import { describeRound, median, type Round, runRound } from "./round.ts";

const ROUNDS = 3;
/** After a fault one node alone holds the address within a lease, and the hook that removes it gets some time. */
const ONE_HOLDER_WITHIN_MS = LEASE_MS + 500;

/** Defines the tests; the whole file is theirs. */
export function testFaultTable({ intervalMs }: { readonly intervalMs: IntervalMs }): void {
  const skip = labIsMissing();
  const lab = new Lab({ pair: `  advertisementInterval: ${String(intervalMs)}ms` });
  const rounds = new Map<Fault, Round[]>(FAULTS.map((fault) => [fault, []]));
  let meter: Meter;

  before(async () => {
    if (skip !== false) return;
    await lab.up();
    await lab.settle();
    meter = await lab.startMeter();
  });
  after(() => lab.down());
  tellFailures(lab);

  const strike = async (t: TestContext, fault: Fault) => {
    const round = await runRound(lab, meter, fault);
    t.diagnostic(describeRound(round));
    rounds.get(fault)?.push(round);
    const { report, afterRepair } = round;
    assert.ok(
      round.oneHolderMs <= ONE_HOLDER_WITHIN_MS + report.stalledMs,
      `one holder after ${ms(round.oneHolderMs)}`,
    );
    assert.deepEqual(round.claims, fault.servedBy === "the standby" ? [round.server] : []);
    assert.ok(round.reached, "the client's neighbour table leads to the node that serves");
    assert.ok(
      report.outages.every(({ ended }) => ended),
      JSON.stringify(report.outages),
    );
    assert.equal(afterRepair.failed, 0, `after the repair: ${JSON.stringify(afterRepair.outages)}`);
    if (fault.outageMsMax[intervalMs] === 0) assert.equal(report.failed, 0, JSON.stringify(report.outages));
  };

  for (let number = 1; number <= ROUNDS; number += 1) {
    for (const fault of FAULTS) {
      const served = `served by ${fault.servedBy}, one holder within the lease, no second outage`;
      test(`round ${String(number)}: ${fault.name}: ${served}`, { skip }, (t) => strike(t, fault));
    }
  }

  for (const fault of FAULTS) {
    const limitMs = fault.outageMsMax[intervalMs];
    const limit = limitMs === 0 ? "no request fails" : `an outage of at most ${ms(limitMs)}`;
    test(`${fault.name} at ${ms(intervalMs)}: ${limit}, median of ${String(ROUNDS)}`, { skip }, (t) => {
      const outagesMs = (rounds.get(fault) ?? []).map(({ report }) => report.longestOutageMs);
      t.diagnostic(`outages ${outagesMs.map(ms).join(", ")}`);
      assert.equal(outagesMs.length, ROUNDS, "every round came to its end");
      assert.ok(median(outagesMs) <= limitMs, `median ${ms(median(outagesMs))}`);
    });
  }
}
