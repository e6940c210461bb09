// The table of docs/failover.md: each fault N times in the lab, what a client with a new connection each 5 ms
// sees of it, and how long it takes until one node alone holds the address. Needs root.
//   node scripts/bench/failover.ts [N, by default 5]

import { setTimeout as sleep } from "node:timers/promises";
import { Lab, LEASE_MS, otherNode, type Node } from "../../test/lab/lab.ts";
import type { Meter } from "../../test/lab/meter.ts";
import { labIsMissing } from "../../test/lab/requirements.ts";

/** Hurts the active; resolves to the moment of it. */
type Fault = (lab: Lab, active: Node) => Promise<number>;

const FAULTS: Readonly<Record<string, Fault>> = {
  "SIGKILL of everything": (lab, active) => lab.killEverything(active),
  "frozen (SIGSTOP)": (lab, active) => lab.freeze(active),
  "cable pulled": (lab, active) => lab.pullCable(active),
  switchover: async (lab, active) => {
    await lab.vipair(active, "switchover");
    // The command takes a while to start; what counts begins with the claim.
    return lab.watch.heldSince(otherNode(active)) ?? performance.now();
  },
};

/** After a fault everything that belongs to it has happened. */
const LOOK_ON_MS = LEASE_MS + 1500;

interface Measurement {
  readonly outageMs: number;
  readonly failed: number;
  /** Infinity: not while we looked on. */
  readonly oneHolderMs: number;
  readonly overlapMs: number;
}

async function measure(lab: Lab, meter: Meter, fault: Fault): Promise<Measurement> {
  const { active, standby } = await lab.settle();
  await meter.mark("fault");
  const atMs = await fault(lab, active);
  await sleep(LOOK_ON_MS);
  const { longestOutageMs, failed } = await meter.outageSince("fault");
  const alone = lab.watch.soleHolderSince(standby);
  const measurement = {
    outageMs: longestOutageMs,
    failed,
    oneHolderMs: alone === null ? Infinity : Math.max(0, alone - atMs),
    overlapMs: lab.watch.overlapMs(atMs),
  };
  await lab.thaw(active);
  return measurement;
}

function describe(values: readonly number[]): string {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = (sorted.length - 1) / 2;
  const median = ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
  return `${String(Math.round(median))} / ${String(Math.round(sorted.at(-1) ?? NaN))}`;
}

const reason = labIsMissing();
if (reason !== false) {
  console.error(reason);
  process.exit(1);
}
const runs = Number(process.argv[2] ?? 5);
const lab = new Lab();
try {
  await lab.up();
  await lab.settle();
  const meter = await lab.startMeter();
  console.log(`${String(runs)} runs each; median / worst\n`);
  console.log(
    "| fault on the active | outage, ms | failed requests | one holder after, ms | two holders for, ms |",
  );
  console.log("|---|---|---|---|---|");
  for (const [name, fault] of Object.entries(FAULTS)) {
    const measurements: Measurement[] = [];
    for (let run = 0; run < runs; run += 1) measurements.push(await measure(lab, meter, fault));
    const column = (key: keyof Measurement) => describe(measurements.map((measurement) => measurement[key]));
    const cells = [name, column("outageMs"), column("failed"), column("oneHolderMs"), column("overlapMs")];
    console.log(`| ${cells.join(" | ")} |`);
  }
} finally {
  await lab.down();
}
