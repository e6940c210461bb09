// What it costs to choose a backend, for each policy: among 100 that are up, with half of them down, and for a request
// that one of them has failed already. Processor time, so that other work on the machine counts little.
//   node scripts/bench/policies.ts            prints; exit 1 when a policy misses the goal
//   node scripts/bench/policies.ts --write    writes docs/performance.md

import type { BalanceConfig } from "../../src/config/balance-config.ts";
import type { Asker, Moment } from "../../src/routing/policies.ts";
import { type Candidate, type PoolHealth, chooseBackend, configurePool } from "../../src/routing/pool.ts";
import { type BackendLoad, createLoad } from "../../src/routing/response-time.ts";
import { writeFigures } from "./figures.ts";

const GOAL_NS = 1000;
const BACKENDS = 100;
const CHOICES = 20_000;
const ROUNDS = 25;

const POLICIES: readonly BalanceConfig[] = [
  { kind: "round-robin" },
  { kind: "least-connections" },
  { kind: "least-response-time" },
  { kind: "random" },
  { kind: "first" },
  { kind: "source-hash" },
  { kind: "uri-hash", query: false },
  { kind: "header-hash", header: "x-user" },
  { kind: "cookie-hash", cookie: "session" },
];

const NAMES = Array.from({ length: BACKENDS }, (_, i) => `192.168.1.${String(i)}:8080`);

const CASES: readonly {
  readonly name: string;
  readonly health: PoolHealth;
  readonly refused: readonly number[];
}[] = [
  { name: "all up", health: {}, refused: [] },
  {
    name: "half down",
    health: Object.fromEntries(NAMES.filter((_, i) => i % 2 === 0).map((name) => [name, { health: "down" }])),
    refused: [],
  },
  { name: "one refused", health: {}, refused: [51] },
];

/** Keys as long as those of requests; many, so that no cache knows them. */
const KEYS = Array.from({ length: 1024 }, (_, i) => `/assets/images/product-${String(i * 7919)}.jpg`);

/** As a pool of a worker asks: the places of those that were tried. */
class BenchAsker implements Asker<Candidate> {
  private readonly refused: readonly number[];
  private count = 0;

  constructor(refused: readonly number[]) {
    this.refused = refused;
  }

  hashKey(): string {
    this.count += 1;
    return KEYS[this.count % KEYS.length] ?? "";
  }

  accepts({ index }: Candidate): boolean {
    return this.refused.length === 0 || !this.refused.includes(index);
  }
}

/** Nanoseconds of each of CHOICES choices; requests come and go meanwhile, so that loads differ. */
function measure(balance: BalanceConfig, { health, refused }: (typeof CASES)[number]): number {
  const backends = NAMES.map((name, i) => {
    return { name, host: name, port: 8080, weight: 1 + (i % 3), isBackup: false };
  });
  const loads = NAMES.map((_, i) => ({ ...createLoad(), responseMs: 5 + (i % 7) }));
  const state = configurePool({ balance, backends, slowStartMs: 0, panicThreshold: 0 }, health, {
    previous: null,
    loads,
    nowMs: 0,
  });
  const asker = new BenchAsker(refused);
  const moment: Moment = { nowMs: 0, random: Math.random };
  const running: BackendLoad[] = [];
  const choose = (): void => {
    for (let i = 0; i < CHOICES; i += 1) {
      moment.nowMs += 0.1;
      const load = chooseBackend(state, asker, moment)?.load;
      if (load === undefined) throw new Error("nobody was chosen");
      load.active += 1;
      running[i % 64] = load;
      const ended = running[(i + 1) % 64];
      if (ended !== undefined) ended.active -= 1;
    }
  };
  choose();
  const figures = Array.from({ length: ROUNDS }, () => {
    const before = process.cpuUsage();
    choose();
    const { user, system } = process.cpuUsage(before);
    return ((user + system) * 1000) / CHOICES;
  });
  // What else runs on the machine only ever adds.
  return Math.min(...figures);
}

const rows = POLICIES.map((balance) => ({
  kind: balance.kind,
  figures: CASES.map((each) => measure(balance, each)),
}));
const table = [
  `| policy | ${CASES.map(({ name }) => name).join(" | ")} | of the goal |`,
  `|---|${CASES.map(() => "---:").join("|")}|---:|`,
  ...rows.map(({ kind, figures }) => {
    const worst = Math.max(...figures);
    const cells = figures.map((ns) => ns.toFixed(0));
    return `| ${kind} | ${cells.join(" | ")} | ${((worst / GOAL_NS) * 100).toFixed(0)} % |`;
  }),
].join("\n");
const text = `Nanoseconds of processor time per choice among ${String(BACKENDS)} backends, the quickest of ${String(ROUNDS)} rounds of ${String(CHOICES)}; the goal is at most ${String(GOAL_NS)}. Node ${process.versions.node}.\n\n${table}`;
console.log(text);
if (process.argv.includes("--write")) await writeFigures("scripts/bench/policies.ts", text);
process.exitCode = rows.some(({ figures }) => figures.some((ns) => ns > GOAL_NS)) ? 1 : 0;
