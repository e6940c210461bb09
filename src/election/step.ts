// Which node holds the addresses is decided here, and nowhere else. step() first learns what the input
// says, then decides from what is known and what time it is, then speaks to the peer if there is news.
// A decision never depends on which input came last, so a lost, late or repeated message costs time, not
// safety. Nothing is performed here: the effects are the complete list of work that the node owes the world.

import { noteRoleChange } from "./damping.ts";
import { decide } from "./decide.ts";
import { learn } from "./learn.ts";
import { speak } from "./speak.ts";
import type { Input, Maintenance, Settings, State, Step } from "./state.ts";
import {
  activeDownMs,
  ARBITER_SILENT,
  arbiterIntervalMs,
  deathMemoryMs,
  leaseGoneMs,
  LEASE_TRUST,
  REDIAL_MEMORY_MS,
  refusalMemoryMs,
  reunionMs,
  skewMs,
  START_WAIT_MS,
  VACANCY_ACTIVE_DOWNS,
} from "./timing.ts";
import {
  arbiterChanceUntil,
  arbiterLostAt,
  log,
  pairIntervalMs,
  peerChanceUntil,
  peerDownMs,
  type Turn,
  update,
} from "./turn.ts";

/** What an earlier life of the node has left behind. */
export interface Memory {
  /** The newest epoch that it knew of; 0: none. */
  readonly epoch?: number;
  readonly maintenance?: Maintenance;
}

/** A node at its start: it removes what an earlier life may have left (rule 8), then listens. */
export function start(settings: Settings, now: number, memory: Memory = {}): Step {
  const state: State = {
    phase: {
      kind: "listening",
      until: now + activeDownMs(settings.priority, settings.intervalMs),
      aloneAt: now + reunionMs(settings.priority, settings.intervalMs),
      giveUpAt: now + START_WAIT_MS,
    },
    epoch: memory.epoch ?? 0,
    peer: { kind: settings.peer === undefined ? "absent" : "unknown" },
    wasHeld: false,
    peerTimes: undefined,
    faults: [],
    impairments: [],
    arbiter: { kind: "unheard" },
    maintenance: memory.maintenance ?? "off",
    roleChangesAt: [],
    dampedUntil: undefined,
    failedClaims: 0,
    releasing: { until: now + leaseGoneMs(settings) },
    advertiseAt: now,
    said: undefined,
    offer: undefined,
    offerAgainAt: undefined,
    requestUntil: undefined,
    switchover: "none",
    stopping: false,
    stalledSince: undefined,
    chanceFrom: { peer: -Infinity, either: -Infinity },
    at: now,
  };
  const turn: Turn = { settings, now, state, effects: [{ kind: "release" }] };
  speak(turn);
  return turn;
}

/** One input at one moment. `now` never goes back; no input is ever an error. */
export function step(settings: Settings, before: State, input: Input, now: number): Step {
  const turn: Turn = { settings, now, state: before, effects: [] };
  if (before.phase.kind === "stopped") return turn;
  noticeStall(turn, input);
  learn(turn, input);
  decide(turn);
  noteRoleChange(turn, before);
  speak(turn);
  update(turn, { at: now });
  return turn;
}

/**
 * The next moment at which step() has something to do without any input; Infinity when stopped, or while
 * `read-queue` is unanswered. A moment that has passed was looked at then, so only later ones count.
 */
export function nextDeadline(settings: Settings, state: State): number {
  const { phase, peer, arbiter, at } = state;
  if (phase.kind === "stopped" || state.stalledSince !== undefined) return Infinity;
  let next = Infinity;
  const look = (moment: number | undefined) => {
    if (moment !== undefined && moment > at && moment < next) next = moment;
  };
  const interval = pairIntervalMs({ settings, state });
  const activeDown = activeDownMs(settings.priority, interval);
  look(state.advertiseAt);
  look(state.releasing?.until);
  look(state.offer?.until);
  look(state.offerAgainAt);
  look(state.requestUntil);
  look(state.dampedUntil);
  for (const fault of state.faults) look(fault.until);
  if (peer.kind === "heard") look(peer.at + activeDown);
  look(peerChanceUntil({ settings, state }));
  look(arbiterChanceUntil({ settings, state }));
  if (peer.kind === "estranged") look(peer.at + REDIAL_MEMORY_MS);
  if (peer.kind === "dead") look(peer.at + deathMemoryMs(settings.peerPriority, settings.intervalMs));
  if (peer.kind === "estranged" || peer.kind === "dead") {
    look(peer.at + refusalMemoryMs(settings.priority, interval));
  }
  if (arbiter.kind === "answered") look(arbiter.at + ARBITER_SILENT * arbiterIntervalMs(settings.intervalMs));
  look(arbiterLostAt({ settings, state, now: at }));
  switch (phase.kind) {
    case "listening":
      look(phase.until);
      look(phase.aloneAt);
      look(phase.giveUpAt);
      break;
    case "standby":
      if (phase.vacantSince === undefined) break;
      look(phase.vacantSince + skewMs(settings.priority, interval));
      look(phase.vacantSince + interval);
      look(phase.vacantSince + activeDown);
      look(phase.vacantSince + VACANCY_ACTIVE_DOWNS * activeDown);
      break;
    case "awaiting-lease":
      look(phase.claimAt);
      break;
    case "active":
      look(phase.lease.renewAt);
      look(phase.lease.from + LEASE_TRUST * settings.leaseMs);
      for (const moment of phase.announceAt) look(moment);
      look(phase.preemptAt);
      break;
    case "leaving":
      look(phase.lease.renewAt);
      look(phase.lease.from + LEASE_TRUST * settings.leaseMs);
      look(phase.until);
      break;
    case "announcing":
    case "claiming":
    case "fault":
  }
  return next;
}

/** Rule 5: a process that woke late reads what waits for it before it judges its peer by the clock. */
function noticeStall(turn: Turn, input: Input): void {
  if (input.kind === "queue-read") {
    return update(turn, { stalledSince: undefined, chanceFrom: chanceFrom(turn) });
  }
  if (turn.state.stalledSince !== undefined) return;
  const deadline = nextDeadline(turn.settings, turn.state);
  const lateMs = turn.now - deadline;
  if (lateMs <= turn.settings.intervalMs) return;
  update(turn, { stalledSince: deadline });
  turn.effects.push({ kind: "read-queue" });
  log(turn, "warn", "this process was stalled", { lateMs: Math.round(lateMs) });
  listenAfterStall(turn, lateMs);
}

/** Each silence gets one chance, or a process that stalls all the time would never judge. */
function chanceFrom({ now, state }: Turn): State["chanceFrom"] {
  const { peer, arbiter, chanceFrom: given } = state;
  const isPeerSilent = (since: number) => peer.kind === "heard" && peer.at < since;
  const isArbiterSilent = (since: number) => arbiter.kind !== "answered" || arbiter.at < since;
  const { either } = given;
  return {
    peer: isPeerSilent(given.peer) ? given.peer : now,
    either: isPeerSilent(either) && isArbiterSilent(either) ? either : now,
  };
}

/**
 * A peer that lives hangs up on a process that stands still for longer than the active-down interval: then
 * what waits in the queue is old, and that nothing waits means nothing. So the peer gets one such interval
 * to be heard, as after a start, before its silence or its old words count.
 */
function listenAfterStall(turn: Turn, lateMs: number): void {
  const { now, state } = turn;
  const activeDown = peerDownMs(turn);
  if (lateMs < activeDown) return;
  const until = now + activeDown;
  const { phase } = state;
  switch (phase.kind) {
    case "listening":
      return update(turn, {
        phase: {
          ...phase,
          until,
          aloneAt: Math.max(phase.aloneAt, until),
          giveUpAt: Math.max(phase.giveUpAt, until),
        },
      });
    case "standby":
    case "awaiting-lease":
    case "announcing":
      return update(turn, { phase: { kind: "listening", until, aloneAt: until, giveUpAt: until } });
    case "claiming":
    case "active":
    case "leaving":
    case "fault":
    case "stopped":
  }
}
