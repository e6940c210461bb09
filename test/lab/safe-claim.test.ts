// `claim: safe` with the shortest lease: whatever happens to the active, no two nodes ever hold the address, and a
// node that falls silent costs clients its lease and the time until the silence is noticed.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { tellFailures } from "./failures.ts";
import { FAULTS, type Fault } from "./faults.ts";
import { Lab } from "./lab.ts";
import { type Meter, ms } from "./meter.ts";
import { labIsMissing } from "./requirements.ts";
import { describeRound, runRound } from "./round.ts";

/** A second of lease, the active-down interval, two hooks and their announcement. */
const SILENT_OUTAGE_MS_MAX = 2200;
const SILENT: ReadonlySet<string> = new Set([
  "frozen (SIGSTOP)",
  "cable pulled",
  "port silenced",
  "power off",
]);

const skip = labIsMissing();
const lab = new Lab({ pair: "  claim: safe\n  lease: 1s" });
let meter: Meter;

before(async () => {
  if (skip !== false) return;
  await lab.up();
  await lab.settle();
  meter = await lab.startMeter();
});
after(() => lab.down());
tellFailures(lab);

const holds = (fault: Fault) =>
  SILENT.has(fault.name) ? `an outage of at most ${ms(SILENT_OUTAGE_MS_MAX)}` : "the address moves on";

for (const fault of FAULTS.filter(({ servedBy }) => servedBy === "the standby")) {
  test(`claim: safe: ${fault.name}: never two holders, ${holds(fault)}`, { skip }, async (t) => {
    const round = await runRound(lab, meter, fault);
    t.diagnostic(describeRound(round));
    assert.equal(round.overlapMs, 0);
    assert.deepEqual(round.claims, [round.server]);
    assert.ok(round.reached, "the client's neighbour table leads to the node that serves");
    if (SILENT.has(fault.name)) assert.ok(round.report.longestOutageMs <= SILENT_OUTAGE_MS_MAX);
  });
}
