// What a node tells its peer, derived from its state alone, and when it says it.

import type { Advertisement, Intent, PeerRole } from "./advertisement.ts";
import type { State } from "./state.ts";
import { isDamped } from "./damping.ts";
import { leaseGoneMs } from "./timing.ts";
import { impairmentOf, isContender, priorityOf, type Turn, update } from "./turn.ts";

/** Advertises each interval, and at once when there is news. */
export function speak(turn: Turn): void {
  const { state, settings, now } = turn;
  const words = advertisementOf(turn);
  const isNews = state.said === undefined || !isSame(state.said, words);
  if (!isNews && now < state.advertiseAt) return;
  turn.effects.push({ kind: "advertise", advertisement: words });
  update(turn, { said: words, advertiseAt: now + settings.intervalMs });
}

function advertisementOf(turn: Turn): Advertisement {
  const { settings, state } = turn;
  const { phase } = state;
  const role = roleOnWire(state);
  const isResigned = role === "leaving" || role === "fault" || role === "maintenance" || role === "stopped";
  return {
    group: settings.group,
    node: settings.node,
    role,
    priority: isResigned ? 0 : priorityOf(turn),
    impairment: impairmentOf(turn),
    damped: isDamped(state),
    // A contender is judged by the epoch of its own claim, not by the newest that it has heard of.
    epoch:
      phase.kind === "active" || phase.kind === "claiming" || phase.kind === "announcing"
        ? phase.epoch
        : state.epoch,
    heard: state.peer.kind === "heard" && isContender(state.peer) ? state.peer.said.epoch : 0,
    ready: role === "standby" && !state.stopping,
    intent: intentOf(state),
    configHash: settings.configHash,
    intervalMs: settings.intervalMs,
    leaseGoneMs: leaseGoneMs(settings),
  };
}

function roleOnWire({ phase, releasing, maintenance }: State): PeerRole {
  switch (phase.kind) {
    case "announcing":
      return "claiming";
    case "claiming":
    case "active":
    case "leaving":
    case "stopped":
      return phase.kind;
    case "fault":
    case "listening":
    case "standby":
    case "awaiting-lease":
      if (releasing !== undefined) return "leaving";
      return maintenance === "off" || phase.kind === "fault" ? phase.kind : "maintenance";
  }
}

function intentOf({ offer, requestUntil }: State): Intent {
  if (offer !== undefined) return offer.ordered ? "order" : "offer";
  return requestUntil === undefined ? "none" : "request";
}

function isSame(one: Advertisement, other: Advertisement): boolean {
  return (
    one.role === other.role &&
    one.priority === other.priority &&
    one.impairment === other.impairment &&
    one.damped === other.damped &&
    one.epoch === other.epoch &&
    one.heard === other.heard &&
    one.ready === other.ready &&
    one.intent === other.intent &&
    one.configHash === other.configHash
  );
}
