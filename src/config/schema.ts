// What can be configured: the YAML of a configuration file, key by key, with defaults, ranges and
// meaning. docs/configuration.md and docs/vipair.schema.json are generated from here (npm run docs).
//
//   schema.ts ── pair-schema.ts       the two nodes and their addresses
//             ── listener-schema.ts   where clients connect
//             ── pool-schema.ts       who answers them
//
// What concerns several keys at once stands in cross-checks.ts; config.ts is what comes out in the end.

import { z } from "zod";
import { choice, countOrAuto, duration, list, named, section } from "./fields.ts";
import { listener } from "./listener-schema.ts";
import { GROUPS_HINT, GROUPS_MAX, pair, virtualAddresses } from "./pair-schema.ts";
import { pool } from "./pool-schema.ts";

const MINUTE = 60_000;

/** Keys that stand elsewhere. */
const TOP_HINTS = {
  ...Object.fromEntries(Object.keys(pair.shape).map((key) => [key, "Unknown key. It stands under pair."])),
  groups: GROUPS_HINT,
};

export const configFile = section(
  {
    pair: z
      .exactOptional(pair)
      .describe(
        "The two nodes and how they watch each other. Without `pair` and `virtualAddresses` one node balances alone.",
      ),
    virtualAddresses: virtualAddresses
      .prefault([])
      .describe(
        `The addresses that move between the nodes: a list of addresses, which one node holds all of, or a list of at most ${String(GROUPS_MAX)} groups, each with an active node of its own.`,
      ),
    listeners: list(listener, "listeners")
      .min(1, { error: "The list is empty. Add a listener: name, bind and pool." })
      .describe("Where clients connect, and which pool answers them."),
    pools: named(pool, "pools").describe("The sets of backends, by name."),
    workers: countOrAuto({ from: 1, to: 64 })
      .prefault("auto")
      .describe("How many processes carry the traffic. `auto` is one per core."),
    logging: section({
      level: choice(["debug", "info", "warn", "error"])
        .prefault("info")
        .describe("The least important lines that are logged."),
    })
      .prefault({})
      .describe("What goes to the journal."),
    shutdownGrace: duration({ fromMs: 0, toMs: 10 * MINUTE })
      .prefault("10s")
      .describe("How long requests in flight may go on when vipair is stopped."),
  },
  { hints: TOP_HINTS },
).meta({
  title: "vipair configuration",
  dependentRequired: { pair: ["virtualAddresses"], virtualAddresses: ["pair"] },
});

/** A configuration file that kept to the schema: units resolved, defaults filled in. */
export type ConfigFile = z.output<typeof configFile>;
