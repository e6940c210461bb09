// What a reload takes over of a new file, and what it leaves until a restart (DESIGN section 5, rule 11: a reload touches
// neither address, lease nor heartbeats).

import { createHash } from "node:crypto";
import type { Config } from "../config/config.ts";
import { configHashInput } from "../config/hash-input.ts";

/** A reload leaves these as they are: they belong to the pair, or to the processes that run already. */
const RESTART_KEYS = ["pair", "virtualAddresses", "workers", "logging.level"] as const;

export interface AdoptedConfig {
  /** What is in effect from now on. */
  readonly config: Config;
  /** Keys that differ from what the file says, until a restart. */
  readonly needsRestart: readonly string[];
}

/** `from`: what the node runs with. `to`: what its file says now. */
export function adoptConfig({ from, to }: { readonly from: Config; readonly to: Config }): AdoptedConfig {
  const { listeners, pools, shutdownGraceMs } = to;
  const logging = { level: from.logging.level, access: to.logging.access };
  return {
    config: { ...from, listeners, pools, logging, shutdownGraceMs },
    needsRestart: RESTART_KEYS.filter((key) => isChanged({ key, from, to })),
  };
}

/** First 12 hex digits of the SHA-256 of the configuration without its secrets. */
export function hashConfig(config: Config): string {
  return createHash("sha256").update(configHashInput(config)).digest("hex").slice(0, 12);
}

/** Whether what stands below a key of the file has changed. */
function isChanged({
  key,
  from,
  to,
}: {
  readonly key: (typeof RESTART_KEYS)[number];
  readonly from: Config;
  readonly to: Config;
}): boolean {
  // The file has the groups among the virtual addresses; they take their defaults from the pair.
  const isGroups = key === "virtualAddresses" && !isChanged({ key: "pair", from, to });
  const read = (config: Config) => {
    const value = key === "logging.level" ? config.logging.level : config[key];
    return JSON.stringify([value, isGroups && config.groups]);
  };
  return read(from) !== read(to);
}
