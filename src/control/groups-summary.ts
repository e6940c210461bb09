// What is said of the whole node when each of its groups has a role of its own: one role, one reason, one epoch.

import type { GroupStatus, Role } from "../protocol/status.ts";

export interface GroupsSummary {
  readonly role: Role;
  /** In words for people; null when the role says it all. */
  readonly reason: string | null;
  readonly epoch: number;
  /** ISO 8601: since when the node has its role. */
  readonly since: string;
  readonly groups: readonly GroupStatus[];
  readonly virtualAddresses: GroupStatus["virtualAddresses"];
}

/** Throws when there is no group. */
export function summarizeGroups(groups: readonly GroupStatus[]): GroupsSummary {
  const { role, since } = foremost(groups);
  return {
    role,
    reason: reasonOfAll(groups),
    epoch: Math.max(...groups.map(({ epoch }) => epoch)),
    since,
    groups,
    virtualAddresses: groups.flatMap(({ virtualAddresses }) => virtualAddresses),
  };
}

/** The group that the whole node is named after: active if any is, in fault only if all are. */
function foremost(groups: readonly GroupStatus[]): GroupStatus {
  const found =
    groups.find(({ role }) => role === "active") ??
    groups.find(({ role }) => role === "standby") ??
    groups[0];
  if (found === undefined) throw new Error("a pair has at least one group");
  return found;
}

function reasonOfAll(groups: readonly GroupStatus[]): string | null {
  const [only] = groups;
  if (groups.length === 1) return only?.reason ?? null;
  const reasons = groups.flatMap(({ name, reason }) => (reason === null ? [] : [`${name}: ${reason}`]));
  return reasons.length === 0 ? null : reasons.join("; ");
}
