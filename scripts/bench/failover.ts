// The table of docs/failover.md: each fault N times in the lab, at the default advertisement interval and at 50 ms;
// what a client with a new connection each 5 ms sees of it, and how long it takes until one node alone holds the
// address. Needs root.
//   node scripts/bench/failover.ts [N, by default 5]

import { FAULTS, INTERVALS_MS, type IntervalMs } from "../../test/lab/faults.ts";
import { Lab } from "../../test/lab/lab.ts";
import { labIsMissing } from "../../test/lab/requirements.ts";
import { median, type Round, runRound } from "../../test/lab/round.ts";

/** By the name of the fault. The faults take turns, so that they share the good and bad moments of the machine. */
async function measure(intervalMs: IntervalMs, runs: number): Promise<ReadonlyMap<string, readonly Round[]>> {
  const rounds = new Map<string, Round[]>(FAULTS.map(({ name }) => [name, []]));
  const lab = new Lab({ pair: `  advertisementInterval: ${String(intervalMs)}ms` });
  try {
    await lab.up();
    await lab.settle();
    const meter = await lab.startMeter();
    for (let run = 0; run < runs; run += 1) {
      for (const fault of FAULTS) rounds.get(fault.name)?.push(await runRound(lab, meter, fault));
    }
  } finally {
    await lab.down();
  }
  return rounds;
}

function describe(values: readonly number[]): string {
  return `${String(Math.round(median(values)))} / ${String(Math.round(Math.max(...values)))}`;
}

const [given = "5", ...further] = process.argv.slice(2);
const runs = Number(given);
if (!/^[1-9]\d{0,3}$/u.test(given) || further.length > 0) {
  console.error(`failover.ts ${[given, ...further].join(" ")}: write how often, a whole number above 0`);
  process.exit(2);
}
const reason = labIsMissing();
if (reason !== false) {
  console.error(reason);
  process.exit(1);
}
console.log(`${String(runs)} runs each; median / worst`);
for (const intervalMs of INTERVALS_MS) {
  const measured = await measure(intervalMs, runs);
  console.log(`\nadvertisement interval ${String(intervalMs)} ms\n`);
  console.log(
    "| fault on the active | outage, ms | limit | failed requests | one holder after, ms | two holders for, ms |",
  );
  console.log("|---|---|---|---|---|---|");
  for (const { name, outageMsMax } of FAULTS) {
    const rounds = measured.get(name) ?? [];
    const cells = [
      name,
      describe(rounds.map(({ report }) => report.longestOutageMs)),
      String(outageMsMax[intervalMs]),
      describe(rounds.map(({ report }) => report.failed)),
      describe(rounds.map(({ oneHolderMs }) => oneHolderMs)),
      describe(rounds.map(({ overlapMs }) => overlapMs)),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}
