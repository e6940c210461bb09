// What routes cost a small GET: a vipair with one route beside some with fifty, of which the last one matches, in turns
// in one run. CPU time of the worker; the ratio of each round by itself, because the rounds of a busy machine differ.
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
const ROUNDS = 15;
const SECONDS = 0.8;
const WARM_UP_SECONDS = 3;

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
  { name: "1 route", isGoal: false, routes: [LAST] },
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

interface Measured {
  readonly each: Table;
  readonly proxy: Proxy;
  readonly costs: number[];
}

async function measure(site: Site): Promise<readonly Measured[]> {
  const [each] = CASES;
  if (each === undefined) throw new Error("there is no small GET");
  const backends = await startBackends(site);
  const all: Measured[] = [];
  for (const one of TABLES) {
    const proxy = await startVipairWith(one.routes, { site, backends });
    await checkAnswers(proxy.port, each);
    await measureFullLoad({ site, proxy, each, seconds: WARM_UP_SECONDS });
    all.push({ each: one, proxy, costs: [] });
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { proxy, costs } of all) {
      costs.push((await measureFullLoad({ site, proxy, each, seconds: SECONDS })).cpuUs);
    }
  }
  return all;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

const site = new Site();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void site.close().then(() => process.exit(130)));
}
try {
  const measured = await measure(site);
  const base = measured[0]?.costs ?? [];
  const rows = measured.map(({ each, costs }) => ({
    each,
    costUs: median(costs),
    ratio: median(costs.map((cost, round) => cost / (base[round] ?? NaN))),
  }));
  const text = [
    `CPU time of the worker per small GET, the last route matching; medians of ${String(ROUNDS)} rounds of ${String(SECONDS)} s, the ratio that of each round. The goal is at most ${GOAL.toFixed(2)}. Node ${process.versions.node}.`,
    [
      "| routes | µs | ratio | goal |",
      "|---|---:|---:|---|",
      ...rows.map(({ each, costUs, ratio }) => {
        const goal = each.isGoal ? (ratio <= GOAL ? "reached" : "missed") : "";
        return `| ${each.name} | ${costUs.toFixed(1)} | ${ratio.toFixed(2)} | ${goal} |`;
      }),
    ].join("\n"),
  ].join("\n\n");
  console.log(text);
  if (process.argv.includes("--write")) {
    const page = readFileSync(PAGE, "utf8");
    const [start, end] = [page.indexOf(START), page.indexOf(END)];
    if (start === -1 || end < start) throw new Error(`docs/performance.md has no "${START}" before "${END}"`);
    const written = `${page.slice(0, start)}${START}\n\n${text}\n\n${page.slice(end)}`;
    writeFileSync(PAGE, await format(written, { parser: "markdown", printWidth: 110 }));
  }
  process.exitCode = rows.some(({ each, ratio }) => each.isGoal && ratio > GOAL) ? 1 : 0;
} finally {
  await site.close();
}
