// What a stream of request attempts says about a service: how many failed, how long it was away, how
// slow it was. Stands apart from the client that makes the attempts, so that the definition of an
// outage can be tested on paper.
//
// An outage lasts from the start of the first failed attempt to the start of the next attempt that
// succeeds. Starts, not ends: a request that waits 400 ms for its timeout says that the service was away
// when it began, not 400 ms longer. Two outages with less than `mergeMs` between them are one, because a
// service that answers one request in between is not back. The figure can be short by at most one
// interval between attempts.

/**
 * What became of one attempt. `bad-response`: not HTTP, or cut before its end. `bad-tls`: no handshake, or a
 * certificate that is not trusted. `error`: none of the others.
 */
export type Outcome =
  | "ok"
  | "refused"
  | "reset"
  | "timeout"
  | "unreachable"
  | "bad-status"
  | "bad-response"
  | "bad-tls"
  | "error";

/** Times are milliseconds on one monotonic clock. */
export interface Attempt {
  readonly startMs: number;
  readonly endMs: number;
  readonly outcome: Outcome;
  /** First line of a good response's body: by custom the name of the backend. null when there was none. */
  readonly backend: string | null;
  /** Started later than planned, because the client itself was held up. */
  readonly late: boolean;
}

export type OutcomeCounts = Partial<Record<Outcome, number>>;

export interface Outage {
  /** Since the beginning of the report. Negative: the first attempt that failed was already on its way then. */
  readonly startMs: number;
  /** Until the start of the next good attempt, or of the latest attempt when the outage has not ended. */
  readonly lengthMs: number;
  readonly ended: boolean;
  readonly failed: number;
  /** Why they failed. */
  readonly outcomes: OutcomeCounts;
}

export interface OutageReport {
  /** From the beginning of the report to its latest attempt. */
  readonly durationMs: number;
  readonly total: number;
  readonly failed: number;
  readonly outcomes: OutcomeCounts;
  /** Good responses by the first line of their bodies. */
  readonly backends: Readonly<Record<string, number>>;
  /** In order of time; of very many the latest 1000. */
  readonly outages: readonly Outage[];
  /** How many there were before these. */
  readonly earlierOutages: number;
  /** Of all. 0 when there was none. */
  readonly longestOutageMs: number;
  /** Of good attempts, from their start to the last byte of the response; null when there was none. */
  readonly latencyMs: {
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly max: number;
  } | null;
  /** Attempts that the client itself began late. */
  readonly late: number;
}

interface OpenOutage {
  startMs: number;
  /** null while it lasts. */
  endMs: number | null;
  failed: number;
  outcomes: OutcomeCounts;
}

const OUTAGES_MAX = 1000;
const BACKENDS_MAX = 100;
const BUCKET_MS = 0.1;

export interface TallyOptions {
  /** On the clock of the attempts: where the report begins. */
  readonly fromMs: number;
  /** Outages closer than this are one. */
  readonly mergeMs: number;
  /** Latencies above are counted as this much in the percentiles. */
  readonly latencyMsMax: number;
}

/** Adds attempts up. Needs them in the order of their starts; its memory does not grow with their number. */
export class OutageTally {
  readonly #options: TallyOptions;
  readonly #outages: OpenOutage[] = [];
  readonly #outcomes: OutcomeCounts = {};
  readonly #backends = new Map<string, number>();
  readonly #latencies: Uint32Array;
  #latencyMax = 0;
  #earlierOutages = 0;
  #earlierLongestMs = 0;
  #lastStartMs: number;
  #total = 0;
  #good = 0;
  #late = 0;

  constructor(options: TallyOptions) {
    this.#options = options;
    this.#lastStartMs = options.fromMs;
    this.#latencies = new Uint32Array(Math.ceil(options.latencyMsMax / BUCKET_MS) + 1);
  }

  add(attempt: Attempt): void {
    this.#total += 1;
    this.#lastStartMs = Math.max(this.#lastStartMs, attempt.startMs);
    count(this.#outcomes, attempt.outcome);
    if (attempt.late) this.#late += 1;
    if (attempt.outcome === "ok") this.#addGood(attempt);
    else this.#addFailed(attempt);
  }

  report(): OutageReport {
    const outages = this.#outages.map(({ startMs, endMs, failed, outcomes }) => ({
      startMs: round(startMs - this.#options.fromMs),
      lengthMs: round((endMs ?? this.#lastStartMs) - startMs),
      ended: endMs !== null,
      failed,
      outcomes: { ...outcomes },
    }));
    return {
      durationMs: round(this.#lastStartMs - this.#options.fromMs),
      total: this.#total,
      failed: this.#total - this.#good,
      outcomes: { ...this.#outcomes },
      backends: Object.fromEntries(this.#backends),
      outages,
      earlierOutages: this.#earlierOutages,
      longestOutageMs: Math.max(this.#earlierLongestMs, ...outages.map((outage) => outage.lengthMs)),
      latencyMs:
        this.#good === 0
          ? null
          : {
              p50: this.#percentile(0.5),
              p90: this.#percentile(0.9),
              p99: this.#percentile(0.99),
              max: round(this.#latencyMax),
            },
      late: this.#late,
    };
  }

  #addGood(attempt: Attempt): void {
    this.#good += 1;
    const latencyMs = attempt.endMs - attempt.startMs;
    this.#latencyMax = Math.max(this.#latencyMax, latencyMs);
    const bucket = Math.min(Math.floor(latencyMs / BUCKET_MS), this.#latencies.length - 1);
    this.#latencies[bucket] = (this.#latencies[bucket] ?? 0) + 1;
    const { backend } = attempt;
    if (backend !== null && (this.#backends.has(backend) || this.#backends.size < BACKENDS_MAX)) {
      this.#backends.set(backend, (this.#backends.get(backend) ?? 0) + 1);
    }
    const latest = this.#outages.at(-1);
    if (latest?.endMs === null) latest.endMs = attempt.startMs;
  }

  #addFailed(attempt: Attempt): void {
    const latest = this.#outages.at(-1);
    const goesOn =
      latest !== undefined &&
      (latest.endMs === null || attempt.startMs - latest.endMs < this.#options.mergeMs);
    if (goesOn) {
      latest.endMs = null;
      latest.failed += 1;
      count(latest.outcomes, attempt.outcome);
      return;
    }
    this.#outages.push({
      startMs: attempt.startMs,
      endMs: null,
      failed: 1,
      outcomes: { [attempt.outcome]: 1 },
    });
    if (this.#outages.length > OUTAGES_MAX) this.#forgetEarliest();
  }

  #forgetEarliest(): void {
    const earliest = this.#outages.shift();
    if (earliest === undefined || earliest.endMs === null) return;
    this.#earlierOutages += 1;
    const lengthMs = round(earliest.endMs - earliest.startMs);
    this.#earlierLongestMs = Math.max(this.#earlierLongestMs, lengthMs);
  }

  /** The upper edge of the bucket that holds this share of the good attempts (nearest rank). */
  #percentile(share: number): number {
    const rank = Math.ceil(share * this.#good);
    let seen = 0;
    for (const [bucket, here] of this.#latencies.entries()) {
      seen += here;
      if (seen >= rank) return round(Math.min((bucket + 1) * BUCKET_MS, this.#latencyMax));
    }
    return round(this.#latencyMax);
  }
}

function count(counts: OutcomeCounts, outcome: Outcome): void {
  counts[outcome] = (counts[outcome] ?? 0) + 1;
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
