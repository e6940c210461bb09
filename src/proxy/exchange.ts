// One request with its client: which backend is tried, what goes to the client and when it is over. Each try of it is an
// attempt (attempt.ts); here is what remains when one of them has failed.
//
//   awaited ──an attempt answers──> body ──its end──> done
//      └──or none does, or it is not worth waiting──> done: an error page
//
//   connect fails:                        next backend, each at most once; then 503
//   a reused connection closes unheard:   again on a fresh one, if nothing can have happened twice
//   lost or malformed before the head:    502; too slow: 504
//   a body that is malformed, too large or too slow, before the head: 400, 413, 408
//   lost or malformed after the head:     the client's connection is cut, so that it shows
//
// It pulls the request body from the client connection (takeBody) when the backend can take it.

import { type Body, type OutFraming, createBody, hasEnded, transferBody } from "../http1/body.ts";
import { type RequestEdit, type Sender, renderRequestHead } from "../http1/forward.ts";
import { type RequestHead, isIdempotent } from "../http1/request.ts";
import type { ResponseHead } from "../http1/response.ts";
import { mayClientSpeak } from "../http1/turn.ts";
import { type AccessRecord, noteAttempt, noteConnected, noteEnd } from "./access-record.ts";
import { Attempt, type AttemptOwner } from "./attempt.ts";
import type { BackendConnection } from "./backend-connection.ts";
import type { Backend, Fault } from "./backend.ts";
import type { Context } from "./context.ts";
import { Mirror } from "./mirror.ts";
import type { Pool, PoolRequest } from "./pool.ts";
import type { Bond } from "./sticky.ts";

/**
 * The client's side of an exchange: what carries the response in its own way. An HTTP/1.1 connection
 * (client-connection.ts) is one; an HTTP/2 stream can be one (docs/architecture.md). Nothing of the response's
 * way to the client is known here but how its body is framed.
 */
export interface ExchangeClient {
  readonly sender: Sender;
  /** Who asked, perhaps behind a proxy of ours; worked out each time. */
  readonly clientAddress: string;
  /** This worker is about to close the connection for its own reasons. */
  readonly isLeaving: boolean;
  /** What was sent waits in this process; clientWritable is called when it has left. */
  readonly isFull: boolean;
  /** Whether the client takes what was sent, however slowly; asked when a deadline has passed. As SendWatch.hasMoved. */
  hasTaken(): boolean;
  /** Try to move the request body on. */
  advance(): void;
  /** How the body of this response is to be given to sendHead and sendBody. */
  framingFor(head: ResponseHead): OutFraming;
  /** A 1xx response other than 101. */
  sendInterim(head: ResponseHead): void;
  /**
   * The final head and the beginning of the body, in one write. The parts may be lent, here and in sendBody.
   * `staysOpen`: the client may ask again.
   */
  sendHead(head: ResponseHead, out: OutFraming, staysOpen: boolean, parts: readonly Buffer[]): void;
  sendBody(parts: readonly Buffer[]): void;
  /** Last of all, after the whole response was written. */
  exchangeEnded(mayClientSpeak: boolean): void;
  /** Last of all: answer with an error page, no head was sent yet. */
  exchangeFailed(status: number, mayClientSpeak: boolean): void;
  /** Last of all: the response cannot be completed. */
  exchangeCut(): void;
  /** Last of all: a tunnel over the backend's connection, which is the client's now, follows this 101. */
  exchangeSwitched(head: ResponseHead, tunnel: SwitchedTo): void;
}

/** What a client side needs to make a tunnel. */
export interface SwitchedTo {
  readonly connection: BackendConnection;
  /** What the backend sent behind its 101; lent. */
  readonly rest: Buffer;
  readonly idleMs: number;
}

export class Exchange implements AttemptOwner, PoolRequest {
  readonly head: RequestHead;
  readonly tried: Backend[] = [];
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
  private readonly requestBody: Body;
  private hasTakenBody = false;
  /** As the client knows it. */
  private response: "awaited" | "body" | "done" = "awaited";
  private staysOpen = false;
  /** Why the last connect failed. */
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
    this.tryNextBackend();
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

  get isBodyMissing(): boolean {
    return !hasEnded(this.requestBody);
  }

  /** The client is gone. */
  abort(): void {
    this.response = "done";
    this.dropAttempt();
  }

  // ── the request ──────────────────────────────────────────────────────────────────────────────

  private tryNextBackend(): void {
    const backend = this.pool.choose(this);
    if (backend === null) {
      noteEnd(this.record, this.tried.length === 0 ? "no-backend" : "connect-failed", this.lastProblem);
      this.fail(503);
      return;
    }
    this.tried.push(backend);
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
    this.hasTakenBody = true;
    attempt.sendBody(parts);
    if (this.mirror !== null) this.copyBody(this.mirror, parts);
    return taken;
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
    this.client.sendInterim(head);
  }

  framingFor(head: ResponseHead): OutFraming {
    return this.client.framingFor(head);
  }

  attemptAnswered(head: ResponseHead, out: OutFraming, parts: readonly Buffer[]): void {
    this.response = "body";
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
    this.response = "done";
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

  // ── when it goes wrong ───────────────────────────────────────────────────────────────────────

  /** RFC 9110 9.2.2: it may go again if no byte of the body is spent, and doing it twice does no harm. */
  attemptUnheard(): boolean {
    if (this.hasTakenBody || !isIdempotent(this.head.method)) return false;
    if (this.record !== null && this.attempt !== null) noteAttempt(this.record, this.attempt.backend.name);
    return true;
  }

  attemptFailed({ kind, reason }: Fault): void {
    this.attempt = null;
    switch (kind) {
      case "connect":
        this.lastProblem = reason;
        this.tryNextBackend();
        return;
      case "reset":
        noteEnd(this.record, "backend-closed", reason);
        break;
      case "malformed":
        noteEnd(this.record, "backend-malformed", reason);
        break;
      case "timeout":
        noteEnd(this.record, "backend-timeout", reason);
        break;
    }
    if (this.response === "awaited") this.fail(kind === "timeout" ? 504 : 502);
    else this.cut();
  }

  attemptStalled(): void {
    noteEnd(this.record, "client-timeout");
    if (this.response === "awaited") this.fail(408);
    else this.cut();
  }

  /** Ends with an error page. */
  private fail(status: number, { isRequestRead = !this.isBodyMissing } = {}): void {
    this.response = "done";
    this.dropAttempt();
    this.countRequest();
    this.client.exchangeFailed(status, this.mayClientSpeak(isRequestRead));
  }

  private cut(): void {
    this.response = "done";
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
