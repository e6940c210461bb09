// The words of `vipair probe`: what the meter measured, for someone who has never seen the program. Stands
// apart from the command so that the sentences can be tested on paper.

import type { OpenLoopReport } from "./open-loop-client.ts";
import type { Outage, Outcome, OutcomeCounts } from "./outage.ts";

/** How many outages a report lists; the latest. */
const LISTED_MAX = 20;
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

const FAILED_BECAUSE: Readonly<Record<Exclude<Outcome, "ok">, string>> = {
  timeout: "timed out",
  refused: "refused",
  reset: "cut off",
  unreachable: "unreachable",
  "bad-status": "answered with an error",
  "bad-response": "answered with garbage or half an answer",
  "bad-tls": "failed in the TLS handshake",
  error: "failed otherwise",
};

export interface ProbeEnd {
  readonly report: OpenLoopReport;
  /** Wall clock, milliseconds since 1970. */
  readonly startedAtMs: number;
  readonly isTls: boolean;
  readonly insecure: boolean;
}

/** `14:03:22  up    12500 requests  58 failed  1 outage  p50 0.9 ms  p99 2.1 ms`; the latencies are the last second's. */
export function describeMoment({
  whole,
  second,
  nowMs,
}: {
  readonly whole: OpenLoopReport;
  readonly second: OpenLoopReport;
  /** Wall clock. */
  readonly nowMs: number;
}): string {
  const latest = whole.outages.at(-1);
  const state = whole.total === 0 ? "..." : latest?.ended === false ? "DOWN" : "up";
  const count = whole.earlierOutages + whole.outages.length;
  return [
    clockTime(nowMs).slice(0, -".000".length),
    state.padEnd(4),
    plural(whole.total, "request"),
    `${String(whole.failed)} failed`,
    plural(count, "outage"),
    latest?.ended === false
      ? `away for ${formatLength(latest.lengthMs)}`
      : second.latencyMs === null
        ? ""
        : `p50 ${tenths(second.latencyMs.p50)} ms  p99 ${tenths(second.latencyMs.p99)} ms`,
  ]
    .join("  ")
    .trimEnd();
}

/** `outage 1: began 14:03:22.417, lasted 612 ms, 58 requests failed (47 timed out, 11 refused)` */
export function describeOutage(
  { startMs, lengthMs, ended, failed, outcomes }: Outage,
  { number, startedAtMs }: { readonly number: number; readonly startedAtMs: number },
): string {
  const length = ended ? `lasted ${formatLength(lengthMs)}` : `not over after ${formatLength(lengthMs)}`;
  const began = clockTime(startedAtMs + startMs);
  return `outage ${String(number)}: began ${began}, ${length}, ${plural(failed, "request")} failed (${formatOutcomes(outcomes)})`;
}

/** The report at the end, several lines. */
export function describeReport({ report, startedAtMs, isTls, insecure }: ProbeEnd): string {
  const { outages, earlierOutages, total, failed, latencyMs, stalledMs, missed } = report;
  const hidden = Math.max(0, outages.length - LISTED_MAX);
  const lines = outages
    .slice(hidden)
    .map((outage, index) =>
      describeOutage(outage, { number: earlierOutages + hidden + index + 1, startedAtMs }),
    );
  if (earlierOutages + hidden > 0)
    lines.unshift(`(outages 1 to ${String(earlierOutages + hidden)} are not listed)`);
  const count = earlierOutages + outages.length;
  lines.push(
    count === 0
      ? "no outage"
      : `${plural(count, "outage")}, the longest ${formatLength(report.longestOutageMs)}`,
    `whole run: ${formatLength(report.durationMs)}, ${plural(total, "request")}, ${String(failed)} failed, ` +
      `availability ${availabilityOf(report).toFixed(3)} %`,
    latencyMs === null
      ? "latency: nothing ever answered"
      : `latency of good requests: p50 ${tenths(latencyMs.p50)} ms, p90 ${tenths(latencyMs.p90)} ms, ` +
          `p99 ${tenths(latencyMs.p99)} ms, max ${tenths(latencyMs.max)} ms`,
  );
  if (report.lastProblem !== null) lines.push(`last problem: ${report.lastProblem}`);
  if (isTls && !insecure && (report.outcomes["bad-tls"] ?? 0) > 0) {
    lines.push("To accept any certificate, a self-signed one for example, add --insecure.");
  }
  if (stalledMs > 0) {
    lines.push(
      `note: this machine itself was held up for ${formatLength(stalledMs)} in all` +
        `${missed === 0 ? "" : ` and left out ${plural(missed, "request")}`}; figures may be wrong by as much`,
    );
  }
  return lines.join("\n");
}

/** For programs; times in milliseconds, moments in ISO 8601. */
export function summarize({ report, startedAtMs }: ProbeEnd): object {
  const { outages, ...figures } = report;
  return {
    startedAt: new Date(startedAtMs).toISOString(),
    availabilityPercent: availabilityOf(report),
    ...figures,
    outages: outages.map((outage) => ({
      beganAt: new Date(startedAtMs + outage.startMs).toISOString(),
      ...outage,
    })),
  };
}

/** Share of the requests that were answered; rounded down, so that 100 means all of them. */
function availabilityOf({ total, failed }: OpenLoopReport): number {
  return total === 0 ? 0 : Math.floor(((total - failed) * 100_000) / total) / 1_000;
}

/** Largest number first: "47 timed out, 11 refused". */
function formatOutcomes(outcomes: OutcomeCounts): string {
  return outcomeNames
    .map((outcome) => ({ outcome, times: outcomes[outcome] ?? 0 }))
    .filter(({ times }) => times > 0)
    .toSorted((one, other) => other.times - one.times)
    .map(({ outcome, times }) => `${String(times)} ${FAILED_BECAUSE[outcome]}`)
    .join(", ");
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a Record with these keys
const outcomeNames = Object.keys(FAILED_BECAUSE) as (keyof typeof FAILED_BECAUSE)[];

/** `612 ms`, `12.3 s`, `2 min 5 s`, `3 h 20 min`. Milliseconds up to ten seconds, because outages are compared by them. */
function formatLength(ms: number): string {
  if (ms < 10 * SECOND_MS) return `${String(Math.round(ms))} ms`;
  if (ms < MINUTE_MS) return `${tenths(ms / SECOND_MS)} s`;
  const minutes = Math.floor(ms / MINUTE_MS);
  if (minutes < 60) return `${String(minutes)} min ${String(Math.floor((ms % MINUTE_MS) / SECOND_MS))} s`;
  return `${String(Math.floor(minutes / 60))} h ${String(minutes % 60)} min`;
}

/** Local time of day, to be compared with a clock on the wall: 14:03:22.417 */
function clockTime(wallMs: number): string {
  const moment = new Date(wallMs);
  const [hours, minutes, seconds] = [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(
    (part) => String(part).padStart(2, "0"),
  );
  return `${hours ?? ""}:${minutes ?? ""}:${seconds ?? ""}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
}

function tenths(value: number): string {
  return value.toFixed(1);
}

function plural(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? "" : "s"}`;
}
