// `claim: safe` with the shortest lease: whatever happens to the active, no two nodes ever hold the address, and a
// node that falls silent costs clients its lease and the time until the silence is noticed.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { tellFailures } from "./failures.ts";
import { FAULTS } from "./faults.ts";
import { Lab, NODES } from "./lab.ts";
import { type Meter, ms } from "./meter.ts";
import { labIsMissing } from "./requirements.ts";
import { describeRound, median, runRound } from "./round.ts";

/** A second of lease, the active-down interval, two hooks and their announcement. */
const SILENT_OUTAGE_MS_MAX = 2200;
const SHORTEST_LEASE_MS = 1000;
/** Start, the time of a reunion, the predecessor's lease and a second for the question. */
const ALONE_WITHIN_MS = 10_000;
const ROUNDS = 3;
const SILENT: ReadonlySet<string> = new Set([
  "frozen (SIGSTOP)",
  "cable pulled",
  "port silenced",
  "power off",
]);

const skip = labIsMissing();
// The address goes before the connections to it: they end with the grace and not before.
const lab = new Lab({ pair: "  claim: safe\n  lease: 1s", more: "shutdownGrace: 2s" });
let meter: Meter;

before(async () => {
  if (skip !== false) return;
  await lab.up();
  await lab.settle();
  meter = await lab.startMeter();
});
after(() => lab.down());
tellFailures(lab);

for (const fault of FAULTS.filter(({ servedBy }) => servedBy === "the standby")) {
  const isSilent = SILENT.has(fault.name);
  const limit = `an outage of at most ${ms(SILENT_OUTAGE_MS_MAX)}, median of ${String(ROUNDS)}`;
  test(
    `claim: safe: ${fault.name}: never two holders, ${isSilent ? limit : "the address moves"}`,
    { skip },
    async (t) => {
      const outagesMs: number[] = [];
      for (let number = 1; number <= (isSilent ? ROUNDS : 1); number += 1) {
        const round = await runRound(lab, meter, fault);
        t.diagnostic(describeRound(round));
        assert.equal(round.overlapMs, 0);
        assert.deepEqual(round.claims, [round.server]);
        assert.ok(round.reached, "the client's neighbour table leads to the node that serves");
        outagesMs.push(round.report.longestOutageMs);
      }
      if (isSilent) assert.ok(median(outagesMs) <= SILENT_OUTAGE_MS_MAX, outagesMs.map(ms).join(", "));
    },
  );
}

test(
  "the power comes back for one node only: it asks the network, and serves for as long as it is alone",
  { skip },
  async () => {
    await lab.settle();
    await Promise.all(NODES.map(async (node) => lab.powerOff(node)));
    const since = performance.now();
    await lab.powerOn("a");
    await lab.waitForRole("a", "active", { withinMs: ALONE_WITHIN_MS });
    // Longer than a lease: the first one is renewed.
    await sleep(2 * SHORTEST_LEASE_MS);
    assert.deepEqual(await lab.holders(), ["a"]);
    assert.equal(lab.watch.claimsSince(since).length, 1);
  },
);
