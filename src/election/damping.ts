// Flap damping: two nodes that take the role from each other again and again serve nobody. A node that
// gained or lost the active role too often in a minute stays where it is, says so, and comes back to itself
// after a quiet time or by an operator's word.
//
// Damped, a node does nothing on a guess or an opinion: it does not claim from a peer that is merely silent,
// and does not hand over because of a tracked check, an impairment or a preference. Facts still count: a
// peer that is dead or says that it does not serve, a lease that may have ended, a lost carrier, a duel.
// What an operator orders is never counted and never damped.

import type { State } from "./state.ts";
import { FLAP_WINDOW_MS } from "./timing.ts";
import { log, type Turn, update } from "./turn.ts";

export function isDamped({ dampedUntil }: State): boolean {
  return dampedUntil !== undefined;
}

/** Counts a gain or a loss of the active role; the last thing that a step does. */
export function noteRoleChange(turn: Turn, before: State): void {
  const wasActive = before.phase.kind === "active";
  const { phase, maintenance, stopping, roleChangesAt } = turn.state;
  if (wasActive === (phase.kind === "active")) return;
  const isOrdered = wasActive
    ? stopping || maintenance !== "off" || before.offer?.ordered === true
    : before.phase.kind === "claiming" && before.phase.vacancy.ordered;
  if (isOrdered) return;
  const { now, settings } = turn;
  const changes = [...roleChangesAt.filter((at) => now - at < FLAP_WINDOW_MS), now];
  update(turn, { roleChangesAt: changes });
  if (changes.length <= settings.roleChangesMax) return;
  if (!isDamped(before)) {
    log(turn, "error", "flapping: this node stays where it is", {
      roleChanges: changes.length,
      is: phase.kind,
      quietMs: FLAP_WINDOW_MS,
      remedy: "find the cause above, or `vipair resume`",
    });
  }
  update(turn, { dampedUntil: now + FLAP_WINDOW_MS });
}

export function expireDamping(turn: Turn): void {
  const { dampedUntil } = turn.state;
  if (dampedUntil === undefined || turn.now < dampedUntil) return;
  endDamping(turn, "no role change for a while");
}

export function endDamping(turn: Turn, reason: string): void {
  if (isDamped(turn.state)) log(turn, "info", "flap damping ends", { reason });
  update(turn, { dampedUntil: undefined, roleChangesAt: [] });
}
