// A worker under mixed load for a long time: whether a request fails and whether its memory grows.
//
//   npm run soak -- [--seconds 600] [--bulk-mib 1024]
//
// First large bodies, both ways, then all kinds of clients at once, those that vanish included. Memory is
// sampled all the time, each time after a garbage collection: how much garbage the collector lets lie before
// it comes depends on how busy the machine is, and is no growth. What memory is after the second minute (a
// fifth of a shorter run) is what it may be at the end. Ends with 1 when a request failed, a byte was wrong
// or memory grew.

import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import autocannon from "autocannon";
import { type TestWorker, pool, startWorker } from "../proxy/harness.ts";
import { runClient, runTunnel, vanish } from "../proxy/mixed-clients.ts";
import { spawnEchoBackend, transfer } from "./bulk.ts";

const MIB = 1 << 20;
const CLIENTS = 10;
const TUNNELS = 2;
const VANISHING = 4;
const SMALL_REQUESTS_PER_SECOND = 200;
const WARM_UP_SECONDS = 120;
const SAMPLE_MS = 15_000;
/** What the median over a while may differ by without any meaning. */
const NOISE_BYTES = 16 * MIB;
/** Exchanges in flight hold more now and less then. */
const LIVING_NOISE_BYTES = 4 * MIB;
/** In a run that is too short for the heap to find its size. */
const SHORT_NOISE_BYTES = 48 * MIB;
const BULK_GROWTH_MAX = 64 * MIB;

interface Sample {
  readonly atSeconds: number;
  /** In RAM. */
  readonly bytes: number;
  /** In living objects and buffers. */
  readonly livingBytes: number;
}

export interface SoakReport {
  /** Visits and requests that ended well. */
  readonly good: number;
  /** What went wrong; the first few. */
  readonly failures: readonly string[];
  readonly samples: readonly Sample[];
  /** In RAM, from the end of the warm-up to the end. */
  readonly grownBytes: number;
  /** Likewise, of living objects and buffers. */
  readonly grownLivingBytes: number;
}

export async function soak(options: {
  readonly seconds: number;
  readonly bulkMib: number;
  readonly seed: number;
  readonly tell: (line: string) => void;
}): Promise<SoakReport> {
  const { seconds, bulkMib, seed, tell } = options;
  const backends = [await spawnEchoBackend(), await spawnEchoBackend()];
  const { worker, port } = await startWorker([
    pool({
      ports: backends.map((backend) => backend.port),
      timeouts: { responseMs: 30_000, bodyMs: 30_000 },
    }),
  ]);
  try {
    const failures = bulkMib === 0 ? [] : await moveBulk({ worker, port, mib: bulkMib, tell });
    return await mix({ worker, port, seconds, seed, tell, failures });
  } finally {
    for (const backend of backends) backend.kill();
    await worker.stop();
  }
}

async function moveBulk({
  worker,
  port,
  mib,
  tell,
}: {
  readonly worker: TestWorker;
  readonly port: number;
  readonly mib: number;
  readonly tell: (line: string) => void;
}): Promise<string[]> {
  const failures: string[] = [];
  for (const direction of ["up", "down"] as const) {
    for (const framing of ["length", "chunked"] as const) {
      const job = { direction, framing, bytes: mib * MIB };
      const result = await transfer(job, { port, pid: worker.process.pid, seed: 3 });
      const grown = (result.grownBytes / MIB).toFixed(1);
      const rate = (mib / result.seconds).toFixed(0);
      const line = `${String(mib)} MiB ${direction}, ${framing}: grown by ${grown} MiB, ${rate} MiB/s`;
      tell(line);
      if (!result.isUnchanged) failures.push(`${line}: the bytes differ`);
      if (result.grownBytes > BULK_GROWTH_MAX) failures.push(`${line}: too much`);
    }
  }
  return failures;
}

async function mix(options: {
  readonly worker: TestWorker;
  readonly port: number;
  readonly seconds: number;
  readonly seed: number;
  readonly tell: (line: string) => void;
  readonly failures: string[];
}): Promise<SoakReport> {
  const { worker, port, seconds, tell, failures } = options;
  const endsAt = performance.now() + seconds * 1000;
  const samples: Sample[] = [];
  let good = 0;
  let seed = options.seed;
  const visitUntilEnd = async (
    visit: (one: { port: number; seed: number }) => Promise<void>,
  ): Promise<void> => {
    while (performance.now() < endsAt) {
      seed += 1;
      try {
        await visit({ port, seed });
        good += 1;
      } catch (error) {
        failures.push((error as Error).message);
      }
    }
  };
  const startedAt = performance.now();
  const warmUpSeconds = Math.min(WARM_UP_SECONDS, seconds / 5);
  const everyMs = Math.min(SAMPLE_MS, (seconds * 1000) / 20);
  const watch = async (): Promise<void> => {
    while (performance.now() + everyMs < endsAt) {
      await sleep(everyMs);
      const { residentBytes, heapBytes, bufferBytes } = await worker.census();
      const atSeconds = (performance.now() - startedAt) / 1000;
      const livingBytes = heapBytes + bufferBytes;
      samples.push({ atSeconds, bytes: residentBytes.after, livingBytes });
      tell(
        `${atSeconds.toFixed(0)} s: ${inMib(residentBytes.before)} MiB in RAM, ${inMib(residentBytes.after)} after a ` +
          `garbage collection, ${inMib(livingBytes)} living; ${String(good)} visits good`,
      );
    }
  };
  const loads = [
    ...Array.from({ length: CLIENTS }, () => visitUntilEnd(runClient)),
    ...Array.from({ length: TUNNELS }, () => visitUntilEnd(runTunnel)),
    ...Array.from({ length: VANISHING }, () => visitUntilEnd(vanish)),
  ];
  const small = autocannon({
    url: `http://127.0.0.1:${String(port)}/bytes/100/1`,
    connections: 8,
    duration: seconds,
    overallRate: SMALL_REQUESTS_PER_SECOND,
  });
  await Promise.all([watch(), ...loads]);
  const { errors, non2xx, "2xx": answered } = await small;
  if (errors + non2xx > 0)
    failures.push(`${String(errors)} errors, ${String(non2xx)} bad answers to small requests`);
  const settled = samples.filter(({ atSeconds }) => atSeconds >= warmUpSeconds);
  const grown = (read: (sample: Sample) => number): number =>
    median(settled.slice(-3).map(read)) - median(settled.slice(0, 3).map(read));
  return {
    good: good + answered,
    failures,
    samples,
    grownBytes: grown(({ bytes }) => bytes),
    grownLivingBytes: grown(({ livingBytes }) => livingBytes),
  };
}

function inMib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

/** What is wrong with a run. */
export function judge({ failures, samples, grownBytes, grownLivingBytes }: SoakReport): readonly string[] {
  const isLong = (samples.at(-1)?.atSeconds ?? 0) > 2 * WARM_UP_SECONDS;
  const noise = isLong ? NOISE_BYTES : SHORT_NOISE_BYTES;
  const faults = failures.slice(0, 10);
  if (failures.length > 10) faults.push(`and ${String(failures.length - 10)} more`);
  if (!(grownBytes <= noise)) faults.push(`memory grew by ${(grownBytes / MIB).toFixed(1)} MiB`);
  if (!(grownLivingBytes <= LIVING_NOISE_BYTES))
    faults.push(`living objects grew by ${(grownLivingBytes / MIB).toFixed(1)} MiB`);
  return faults;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "600" },
      "bulk-mib": { type: "string", default: "1024" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
    },
  });
  const report = await soak({
    seconds: Number(values.seconds),
    bulkMib: Number(values["bulk-mib"]),
    seed: Number(values.seed),
    tell: (line) => {
      console.log(line);
    },
  });
  console.log(
    `${String(report.good)} visits and requests good, ${String(report.failures.length)} failures; since the warm-up ` +
      `memory ${(report.grownBytes / MIB).toFixed(1)} MiB, living objects ${(report.grownLivingBytes / MIB).toFixed(2)} MiB`,
  );
  const faults = judge(report);
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) process.exitCode = 1;
}
