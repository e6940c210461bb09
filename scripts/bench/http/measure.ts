// One measurement: a load on a proxy, and what it cost the proxy's processes. CPU time is what the scheduler counted
// for their threads, in nanoseconds, user and system together (/proc/PID/task/*/schedstat).

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Case } from "./cases.ts";
import type { ClientOrder, ClientReport } from "./client.ts";
import type { Proxy } from "./proxies.ts";
import type { Site } from "./site.ts";

interface Cost {
  /** Per request. */
  readonly cpuUs: number;
  /** For each second of CPU time, seconds in which something else had the core. */
  readonly waiting: number;
}

/** As fast as the proxy can. */
export interface FullLoad extends Cost {
  readonly requestsPerSecond: number;
}

/** At a fixed rate. */
export interface FixedLoad extends Cost {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface Load {
  readonly site: Site;
  readonly proxy: Proxy;
  readonly each: Case;
  readonly seconds: number;
}

const START_MS_MAX = 5000;

/** A closed loop: each connection asks again as soon as it has its answer. */
export async function measureFullLoad({ site, proxy, each, seconds }: Load): Promise<FullLoad> {
  if (each.kind === "websocket") {
    const { report, cost } = await runClient({ site, proxy, each, seconds }, null);
    return { ...cost, requestsPerSecond: report.requests / report.seconds };
  }
  const script = join(site.folder, `${each.name}.lua`);
  writeFileSync(script, renderWrkScript(each));
  const url = `http://127.0.0.1:${String(proxy.port)}${each.path}`;
  // wrk takes whole seconds only; it prints its report when it is interrupted, too.
  const command = ["wrk", "-t1", `-c${String(each.connections)}`, "-d1m", "-s", script, url];
  const before = usageOf(proxy);
  const text = await site.run(command, seconds * 1000);
  const after = usageOf(proxy);
  const requests = Number(/(\d+) requests in/u.exec(text)?.[1]);
  const requestsPerSecond = Number(/Requests\/sec:\s+([\d.]+)/u.exec(text)?.[1]);
  if (!(requests > 0) || /Non-2xx|Socket errors/u.test(text)) {
    throw new Error(`${proxy.name} failed requests (${each.title}):\n${text}`);
  }
  return { ...costOf(before, after, requests), requestsPerSecond };
}

/** An open loop at `rate` requests per second. */
export async function measureFixedLoad(load: Load, rate: number): Promise<FixedLoad> {
  const { report, cost } = await runClient(load, rate);
  return { ...cost, p50Ms: report.p50Ms, p99Ms: report.p99Ms };
}

async function runClient(
  { site, proxy, each, seconds }: Load,
  rate: number | null,
): Promise<{ readonly report: ClientReport; readonly cost: Cost }> {
  const { answer, ...rest } = each;
  const order: ClientOrder = { each: rest, answerBytes: answer.length, port: proxy.port, seconds, rate };
  const script = new URL("client.ts", import.meta.url).pathname;
  const before = usageOf(proxy);
  const text = await site.run(
    [process.execPath, script, JSON.stringify(order)],
    START_MS_MAX + seconds * 1000,
  );
  const after = usageOf(proxy);
  const report = JSON.parse(text === "" ? "{}" : text) as Partial<ClientReport>;
  if (!isWhole(report) || report.failures > 0) {
    throw new Error(`${proxy.name} failed requests (${each.title}): ${text}`);
  }
  return { report, cost: costOf(before, after, report.requests) };
}

function costOf(before: Usage, after: Usage, requests: number): Cost {
  const ranUs = after.ranUs - before.ranUs;
  return { cpuUs: ranUs / requests, waiting: (after.waitedUs - before.waitedUs) / ranUs };
}

function isWhole(report: Partial<ClientReport>): report is ClientReport {
  return report.requests !== undefined && report.requests > 0;
}

function renderWrkScript({ method, fields, body }: Case): string {
  const lines = [`wrk.method = "${method}"`];
  for (const [name, value] of Object.entries(fields)) lines.push(`wrk.headers["${name}"] = [[${value}]]`);
  if (body !== "") lines.push(`wrk.body = [[${body}]]`);
  return `${lines.join("\n")}\n`;
}

/** What the scheduler counted for all threads of a proxy. */
interface Usage {
  /** On a core. */
  readonly ranUs: number;
  /** Ready to run, while someone else had the core. */
  readonly waitedUs: number;
}

function usageOf(proxy: Proxy): Usage {
  const all = proxy.pids().map(usageOfProcess);
  return {
    ranUs: all.reduce((sum, { ranUs }) => sum + ranUs, 0),
    waitedUs: all.reduce((sum, { waitedUs }) => sum + waitedUs, 0),
  };
}

/** The process that has worked most: of a vipair the worker, because a spare one waits beside it. */
export function busiestOf(proxy: Proxy): number {
  const [busiest] = proxy.pids().toSorted((a, b) => usageOfProcess(b).ranUs - usageOfProcess(a).ranUs);
  if (busiest === undefined) throw new Error(`${proxy.name} has no process`);
  return busiest;
}

/** sched-stats.rst of the kernel: the first two fields of schedstat, in ns. */
function usageOfProcess(pid: number): Usage {
  let [ranNs, waitedNs] = [0, 0];
  const tasks = `/proc/${String(pid)}/task`;
  for (const task of readdirSync(tasks)) {
    const [ran, waited] = readFileSync(`${tasks}/${task}/schedstat`, "latin1").split(" ");
    ranNs += Number(ran);
    waitedNs += Number(waited);
  }
  return { ranUs: ranNs / 1000, waitedUs: waitedNs / 1000 };
}
