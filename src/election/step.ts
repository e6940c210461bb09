// Which node holds the addresses is decided here, and nowhere else. step() first learns what the input
// says, then decides from what is known and what time it is, then speaks to the peer if there is news.
// A decision never depends on which input came last, so a lost, late or repeated message costs time, not
// safety. Nothing is performed here: the effects are the complete list of work that the node owes the world.

import { decide } from "./decide.ts";
import { learn } from "./learn.ts";
import { speak } from "./speak.ts";
import type { Input, Settings, State, Step } from "./state.ts";
import {
  activeDownMs,
  ESTRANGED_MEMORY_MS,
  LEASE_TRUST,
  skewMs,
  START_WAIT_MS,
  VACANCY_ACTIVE_DOWNS,
} from "./timing.ts";
import { log, type Turn, update } from "./turn.ts";

/**
 * A node at its start: it removes what an earlier life may have left (rule 8), then listens. `epoch` is the
 * newest that an earlier life knew of.
 */
export function start(settings: Settings, now: number, epoch = 0): Step {
  const state: State = {
    phase: {
      kind: "listening",
      until: now + activeDownMs(settings.priority, settings.intervalMs),
      giveUpAt: now + START_WAIT_MS,
    },
    epoch,
    peer: { kind: "unknown" },
    faults: [],
    failedClaims: 0,
    releasing: { until: now + settings.leaseMs },
    advertiseAt: now,
    said: undefined,
    offerUntil: undefined,
    requestUntil: undefined,
    switchoverOrdered: false,
    stopping: false,
    stalledSince: undefined,
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
  speak(turn);
  update(turn, { at: now });
  return turn;
}

/**
 * The next moment at which step() has something to do without any input; Infinity when stopped, or while
 * `read-queue` is unanswered. A moment that has passed was looked at then, so only later ones count.
 */
export function nextDeadline(settings: Settings, state: State): number {
  if (state.phase.kind === "stopped" || state.stalledSince !== undefined) return Infinity;
  let next = Infinity;
  for (const moment of moments(settings, state)) if (moment > state.at && moment < next) next = moment;
  return next;
}

function* moments(settings: Settings, state: State): Generator<number> {
  const activeDown = activeDownMs(settings.priority, settings.intervalMs);
  yield state.advertiseAt;
  if (state.releasing !== undefined) yield state.releasing.until;
  if (state.offerUntil !== undefined) yield state.offerUntil;
  if (state.requestUntil !== undefined) yield state.requestUntil;
  for (const fault of state.faults) if (fault.until !== undefined) yield fault.until;
  if (state.peer.kind === "heard") yield state.peer.at + activeDown;
  if (state.peer.kind === "estranged") yield state.peer.at + ESTRANGED_MEMORY_MS;
  const { phase } = state;
  switch (phase.kind) {
    case "listening":
      yield phase.until;
      yield phase.giveUpAt;
      return;
    case "standby":
      if (phase.vacantSince === undefined) return;
      yield phase.vacantSince + skewMs(settings.priority, settings.intervalMs);
      yield phase.vacantSince + activeDown;
      yield phase.vacantSince + VACANCY_ACTIVE_DOWNS * activeDown;
      return;
    case "awaiting-lease":
      yield phase.claimAt;
      return;
    case "active":
      yield phase.lease.renewAt;
      yield phase.lease.from + LEASE_TRUST * settings.leaseMs;
      yield* phase.announceAt;
      if (phase.preemptAt !== undefined) yield phase.preemptAt;
      return;
    case "leaving":
      yield phase.lease.renewAt;
      yield phase.lease.from + LEASE_TRUST * settings.leaseMs;
      yield phase.until;
      return;
    case "claiming":
    case "fault":
    case "stopped":
  }
}

/** Rule 5: a process that woke late reads what waits for it before it judges its peer by the clock. */
function noticeStall(turn: Turn, input: Input): void {
  if (input.kind === "queue-read") {
    return update(turn, { stalledSince: undefined });
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

/**
 * A peer that lives hangs up on a process that stands still for longer than the active-down interval: then
 * what waits in the queue is old, and that nothing waits means nothing. So the peer gets one such interval
 * to be heard, as after a start, before its silence or its old words count.
 */
function listenAfterStall(turn: Turn, lateMs: number): void {
  const { settings, now, state } = turn;
  const activeDown = activeDownMs(settings.priority, settings.intervalMs);
  if (lateMs < activeDown) return;
  const until = now + activeDown;
  const { phase } = state;
  switch (phase.kind) {
    case "listening":
      return update(turn, { phase: { ...phase, until, giveUpAt: Math.max(phase.giveUpAt, until) } });
    case "standby":
    case "awaiting-lease":
      return update(turn, { phase: { kind: "listening", until, giveUpAt: until } });
    case "claiming":
    case "active":
    case "leaving":
    case "fault":
    case "stopped":
  }
}
