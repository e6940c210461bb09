// What routes cost a small GET, in two ways. The time that finding the route takes, in this process, can be told apart from
// all else, but has all caches for itself. And a vipair with one route beside some with fifty, of which the last one
// matches, in turns in one run: CPU time of the worker, the quickest round of each, because what else runs on the machine
// only ever adds. Every few rounds all of them are started anew, because two processes that do the same differ too, for as
// long as they live; how much is left of all that shows the second vipair with one route.
// Needs what scripts/bench/http.sh needs, and two processor cores.
//   node scripts/bench/routes.ts            prints; exit 1 when the goal is missed
//   node scripts/bench/routes.ts --write    writes docs/performance.md

import { parseConfig } from "../../src/config/parse.ts";
import { compileRoutes, factsOf, findRoute } from "../../src/routing/route.ts";
import { writeFigures } from "./figures.ts";
import { startBackends } from "./http/backends.ts";
import { CASES } from "./http/cases.ts";
import { checkAnswers } from "./http/check.ts";
import { measureFullLoad } from "./http/measure.ts";
import { type Proxy, startVipairWith } from "./http/proxies.ts";
import { Site } from "./http/site.ts";

/** Of the cost of a small GET. */
const GOAL = 0.1;
const FINDS = 20_000;
const FIND_ROUNDS = 25;
const ROUTES = 50;
const GENERATIONS = 3;
/** Of each generation. */
const ROUNDS = 5;
const SECONDS = 0.8;
const WARM_UP_SECONDS = 2;
/** On a machine that stands still for seconds, a start or a request may be too slow to be counted. */
const TRIES = 4;

const LAST = "{ pool: web }";

/** What a match of route number `n` is, and no request of this benchmark. */
const HOST = (n: number) => `host: app${String(n)}.example.lan`;
const WILDCARD = (n: number) => `host: "*.team${String(n)}.example.lan"`;
const PATH = (n: number) => `path: /api/v1/resource${String(n)}`;
const METHOD = (n: number) => `method: [PUT, PATCH], path: /upload${String(n)}`;
const HEADER = (n: number) => `header: { x-feature-${String(n)}: on }`;
const COOKIE = (n: number) => `cookie: { group: g${String(n)} }`;
const QUERY = (n: number) => `query: { version: "${String(n)}" }`;
const CLIENT = (n: number) => `client: 10.${String(n)}.0.0/16`;
const LANGUAGE = (n: number) => `language: de-${String(100 + n)}`;
const REGEX = (n: number) => `path: { regex: "^/report${String(n)}/[0-9]+$" }`;

interface Table {
  readonly name: string;
  readonly routes: readonly string[];
}

function table(name: string, ...kinds: readonly ((n: number) => string)[]): Table {
  const matches = Array.from({ length: ROUTES - 1 }, (_, n) => (kinds[n % kinds.length] ?? PATH)(n));
  return { name, routes: [...matches.map((match) => `{ match: { ${match} }, pool: echo }`), LAST] };
}

const TABLES: readonly Table[] = [
  { name: "1", routes: [LAST] },
  { name: "1, once more", routes: [LAST] },
  table("50 by host", HOST, WILDCARD),
  table("50 by path", PATH),
  table(
    "50 by a path, some with a host, method, header, cookie or client",
    PATH,
    METHOD,
    (n) => `${PATH(n)}, ${HOST(n)}`,
    (n) => `${PATH(n)}, ${HEADER(n)}`,
    (n) => `${PATH(n)}, ${COOKIE(n)}`,
    (n) => `${PATH(n)}, ${CLIENT(n)}`,
  ),
  table("50 by a header alone", HEADER),
  table(
    "50 by a header, cookie, parameter, client or language alone",
    HEADER,
    COOKIE,
    QUERY,
    CLIENT,
    LANGUAGE,
  ),
  table("50 by an expression", REGEX),
];

/** What each table cost in each round, in µs per request. */
type Costs = readonly number[][];

async function measureGeneration(site: Site, costs: Costs): Promise<void> {
  const [each] = CASES;
  if (each === undefined) throw new Error("there is no small GET");
  const backends = await startBackends(site);
  const proxies: Proxy[] = [];
  for (const { routes } of TABLES) {
    const proxy = await insist(() => startVipairWith(routes, { site, backends }));
    await checkAnswers(proxy.port, each);
    await insist(() => measureFullLoad({ site, proxy, each, seconds: WARM_UP_SECONDS }));
    proxies.push(proxy);
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, proxy] of proxies.entries()) {
      const { cpuUs } = await insist(() => measureFullLoad({ site, proxy, each, seconds: SECONDS }));
      costs[index]?.push(cpuUs);
    }
  }
}

async function insist<T>(work: () => Promise<T>, tries = TRIES): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (tries === 1) throw error;
    return insist(work, tries - 1);
  }
}

/** Microseconds that finding the route of a small GET takes. */
function findCostUs({ routes }: Table): number {
  const yaml = `
listeners: [{ name: web, bind: "127.0.0.1:80", routes: [${routes.join(", ")}] }]
pools: { web: { backends: ["127.0.0.1:81"] }, echo: { backends: ["127.0.0.1:82"] } }
`;
  const parsed = parseConfig(yaml, "routes");
  if (parsed.kind === "invalid") throw new Error(JSON.stringify(parsed.errors));
  const compiled = compileRoutes(parsed.config.listeners[0]?.routes ?? []);
  const fields = { list: [{ name: "Host", value: "127.0.0.1:8080" }] };
  const head = { method: "GET", authority: "127.0.0.1:8080", target: "/small", fields };
  const figures = Array.from({ length: FIND_ROUNDS }, () => {
    const before = process.cpuUsage();
    for (let i = 0; i < FINDS; i += 1) {
      const route = findRoute(compiled, factsOf(compiled, head, { clientAddress: "127.0.0.1" }));
      if (route === null) throw new Error("no route was found");
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / FINDS;
  });
  return Math.min(...figures);
}

interface Row {
  readonly table: Table;
  readonly costUs: number;
  /** More than with one route. */
  readonly findUs: number;
}

interface Summary {
  readonly rows: readonly Row[];
  readonly baseUs: number;
  /** How far apart the two with one route are, of the quicker one. */
  readonly noise: number;
}

function summarize(costs: Costs): Summary {
  const alone = findCostUs({ name: "1", routes: [LAST] });
  const rows = TABLES.map((each, index) => ({
    table: each,
    costUs: Math.min(...(costs[index] ?? [])),
    findUs: findCostUs(each) - alone,
  }));
  const bases = rows.slice(0, 2).map(({ costUs }) => costUs);
  const baseUs = Math.min(...bases);
  return { rows, baseUs, noise: Math.max(...bases) / baseUs - 1 };
}

function isMissed({ costUs, findUs }: Row, { baseUs, noise }: Summary): boolean {
  return findUs > GOAL * baseUs || costUs > (1 + GOAL + noise) * baseUs;
}

function render(summary: Summary): string {
  const { rows, baseUs } = summary;
  const lines = rows.map((row) => {
    const { table: each, costUs, findUs } = row;
    const isBase = each.routes.length === 1;
    const find = isBase ? "" : `${findUs.toFixed(2)} (${((findUs / baseUs) * 100).toFixed(1)} %)`;
    const goal = isBase ? "" : isMissed(row, summary) ? "missed" : "reached";
    return `| ${each.name} | ${find} | ${costUs.toFixed(1)} | ${(costUs / baseUs).toFixed(2)} | ${goal} |`;
  });
  return [
    `Finding the route: µs of processor time more than with one route, and of what a small GET costs in all; the quickest of ${String(FIND_ROUNDS)} rounds of ${String(FINDS)}. ` +
      `The whole request: µs of the worker, the quickest of ${String(GENERATIONS)} × ${String(ROUNDS)} rounds of ${String(SECONDS)} s. The goal is at most ${String(GOAL * 100)} % more, by the one and by the other, there beside what the two with one route differ. Node ${process.versions.node}.`,
    ["| routes | finding one | whole request | ratio | goal |", "|---|---:|---:|---:|---|", ...lines].join(
      "\n",
    ),
  ].join("\n\n");
}

const costs: Costs = TABLES.map(() => []);
let site: Site | null = null;
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void (site?.close() ?? Promise.resolve()).then(() => process.exit(130)));
for (let generation = 0; generation < GENERATIONS; generation += 1) {
  site = new Site();
  try {
    await measureGeneration(site, costs);
  } finally {
    await site.close();
  }
}
const summary = summarize(costs);
const text = render(summary);
console.log(text);
if (process.argv.includes("--write")) await writeFigures("scripts/bench/routes.ts", text);
process.exitCode = summary.rows.some((row) => isMissed(row, summary)) ? 1 : 0;
