// One try of a request on one backend: opens or takes a connection, sends the request on it, reads and checks what comes
// back. It knows nothing of clients, other backends or retries: whoever owns it (an exchange) is told and decides.
//
//   request:   connecting ──connected──> body ──all of it is written──> sent
//   response:  awaited ──1xx──> awaited ──final head──> body ──its end──> ended
//
//   a reused connection closes unheard:   again on a fresh one, if the owner says that it may go twice
//   any other loss, malformed, too slow:  failed; the owner hears of it last of all
//
// How it went is noted in one place, Backend.noteOutcome. Each direction holds at most one read: the owner gives it
// the request body as the backend takes it, and the backend is paused while the owner is full.

import { type Body, type OutFraming, createBody, finishBody, hasEnded, transferBody } from "../http1/body.ts";
import type { RequestHead } from "../http1/request.ts";
import { type ResponseHead, isSwitchTo, parseResponseHead } from "../http1/response.ts";
import { type HeadScan, createScan, restartScan } from "../http1/scan.ts";
import { mayReuseBackend } from "../http1/turn.ts";
import type { Pass } from "../routing/circuit-breaker.ts";
import { monotonicClock } from "../system/clock.ts";
import type { BackendConnection, BackendUser } from "./backend-connection.ts";
import type { Backend, Fault } from "./backend.ts";
import type { Context } from "./context.ts";
import { SendWatch } from "./kernel-state.ts";
import { keptBytes } from "./lent-bytes.ts";
import type { Pool } from "./pool.ts";
import { writeParts } from "./stream.ts";

/** Who wants the request answered. */
export interface AttemptOwner {
  /** The request's. */
  readonly head: RequestHead;
  /** Bytes of the request body have still to come. */
  readonly isBodyMissing: boolean;
  /** What an earlier attempt has sent of the body, as it was sent; null: nothing. */
  readonly sentBody: Buffer | null;
  /** What was handed on waits in this process; Attempt.resume when it has left. */
  readonly isFull: boolean;
  /** As SendWatch.hasMoved, of what was handed on. */
  hasTaken(): boolean;
  /** The whole request is there: until when the head of the answer must be, on the clock of Timers. Asked if the pool says so. */
  answerBy(): number;
  /** There is a connection: the head to be sent on it, latin1. */
  attemptConnected(connection: BackendConnection): string;
  /** The backend takes bytes of the body: Attempt.sendBody. */
  attemptReady(): void;
  /** A kept connection closed as the request was sent on it. True: it goes again from its start. */
  attemptUnheard(): boolean;
  /** A 1xx response other than 101. */
  attemptInterim(head: ResponseHead): void;
  /** answerBy has passed, and the backend had that much time. False: that says nothing of it. */
  isFault(waitedMs: number): boolean;
  /**
   * A final head with a status of 400 or above is there, and so much behind it, which is lent. False: it is thrown away,
   * and attemptDeclined follows.
   */
  wantsAnswer(head: ResponseHead, behind: Buffer): boolean;
  /** Last of all: the answer was not wanted. */
  attemptDeclined(): void;
  /** The final head is there: how the body shall be framed. */
  framingFor(head: ResponseHead): OutFraming;
  /** The final head and the beginning of the body. Parts may be lent, here and in attemptBody. */
  attemptAnswered(head: ResponseHead, out: OutFraming, parts: readonly Buffer[]): void;
  attemptBody(parts: readonly Buffer[]): void;
  /** Last of all, after the whole response. */
  attemptEnded(): void;
  /** Last of all: a 101 to what was asked for. The connection is the owner's now; `rest` came behind the head, and is lent. */
  attemptSwitched(head: ResponseHead, connection: BackendConnection, rest: Buffer): void;
  /** Last of all: it did not work out. */
  attemptFailed(fault: Fault): void;
  /** Last of all: whoever sends the request body or takes the response did not move in time. */
  attemptStalled(): void;
}

const NO_PARTS: readonly Buffer[] = [];
/**
 * A backend that has closed a kept connection says so within a round trip of the request that meets it. One that closes
 * later had begun to work on it.
 */
const RACE_MS = 1000;

export class Attempt implements BackendUser {
  readonly backend: Backend;
  private readonly owner: AttemptOwner;
  private readonly context: Context;
  private readonly pool: Pool;
  /** Of the backend's circuit breaker. */
  private readonly pass: Pass;
  /** null: given back, lost or handed on. */
  private connection: BackendConnection | null = null;

  private request: "connecting" | "body" | "sent" = "connecting";
  /** Rendered and not written yet: it leaves with the first bytes of the body. */
  private unsentHead = "";
  /** Of what the backend takes; made when a deadline has passed. */
  private watch: SendWatch | null = null;
  /** The backend was counted as asked. */
  private isCounted = false;
  /** See AttemptOwner.answerBy; 0 while that is open, which costs less than Infinity: it is no fraction. */
  private answerBy = 0;
  /** Since when that is known. */
  private answerSince = 0;
  /** When the backend had the whole request; 0: it has not, or nobody wants to know. */
  private sentAtMs = 0;

  private response: "awaited" | "body" | "ended" = "awaited";
  private responseHead: ResponseHead | null = null;
  private responseBody: Body | null = null;
  /** Bytes of a response head that has not ended. */
  private partialHead: Buffer | null = null;
  private scan: HeadScan | null = null;
  private wasHeard = false;

  constructor(options: {
    readonly context: Context;
    readonly owner: AttemptOwner;
    readonly pool: Pool;
    readonly backend: Backend;
  }) {
    this.context = options.context;
    this.owner = options.owner;
    this.pool = options.pool;
    this.backend = options.backend;
    this.pass = options.backend.admit();
  }

  start(): void {
    if (this.pool.retries.isTimed && !this.owner.isBodyMissing) this.timeAnswer();
    const idle = this.backend.takeIdle(this);
    if (idle === null) this.connect();
    else this.send(idle);
  }

  /** Nobody waits for the answer any more; the owner hears nothing more. */
  abandon(): void {
    if (this.response === "awaited") this.backend.noteOutcome("abandoned", this.pass);
    this.end();
  }

  // ── the request ──────────────────────────────────────────────────────────────────────────────

  private connect(): void {
    this.connection = this.backend.open(this);
    this.setDeadline(this.pool.timeouts.connectMs);
  }

  backendConnected(): void {
    if (this.connection !== null) this.send(this.connection);
  }

  private timeAnswer(): void {
    this.answerBy = this.owner.answerBy();
    this.answerSince = this.context.timers.nowMs;
  }

  private send(connection: BackendConnection): void {
    this.connection = connection;
    this.unsentHead = this.owner.attemptConnected(connection);
    if (!this.isCounted) this.backend.countRequest();
    this.isCounted = true;
    this.request = "body";
    const { sentBody } = this.owner;
    if (sentBody !== null) this.write(connection, [sentBody]);
    if (!this.owner.isBodyMissing) {
      this.flushHead();
      this.endRequest();
      return;
    }
    this.touch();
    this.owner.attemptReady();
  }

  /** Writes the request head if it is still waiting for a body to travel with. */
  flushHead(): void {
    if (this.unsentHead === "" || this.connection === null) return;
    this.write(this.connection, NO_PARTS);
  }

  /** Bytes of the body, behind the head if that is still there. */
  private write(connection: BackendConnection, parts: readonly Buffer[]): void {
    if (this.unsentHead !== "") connection.sentAt = this.context.timers.nowMs;
    writeParts(connection.stream, this.unsentHead, parts);
    this.unsentHead = "";
  }

  /** False: sendBody must wait until attemptReady. */
  get takesBody(): boolean {
    return this.request === "body" && this.connection !== null && !this.connection.stream.writableNeedDrain;
  }

  /** Sends body bytes, framed for the backend; they may be lent. They are the last ones if no more are missing. */
  sendBody(parts: readonly Buffer[]): void {
    if (this.connection === null) return;
    this.write(this.connection, parts);
    if (this.owner.isBodyMissing) this.touch();
    else this.endRequest();
  }

  private endRequest(): void {
    this.request = "sent";
    if (this.pool.isTiming) this.sentAtMs = monotonicClock();
    if (this.response !== "awaited") {
      this.touch();
      return;
    }
    if (this.pool.retries.isTimed && this.answerBy === 0) this.timeAnswer();
    this.awaitResponse();
  }

  backendWritable(): void {
    if (this.request !== "body") return;
    this.touch();
    this.owner.attemptReady();
  }

  // ── the response ─────────────────────────────────────────────────────────────────────────────

  backendBytes(bytes: Buffer): void {
    this.wasHeard = true;
    if (this.response === "awaited") this.receiveHead(bytes);
    else if (this.responseBody !== null) this.relayBody(this.responseBody, bytes, 0, null);
  }

  private receiveHead(bytes: Buffer): void {
    let input = this.partialHead === null ? bytes : Buffer.concat([this.partialHead, bytes]);
    this.partialHead = null;
    this.scan ??= createScan();
    const { method } = this.owner.head;
    for (;;) {
      const parsed = parseResponseHead(input, this.scan, this.context.responseHeadLimits, method);
      if (parsed.kind === "incomplete") {
        this.partialHead = keptBytes(input);
        return;
      }
      if (parsed.kind === "invalid") {
        this.fail("malformed", `malformed response: ${parsed.reason}`);
        return;
      }
      if (parsed.head.status >= 200) {
        this.startResponse(parsed.head, input, parsed.end);
        return;
      }
      if (parsed.head.status === 101) {
        this.switchProtocols(parsed.head, input.subarray(parsed.end));
        return;
      }
      this.owner.attemptInterim(parsed.head);
      input = input.subarray(parsed.end);
      restartScan(this.scan);
      if (this.owner.isFull) this.connection?.stream.pause();
      if (input.length === 0) return;
    }
  }

  private startResponse(head: ResponseHead, bytes: Buffer, bodyStart: number): void {
    this.noteResponse();
    this.backend.noteOutcome(head.status, this.pass);
    this.responseHead = head;
    if (head.status >= 400 && !this.owner.wantsAnswer(head, bytes.subarray(bodyStart))) {
      this.decline(head, bytes, bodyStart);
      return;
    }
    this.response = "body";
    this.answerBy = 0;
    this.responseBody = createBody(head.framing, this.owner.framingFor(head));
    this.relayBody(this.responseBody, bytes, bodyStart, head);
  }

  /** It has answered, or will not do so any more. */
  private noteResponse(): void {
    if (this.sentAtMs !== 0) this.backend.noteResponse(this.sentAtMs);
    this.sentAtMs = 0;
  }

  /** Passes response body bytes on from offset `start`; behind their head, if that has still to leave. */
  private relayBody(body: Body, bytes: Buffer, start: number, head: ResponseHead | null): void {
    const parts: Buffer[] = [];
    const end = transferBody(body, bytes, start, parts);
    if (typeof end !== "number") {
      this.fail("malformed", `malformed response: ${end.reason}`);
      return;
    }
    if (head === null) this.owner.attemptBody(parts);
    else this.owner.attemptAnswered(head, body.out, parts);
    if (hasEnded(body)) {
      this.finish({ hasExtraBytes: end < bytes.length });
      return;
    }
    this.touch();
    if (this.owner.isFull) this.connection?.stream.pause();
  }

  /** What was handed on has left. */
  resume(): void {
    if (this.response === "body") this.touch();
    this.connection?.stream.resume();
  }

  private switchProtocols(head: ResponseHead, rest: Buffer): void {
    const { connection } = this;
    if (connection === null) return;
    if (!isSwitchTo(head, this.owner.head.upgrade)) {
      this.fail("malformed", "malformed response: 101 to what was not asked for");
      return;
    }
    this.backend.noteOutcome(head.status, this.pass);
    this.backend.noteWhole();
    this.response = "ended";
    this.connection = null;
    this.owner.attemptSwitched(head, connection, rest);
  }

  /** The connection is kept if the answer that nobody wants is there already: it is not waited for. */
  private decline(head: ResponseHead, bytes: Buffer, bodyStart: number): void {
    const body = createBody(head.framing, "until-close");
    const end = transferBody(body, bytes, bodyStart, []);
    if (hasEnded(body)) this.giveBack({ hasExtraBytes: end !== bytes.length });
    else this.end();
    this.owner.attemptDeclined();
  }

  private finish(rest: { readonly hasExtraBytes: boolean }): void {
    this.giveBack(rest);
    this.owner.attemptEnded();
  }

  private giveBack({ hasExtraBytes }: { readonly hasExtraBytes: boolean }): void {
    const { connection, responseHead } = this;
    this.response = "ended";
    this.backend.noteWhole();
    this.connection = null;
    const isRequestSent = this.request === "sent";
    const isBackendPersistent = responseHead?.isPersistent ?? false;
    if (connection !== null) {
      if (mayReuseBackend({ isRequestSent, isBackendPersistent, hasExtraBytes })) {
        this.backend.recycle(connection, responseHead?.keepAliveTimeoutMs ?? null);
      } else {
        connection.destroy();
      }
    }
  }

  // ── when it goes wrong ───────────────────────────────────────────────────────────────────────

  backendEnded(): void {
    if (this.responseBody !== null) {
      const parts: Buffer[] = [];
      if (finishBody(this.responseBody, parts)) {
        this.owner.attemptBody(parts);
        this.finish({ hasExtraBytes: false });
        return;
      }
    }
    this.connection?.destroy();
    this.lose("closed by the backend");
  }

  backendLost(error: Error | null): void {
    this.lose(error?.message ?? "closed");
  }

  /** The connection is gone. Decides whether that was a connect, a race, or a failure. */
  private lose(reason: string): void {
    const { connection } = this;
    this.connection = null;
    if (connection === null) return;
    if (this.request === "connecting") {
      this.fail("connect", `connect: ${reason}`);
    } else if (this.mayBeRace(connection) && this.owner.attemptUnheard()) {
      // RFC 9112 9.3.1: a kept connection may close as we write. That is nobody's failure.
      this.request = "connecting";
      this.connect();
    } else {
      this.fail("reset", reason);
    }
  }

  private mayBeRace({ isReused, sentAt }: BackendConnection): boolean {
    return isReused && !this.wasHeard && this.context.timers.nowMs - sentAt <= RACE_MS;
  }

  backendExpired(): void {
    if (this.request === "connecting") {
      this.fail("connect", "connect: timed out", this.isItsFault);
      return;
    }
    if (!this.isOverdue && this.isMoving()) {
      if (this.request === "sent" && this.response === "awaited") this.awaitResponse();
      else this.touch();
      return;
    }
    const isOwnerStalled =
      this.response === "body"
        ? this.owner.isFull
        : this.request === "body" && this.connection?.stream.writableNeedDrain !== true;
    if (isOwnerStalled) {
      this.abandon();
      this.owner.attemptStalled();
      return;
    }
    const { isItsFault } = this;
    if (isItsFault) this.noteResponse();
    this.fail(
      "timeout",
      this.response === "body" ? "the response stalled" : "no response in time",
      isItsFault,
    );
  }

  private get isOverdue(): boolean {
    return this.answerBy !== 0 && this.context.timers.nowMs >= this.answerBy;
  }

  private get isItsFault(): boolean {
    return !this.isOverdue || this.owner.isFault(this.context.timers.nowMs - this.answerSince);
  }

  private fail(kind: Fault["kind"], reason: string, isItsFault = true): void {
    const fault: Fault = { kind, reason, status: this.responseHead?.status ?? null };
    this.end();
    this.backend.noteOutcome(isItsFault ? fault : "abandoned", this.pass);
    this.owner.attemptFailed(fault);
  }

  private end(): void {
    this.response = "ended";
    this.connection?.destroy();
    this.connection = null;
  }

  /** Who is slow has not stalled: something is taken of what waits to be. */
  private isMoving(): boolean {
    if (this.response === "body" && this.owner.isFull && this.owner.hasTaken()) return true;
    this.watch ??= new SendWatch();
    return this.connection !== null && this.watch.hasMoved(this.connection.stream);
  }

  private awaitResponse(): void {
    this.setDeadline(this.pool.timeouts.responseMs);
  }

  /** A byte moved. */
  private touch(): void {
    this.setDeadline(this.pool.timeouts.bodyMs);
  }

  private setDeadline(ms: number): void {
    if (this.connection === null) return;
    const deadlineAt = this.context.timers.after(ms);
    this.connection.deadlineAt = this.answerBy === 0 ? deadlineAt : Math.min(deadlineAt, this.answerBy);
  }
}
