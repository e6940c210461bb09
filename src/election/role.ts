// The role that people see, and one sentence on what the node is waiting for.

import type { Settings, State } from "./state.ts";
import { arbiterVouches, impairmentsOf, isInTouch, type Knowledge, peerName, type Turn } from "./turn.ts";

/** `claiming` and `leaving` are seen as standby: the node does not (or no longer) serve the address alone. */
export function roleOf({ phase }: State): "active" | "standby" | "fault" {
  switch (phase.kind) {
    case "active":
      return "active";
    case "fault":
      return "fault";
    case "listening":
    case "standby":
    case "awaiting-lease":
    case "announcing":
    case "claiming":
    case "leaving":
    case "stopped":
      return "standby";
  }
}

/** Why the node is what it is, for status; undefined when the role says it all. */
export function reasonOf(settings: Settings, state: State, now: number): string | undefined {
  const { phase, faults, offer, maintenance } = state;
  switch (phase.kind) {
    case "fault":
      // Of what it was in it has recovered; it only waits for its hook.
      if (faults.length === 0) return "stopping, giving the virtual addresses up";
      return faults.map(({ cause, detail }) => `${cause}: ${detail}`).join("; ");
    case "listening":
      if (maintenance !== "off") return IN_MAINTENANCE;
      return state.peer.kind === "absent"
        ? "listening to the network before claiming anything"
        : "listening for the peer before claiming anything";
    case "awaiting-lease":
      return `waiting for the predecessor's lease to end: ${phase.reason}`;
    case "announcing":
    case "claiming":
      return "claiming the virtual addresses";
    case "leaving":
      return phase.handedOver
        ? "handed over, finishing open connections"
        : "going, finishing open connections";
    case "active":
      if (offer !== undefined) return "handing over";
      if (maintenance !== "off")
        return `goes into maintenance as soon as ${peerName(settings)} can take over`;
      return (
        dampingOf(state, now) ?? describeImpairments({ settings, state, now }) ?? describeAbsence(settings)
      );
    case "standby":
      if (maintenance !== "off") return IN_MAINTENANCE;
      return (
        dampingOf(state, now) ??
        cutOff({ settings, state, now }) ??
        describeImpairments({ settings, state, now })
      );
    case "stopped":
      return undefined;
  }
}

const IN_MAINTENANCE = "in maintenance: `vipair resume` ends it";

function dampingOf({ dampedUntil, roleChangesAt }: State, now: number): string | undefined {
  if (dampedUntil === undefined) return undefined;
  const seconds = String(Math.ceil((dampedUntil - now) / 1000));
  return `changed roles ${String(roleChangesAt.length)} times in a minute and stays where it is for ${seconds} s without a change, or until \`vipair resume\``;
}

function cutOff(turn: Knowledge): string | undefined {
  const asked: Turn = { ...turn, effects: [] };
  if (isInTouch(asked) || arbiterVouches(asked)) return undefined;
  return `hears neither ${peerName(turn.settings)} nor the arbiter, so it may be the one that is cut off, and claims nothing`;
}

function describeAbsence({ peer }: Settings): string | undefined {
  return peer === undefined ? "no second node yet: run `sudo vipair invite`" : undefined;
}

function describeImpairments(knowledge: Knowledge): string | undefined {
  const impairments = impairmentsOf(knowledge);
  if (impairments.length === 0) return undefined;
  return impairments
    .map(({ cause, detail, weight }) => {
      // As priorityOf() has it: what is taken off leaves 1.
      const isAll = weight >= knowledge.settings.priority;
      return `${cause}: ${detail} (priority ${isAll ? "1" : `-${String(weight)}`})`;
    })
    .join("; ");
}
