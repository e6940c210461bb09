// What can be configured: the YAML of a configuration file, key by key, with defaults, ranges and
// meaning. docs/configuration.md and docs/vipair.schema.json are generated from here (npm run docs).
//
//   schema.ts ── pair-schema.ts       the two nodes and their addresses
//             ── listener-schema.ts   where clients connect
//             ── pool-schema.ts       who answers them
//
// What concerns several keys at once stands in cross-checks.ts; config.ts is what comes out in the end.

import { z } from "zod";
import { choice, countOrAuto, duration, either, file, list, named, section, yesOrNo } from "./fields.ts";
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
      access: either(
        yesOrNo(),
        section({
          file: file().describe(
            "Lines go to the end of this file. Relative to the configuration file. It is opened anew at a reload, as `logrotate` needs it.",
          ),
        }).meta({ title: "map with a file" }),
        { write: "true, false, or a map with a file, such as { file: /var/log/vipair/access.log }" },
      )
        .prefault(true)
        .meta({ title: "true, false, or a map, see below" })
        .describe(
          "One line for each request, on the standard output beside all other lines (`true`), or in a file. [logging.md](logging.md) tells what it says. A reload switches it on and off.",
        ),
    })
      .prefault({})
      .describe("What is logged, and where."),
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
