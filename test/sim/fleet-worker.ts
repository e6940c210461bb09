// One thread of the fleet: runs the slices it is given until it is given none.

import { parentPort, workerData } from "node:worker_threads";
import { type Failure, beNice, type Slice, type SliceResult } from "./fleet.ts";
import { runSeed } from "./run.ts";

const port = parentPort;
if (port === null) throw new Error("fleet-worker.ts is a thread of fleet.ts");
const { isNice } = workerData as { readonly isNice: boolean };
if (isNice) beNice();

port.on("message", (slice: Slice | undefined) => {
  if (slice === undefined) port.close();
  else port.postMessage(runSlice(slice));
});

function runSlice({ from, count, mutant, stopsEarly }: Slice): SliceResult {
  const failures: Failure[] = [];
  for (let seed = from; seed < from + count; seed++) {
    const what = broken(seed, mutant);
    if (what === undefined) continue;
    failures.push({ seed, what });
    if (stopsEarly) return { done: seed - from + 1, failures };
  }
  return { done: count, failures };
}

function broken(seed: number, mutant: Slice["mutant"]): string | undefined {
  try {
    runSeed(seed, mutant === undefined ? {} : { mutant });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
