// What the two nodes compare to know that they run the same configuration.

import type { Config, PairConfig } from "./config.ts";

/** Keys of `pair`. */
const SECRETS: readonly string[] = ["secret", "secretFile"] satisfies readonly (keyof PairConfig)[];

/**
 * A canonical JSON text of everything in the configuration but its secrets: equal for equal
 * configurations, however their files are laid out. The caller hashes it.
 */
export function configHashInput(config: Config): string {
  return JSON.stringify(config, (_key, value: unknown) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    // By their place and not by their names alone: a node may be called `secret`.
    const hidden = value === config.pair ? SECRETS : [];
    return Object.fromEntries(
      Object.entries(value)
        .filter(([key]) => !hidden.includes(key))
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    );
  });
}
