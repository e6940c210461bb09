// The downtime meter: starts a new TCP connection with one GET every few milliseconds, whether or not the
// earlier ones have been answered. Open loop, because a client that waits for its answer before it asks
// again makes one failed request out of an outage of any length.
//
// Attempts are planned on the monotonic clock (start + n * interval). When this process itself is held
// up, the plan is kept for a short while and such attempts are marked late; slots further back are
// counted as missed, not made up for in a burst that would be a load test. What was in flight
// gets the lost time on top of its timeout: its answer may be waiting in the socket.

import { connect, type Socket } from "node:net";
import { connect as connectTls, createSecureContext, type SecureContext } from "node:tls";
import { formatAddress } from "../config/config.ts";
import { monotonicClock, type Clock } from "../system/clock.ts";
import { OutageTally, type Outcome, type OutageReport } from "./outage.ts";

export interface OpenLoopOptions {
  /** IP literal or host name. */
  readonly host: string;
  readonly port: number;
  readonly path?: string;
  /** null, the default: plain HTTP. */
  readonly tls?: TlsOptions | null;
  /** The Host field; by default the address and port. */
  readonly hostField?: string;
  readonly intervalMs?: number;
  /** For a whole attempt, from the first SYN to the last byte of the response. */
  readonly timeoutMs?: number;
  /** Outages closer than this are one. */
  readonly mergeMs?: number;
  readonly clock?: Clock;
}

export interface TlsOptions {
  /** The name to ask for and to find in the certificate; null: the certificate is for the address. */
  readonly serverName: string | null;
  /** False: any certificate will do. */
  readonly verify: boolean;
}

export interface OpenLoopReport extends OutageReport {
  /** Planned attempts since then that were never made, because this process was held up. */
  readonly missed: number;
  /** How long this process was held up since then: a part of any outage seen may be its own. */
  readonly stalledMs: number;
  /** The latest failure that its outcome does not explain, in words; null when there was none. */
  readonly lastProblem: string | null;
}

/** An attempt begun this much after its plan is late. */
const LATE_MS = 10;
/** A slot this old is missed. */
const CATCH_UP_MS = 50;
const HEAD_BYTES_MAX = 16 * 1024;
const BACKEND_NAME_MAX = 64;
const MARKS_MAX = 100;

/** One request on its way: it owns its socket until it is settled. */
interface InFlight {
  readonly startMs: number;
  readonly late: boolean;
  /** The client's total of lost time when this began. */
  readonly stalledBeforeMs: number;
  readonly socket: Socket;
  /** null until it is settled. */
  result: { readonly endMs: number; readonly outcome: Outcome; readonly backend: string | null } | null;
}

/** Runs from start() until stop(). Reports can be asked for at any time, for the whole run or since a mark. */
export class OpenLoopClient {
  readonly #options: Required<OpenLoopOptions>;
  readonly #request: string;
  readonly #clock: Clock;
  readonly #secureContext: SecureContext | undefined;
  /** In the order of their starts; at most timeout / interval of them, and a few. */
  readonly #inFlight: InFlight[] = [];
  /** The first is the whole run. */
  readonly #tallies: {
    readonly label: string | null;
    readonly fromMs: number;
    /** The client's totals at that time. */
    readonly stalledBeforeMs: number;
    readonly missedBefore: number;
    readonly tally: OutageTally;
  }[] = [];
  #startedMs = 0;
  #nextSlotMs = 0;
  #stalledMs = 0;
  #missed = 0;
  #lastProblem: string | null = null;
  #timer: NodeJS.Timeout | null = null;
  #stopped: (() => void) | null = null;

  constructor(options: OpenLoopOptions) {
    this.#options = {
      path: "/",
      tls: null,
      hostField: formatAddress(options.host, options.port),
      intervalMs: 5,
      timeoutMs: 400,
      mergeMs: 50,
      clock: monotonicClock,
      ...options,
    };
    this.#clock = this.#options.clock;
    // One for all connections: to make it reads every root certificate.
    this.#secureContext = this.#options.tls === null ? undefined : createSecureContext();
    this.#request = `GET ${this.#options.path} HTTP/1.1\r\nHost: ${this.#options.hostField}\r\nConnection: close\r\n\r\n`;
  }

  start(): void {
    if (this.#tallies.length > 0) throw new Error("an open-loop client starts once");
    this.#startedMs = this.#clock();
    this.#nextSlotMs = this.#startedMs;
    this.#openTally(null, this.#startedMs);
    this.#tick();
  }

  /** From here on `outageSince(label)` counts: attempts that end later, so also those in flight now. */
  mark(label: string): void {
    const old = this.#tallies.findIndex((entry) => entry.label === label);
    if (old > 0) this.#tallies.splice(old, 1);
    else if (this.#tallies.length > MARKS_MAX) this.#tallies.splice(1, 1);
    this.#openTally(label, this.#clock());
  }

  /** Of the whole run so far. The newest attempts, up to one timeout back, may not be in it yet. */
  report(): OpenLoopReport {
    return this.#reportOf(null);
  }

  /** As report(), with times counted from the mark. Throws when there is no such mark. */
  outageSince(label: string): OpenLoopReport {
    return this.#reportOf(label);
  }

  /** Starts no further attempt, waits for those in flight (at most one timeout) and reports the whole run. */
  async stop(): Promise<OpenLoopReport> {
    await new Promise<void>((resolve) => {
      this.#stopped = resolve;
      this.#tick();
    });
    return this.report();
  }

  #openTally(label: string | null, fromMs: number): void {
    const { mergeMs, timeoutMs } = this.#options;
    this.#tallies.push({
      label,
      fromMs,
      stalledBeforeMs: this.#stalledMs,
      missedBefore: this.#missed,
      tally: new OutageTally({ fromMs, mergeMs, latencyMsMax: timeoutMs }),
    });
  }

  #reportOf(label: string | null): OpenLoopReport {
    const entry = this.#tallies.find((candidate) => candidate.label === label);
    if (entry === undefined) throw new Error(label === null ? "not started" : `no mark "${label}"`);
    return {
      ...entry.tally.report(),
      missed: this.#missed - entry.missedBefore,
      stalledMs: Math.round(this.#stalledMs - entry.stalledBeforeMs),
      lastProblem: this.#lastProblem,
    };
  }

  #tick(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const now = this.#clock();
    if (this.#stopped === null) this.#startDue(now);
    this.#timeOut(now);
    this.#settle();
    if (this.#stopped !== null && this.#inFlight.length === 0) {
      this.#stopped();
      return;
    }
    const wakeMs = this.#stopped === null ? this.#nextSlotMs - this.#clock() : this.#options.intervalMs;
    this.#timer = setTimeout(
      () => {
        this.#tick();
      },
      Math.max(0, wakeMs),
    );
  }

  #startDue(now: number): void {
    const { intervalMs } = this.#options;
    const behindMs = now - this.#nextSlotMs;
    if (behindMs > LATE_MS) this.#stalledMs += behindMs;
    if (behindMs > CATCH_UP_MS) {
      const missed = Math.floor((behindMs - CATCH_UP_MS) / intervalMs);
      this.#missed += missed;
      this.#nextSlotMs += missed * intervalMs;
    }
    for (; this.#nextSlotMs <= now; this.#nextSlotMs += intervalMs) {
      this.#begin({ late: now - this.#nextSlotMs > LATE_MS });
    }
  }

  #begin({ late }: { readonly late: boolean }): void {
    const startMs = this.#clock();
    const socket = this.#connect();
    const attempt: InFlight = { startMs, late, stalledBeforeMs: this.#stalledMs, socket, result: null };
    this.#inFlight.push(attempt);
    const response = new Response();
    socket.on("data", (chunk) => {
      const verdict = response.push(chunk);
      if (verdict !== null) this.#endWith(attempt, response, verdict);
    });
    socket.on("end", () => {
      this.#endWith(attempt, response, response.end());
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      const known = OUTCOMES.get(error.code ?? "");
      const outcome = known ?? (this.#options.tls === null ? "error" : "bad-tls");
      // What follows a semicolon is the runtime's advice to its programmers.
      const problem = known === undefined ? (error.message.split(";")[0] ?? null) : null;
      this.#end(attempt, { outcome, problem });
    });
    socket.write(this.#request);
  }

  #connect(): Socket {
    const { host, port, tls } = this.#options;
    if (tls === null || this.#secureContext === undefined) return connect({ host, port });
    return connectTls({
      host,
      port,
      secureContext: this.#secureContext,
      rejectUnauthorized: tls.verify,
      ...(tls.serverName === null ? {} : { servername: tls.serverName }),
    });
  }

  #endWith(attempt: InFlight, response: Response, outcome: Outcome): void {
    const problem =
      outcome === "bad-status"
        ? `HTTP status ${String(response.status)}`
        : outcome === "bad-response"
          ? "a response that is not HTTP or was cut short"
          : null;
    this.#end(attempt, { outcome, problem, backend: response.backend });
  }

  #end(
    attempt: InFlight,
    {
      outcome,
      problem = null,
      backend = null,
    }: { readonly outcome: Outcome; readonly problem?: string | null; readonly backend?: string | null },
  ): void {
    if (attempt.result !== null) return;
    if (problem !== null) this.#lastProblem = problem;
    attempt.result = { endMs: this.#clock(), outcome, backend: outcome === "ok" ? backend : null };
    attempt.socket.destroy();
  }

  #timeOut(now: number): void {
    for (const attempt of this.#inFlight) {
      const lostMs = this.#stalledMs - attempt.stalledBeforeMs;
      if (now < attempt.startMs + this.#options.timeoutMs + lostMs) return;
      this.#end(attempt, { outcome: "timeout" });
    }
  }

  /** Hands over what is settled in the order of the starts, which the definition of an outage needs. */
  #settle(): void {
    for (;;) {
      const [attempt] = this.#inFlight;
      if (attempt === undefined || attempt.result === null) return;
      this.#inFlight.shift();
      const { startMs, late, result } = attempt;
      for (const { fromMs, tally } of this.#tallies) {
        if (result.endMs >= fromMs) tally.add({ startMs, late, ...result });
      }
    }
  }
}

const OUTCOMES: ReadonlyMap<string, Outcome> = new Map([
  ["ECONNREFUSED", "refused"],
  ["ECONNRESET", "reset"],
  ["ECONNABORTED", "reset"],
  ["EPIPE", "reset"],
  ["ETIMEDOUT", "timeout"],
  ["EHOSTUNREACH", "unreachable"],
  ["ENETUNREACH", "unreachable"],
  ["EHOSTDOWN", "unreachable"],
  ["ENETDOWN", "unreachable"],
  ["EADDRNOTAVAIL", "unreachable"],
]);

/** 101 is an answer: what follows is no HTTP. */
const INTERIM = /^(?:HTTP\/1\.1 1(?!01)\d\d[^\0]*?\r\n\r\n)+/;
/** The last chunk, and the trailer that may follow it (RFC 9112 7.1). */
const LAST_CHUNK = /(?:^|\n)0+(?:;[^\r\n]*)?\r\n(?:[^\r\n]+\r\n)*\r\n$/;
/** With room for a trailer. */
const TAIL_BYTES = 1024;

/** Reads just enough of a response to know that all of it came: a meter must not take a truncated one for good. */
class Response {
  #head = "";
  #status = 0;
  /** null: the body ends with the connection. */
  #bodyBytes: number | null = null;
  #chunked = false;
  #received = 0;
  #bodyStart = "";
  #tail = "";
  #headDone = false;

  get status(): number {
    return this.#status;
  }

  /** First line of the body. */
  get backend(): string | null {
    const line = (/^[^\r\n]*/.exec(this.#bodyStart)?.[0] ?? "").trim();
    return line === "" || this.#chunked ? null : line;
  }

  /** The verdict as soon as it is certain, null before. */
  push(chunk: Buffer): Outcome | null {
    if (this.#headDone) return this.#pushBody(chunk);
    this.#head += chunk.toString("latin1");
    // RFC 9110 15.2: any number of interim responses may come before the answer.
    this.#head = this.#head.replace(INTERIM, "");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end < 0) return this.#head.length > HEAD_BYTES_MAX ? "bad-response" : null;
    this.#headDone = true;
    const head = this.#head.slice(0, end);
    const status = /^HTTP\/1\.[01] ([1-5]\d\d)/.exec(head)?.[1];
    if (status === undefined) return "bad-response";
    this.#status = Number(status);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    this.#bodyBytes = length === undefined ? null : Number(length);
    this.#chunked = /\r\ntransfer-encoding: *chunked/i.test(head);
    return this.#pushBody(Buffer.from(this.#head.slice(end + 4), "latin1"));
  }

  /** The verdict at the end of the connection. */
  end(): Outcome {
    // A clean close without a single byte is what a client sees of a dying worker: a reset in other clothes.
    if (!this.#headDone) return this.#head === "" ? "reset" : "bad-response";
    if (this.#bodyBytes !== null) return "bad-response";
    return this.#chunked && !LAST_CHUNK.test(this.#tail) ? "bad-response" : this.#judgeStatus();
  }

  #pushBody(chunk: Buffer): Outcome | null {
    this.#received += chunk.length;
    const text = chunk.toString("latin1");
    this.#bodyStart = (this.#bodyStart + text).slice(0, BACKEND_NAME_MAX);
    this.#tail = (this.#tail + text).slice(-TAIL_BYTES);
    return this.#bodyBytes !== null && this.#received >= this.#bodyBytes ? this.#judgeStatus() : null;
  }

  #judgeStatus(): Outcome {
    return this.#status >= 200 && this.#status < 400 ? "ok" : "bad-status";
  }
}
