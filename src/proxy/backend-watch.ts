// What the outcomes of requests say of one backend, as this worker sees them: rows of failures, which the control
// process hears of, and the circuit breaker. A backend has one only if its pool ejects or has breakers.

import type { PoolConfig } from "../config/config.ts";
import type { BreakerReport } from "../protocol/worker.ts";
import { CircuitBreaker, type Pass } from "../routing/circuit-breaker.ts";
import { FailureRows, type RowKind } from "../routing/failure-row.ts";
import { monotonicClock } from "../system/clock.ts";
import type { Context } from "./context.ts";

/** A backend that fails every request fills rows all the time; the control process needs to hear of it only so often. */
const ROW_REPORT_INTERVAL_MS = 100;

export type WatchSettings = Pick<PoolConfig, "outliers" | "circuitBreaker">;

interface Subject {
  readonly pool: string;
  readonly backend: string;
}

export class BackendWatch {
  private readonly context: Context;
  private readonly subject: Subject;
  private readonly settings: WatchSettings;
  private readonly rows: FailureRows | null;
  private readonly breaker: CircuitBreaker | null;
  private rowReportedAt = -Infinity;

  constructor(context: Context, subject: Subject, settings: WatchSettings) {
    this.context = context;
    this.subject = subject;
    this.settings = settings;
    const { outliers, circuitBreaker } = settings;
    this.rows = outliers === null ? null : new FailureRows(outliers);
    this.breaker = circuitBreaker === null ? null : new CircuitBreaker(circuitBreaker);
  }

  /** Whether what is counted here counts on under these settings. */
  isFor({ outliers, circuitBreaker }: WatchSettings): boolean {
    const { settings } = this;
    return (
      JSON.stringify([settings.outliers, settings.circuitBreaker]) ===
      JSON.stringify([outliers, circuitBreaker])
    );
  }

  /** Whether the breaker lets a request through now. Changes nothing. */
  accepts(nowMs: number): boolean {
    return this.breaker === null || this.breaker.accepts(nowMs);
  }

  /** A request that was accepted begins. Its pass comes back with what became of it. */
  admit(): Pass {
    return this.breaker === null ? 0 : this.breaker.admit(this.context.timers.nowMs);
  }

  /** The final head of a response came, or a 101. True: the breaker has opened. */
  noteStatus(status: number, pass: Pass): boolean {
    if (this.rows?.isFullWithStatus(status) === true) this.tellRow("5xx", `status ${String(status)}`);
    if (this.breaker === null) return false;
    const { nowMs } = this.context.timers;
    if (status >= 500) {
      if (!this.breaker.fail(pass, { nowMs, reason: `status ${String(status)}` })) return false;
      this.logOpened();
      return true;
    }
    if (this.breaker.succeed(pass, nowMs)) {
      this.context.tally.hasChanged = true;
      this.context.log.info(this.subject, "circuit breaker closed");
    }
    return false;
  }

  /** No proper response. `status`: that of its head, if it broke off behind it; null: there was none. True: as noteStatus. */
  noteFailure(reason: string, status: number | null, pass: Pass): boolean {
    if (this.rows?.isFullWithFailure() === true) this.tellRow("failures", reason);
    // Its head has failed the request already.
    if (this.breaker === null || (status !== null && status >= 500)) return false;
    const { nowMs } = this.context.timers;
    if (!this.breaker.fail(pass, { nowMs, reason, hadSucceeded: status !== null })) return false;
    this.logOpened();
    return true;
  }

  /** The whole response came. */
  noteWhole(): void {
    this.rows?.endFailures();
  }

  /** Nobody knows what would have become of the request. */
  noteAbandoned(pass: Pass): void {
    this.breaker?.handBack(pass);
  }

  /** It is back from an ejection: it shall be judged by what comes now. */
  beginAnew(): void {
    this.rows?.clear();
  }

  /** null: closed. */
  get report(): BreakerReport | null {
    const state = this.breaker?.state ?? null;
    if (state === null) return null;
    const { phase, reason, trialsAtMs } = state;
    return {
      ...this.subject,
      phase,
      reason,
      trialsInMs: Math.max(0, Math.round(trialsAtMs - monotonicClock())),
    };
  }

  private tellRow(kind: RowKind, reason: string): void {
    const { timers } = this.context;
    const { outliers } = this.settings;
    const length = kind === "5xx" ? outliers?.consecutive5xx : outliers?.consecutiveFailures;
    if (timers.nowMs - this.rowReportedAt < ROW_REPORT_INTERVAL_MS) return;
    this.rowReportedAt = timers.nowMs;
    this.context.tell({ kind: "failure-row", ...this.subject, row: { kind, length: length ?? 0, reason } });
  }

  private logOpened(): void {
    const { log, tally } = this.context;
    tally.hasChanged = true;
    log.warn({ ...this.subject, reason: this.breaker?.state?.reason }, "circuit breaker open");
  }
}
