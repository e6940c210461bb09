// Rise and fall: what a row of checks says about a backend.
//
//             good                      bad, fall = 1
//   unknown ───────> up <──────┐   ┌─────────────────────┐
//      │             │ bad     │   │                     v
//      │             └─> suspect ──┴── fall bad ones ──> down
//      │                  (good: up)                     │  ^
//      └── bad ──────────────────────────────────────────│──┘
//                     up <──── rise good ones in a row ──┘
//
// An up backend is suspect after one bad check already, whatever `fall` says: it gets no new requests
// while another is up, so a dead backend is out within one interval and one timeout. `fall` decides
// when it is down, which means that it needs `rise` good checks to come back.

import type { HealthTiming } from "../config/check-config.ts";

export type Health =
  /** Not checked yet; counts as up, so that a start does not refuse requests. */
  | { readonly kind: "unknown" }
  | { readonly kind: "up" }
  /** `failures` bad checks in a row, fewer than `fall`. */
  | { readonly kind: "suspect"; readonly failures: number }
  /** `successes` good checks in a row, fewer than `rise`. */
  | { readonly kind: "down"; readonly successes: number };

export const UNKNOWN: Health = { kind: "unknown" };

/** The health after one more check. The very first check decides at once. */
export function judgeCheck(
  health: Health,
  good: boolean,
  { rise, fall }: Pick<HealthTiming, "rise" | "fall">,
): Health {
  switch (health.kind) {
    case "unknown":
      return good ? { kind: "up" } : { kind: "down", successes: 0 };
    case "up":
    case "suspect": {
      if (good) return { kind: "up" };
      const failures = health.kind === "suspect" ? health.failures + 1 : 1;
      return failures >= fall ? { kind: "down", successes: 0 } : { kind: "suspect", failures };
    }
    case "down": {
      if (!good) return { kind: "down", successes: 0 };
      const successes = health.successes + 1;
      return successes >= rise ? { kind: "up" } : { kind: "down", successes };
    }
  }
}

/** A health that the next check may change is looked at more often. */
export function isChanging(health: Health): boolean {
  return health.kind === "suspect" || (health.kind === "down" && health.successes > 0);
}
