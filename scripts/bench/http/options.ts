// The command line of the benchmark, as a person types it, turned into what is to be measured.

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { noSuch } from "../../../src/config/nearest.ts";
import { CASES, type Case } from "./cases.ts";
import { PROXY_NAMES, type ProxyName } from "./proxies.ts";

export const USAGE = `scripts/bench/http.sh [options]

  --cases a,b     of ${CASES.map(({ name }) => name).join(", ")}
  --proxies a,b   of ${PROXY_NAMES.join(", ")}
  --rounds N      how often the proxies take turns in each case; 3
  --seconds N     how long each load lasts, one as fast as it goes and one at a fixed rate; 1.2
  --rate N        the fixed rate in requests per second; half of what the slowest proxy of the case can
  --quick         one short round of the proxies that vipair has a goal against; a minute or two
  --profile FILE  measures nothing; profiles vipair in one case (small, or that of --cases) into a .cpuprofile
  --write         writes docs/performance.md, as a run without --cases, --proxies and --quick does
`;

/** The proxies that goals are set against. */
const QUICK_PROXIES: readonly ProxyName[] = ["vipair", "HAProxy", "http-proxy"];

export interface Options {
  readonly cases: readonly Case[];
  readonly proxies: readonly ProxyName[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** null: half of what the slowest can. */
  readonly rate: number | null;
  readonly writes: boolean;
  /** Where a profile goes; null: figures are wanted. */
  readonly profileFile: string | null;
}

/** What the arguments of this process ask for; or why they make no sense, in words without a full stop. */
export function readOptions():
  | "help"
  | { readonly kind: "options"; readonly options: Options }
  | { readonly kind: "invalid"; readonly problem: string } {
  try {
    const options = parseOptions();
    return options === null ? "help" : { kind: "options", options };
  } catch (error) {
    return { kind: "invalid", problem: error instanceof Error ? error.message : String(error) };
  }
}

/** null: help is wanted. Throws what is wrong with the first argument that is wrong. */
function parseOptions(): Options | null {
  const { values } = parseArgs({
    options: {
      cases: { type: "string" },
      proxies: { type: "string" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      rate: { type: "string" },
      quick: { type: "boolean", default: false },
      profile: { type: "string" },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  const { quick } = values;
  return {
    cases: pick("case", { all: CASES, nameOf: ({ name }) => name, wanted: values.cases }),
    proxies: pick("proxy", {
      all: PROXY_NAMES,
      nameOf: (name) => name,
      wanted: values.proxies ?? (quick ? QUICK_PROXIES.join() : undefined),
    }),
    rounds: wholeNumber("--rounds", values.rounds) ?? (quick ? 1 : 3),
    seconds: number("--seconds", values.seconds) ?? (quick ? 0.7 : 1.2),
    warmUpSeconds: quick ? 1 : 2,
    rate: number("--rate", values.rate) ?? null,
    profileFile: values.profile === undefined ? null : resolve(values.profile),
    writes: values.write || (!quick && values.cases === undefined && values.proxies === undefined),
  };
}

/** `wanted`: names with commas between them; undefined: all. */
function pick<T>(
  what: string,
  {
    all,
    nameOf,
    wanted,
  }: {
    readonly all: readonly T[];
    readonly nameOf: (item: T) => string;
    readonly wanted: string | undefined;
  },
): readonly T[] {
  if (wanted === undefined) return all;
  return wanted.split(",").map((name) => {
    const found = all.find((item) => nameOf(item).toLowerCase() === name.toLowerCase());
    if (found === undefined) throw new Error(noSuch(what, name, all.map(nameOf)));
    return found;
  });
}

function number(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (value > 0 && value < Infinity) return value;
  throw new Error(`${option} ${text}: write a number above 0`);
}

function wholeNumber(option: string, text: string | undefined): number | undefined {
  if (text !== undefined && !/^[1-9]\d{0,5}$/u.test(text)) {
    throw new Error(`${option} ${text}: write a whole number above 0`);
  }
  return number(option, text);
}
