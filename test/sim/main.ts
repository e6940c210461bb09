// npm run sim -- --seed N            replays one seed and prints what happened
// npm run sim -- --seed N --shrink   and the smallest scenario that breaks the same rule, as data
// npm run sim -- --seed N --runs M   explores M seeds from N on, on all cores, at the lowest priority
//   --threads T                      on so many; --failures F: up to so many that fail (20)
// --mutant NAME                      with a core that is broken on purpose (mutant.ts)

import { parseArgs } from "node:util";
import { makeScenario } from "./chance.ts";
import { beNice, explore, type SliceResult } from "./fleet.ts";
import { type Mutant, MUTANTS } from "./mutant.ts";
import { type RunOptions, tell } from "./run.ts";
import { differenceFromCalm } from "./scenario.ts";
import { shrink } from "./shrink.ts";

const PROGRESS_MS = 1000;

const USAGE =
  "usage: npm run sim -- [--seed N] [--shrink | --runs M [--threads T] [--failures F]] [--mutant NAME]";

const values = readArguments();
const mutant = mutantNamed(values.mutant);
const options: RunOptions = mutant === undefined ? {} : { mutant };
const first = wholeNumber("seed", values.seed);

if (values.runs !== undefined) await exploreSeeds(wholeNumber("runs", values.runs));
else if (values.shrink) {
  const smallest = shrink(makeScenario(first), options);
  console.log(tell(smallest, options));
  console.log(JSON.stringify(differenceFromCalm(smallest), undefined, 2));
} else console.log(tell(makeScenario(first), options));

async function exploreSeeds(runs: number): Promise<void> {
  const begin = performance.now();
  let toldAt = begin;
  let toldFailures = 0;
  const speed = (done: number): string => ((1000 * done) / (performance.now() - begin)).toFixed(0);
  const onSlice = ({ done, failures }: SliceResult): void => {
    for (const { what } of failures.slice(toldFailures)) console.log(what);
    toldFailures = failures.length;
    if (performance.now() - toldAt < PROGRESS_MS) return;
    toldAt = performance.now();
    if (process.stderr.isTTY) {
      const share = ((100 * done) / runs).toFixed(0);
      process.stderr.write(
        `\r${String(done)} seeds, ${share} %, ${speed(done)}/s, ${String(failures.length)} failed `,
      );
    }
  };
  beNice();
  const { done, failures } = await explore({
    from: first,
    runs,
    mutant,
    isNice: true,
    failuresMax: wholeNumber("failures", values.failures),
    onSlice,
    ...(values.threads === undefined ? {} : { threads: wholeNumber("threads", values.threads) }),
  });
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  if (process.stderr.isTTY) process.stderr.write("\r");
  console.log(
    `${String(done)} seeds, ${String(failures.length)} failed, ${seconds} s, ${speed(done)} seeds/s`,
  );
  if (failures.length > 0) process.exitCode = 1;
}

function readArguments() {
  try {
    const { values: given } = parseArgs({
      options: {
        seed: { type: "string", default: "1" },
        runs: { type: "string" },
        mutant: { type: "string" },
        failures: { type: "string", default: "20" },
        threads: { type: "string" },
        shrink: { type: "boolean", default: false },
      },
    });
    return given;
  } catch (error) {
    return explainUse(error instanceof Error ? error.message : String(error));
  }
}

function wholeNumber(name: string, text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  return explainUse(`--${name} ${text}: it must be a whole number from 1 on`);
}

function mutantNamed(name: string | undefined): Mutant | undefined {
  const found = MUTANTS.find((known) => known === name);
  if (name === undefined || found !== undefined) return found;
  return explainUse(`no such mutant: ${name}; there are ${MUTANTS.join(", ")}`);
}

function explainUse(problem: string): never {
  console.error(`${problem}\n${USAGE}`);
  process.exit(2);
}
