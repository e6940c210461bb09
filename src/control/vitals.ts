// Watches how the machine itself is and tells when one of its vitals is bad: hot, out of memory, out of
// disk, too little power. What that costs is not decided here.
//
//   good ── a bad reading ──> problem ── CALM_READINGS good ones in a row ──> good
//
// A reading is good when it is below the threshold by a band, so that a value that wavers around the threshold
// does not move the role to and fro. What cannot be read is no problem.

import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { VitalsConfig } from "../config/config.ts";
import { explainRun } from "../system/exec.ts";
import { launch } from "../system/launcher.ts";
import type { Log } from "../system/log.ts";
import type { VitalsReading } from "./vitals-reader.ts";

/** How far below its threshold a value must be to be good again. */
const BAND = { temperatureC: 5, memoryPercent: 5, diskPercent: 2 } as const;
/** Good readings in a row that end a problem; under-voltage comes in bursts. */
const CALM_READINGS = 3;
/** Starting has better things to do with the processor. */
const FIRST_READING_MS = 1000;
/** A disk that hangs, or a processor that is wholly taken by traffic. */
const READING_TIMEOUT_MS = 10_000;

export type VitalCause = "temperature" | "memory" | "disk" | "under-voltage";

export interface VitalsChange {
  readonly cause: VitalCause;
  /** In a sentence; undefined: it is over. */
  readonly problem: string | undefined;
  /** As configured. */
  readonly weight: number;
}

export interface VitalsStatus {
  /** The newest; null before the first, and while they cannot be had. */
  readonly reading: VitalsReading | null;
  /** What is bad now, in the words in which it was told. */
  readonly problems: readonly { readonly cause: VitalCause; readonly problem: string }[];
}

export interface VitalsOptions {
  readonly config: VitalsConfig;
  /** The file system that holds this directory must not be full, nor that of the root. */
  readonly path: string;
  readonly log: Log;
  readonly onChange: (change: VitalsChange) => void;
  /** Absent: the machine's own. May reject. */
  readonly read?: (abort: AbortSignal) => Promise<VitalsReading>;
}

export class Vitals {
  readonly #options: VitalsOptions;
  readonly #vitals: readonly Vital[];
  readonly #problems = new Map<VitalCause, { readonly problem: string; calmReadings: number }>();
  #reading: VitalsReading | null = null;
  #isReadable = true;
  #timer: NodeJS.Timeout | undefined;
  #abort: AbortController | undefined;

  constructor(options: VitalsOptions) {
    this.#options = options;
    this.#vitals = VITALS.filter(({ weightOf }) => weightOf(options.config) > 0);
  }

  /** Does nothing when the configuration gives weight to nothing. */
  start(): void {
    if (this.#vitals.length > 0) this.#schedule(Math.min(FIRST_READING_MS, this.#options.config.intervalMs));
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
  }

  status(): VitalsStatus {
    return {
      reading: this.#reading,
      problems: [...this.#problems].map(([cause, { problem }]) => ({ cause, problem })),
    };
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => void this.#look(), delayMs);
  }

  async #look(): Promise<void> {
    const { config, path, read = (abort) => readMachine(["/", path], abort) } = this.#options;
    const abort = new AbortController();
    this.#abort = abort;
    let reading: VitalsReading | null = null;
    let reason = "";
    try {
      reading = await read(abort.signal);
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
    if (abort.signal.aborted) return;
    this.#schedule(config.intervalMs);
    this.#noteReadable(reading !== null, reason);
    this.#reading = reading;
    for (const vital of this.#vitals) this.#note(vital, vital.judge(reading ?? NOTHING, config));
  }

  /** Said once, not with each reading. */
  #noteReadable(isReadable: boolean, reason: string): void {
    if (isReadable === this.#isReadable) return;
    this.#isReadable = isReadable;
    if (isReadable) this.#options.log.info({}, "the vitals of this machine can be read again");
    else this.#options.log.warn({ reason }, "the vitals of this machine cannot be read");
  }

  #note({ cause, weightOf }: Vital, judgement: Judgement): void {
    const { config, log, onChange } = this.#options;
    const weight = weightOf(config);
    const known = this.#problems.get(cause);
    if (known === undefined) {
      if (judgement.kind !== "bad") return;
      const { problem } = judgement;
      this.#problems.set(cause, { problem, calmReadings: 0 });
      log.warn({ vital: cause, problem }, "a vital of this machine is bad");
      onChange({ cause, problem, weight });
      return;
    }
    known.calmReadings = judgement.kind === "good" ? known.calmReadings + 1 : 0;
    if (known.calmReadings < CALM_READINGS) return;
    this.#problems.delete(cause);
    log.info({ vital: cause }, "a vital of this machine is good again");
    onChange({ cause, problem: undefined, weight });
  }
}

type Judgement =
  | { readonly kind: "good" }
  /** Below the threshold, but so near that a problem does not end. */
  | { readonly kind: "in-band" }
  | { readonly kind: "bad"; readonly problem: string };

interface Vital {
  readonly cause: VitalCause;
  /** 0: not looked at. */
  readonly weightOf: (config: VitalsConfig) => number;
  readonly judge: (reading: VitalsReading, config: VitalsConfig) => Judgement;
}

const VITALS: readonly Vital[] = [
  {
    cause: "temperature",
    weightOf: ({ temperature }) => temperature.weight,
    judge: ({ temperatureC }, { temperature: { above } }) =>
      judgeValue(temperatureC, { above, band: BAND.temperatureC }, (value) => {
        return `the processor is hot: ${value} °C, more than ${String(above)} °C`;
      }),
  },
  {
    cause: "memory",
    weightOf: ({ memory }) => memory.weight,
    judge: ({ memoryUsedPercent }, { memory: { above } }) =>
      judgeValue(memoryUsedPercent, { above, band: BAND.memoryPercent }, (value) => {
        return `memory is short: ${value} % used, more than ${String(above)} %`;
      }),
  },
  {
    cause: "disk",
    weightOf: ({ disk }) => disk.weight,
    judge: ({ disk }, { disk: { above } }) =>
      judgeValue(disk?.usedPercent ?? null, { above, band: BAND.diskPercent }, (value) => {
        return `the disk of ${disk?.directory ?? ""} is full: ${value} % used, more than ${String(above)} %`;
      }),
  },
  {
    cause: "under-voltage",
    weightOf: ({ underVoltage }) => underVoltage.weight,
    judge: ({ power }) => {
      if (power === null || power.length === 0) return { kind: "good" };
      const problem = power.includes("under-voltage")
        ? "the voltage is too low: use a stronger power supply or a shorter cable"
        : "the processor is throttled: it is too hot, or its power supply too weak";
      return { kind: "bad", problem };
    },
  },
];

const NOTHING: VitalsReading = { temperatureC: null, memoryUsedPercent: null, disk: null, power: null };

function judgeValue(
  value: number | null,
  { above, band }: { readonly above: number; readonly band: number },
  describe: (value: string) => string,
): Judgement {
  if (value === null || value <= above - band) return { kind: "good" };
  return value > above ? { kind: "bad", problem: describe(value.toFixed(1)) } : { kind: "in-band" };
}

/** In a process of its own; see vitals-reader.ts. Rejects with the reason when that fails. */
async function readMachine(directories: readonly string[], abort: AbortSignal): Promise<VitalsReading> {
  // The built program is .js, a checkout runs .ts as it is: the reader's file ends like this one.
  const entry = fileURLToPath(new URL(`./vitals-reader${extname(import.meta.url)}`, import.meta.url));
  const options = { env: {}, timeoutMs: READING_TIMEOUT_MS, signal: abort };
  const result = await launch(process.execPath, [entry, ...directories], options).result;
  if (result.kind !== "exit" || result.code !== 0) throw new Error(explainRun(result));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own program wrote it
  return JSON.parse(result.stdout) as VitalsReading;
}
