// Panic: so few backends of a pool are healthy that all are used as if they were. Envoy's panic threshold: the few
// would break down under everyone's requests, or it is rather the checks that are wrong. Workers choose by it, and
// the control process tells of it and lets no ejection set it off.

import type { BackendHealth } from "./backend-state.ts";

export interface PanicMember {
  readonly isBackup: boolean;
  readonly health: BackendHealth;
  /** What it gets when it does not start slowly. */
  readonly settledWeight: number;
}

/** Of the pool's backends that are no backups and that operators have not taken out. */
interface Count {
  readonly healthy: number;
  readonly all: number;
}

/** `threshold`: percent; 0: never. */
export function isPanic(members: readonly PanicMember[], threshold: number): boolean {
  return threshold !== 0 && panicCount(members, threshold) !== null;
}

/** Why all are used, in a sentence; null: they are not. */
export function describePanic(members: readonly PanicMember[], threshold: number): string | null {
  const count = threshold === 0 ? null : panicCount(members, threshold);
  if (count === null) return null;
  const { healthy, all } = count;
  return `${String(healthy)} of ${String(all)} backends healthy, less than ${String(threshold)} %: all are used`;
}

/** null: no panic. Backups that are healthy are the better way out when none of the others is. */
function panicCount(members: readonly PanicMember[], threshold: number): Count | null {
  const offered = members.filter(isOffered);
  const primaries = offered.filter(({ isBackup }) => !isBackup);
  const healthy = primaries.filter(({ health }) => isHealthy(health)).length;
  if (healthy === 0 && offered.some(({ health, isBackup }) => isBackup && isHealthy(health))) return null;
  return healthy * 100 < threshold * primaries.length ? { healthy, all: primaries.length } : null;
}

/** An operator has not taken it out, by an order or by a weight of 0. */
export function isOffered({ health, settledWeight }: PanicMember): boolean {
  return settledWeight > 0 && health !== "drain" && health !== "maintenance";
}

export function isHealthy(health: BackendHealth): boolean {
  return health === "up" || health === "suspect";
}
