// Deadlines of connections. Each connection has one, which it moves with every step it makes; moving it
// is one store, because nothing is queued: while connections exist, a coarse tick looks at all of
// them (8,000 connections cost about a millisecond per second). Deadlines are late by up to one tick,
// never early.

import { monotonicClock } from "../system/clock.ts";

const TICK_MS = 50;

export interface Expiring {
  /** On the clock of Timers; Infinity: none. */
  deadlineAt: number;
  /** The deadline passed; it is already set to Infinity. */
  expire(): void;
}

export class Timers {
  /** The time of the last tick: at most one tick old while anything is watched. */
  nowMs = monotonicClock();
  private readonly watched = new Set<Expiring>();
  private ticking: NodeJS.Timeout | null = null;

  /** The moment `ms` from now, for deadlineAt. */
  after(ms: number): number {
    return this.nowMs + TICK_MS + ms;
  }

  watch(expiring: Expiring): void {
    this.watched.add(expiring);
    if (this.ticking !== null) return;
    this.nowMs = monotonicClock();
    this.ticking = setInterval(() => {
      this.tick();
    }, TICK_MS);
  }

  unwatch(expiring: Expiring): void {
    this.watched.delete(expiring);
    if (this.watched.size > 0 || this.ticking === null) return;
    clearInterval(this.ticking);
    this.ticking = null;
  }

  private tick(): void {
    this.nowMs = monotonicClock();
    for (const expiring of this.watched) {
      if (expiring.deadlineAt > this.nowMs) continue;
      expiring.deadlineAt = Infinity;
      expiring.expire();
    }
  }
}
