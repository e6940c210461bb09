// What the two nodes compare to know that they run the same configuration.

import type { Config } from "./config.ts";

/**
 * A canonical JSON text of everything in the configuration but its secrets: equal for equal
 * configurations, however their files are laid out. The caller hashes it.
 */
export function configHashInput(config: Config): string {
  return JSON.stringify(config, (key, value: unknown) => {
    if (key === "secret" || key === "secretFile") return undefined;
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });
}
