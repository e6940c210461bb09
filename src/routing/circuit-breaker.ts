// The circuit breaker of one backend in one worker: too large a share of the requests failed within the window, and
// the backend gets none for a while, then a few on trial. In resilience4j's words, with a window of time:
//
//              failureRate % of at least minimumRequests
//   closed ───────────────────────────────────────────> open <───────────────┐
//     ^                                                  │ after `open`       │ a trial failed
//     │                                                  v                    │
//     └───────────── all trials were good ─────────── half-open ──────────────┘
//                                                        lets `trials` requests through
//
// Every request holds a pass, which says in which of these phases it began: what comes of it later counts only while
// that lasts. A pass of a trial whose holder ends without an outcome is handed back. A trial whose outcome does not come
// at all (a client that sends its body for an hour) is replaced by another one after `open`, so that no client can
// hold a breaker half-open for ever.

import type { CircuitBreakerConfig } from "../config/passive-config.ts";

/** 0: none. */
export type Pass = number;

export interface BreakerState {
  readonly phase: "open" | "half-open";
  /** Why it opened. */
  readonly reason: string;
  /** When it lets the first requests through, or others on trial. */
  readonly trialsAtMs: number;
}

const SLOTS = 10;

/** Passes are of one breaker only: what was admitted by one that a reload has replaced says nothing to its successor. */
let passes: Pass = 0;

function nextPass(): Pass {
  return (passes += 1);
}

export class CircuitBreaker {
  private readonly config: CircuitBreakerConfig;
  private phase: "closed" | "open" | "half-open" = "closed";
  /** The pass of the phase that lasts. */
  private pass: Pass = nextPass();
  /** Of the window, a tenth of it in each place: what began in the slot of time that is `slot` now. */
  private readonly requests = new Float64Array(SLOTS);
  private readonly failures = new Float64Array(SLOTS);
  private readonly slotMs: number;
  private slot = 0;
  private reason = "";
  /** Open: when trials begin. Half-open: when trials without an outcome are replaced. */
  private trialsAtMs = 0;
  /** Half-open: requests that were let through, without those handed back; and how many of them were good. */
  private begun = 0;
  private good = 0;

  constructor(config: CircuitBreakerConfig) {
    this.config = config;
    this.slotMs = config.windowMs / SLOTS;
  }

  /** null: closed. */
  get state(): BreakerState | null {
    const { phase, reason, trialsAtMs } = this;
    return phase === "closed" ? null : { phase, reason, trialsAtMs };
  }

  /** Whether a request may begin now. Changes nothing. */
  accepts(nowMs: number): boolean {
    switch (this.phase) {
      case "closed":
        return true;
      case "open":
        return nowMs >= this.trialsAtMs;
      case "half-open":
        return this.begun < this.config.trials || nowMs >= this.trialsAtMs;
    }
  }

  /** A request that was accepted begins. Its pass goes to exactly one of succeed, fail, handBack. */
  admit(nowMs: number): Pass {
    if (this.phase === "closed") return this.pass;
    if (this.phase === "open" || (this.begun >= this.config.trials && nowMs >= this.trialsAtMs))
      this.beginTrials();
    this.begun += 1;
    this.trialsAtMs = nowMs + this.config.openMs;
    return this.pass;
  }

  /** The head of a response came, with a status below 500. True: the breaker has closed. */
  succeed(pass: Pass, nowMs: number): boolean {
    if (pass !== this.pass) return false;
    if (this.phase === "closed") {
      this.count(nowMs, 1, 0);
      return false;
    }
    this.good += 1;
    if (this.good < this.config.trials) return false;
    this.phase = "closed";
    this.pass = nextPass();
    this.requests.fill(0);
    this.failures.fill(0);
    return true;
  }

  /**
   * A status of 500 or above, or no proper response. `hadSucceeded`: the head had come, and the rest did not; the
   * request counted as good until now. True: the breaker has opened.
   */
  fail(
    pass: Pass,
    { nowMs, reason, hadSucceeded = false }: { nowMs: number; reason: string; hadSucceeded?: boolean },
  ): boolean {
    if (pass !== this.pass) return false;
    if (this.phase === "half-open") {
      this.open(nowMs, `a request on trial failed: ${reason}`);
      return true;
    }
    this.count(nowMs, hadSucceeded ? 0 : 1, 1);
    const { failureRate, minimumRequests, windowMs } = this.config;
    const failed = sum(this.failures);
    // One that failed late may have begun before the window.
    const all = Math.max(failed, sum(this.requests));
    if (all < minimumRequests || failed * 100 < failureRate * all) return false;
    this.open(
      nowMs,
      `${String(failed)} of ${String(all)} requests failed within ${formatSeconds(windowMs)}, the last one: ${reason}`,
    );
    return true;
  }

  /** The request ended, and nobody knows whether the backend is well: its client is gone, say. */
  handBack(pass: Pass): void {
    if (pass === this.pass && this.phase === "half-open") this.begun -= 1;
  }

  private beginTrials(): void {
    this.phase = "half-open";
    this.pass = nextPass();
    this.begun = 0;
    this.good = 0;
  }

  private open(nowMs: number, reason: string): void {
    this.phase = "open";
    this.pass = nextPass();
    this.reason = reason;
    this.trialsAtMs = nowMs + this.config.openMs;
  }

  private count(nowMs: number, requests: number, failures: number): void {
    const slot = Math.floor(nowMs / this.slotMs);
    // What is older than the window goes.
    for (let old = Math.max(this.slot + 1, slot - SLOTS + 1); old <= slot; old += 1) {
      this.requests[old % SLOTS] = 0;
      this.failures[old % SLOTS] = 0;
    }
    this.slot = slot;
    const place = slot % SLOTS;
    this.requests[place] = (this.requests[place] ?? 0) + requests;
    this.failures[place] = (this.failures[place] ?? 0) + failures;
  }
}

function sum(counts: Float64Array): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

function formatSeconds(ms: number): string {
  return `${String(ms / 1000)} s`;
}
