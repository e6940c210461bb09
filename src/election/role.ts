// The role that people see, and one sentence on what the node is waiting for.

import type { State } from "./state.ts";

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
    case "claiming":
    case "leaving":
    case "stopped":
      return "standby";
  }
}

/** Why the node is what it is, for status; undefined when the role says it all. */
export function reasonOf({ phase, faults, offerUntil }: State): string | undefined {
  switch (phase.kind) {
    case "fault":
      return faults.map(({ cause, detail }) => `${cause}: ${detail}`).join("; ");
    case "listening":
      return "listening for the peer before claiming anything";
    case "awaiting-lease":
      return `waiting for the predecessor's lease to end: ${phase.reason}`;
    case "claiming":
      return "claiming the virtual addresses";
    case "leaving":
      return phase.handedOver
        ? "handed over, finishing open connections"
        : "stopping, finishing open connections";
    case "active":
      return offerUntil === undefined ? undefined : "handing over";
    case "standby":
    case "stopped":
      return undefined;
  }
}
