// npm run sim -- --seed N            replays one seed and prints what happened
// npm run sim -- --seed N --runs M   explores M seeds from N on, up to --failures (20) that fail
// --mutant NAME                      with a core that is broken on purpose

import { parseArgs } from "node:util";
import type { Mutant } from "./process.ts";
import { runSeed, tellSeed } from "./run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    runs: { type: "string" },
    mutant: { type: "string" },
    failures: { type: "string", default: "20" },
  },
});
const first = Number(values.seed);
const failuresMax = Number(values.failures);
const options = values.mutant === undefined ? {} : { mutant: values.mutant as Mutant };

if (values.runs === undefined) console.log(tellSeed(first, options));
else explore(Number(values.runs));

function explore(runs: number): void {
  const begin = performance.now();
  let failures = 0;
  let seed = first;
  for (; seed < first + runs && failures < failuresMax; seed++) {
    try {
      runSeed(seed, options);
    } catch (error) {
      failures += 1;
      console.log(error instanceof Error ? error.message : error);
    }
  }
  const seconds = (performance.now() - begin) / 1000;
  const done = seed - first;
  console.log(
    `${String(done)} seeds, ${String(failures)} failed, ${seconds.toFixed(1)} s, ${(done / seconds).toFixed(0)} seeds/s`,
  );
  if (failures > 0) process.exitCode = 1;
}
