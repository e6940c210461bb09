// Many seeds on all cores: threads that each run a slice after the other, and somebody who hears of each slice
// that is done. Seeds are handed out in small slices, so that no core waits for another at the end.

import { availableParallelism, setPriority } from "node:os";
import { Worker } from "node:worker_threads";
import type { Mutant } from "./mutant.ts";

/** What a thread is asked to do. */
export interface Slice {
  readonly from: number;
  readonly count: number;
  readonly mutant: Mutant | undefined;
  /** Stop at the first seed that fails. */
  readonly stopsEarly: boolean;
}

/** A seed that broke an invariant; `what` ends with the line that replays it. */
export interface Failure {
  readonly seed: number;
  readonly what: string;
}

export interface SliceResult {
  /** Seeds that were run. */
  readonly done: number;
  readonly failures: readonly Failure[];
}

export interface Exploration {
  readonly from: number;
  readonly runs: number;
  readonly mutant?: Mutant | undefined;
  /** Threads; default: one per core. */
  readonly threads?: number;
  /** As unobtrusive as can be: for long explorations beside other work. */
  readonly isNice?: boolean;
  /** No new slices after so many failures. */
  readonly failuresMax?: number;
  readonly onSlice?: (sum: SliceResult) => void;
}

const SLICE_SEEDS = 50;
const NICEST = 19;

/** Runs every seed of a range, in no particular order; failures come sorted by seed. */
export async function explore(exploration: Exploration): Promise<SliceResult> {
  const { from, runs, mutant, failuresMax = Infinity, onSlice } = exploration;
  const end = from + runs;
  const failures: Failure[] = [];
  let next = from;
  let done = 0;
  const takeSlice = (): Slice | undefined => {
    if (next >= end || failures.length >= failuresMax) return undefined;
    const slice = {
      from: next,
      count: Math.min(SLICE_SEEDS, end - next),
      mutant,
      stopsEarly: failuresMax === 1,
    };
    next += slice.count;
    return slice;
  };
  const note = (result: SliceResult): void => {
    done += result.done;
    failures.push(...result.failures);
    onSlice?.({ done, failures });
  };
  const threads = Math.min(exploration.threads ?? availableParallelism(), Math.ceil(runs / SLICE_SEEDS));
  await Promise.all(
    Array.from({ length: threads }, () => work({ takeSlice, note, isNice: exploration.isNice === true })),
  );
  return { done, failures: failures.toSorted((a, b) => a.seed - b.seed) };
}

interface Job {
  readonly takeSlice: () => Slice | undefined;
  readonly note: (result: SliceResult) => void;
  readonly isNice: boolean;
}

/** One thread, until there is no slice left. */
function work({ takeSlice, note, isNice }: Job): Promise<void> {
  const worker = new Worker(new URL("./fleet-worker.ts", import.meta.url), { workerData: { isNice } });
  return new Promise((resolve, reject) => {
    const give = (): void => {
      const slice = takeSlice();
      if (slice !== undefined) return worker.postMessage(slice, []);
      worker.once("exit", () => resolve());
      worker.postMessage(undefined, []);
    };
    worker.on("message", (result: SliceResult) => {
      note(result);
      give();
    });
    worker.once("error", reject);
    give();
  });
}

/** Linux gives each thread a niceness of its own, so each thread asks for it. */
export function beNice(): void {
  setPriority(NICEST);
}
