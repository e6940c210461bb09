// One request with its client: which backend is tried, what goes to the client and when it is over. Each try of it is an
// attempt (attempt.ts); here is what remains when one of them has failed.
//
//   awaited: queued <──full── trying ──an attempt answers──> body ──its end──> done
//               └──has room──>  │
//                               └──nobody does, or it is not worth waiting──> done: an error page
//
//   connect fails:                        next backend, each at most once; then one that had the request; then 503
//   a reused connection closes unheard:   again on a fresh one, if nothing can have happened twice
//   lost, too slow, a chosen status:      again (tries.ts) if that is asked for, safe, and within its bounds
//   nobody left after a chosen status:    that answer after all
//   otherwise, before the head:           502; too slow: 504
//   a body that is malformed, too large or too slow, before the head: 400, 413, 408
//   lost or malformed after the head:     the client's connection is cut, so that it shows
//
// It pulls the request body from the client connection (takeBody) when the backend can take it.

import { type Body, type OutFraming, createBody, hasEnded, transferBody } from "../http1/body.ts";
import { type RequestEdit, renderRequestHead } from "../http1/forward.ts";
import { type RequestHead, isIdempotent } from "../http1/request.ts";
import type { ResponseHead } from "../http1/response.ts";
import { mayClientSpeak } from "../http1/turn.ts";
import { type AccessRecord, noteAttempt, noteConnected, noteEnd } from "./access-record.ts";
import { Attempt, type AttemptOwner } from "./attempt.ts";
import type { BackendConnection } from "./backend-connection.ts";
import type { Backend, Fault } from "./backend.ts";
import type { Context } from "./context.ts";
import type { ExchangeClient } from "./exchange-client.ts";
import { Mirror } from "./mirror.ts";
import type { Pool } from "./pool.ts";
import type { Place, Queueable } from "./queue.ts";
import { Replay } from "./replay.ts";
import type { Bond } from "./sticky.ts";
import { type Declined, Tries, declineAnswer } from "./tries.ts";

/** In the access log. */
const END_OF = {
  reset: "backend-closed",
  malformed: "backend-malformed",
  timeout: "backend-timeout",
} as const;
const NONE: readonly Backend[] = [];
/** What a try must have had of `total` for its backend to be blamed for the end of that. Envoy blames whoever is asked then. */
const BLAME_SHARE = 0.5;

export class Exchange implements AttemptOwner, Queueable {
  readonly head: RequestHead;
  readonly bond: Bond | null;
  private readonly context: Context;
  private readonly client: ExchangeClient;
  private readonly pool: Pool;
  private readonly bodyBytesMax: number;
  private readonly edit: RequestEdit | null;
  /** null: there is no access log. */
  private readonly record: AccessRecord | null;
  /** null: the request goes nowhere else. */
  private readonly mirror: Mirror | null;

  /** null: none is under way. */
  private attempt: Attempt | null = null;
  /** null: it does not wait for a backend to have room. */
  private place: Place | null = null;
  private readonly requestBody: Body;
  private hasTakenBody = false;
  /** What was sent of the body; null: nothing, or nobody may need it again. */
  private replay: Replay | null = null;
  /** null: no try has failed. */
  private tries: Tries | null = null;
  /** The backend that gets it in place of the one whose answer was declined. */
  private next: Backend | null = null;
  /** See RetryConfig.totalMs, on the clock of Timers; 0: it is open, or the whole request is not there yet. */
  private totalAt = 0;
  /** As the client knows it. */
  private response: "awaited" | "body" | "done" = "awaited";
  private wasInterim = false;
  private staysOpen = false;
  /** Why the last try failed. */
  private lastProblem = "";

  constructor(options: {
    readonly context: Context;
    readonly client: ExchangeClient;
    readonly head: RequestHead;
    readonly pool: Pool;
    readonly bodyBytesMax: number;
    /** null: the request's head passes as it is. */
    readonly edit: RequestEdit | null;
    /** null: there is no access log. */
    readonly record: AccessRecord | null;
    /** null: the request goes nowhere else. */
    readonly mirrorPool: Pool | null;
  }) {
    this.context = options.context;
    this.client = options.client;
    this.pool = options.pool;
    const { sticky } = options.pool;
    this.bond = sticky === null ? null : sticky.read(options.head);
    this.head = sticky === null ? options.head : sticky.hide(options.head);
    this.bodyBytesMax = options.bodyBytesMax;
    this.edit = options.edit;
    this.record = options.record;
    const { framing } = options.head;
    this.requestBody = createBody(framing, framing.kind, this.edit?.drops);
    this.mirror = options.mirrorPool === null ? null : this.makeMirror(options.mirrorPool);
  }

  start(): void {
    if (!this.seek()) this.failUnserved("no-backend");
    if (this.mirror !== null && !this.isBodyMissing) this.mirror.send();
  }

  /** What becomes of a tunnel cannot be copied. */
  private makeMirror(pool: Pool): Mirror | null {
    if (this.head.upgrade !== null) return null;
    const { context, head, edit, clientAddress } = this;
    return new Mirror({ context, pool, head, edit, clientAddress, sender: this.client.sender });
  }

  get clientAddress(): string {
    return this.client.clientAddress;
  }

  get tried(): readonly Backend[] {
    return this.tries === null ? NONE : this.tries.tried;
  }

  get isBodyMissing(): boolean {
    return !hasEnded(this.requestBody);
  }

  /** The client is gone. */
  abort(): void {
    this.settle("done");
    this.dropAttempt();
  }

  // ── the request ──────────────────────────────────────────────────────────────────────────────

  /** Somebody else, also if it has to wait for one; if nobody else is there, one that had it already. False: nobody. */
  private seek(): boolean {
    let problem = this.chooseOrWait();
    if (problem !== null && this.tries?.forgive() === true) problem = this.chooseOrWait();
    if (problem === "queue-full") this.failUnserved(problem);
    return problem !== "no-backend";
  }

  /** null: it is under way, or waits. */
  private chooseOrWait(): "no-backend" | "queue-full" | null {
    if (this.chooseNow()) return null;
    if (this.pool.retries.isTimed && !this.isBodyMissing) this.answerBy();
    const place = this.pool.queueUp(this, this.totalAt === 0 ? Infinity : this.totalAt);
    if (place === null) return "no-backend";
    if (place === "full") return "queue-full";
    this.place = place;
    return null;
  }

  private chooseNow(): boolean {
    const backend = this.pool.choose(this);
    if (backend !== null) this.begin(backend);
    return backend !== null;
  }

  /** Nobody is there to ask. An answer that was not wanted is better than none. */
  private failUnserved(why: "no-backend" | "queue-full" | "queue-timeout"): void {
    const declined = this.tries?.declined ?? null;
    if (declined !== null && this.giveDeclined(declined)) return;
    if (why !== "no-backend") noteEnd(this.record, why);
    else if (this.tries === null) noteEnd(this.record, "no-backend");
    else noteEnd(this.record, this.isLate ? "backend-timeout" : "connect-failed", this.lastProblem);
    this.fail(declined?.head.status ?? (this.isLate ? 504 : 503));
  }

  /** False: it is not there any more. */
  private giveDeclined({ head, body: bytes, backend }: Declined): boolean {
    if (bytes === null) return false;
    if (this.record !== null) this.record.backend = backend;
    const body = createBody(head.framing, this.framingFor(head));
    const parts: Buffer[] = [];
    transferBody(body, bytes, 0, parts);
    this.attemptAnswered(head, body.out, parts);
    this.attemptEnded();
    return true;
  }

  /**
   * Pointless when the client has ended its side: more of the body has to come; or it waits for a backend, and who
   * ends its side meanwhile has most likely gone.
   */
  get awaitsClient(): boolean {
    return this.isBodyMissing || this.place !== null;
  }

  granted(backend: Backend): void {
    this.place = null;
    this.begin(backend);
  }

  turnedAway(why: "queue-timeout" | "no-backend"): boolean {
    this.place = null;
    if (!this.isLate && this.tries?.forgive() === true) {
      if (why === "no-backend" ? this.chooseOrWait() === null : this.chooseNow()) return true;
    }
    this.failUnserved(why);
    return false;
  }

  private begin(backend: Backend): void {
    if (this.tries !== null) this.pool.retries.count += 1;
    if (this.record !== null) noteAttempt(this.record, backend.name);
    const { context, pool } = this;
    this.attempt = new Attempt({ context, owner: this, pool, backend });
    this.attempt.start();
  }

  attemptConnected(connection: BackendConnection): string {
    if (this.record !== null) noteConnected(this.record, connection);
    return renderRequestHead(this.head, this.client.sender, this.edit);
  }

  attemptReady(): void {
    this.client.advance();
  }

  /** Writes the request head if it is still waiting for a body to travel with. */
  flushHead(): void {
    this.attempt?.flushHead();
  }

  /**
   * Takes request body bytes from the front of input as far as the backend can take them now. Returns
   * how many; 0: nothing moves until advance() is called again.
   */
  takeBody(input: Buffer): number {
    const { attempt } = this;
    if (attempt === null || !attempt.takesBody) return 0;
    const parts: Buffer[] = [];
    const taken = transferBody(this.requestBody, input, 0, parts);
    if (typeof taken !== "number") {
      noteEnd(this.record, "client-malformed", taken.reason);
      this.refuseBody(taken.status);
      return 0;
    }
    if (this.requestBody.bodyBytes > this.bodyBytesMax) {
      noteEnd(this.record, "refused", "the body is too large");
      this.refuseBody(413);
      return 0;
    }
    if (this.response === "awaited") this.keepBody(parts);
    this.hasTakenBody = true;
    attempt.sendBody(parts);
    if (this.tries !== null && !this.isBodyMissing) this.tries.noteWhole();
    if (this.mirror !== null) this.copyBody(this.mirror, parts);
    return taken;
  }

  /** Only where it could be needed: to be sent again. */
  private keepBody(parts: readonly Buffer[]): void {
    if (!this.hasTakenBody && isIdempotent(this.head.method)) {
      const { framing } = this.head;
      const { retries } = this.pool;
      if (retries.keepsBody(framing.kind === "length" ? framing.length : null))
        this.replay = new Replay(retries.settings.bodyBytes);
    }
    this.replay?.keep(parts);
  }

  get sentBody(): Buffer | null {
    return this.hasTakenBody && this.replay !== null ? this.replay.sent : null;
  }

  answerBy(): number {
    const { perTryMs, totalMs } = this.pool.retries.settings;
    const { timers } = this.context;
    if (this.totalAt === 0) this.totalAt = timers.after(totalMs);
    return Math.min(this.totalAt, timers.after(perTryMs));
  }

  isFault(waitedMs: number): boolean {
    return !this.isLate || waitedMs >= this.pool.retries.settings.totalMs * BLAME_SHARE;
  }

  private copyBody(mirror: Mirror, parts: readonly Buffer[]): void {
    mirror.addBody(parts);
    if (!this.isBodyMissing) mirror.send();
  }

  /**
   * The body cannot be read on: the client's mistake, whatever the backend does. The bytes are still in the
   * client's input, even when the body ends in them: they must not be read as its next request.
   */
  private refuseBody(status: number): void {
    if (this.response === "awaited") this.fail(status, { isRequestRead: false });
    else this.cut();
  }

  // ── the response ─────────────────────────────────────────────────────────────────────────────

  get isFull(): boolean {
    return this.client.isFull;
  }

  hasTaken(): boolean {
    return this.client.hasTaken();
  }

  attemptInterim(head: ResponseHead): void {
    this.wasInterim = true;
    this.client.sendInterim(head);
  }

  framingFor(head: ResponseHead): OutFraming {
    return this.client.framingFor(head);
  }

  attemptAnswered(head: ResponseHead, out: OutFraming, parts: readonly Buffer[]): void {
    this.settle("body");
    // An early answer: the rest of the request would have to be read to find the next one.
    this.staysOpen = this.mayClientSpeak(!this.isBodyMissing) && out !== "until-close";
    this.countRequest();
    this.client.sendHead(this.withCookie(head), out, this.staysOpen, parts);
  }

  /** The head of the backend's response, with the cookie of a sticky pool if the client needs one. */
  private withCookie(head: ResponseHead): ResponseHead {
    const { sticky } = this.pool;
    const backend = this.attempt?.backend.name;
    if (sticky === null || backend === undefined) return head;
    return sticky.bind(head, { backend, bond: this.bond, head: this.head, sender: this.client.sender });
  }

  attemptBody(parts: readonly Buffer[]): void {
    this.client.sendBody(parts);
  }

  clientWritable(): void {
    this.attempt?.resume();
  }

  attemptSwitched(head: ResponseHead, connection: BackendConnection, rest: Buffer): void {
    this.settle("done");
    this.countRequest();
    const told = this.withCookie(head);
    this.attempt = null;
    this.client.exchangeSwitched(told, { connection, rest, idleMs: this.pool.timeouts.tunnelIdleMs });
  }

  attemptEnded(): void {
    this.response = "done";
    this.attempt = null;
    this.dropMirror();
    this.client.exchangeEnded(this.staysOpen);
  }

  /** Nothing is sent again from here on. */
  private settle(response: "body" | "done"): void {
    this.response = response;
    this.place?.leave();
    this.place = null;
    this.replay = null;
    this.tries?.end();
  }

  // ── once more ────────────────────────────────────────────────────────────────────────────────

  /** True if it is `asked` for, allowed and harmless; the request counts as a retry then until it has its answer. */
  private beginRetry(tries: Tries, asked: boolean): boolean {
    tries.end();
    if (!asked || this.response !== "awaited" || this.wasInterim || this.isLate) return false;
    if (!tries.maySend || !isIdempotent(this.head.method) || !this.isReplayable) return false;
    const active = this.pool.active + (this.attempt === null ? 1 : 0);
    return tries.begin({ active, isWhole: !this.isBodyMissing });
  }

  private get isReplayable(): boolean {
    return !this.hasTakenBody || this.sentBody !== null;
  }

  private get isLate(): boolean {
    return this.totalAt !== 0 && this.context.timers.nowMs >= this.totalAt;
  }

  wantsAnswer(head: ResponseHead, behind: Buffer): boolean {
    const { attempt } = this;
    if (attempt === null || !this.pool.retries.settings.on.statuses.includes(head.status)) return true;
    const tries = (this.tries ??= new Tries(this.pool.retries));
    if (!this.beginRetry(tries, true)) return true;
    tries.noteSent(attempt.backend);
    this.next = this.pool.choose(this);
    if (this.next === null && tries.forgive()) this.next = this.pool.choose(this);
    tries.declined = declineAnswer(head, behind, attempt.backend.name);
    // What came is better than nothing.
    return this.next === null && tries.declined.body === null;
  }

  attemptDeclined(): void {
    this.attempt = null;
    const { next } = this;
    this.next = null;
    if (next !== null) this.begin(next);
    // Its backend may have been full of this request alone.
    else if (!this.seek()) this.failUnserved("no-backend");
  }

  // ── when it goes wrong ───────────────────────────────────────────────────────────────────────

  /** RFC 9110 9.2.2: it may go again if no byte of the body is lost, and doing it twice does no harm. */
  attemptUnheard(): boolean {
    if (!this.isReplayable || !isIdempotent(this.head.method)) return false;
    this.pool.retries.reconnects += 1;
    if (this.record !== null && this.attempt !== null) noteAttempt(this.record, this.attempt.backend.name);
    return true;
  }

  attemptFailed({ kind, reason }: Fault): void {
    if (this.sendAgain(kind, reason)) return;
    if (kind === "connect") {
      this.failUnserved("no-backend");
      return;
    }
    noteEnd(this.record, END_OF[kind], reason);
    if (this.response === "awaited") this.fail(kind === "timeout" ? 504 : 502);
    else this.cut();
  }

  /** False: it may not, or nobody is there. */
  private sendAgain(kind: Fault["kind"], reason: string): boolean {
    const { attempt } = this;
    this.attempt = null;
    if (attempt === null || this.response !== "awaited") return false;
    const tries = (this.tries ??= new Tries(this.pool.retries));
    const { on } = this.pool.retries.settings;
    this.lastProblem = reason;
    if (kind === "connect") {
      tries.noteUnreachable(attempt.backend);
      if (!on.connect || this.isLate || !tries.mayConnect) return false;
    } else {
      tries.noteSent(attempt.backend);
      if (kind === "malformed" || !this.beginRetry(tries, on[kind])) return false;
    }
    return this.seek();
  }

  attemptStalled(): void {
    noteEnd(this.record, "client-timeout");
    if (this.response === "awaited") this.fail(408);
    else this.cut();
  }

  /** Ends with an error page. */
  private fail(status: number, { isRequestRead = !this.isBodyMissing } = {}): void {
    this.settle("done");
    this.dropAttempt();
    this.countRequest();
    this.client.exchangeFailed(status, this.mayClientSpeak(isRequestRead));
  }

  private cut(): void {
    this.settle("done");
    this.dropAttempt();
    this.client.exchangeCut();
  }

  private dropAttempt(): void {
    this.attempt?.abandon();
    this.attempt = null;
    this.dropMirror();
  }

  /** No more of the body comes; a copy that is whole has gone its own way. */
  private dropMirror(): void {
    if (this.mirror !== null) this.mirror.exchangeEnded();
  }

  private mayClientSpeak(isRequestSent: boolean): boolean {
    const isClientPersistent = this.head.isPersistent && !this.client.isLeaving;
    return mayClientSpeak({ isRequestSent, isClientPersistent });
  }

  private countRequest(): void {
    this.context.tally.requests += 1;
    this.context.tally.hasChanged = true;
  }
}
