// What routes cost a small GET: a vipair with one route beside some with fifty, of which the last one matches, in turns
// in one run. CPU time of the worker, the quickest round of each: what else runs on the machine only ever adds. Every few
// rounds all of them are started anew, because two processes that do the same differ too, for as long as they live. How
// much is left of all that shows the second vipair with one route.
// Needs what scripts/bench/http.sh needs, and two processor cores.
//   node scripts/bench/routes.ts            prints; exit 1 when routes that the goal is about miss it
//   node scripts/bench/routes.ts --write    writes docs/performance.md

import { readFileSync, writeFileSync } from "node:fs";
import { format } from "prettier";
import { startBackends } from "./http/backends.ts";
import { CASES } from "./http/cases.ts";
import { checkAnswers } from "./http/check.ts";
import { measureFullLoad } from "./http/measure.ts";
import { type Proxy, startVipairWith } from "./http/proxies.ts";
import { Site } from "./http/site.ts";

const GOAL = 1.1;
const ROUTES = 50;
const GENERATIONS = 3;
/** Of each generation. */
const ROUNDS = 5;
const SECONDS = 0.8;
const WARM_UP_SECONDS = 2;
/** On a machine that stands still for seconds, a start or a request may be too slow to be counted. */
const TRIES = 4;

const PAGE = new URL("../../docs/performance.md", import.meta.url);
const START = "<!-- figures: scripts/bench/routes.ts -->";
const END = "<!-- end of figures: routes -->";

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
const LANGUAGE = (n: number) => `language: ${["de", "fr", "it", "es"][n % 4] ?? "pl"}`;
const REGEX = (n: number) => `path: { regex: "^/report${String(n)}/[0-9]+$" }`;

interface Table {
  readonly name: string;
  readonly isGoal: boolean;
  readonly routes: readonly string[];
}

function table(name: string, kinds: readonly ((n: number) => string)[], { isGoal = true } = {}): Table {
  const matches = Array.from({ length: ROUTES - 1 }, (_, n) => (kinds[n % kinds.length] ?? PATH)(n));
  return { name, isGoal, routes: [...matches.map((match) => `{ match: { ${match} }, pool: echo }`), LAST] };
}

const TABLES: readonly Table[] = [
  { name: "1", isGoal: false, routes: [LAST] },
  { name: "1, once more", isGoal: false, routes: [LAST] },
  table("50 by host", [HOST, WILDCARD]),
  table("50 by path", [PATH]),
  table("50 by a path, some with a host, method, header, cookie or client", [
    PATH,
    METHOD,
    (n) => `${PATH(n)}, ${HOST(n)}`,
    (n) => `${PATH(n)}, ${HEADER(n)}`,
    (n) => `${PATH(n)}, ${COOKIE(n)}`,
    (n) => `${PATH(n)}, ${CLIENT(n)}`,
  ]),
  table(
    "50 by a header, cookie, parameter, client or language alone",
    [HEADER, COOKIE, QUERY, CLIENT, LANGUAGE],
    {
      isGoal: false,
    },
  ),
  table("50 by an expression", [REGEX], { isGoal: false }),
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

function render(costs: Costs): string {
  const rows = TABLES.map(({ name, isGoal }, index) => {
    const ratio = ratioOf(costs, index);
    const goal = isGoal ? (ratio <= GOAL ? "reached" : "missed") : "";
    return `| ${name} | ${Math.min(...(costs[index] ?? [])).toFixed(1)} | ${ratio.toFixed(2)} | ${goal} |`;
  });
  return [
    `CPU time of the worker per small GET, the last route matching; the quickest of ${String(GENERATIONS)} × ${String(ROUNDS)} rounds of ${String(SECONDS)} s. The goal is at most ${GOAL.toFixed(2)}. Node ${process.versions.node}.`,
    ["| routes | µs | ratio | goal |", "|---|---:|---:|---|", ...rows].join("\n"),
  ].join("\n\n");
}

/** To one route. */
function ratioOf(costs: Costs, index: number): number {
  return Math.min(...(costs[index] ?? [])) / Math.min(...(costs[0] ?? []));
}

async function write(text: string): Promise<void> {
  const page = readFileSync(PAGE, "utf8");
  const [start, end] = [page.indexOf(START), page.indexOf(END)];
  if (start === -1 || end < start) throw new Error(`docs/performance.md has no "${START}" before "${END}"`);
  const written = `${page.slice(0, start)}${START}\n\n${text}\n\n${page.slice(end)}`;
  writeFileSync(PAGE, await format(written, { parser: "markdown", printWidth: 110 }));
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
const text = render(costs);
console.log(text);
if (process.argv.includes("--write")) await write(text);
process.exitCode = TABLES.some(({ isGoal }, index) => isGoal && ratioOf(costs, index) > GOAL) ? 1 : 0;
