// The figures of a run as Markdown: what docs/performance.md shows. Medians of the rounds, and
// ratios of those medians to HAProxy's.

import { arch, cpus, release } from "node:os";
import type { Case } from "./cases.ts";
import type { FixedLoad, FullLoad } from "./measure.ts";

export interface Report {
  readonly proxies: readonly { readonly name: string; readonly version: string }[];
  readonly rounds: number;
  readonly seconds: number;
  readonly cases: CaseReport[];
}

interface CaseReport {
  readonly each: Case;
  /** The fixed rate, in requests per second. */
  readonly rate: number;
  /** The same load on a backend itself. */
  readonly floor: readonly FixedLoad[];
  readonly results: readonly ProxyReport[];
}

interface ProxyReport {
  readonly name: string;
  readonly full: readonly FullLoad[];
  readonly fixed: readonly FixedLoad[];
  /** Why there are no figures; null: there are. */
  readonly failure: string | null;
}

const YARDSTICK = "HAProxy";
/** Above this, the caches are someone else's as often as the proxy's, and latencies are those of the other work. */
const WAITING_MAX = 0.1;

/** As Markdown. */
export function renderReport(report: Report): string {
  const { proxies, rounds, seconds } = report;
  const names = proxies.map(({ name, version }) => `${name} (${version})`).join(", ");
  const [cpu] = cpus();
  return `${[
    `Medians of ${rounds === 1 ? "one round" : `${String(rounds)} rounds`}, ${String(seconds)} s per load: ${names}. Node ${process.versions.node}, ` +
      `Linux ${release()}, ${arch()}, ${String(cpus().length)} cores of ${cpu?.model.trim() ?? "unknown kind"}. ${describeDisturbance(report)}`,
    renderGoals(report),
    "CPU time of the proxy per request (WebSocket: per message and its echo), in µs, as fast as it goes; in brackets the ratio to HAProxy:",
    renderTable(report, "", ({ full }, haproxy) => {
      const cost = median(full, ({ cpuUs }) => cpuUs);
      return `${figure(cost)} (${figure(cost / median(haproxy?.full ?? [], ({ cpuUs }) => cpuUs))})`;
    }),
    "Requests per second with one core, as fast as it goes. Clients and backends share the other core and are the limit of the fastest proxies:",
    renderTable(report, "", ({ full }) => median(full, (load) => load.requestsPerSecond).toFixed(0)),
    "p50 / p99 in ms at a fixed rate, the same for all, from the moment a request was due; and CPU time per request in µs at that rate. " +
      "“No proxy” is what clients and backends take by themselves:",
    renderTable(
      report,
      "rate",
      ({ fixed }) => `${latency(fixed)}; ${figure(median(fixed, ({ cpuUs }) => cpuUs))}`,
      ({ rate, floor }) => [`${String(rate)}/s`, latency(floor)],
    ),
  ].join("\n\n")}\n`;
}

/** HAProxy has one thread: what it waits for is not itself. */
function describeDisturbance({ cases }: Report): string {
  const loads = cases.flatMap(({ results }) => results.find(({ name }) => name === YARDSTICK)?.full ?? []);
  if (loads.length === 0) return "";
  const share = median(loads, ({ waiting }) => waiting);
  const text = `For each second that HAProxy worked, something else on the machine kept it waiting for ${share.toFixed(2)} s.`;
  return share > WAITING_MAX ? `${text} **That is too much: take the figures as provisional.**` : text;
}

function renderTable(
  { proxies, cases }: Report,
  extra: "" | "rate",
  cell: (result: ProxyReport, yardstick: ProxyReport | undefined) => string,
  extraCells: (each: CaseReport) => string[] = () => [],
): string {
  const names = proxies.map(({ name }) => name);
  const rows = [["case", ...(extra === "" ? [] : [extra, "no proxy"]), ...names]];
  for (const each of cases) {
    const haproxy = each.results.find(({ name }) => name === YARDSTICK);
    const cells = names.map((name) => {
      const result = each.results.find((one) => one.name === name);
      return result?.failure === null ? cell(result, haproxy) : "failed";
    });
    rows.push([each.each.title, ...extraCells(each), ...cells]);
  }
  return renderRows(rows);
}

/** What issue and decisions ask of vipair, and what it reached in this run. */
function renderGoals({ cases }: Report): string {
  const cost = (name: string) => (proxy: string) => {
    const each = cases.find((one) => one.each.name === name);
    return median(each?.results.find((one) => one.name === proxy)?.full ?? [], ({ cpuUs }) => cpuUs);
  };
  const p99 = (proxy: string): number => {
    const small = cases.find((one) => one.each.name === "small");
    return median(small?.results.find((one) => one.name === proxy)?.fixed ?? [], ({ p99Ms }) => p99Ms);
  };
  const [small, large, connect] = [cost("small"), cost("1m"), cost("connect")];
  const goals = [
    ["CPU per small GET, to HAProxy's", "at most 1.5", small("vipair") / small(YARDSTICK)],
    ["CPU per small GET, to http-proxy's", "at most 0.25", small("vipair") / small("http-proxy")],
    ["p99 of small GETs at the same rate, to HAProxy's", "at most 2", p99("vipair") / p99(YARDSTICK)],
    [
      "bytes per CPU second, responses of 1 MiB, to HAProxy's",
      "at least 0.6",
      large(YARDSTICK) / large("vipair"),
    ],
    ["new connections per CPU second, to HAProxy's", "at least 0.5", connect(YARDSTICK) / connect("vipair")],
  ] as const;
  const rows = goals.map(([what, goal, reached]) => [what, goal, figure(reached)]);
  return renderRows([["vipair", "goal", "reached"], ...rows]);
}

function renderRows(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => `| ${row.map((text, i) => text.padEnd(widths[i] ?? 0)).join(" | ")} |`);
  lines.splice(1, 0, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`);
  return lines.join("\n");
}

function latency(loads: readonly FixedLoad[]): string {
  return `${median(loads, ({ p50Ms }) => p50Ms).toFixed(2)} / ${median(loads, ({ p99Ms }) => p99Ms).toFixed(2)}`;
}

/** Three digits that mean something. */
function figure(value: number): string {
  if (!Number.isFinite(value)) return "-";
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}

function median<T>(items: readonly T[], valueOf: (item: T) => number): number {
  const sorted = items.map(valueOf).toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  if (sorted.length % 2 === 1) return sorted[middle] ?? NaN;
  return ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}
