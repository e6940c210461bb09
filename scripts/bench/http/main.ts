// One run of the benchmark: starts backends and proxies, checks and measures them in turns, prints the report and,
// when everything was measured, writes it to docs/performance.md.

import { setTimeout as sleep } from "node:timers/promises";
import { writeFigures } from "../figures.ts";
import { type Backends, startBackends } from "./backends.ts";
import { CASES, type Case } from "./cases.ts";
import { checkAnswers, checkFeatures } from "./check.ts";
import { type FixedLoad, type FullLoad, busiestOf, measureFixedLoad, measureFullLoad } from "./measure.ts";
import { type Options, USAGE, readOptions } from "./options.ts";
import { type Proxy, describeVersion, startProxy } from "./proxies.ts";
import { profile } from "./profile.ts";
import { type Report, renderReport } from "./report.ts";
import { Site } from "./site.ts";

/** What was measured of one proxy in one case. */
interface Results {
  readonly proxy: Proxy;
  readonly full: FullLoad[];
  readonly fixed: FixedLoad[];
  failure: string | null;
}

async function run(site: Site, options: Options): Promise<Report> {
  const backends = await startBackends(site);
  const { proxies, rounds, seconds } = options;
  const versions = proxies.map((name) => ({ name, version: describeVersion(name) }));
  const plain = await startAll(site, backends, options, false);
  const report: Report = { proxies: versions, rounds, seconds, cases: [] };
  for (const each of options.cases) {
    const those = each.hasAccessLog ? await startAll(site, backends, options, true) : plain;
    const results = await measureCase(site, each, those, options);
    const rate = options.rate ?? halfOfSlowest(results);
    await measureRounds(site, each, results, { ...options, rate });
    report.cases.push({
      each,
      rate,
      floor: await measureFloor(site, each, backends, { ...options, rate }),
      results: results.map(({ proxy, full, fixed, failure }) => ({ name: proxy.name, full, fixed, failure })),
    });
  }
  return report;
}

async function runProfile(site: Site, options: Options, file: string): Promise<string> {
  const backends = await startBackends(site);
  const [each] = options.cases;
  const [proxy] = await startAll(site, backends, { ...options, proxies: ["vipair"] }, false);
  const [worker] = proxy?.pids() ?? [];
  if (each === undefined || proxy === undefined || worker === undefined)
    throw new Error("there is no worker");
  const { seconds } = options;
  await measureFullLoad({ site, proxy, each, seconds: options.warmUpSeconds });
  return profile(busiestOf(proxy), file, () => measureFullLoad({ site, proxy, each, seconds }));
}

async function startAll(
  site: Site,
  backends: Backends,
  options: Options,
  hasAccessLog: boolean,
): Promise<readonly Proxy[]> {
  const [small] = CASES;
  const started: Proxy[] = [];
  for (const name of options.proxies) {
    const proxy = await startProxy(name, { site, backends, hasAccessLog });
    if (small !== undefined) {
      await checkFeatures(proxy.port, small).catch((cause: unknown) => {
        throw new Error(`${name} does not do what the others do`, { cause });
      });
    }
    started.push(proxy);
  }
  // Whatever the first case is, none of them meets code that was never optimized.
  for (const proxy of started) {
    if (small !== undefined)
      await measureFullLoad({ site, proxy, each: small, seconds: options.warmUpSeconds * 2 });
  }
  return started;
}

/** Checks and warms up; what was seen then sets the rate. */
async function measureCase(
  site: Site,
  each: Case,
  proxies: readonly Proxy[],
  { warmUpSeconds }: Options,
): Promise<readonly Results[]> {
  const all: Results[] = [];
  for (const proxy of proxies) {
    const results: Results = { proxy, full: [], fixed: [], failure: null };
    await attempt(results, each, async () => {
      await checkAnswers(proxy.port, each);
      results.full.push(await measureFullLoad({ site, proxy, each, seconds: warmUpSeconds }));
    });
    all.push(results);
  }
  return all;
}

function halfOfSlowest(all: readonly Results[]): number {
  const rates = all.flatMap(({ full }) => full.map(({ requestsPerSecond }) => requestsPerSecond));
  return Math.max(1, Math.round(Math.min(...rates) / 2));
}

async function measureRounds(
  site: Site,
  each: Case,
  all: readonly Results[],
  { rounds, seconds, rate }: Options & { readonly rate: number },
): Promise<void> {
  for (const results of all) results.full.length = 0;
  for (let round = 0; round < rounds; round += 1) {
    for (const results of all) {
      const { proxy } = results;
      await attempt(results, each, async () => {
        await checkAnswers(proxy.port, each);
        results.full.push(await measureFullLoad({ site, proxy, each, seconds }));
      });
    }
    for (const results of all) {
      const { proxy } = results;
      await attempt(results, each, async () => {
        results.fixed.push(await measureFixedLoad({ site, proxy, each, seconds }, rate));
      });
    }
  }
}

/** What clients and backends alone take at that rate. */
async function measureFloor(
  site: Site,
  each: Case,
  { web, echo }: Backends,
  { rounds, seconds, rate }: Options & { readonly rate: number },
): Promise<readonly FixedLoad[]> {
  const [port = 0] = each.kind === "websocket" ? echo : web;
  const proxy = { name: "no proxy", port, pids: () => [] };
  const floor: FixedLoad[] = [];
  for (let round = 0; round < rounds; round += 1) {
    floor.push(await measureFixedLoad({ site, proxy, each, seconds }, rate));
  }
  return floor;
}

/** A proxy that fails once is out of the case, and the report says so. */
async function attempt(results: Results, each: Case, work: () => Promise<void>): Promise<void> {
  if (results.failure !== null) return;
  try {
    await work();
  } catch (error) {
    results.failure = error instanceof Error ? error.message : String(error);
    console.error(`${results.proxy.name}, ${each.title}: ${results.failure}`);
  }
  // What the last load left behind (closed connections, garbage) is not the next one's.
  await sleep(30);
}

const reading = readOptions();
if (reading === "help") {
  process.stdout.write(USAGE);
} else if (reading.kind === "invalid") {
  console.error(`http.sh: ${reading.problem}; scripts/bench/http.sh --help lists the options`);
  process.exitCode = 2;
} else {
  const { options } = reading;
  const site = new Site();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void site.close().then(() => process.exit(130)));
  }
  try {
    if (options.profileFile === null) {
      const report = await run(site, options);
      process.stdout.write(renderReport(report));
      if (options.writes) await writeFigures("scripts/bench/http.sh", renderReport(report));
    } else {
      process.stdout.write(await runProfile(site, options, options.profileFile));
    }
  } finally {
    await site.close();
  }
}
