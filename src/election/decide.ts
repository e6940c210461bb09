// What a node does, given what it knows and what time it is. Every rule of DESIGN's pair section that is a
// decision stands here; each is written as "if this holds now, then", so it does not matter which input
// made it true. The order of the checks is their precedence: faults, the lease, the stop, the phase.

import type { ActivePhase, Lease, Phase, Settings, Vacancy } from "./state.ts";
import {
  activeDownMs,
  ANNOUNCE_AFTER_LEASE_MS,
  ANNOUNCE_AFTER_MS,
  ANNOUNCE_EVERY_MS,
  CLAIM_RETRY_MS,
  ESTRANGED_MEMORY_MS,
  HOOK_SLACK_MS,
  LEASE_MARGIN,
  LEASE_TRUST,
  OFFER_MS,
  skewMs,
  START_WAIT_MS,
  VACANCY_ACTIVE_DOWNS,
} from "./timing.ts";
import {
  addFault,
  freshWords,
  holdsAddress,
  isContender,
  isFresh,
  log,
  outranks,
  type Turn,
  update,
} from "./turn.ts";

/** No chain of phases that can happen at one moment is longer. */
const PASSES_MAX = 8;

/** Decides until nothing changes any more: one decision may open the way for the next. */
export function decide(turn: Turn): void {
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    const before = turn.state;
    decideOnce(turn);
    if (turn.state === before) return;
  }
}

function decideOnce(turn: Turn): void {
  expire(turn);
  const { phase } = turn.state;
  if (phase.kind === "stopped") return;
  if (turn.state.faults.length > 0 && phase.kind !== "fault" && !turn.state.stopping) return enterFault(turn);
  if ((phase.kind === "active" || phase.kind === "leaving") && isLeaseStale(turn, phase.lease)) {
    return giveUpStaleLease(turn, phase.lease);
  }
  if (turn.state.stopping && turn.state.phase.kind !== "active" && turn.state.phase.kind !== "leaving") {
    return stopNow(turn);
  }
  answerSwitchover(turn);
  switch (phase.kind) {
    case "fault":
      if (turn.state.faults.length === 0) listen(turn, "recovered");
      return;
    case "listening":
      return decideListening(turn, phase);
    case "standby":
    case "awaiting-lease":
      return decideStandby(turn, phase);
    case "claiming":
      if (isBeaten(turn, phase.epoch)) yieldAddress(turn);
      return;
    case "active":
      return decideActive(turn, phase);
    case "leaving":
      return decideLeaving(turn, phase);
  }
}

/** What ends by itself, ends. */
function expire(turn: Turn): void {
  const { state, now } = turn;
  if (state.faults.some(({ until }) => until !== undefined && now >= until)) {
    update(turn, { faults: state.faults.filter(({ until }) => until === undefined || now < until) });
  }
  if (state.releasing !== undefined && now >= state.releasing.until) update(turn, { releasing: undefined });
  if (state.requestUntil !== undefined && now >= state.requestUntil) {
    update(turn, { requestUntil: undefined });
    refuseSwitchover(turn, `${turn.settings.peer} did not hand over in time`);
  }
  if (state.offerUntil !== undefined) expireOffer(turn, state.offerUntil);
}

function expireOffer(turn: Turn, until: number): void {
  const { settings, state, now } = turn;
  if (now < until && canTakeOver(turn)) return;
  const reason =
    now < until
      ? whyNotReady(turn)
      : `${settings.peer} did not take over within ${String(OFFER_MS)} ms; see its log`;
  update(turn, { offerUntil: undefined });
  log(turn, "warn", "the peer did not take over", { peer: settings.peer, reason });
  refuseSwitchover(turn, reason);
  // A stopping node asks once; then it goes without a successor.
  if (state.stopping && state.phase.kind === "active") leave(turn, state.phase.lease, { handedOver: false });
}

/** It may still take the offer: nothing says otherwise. Silence is not judged before the offer ends. */
function canTakeOver(turn: Turn): boolean {
  if (turn.state.peer.kind === "dead") return false;
  const role = freshWords(turn)?.role;
  return role === undefined || role === "standby" || role === "claiming" || role === "active";
}

function enterFault(turn: Turn): void {
  const detail = turn.state.faults.map(({ cause, detail: text }) => `${cause}: ${text}`).join("; ");
  log(turn, "error", "fault", { reason: detail, was: turn.state.phase.kind });
  refuseSwitchover(turn, `this node is in fault: ${detail}`);
  releaseIfHeld(turn);
  update(turn, { phase: { kind: "fault" }, offerUntil: undefined, requestUntil: undefined });
}

// Rule 4: a lease of which more than 0.8 has passed may have ended. Renewing it now could create the
// address again under the feet of a successor; so give up, and listen before claiming anything.
function isLeaseStale({ settings, now }: Turn, lease: Lease): boolean {
  return now - lease.from >= LEASE_TRUST * settings.leaseMs;
}

function giveUpStaleLease(turn: Turn, lease: Lease): void {
  const leftAlone = turn.state.phase.kind === "active";
  if (leftAlone) {
    log(turn, "error", "the lease may have ended: this process was frozen, starved, or its hook failed", {
      sinceRenewalMs: Math.round(turn.now - lease.from),
    });
  }
  // Rule 9: whoever cannot renew would claim again and fail again, while its standby waits for ever.
  if (leftAlone && lease.failing && isPeerReady(turn)) return failRenewal(turn);
  releaseIfHeld(turn);
  // While leaving this is the planned end of the handover: the peer is known and active.
  if (leftAlone) listen(turn, "the lease may have ended");
  else standBy(turn);
}

function failRenewal(turn: Turn): void {
  const detail = "the lease could not be renewed; see the log of the hook";
  addFault(turn, { cause: "renewal", detail, until: turn.now + CLAIM_RETRY_MS });
  enterFault(turn);
}

function releaseIfHeld(turn: Turn): void {
  if (!holdsAddress(turn.state.phase)) return;
  turn.effects.push({ kind: "release" });
  // The kernel removes it at the latest then, whatever becomes of the hook. Counted from now, not from the last
  // good renewal: a claim or renewal that is running, or has failed, may have set the lease since.
  update(turn, { releasing: { until: turn.now + turn.settings.leaseMs * LEASE_MARGIN } });
}

/** Starts over: nothing that was known of the peer counts any more. */
function listen(turn: Turn, reason: string): void {
  const { settings, now } = turn;
  log(turn, "info", "listening", { reason });
  update(turn, {
    phase: {
      kind: "listening",
      until: now + activeDownMs(settings.priority, settings.intervalMs),
      giveUpAt: now + START_WAIT_MS,
    },
    peer: { kind: "unknown" },
  });
}

function standBy(turn: Turn): void {
  const vacantSince = isContender(turn.state.peer) && isFresh(turn) ? undefined : turn.now;
  update(turn, { phase: { kind: "standby", vacantSince } });
}

/** Rule 8: no claim before one active-down interval of listening, nor before the network works. */
function decideListening(turn: Turn, phase: Extract<Phase, { kind: "listening" }>): void {
  if (turn.now < phase.until) return;
  if (turn.state.peer.kind === "unknown" && turn.now < phase.giveUpAt) return;
  standBy(turn);
  log(turn, "info", "standby", { peer: turn.state.peer.kind, reason: "listened long enough" });
}

function decideStandby(turn: Turn, phase: Extract<Phase, { kind: "standby" | "awaiting-lease" }>): void {
  const { settings, now, state } = turn;
  if (state.stalledSince !== undefined) return;
  if (state.offerUntil !== undefined) {
    // claim: safe released first. What was offered is not taken back before the offer expires.
    if (freshWords(turn)?.role === "active") {
      answerDone(turn);
      update(turn, { offerUntil: undefined });
    }
    return;
  }
  const vacancy = findVacancy(turn, phase);
  if (vacancy === undefined) {
    if (phase.kind === "awaiting-lease") standBy(turn);
    return;
  }
  if (settings.claim === "safe" && vacancy.mayHold) {
    if (phase.kind === "standby") {
      const claimAt = now + settings.leaseMs * LEASE_MARGIN + HOOK_SLACK_MS;
      log(turn, "info", "waiting for the predecessor's lease to end", { reason: vacancy.reason });
      update(turn, { phase: { kind: "awaiting-lease", claimAt, reason: vacancy.reason } });
      return;
    }
    if (now < phase.claimAt) return;
  }
  claim(turn, vacancy);
}

/** Why the address is free for us now; undefined when it is not. */
function findVacancy(
  { settings, now, state }: Turn,
  phase: Extract<Phase, { kind: "standby" | "awaiting-lease" }>,
): Vacancy | undefined {
  const activeDown = activeDownMs(settings.priority, settings.intervalMs);
  const since = phase.kind === "standby" ? (phase.vacantSince ?? now) : -Infinity;
  const { peer } = state;
  switch (peer.kind) {
    case "unknown":
      return { reason: "nothing was heard of the peer since the start", handover: false, mayHold: true };
    case "dead":
      return { reason: "the peer's process is dead", handover: false, mayHold: peer.mayHold };
    case "estranged":
      // It lives, so exactly one of the two may claim, and both must come to the same answer without a word.
      if (now - peer.at >= ESTRANGED_MEMORY_MS) {
        return { reason: "the peer, which was not understood, is silent", handover: false, mayHold: true };
      }
      return outranksByConfig(settings) && now >= since + activeDown
        ? { reason: "the peer is not understood and ranks lower", handover: false, mayHold: true }
        : undefined;
    case "heard":
  }
  const silentMs = now - peer.at;
  if (silentMs >= activeDown) {
    const reason = `no advertisement for ${String(Math.round(silentMs))} ms`;
    return { reason, handover: false, mayHold: true };
  }
  const { said } = peer;
  switch (said.role) {
    case "claiming":
      return undefined;
    case "active":
      return said.intent === "offer" && settings.claim === "fast"
        ? { reason: "switchover", handover: true, mayHold: false }
        : undefined;
    case "leaving":
      // It may renew its lease until it has drained; being careful means to wait until it says that it is through.
      if (settings.claim === "safe") return undefined;
      // RFC 9568 6.4.3: after priority 0, one skew time.
      return now >= since + skewMs(settings.priority, settings.intervalMs)
        ? { reason: "the active resigned", handover: false, mayHold: true }
        : undefined;
    case "fault":
    case "stopped":
      return {
        reason: `the peer is ${said.role === "fault" ? "in fault" : "stopped"}`,
        handover: false,
        mayHold: false,
      };
    case "listening":
    case "standby":
      if (said.intent === "offer") return { reason: "switchover", handover: false, mayHold: false };
      // Neither is active. The one that ranks higher goes first; the other gives it time to listen and to
      // claim. With only one active-down interval both would claim in the same moment.
      return outranksByConfig(settings) || now >= since + VACANCY_ACTIVE_DOWNS * activeDown
        ? { reason: "no node is active", handover: false, mayHold: false }
        : undefined;
  }
}

function outranksByConfig({ node, priority, peer, peerPriority }: Settings): boolean {
  return outranks({ epoch: 0, priority, node }, { epoch: 0, priority: peerPriority, node: peer });
}

function claim(turn: Turn, vacancy: Vacancy): void {
  const { state, now } = turn;
  const epoch = state.epoch + 1;
  // A peer that was heard has told enough. One that never spoke may be active behind a firewall.
  const { peer } = state;
  const probe = peer.kind === "dead" ? !peer.everHeard : peer.kind !== "heard";
  const { reason, handover } = vacancy;
  log(turn, "info", "claiming", { epoch, reason, handover });
  turn.effects.push({ kind: "claim", epoch, handover, probe });
  update(turn, {
    phase: { kind: "claiming", epoch, since: now, vacancy },
    epoch,
    releasing: undefined,
    requestUntil: undefined,
  });
}

/** A peer that is in touch wants the address, too, and ranks higher. */
function isBeaten(turn: Turn, epoch: number): boolean {
  const said = freshWords(turn);
  if (said === undefined || !isContender(turn.state.peer)) return false;
  return outranks(said, { epoch, priority: turn.settings.priority, node: turn.settings.node });
}

function yieldAddress(turn: Turn): void {
  const said = freshWords(turn);
  log(turn, "warn", "yielding", {
    to: turn.settings.peer,
    epoch: said?.epoch ?? 0,
    reason: "the peer wants the address, too, and ranks higher",
    was: turn.state.phase.kind,
  });
  releaseIfHeld(turn);
  standBy(turn);
  update(turn, { offerUntil: undefined });
}

function decideActive(turn: Turn, phase: ActivePhase): void {
  if (isBeaten(turn, phase.epoch)) {
    const said = freshWords(turn);
    if (turn.state.offerUntil === undefined) return yieldAddress(turn);
    if (said?.role === "active") return leave(turn, phase.lease, { handedOver: true });
    // It is claiming on our own offer: hold until it holds.
  }
  if (turn.state.offerUntil === undefined) {
    if (turn.state.stopping) return stopActive(turn, phase);
    const asked = freshWords(turn)?.intent === "request" && isPeerReady(turn);
    if (asked) return offer(turn, phase, "the peer was asked to take over");
    if (turn.settings.preempt) decidePreemption(turn, phase);
  }
  tendAddress(turn);
}

function isPeerReady(turn: Turn): boolean {
  return freshWords(turn)?.ready === true;
}

/** A preferred peer gets the role back when it has been ready for the whole delay. */
function decidePreemption(turn: Turn, phase: ActivePhase): void {
  const { settings, now } = turn;
  const wanted = isPeerReady(turn) && !outranksByConfig(settings);
  if (!wanted) {
    if (phase.preemptAt !== undefined) update(turn, { phase: { ...phase, preemptAt: undefined } });
    return;
  }
  if (phase.preemptAt === undefined) {
    update(turn, { phase: { ...phase, preemptAt: now + settings.preemptDelayMs } });
    return;
  }
  if (now >= phase.preemptAt) {
    offer(turn, { ...phase, preemptAt: undefined }, "the peer has a higher priority");
  }
}

function offer(turn: Turn, phase: ActivePhase, reason: string): void {
  const { settings, now } = turn;
  log(turn, "info", "handing over", { to: settings.peer, reason });
  update(turn, { phase, offerUntil: now + OFFER_MS });
  // claim: safe never has two holders: release first, and let the peer claim when it is told so.
  if (settings.claim === "safe") {
    releaseIfHeld(turn);
    standBy(turn);
  }
}

/** Renews the lease and tells the network, when either is due. */
function tendAddress(turn: Turn): void {
  const { phase } = turn.state;
  if (phase.kind !== "active" && phase.kind !== "leaving") return;
  if (!phase.lease.renewing && turn.now >= phase.lease.renewAt) {
    turn.effects.push({ kind: "renew" });
    update(turn, { phase: { ...phase, lease: { ...phase.lease, renewing: true } } });
  }
  const tended = turn.state.phase;
  if (tended.kind !== "active") return;
  const [due] = tended.announceAt;
  if (due === undefined || turn.now < due) return;
  turn.effects.push({ kind: "announce" });
  const later = tended.announceAt.filter((at) => at > turn.now);
  const announceAt = later.length > 0 ? later : [turn.now + ANNOUNCE_EVERY_MS];
  update(turn, { phase: { ...tended, announceAt } });
}

/** The moments after a claim, or after a duel, at which the network is told (rule 3); ascending. */
export function announceTimes({ leaseMs }: Settings, now: number): readonly number[] {
  return [...ANNOUNCE_AFTER_MS, leaseMs + ANNOUNCE_AFTER_LEASE_MS]
    .map((ms) => now + ms)
    .toSorted((a, b) => a - b);
}

function leave(turn: Turn, lease: Lease, { handedOver }: { readonly handedOver: boolean }): void {
  const { settings, now } = turn;
  // Handed over: two leases may overlap for one lease period, so this one is renewed no more.
  const until = handedOver ? lease.from + LEASE_TRUST * settings.leaseMs : now + settings.stopGraceMs;
  const reason = handedOver ? "the peer has taken over" : "this node is stopping";
  log(turn, "info", "leaving", { reason, handedOver, forMs: Math.round(until - now) });
  turn.effects.push({ kind: "drain" });
  if (handedOver) answerDone(turn);
  update(turn, { phase: { kind: "leaving", lease, until, handedOver }, offerUntil: undefined });
}

function decideLeaving(turn: Turn, phase: Extract<Phase, { kind: "leaving" }>): void {
  const isContested = !phase.handedOver && freshWords(turn) !== undefined && isContender(turn.state.peer);
  const isOrphaned = phase.handedOver && turn.state.peer.kind === "dead";
  // A careful successor has come up meanwhile, and waits for us.
  const isAwaited = turn.settings.claim === "safe" && isPeerReady(turn);
  if (turn.now < phase.until && !isContested && !isOrphaned && !isAwaited) {
    if (!phase.handedOver) tendAddress(turn);
    return;
  }
  releaseIfHeld(turn);
  standBy(turn);
  log(turn, "info", "released", { peer: turn.settings.peer });
}

function stopActive(turn: Turn, phase: ActivePhase): void {
  if (isPeerReady(turn)) return offer(turn, phase, "this node is stopping");
  leave(turn, phase.lease, { handedOver: false });
}

/** Not active (any more): release what a claim may have added, and wait for the hooks to say so. */
function stopNow(turn: Turn): void {
  const { phase } = turn.state;
  if (phase.kind === "claiming") {
    releaseIfHeld(turn);
    standBy(turn);
    return;
  }
  if (turn.state.releasing !== undefined) return;
  refuseSwitchover(turn, "this node is stopping");
  log(turn, "info", "stopped", { reason: "this node was told to stop" });
  update(turn, { phase: { kind: "stopped" } });
}

function answerSwitchover(turn: Turn): void {
  const { state, settings, now } = turn;
  if (!state.switchoverOrdered) return;
  if (state.offerUntil !== undefined || state.requestUntil !== undefined) return;
  const { phase } = state;
  const said = freshWords(turn);
  switch (phase.kind) {
    case "active":
      if (isPeerReady(turn)) return offer(turn, phase, "ordered by an operator");
      return refuseSwitchover(turn, whyNotReady(turn));
    case "standby":
      if (said?.role !== "active") return refuseSwitchover(turn, "no active peer is in touch to hand over");
      return update(turn, { requestUntil: now + OFFER_MS });
    case "claiming":
      // Asked for, and on its way: answered when the claim ends.
      return;
    case "listening":
    case "awaiting-lease":
    case "leaving":
    case "fault":
    case "stopped":
      return refuseSwitchover(
        turn,
        `${settings.node} is ${phase.kind} now; try again when it is active or standby`,
      );
  }
}

function whyNotReady(turn: Turn): string {
  const { settings, state, now } = turn;
  const { peer } = state;
  switch (peer.kind) {
    case "unknown":
      return `${settings.peer} was not heard yet`;
    case "dead":
      return `vipair does not run on ${settings.peer}`;
    case "estranged":
      return `${settings.peer} cannot be understood: ${peer.problem}`;
    case "heard":
      return isFresh(turn)
        ? `${settings.peer} is not ready: it is ${peer.said.role}`
        : `${settings.peer} was not heard for ${String(Math.round(now - peer.at))} ms`;
  }
}

/** The operator's order is carried out. */
export function answerDone(turn: Turn): void {
  if (!turn.state.switchoverOrdered) return;
  turn.effects.push({ kind: "switchover-done" });
  update(turn, { switchoverOrdered: false });
}

function refuseSwitchover(turn: Turn, reason: string): void {
  if (!turn.state.switchoverOrdered) return;
  turn.effects.push({ kind: "switchover-refused", reason });
  update(turn, { switchoverOrdered: false });
}
