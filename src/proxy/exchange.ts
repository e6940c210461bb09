// One request and its response on their way through a worker. The two directions move by themselves,
// because a backend may answer before it has the whole request:
//
//   request:   waiting ──a connection is there──> body ──all of it is written──> sent
//   response:  awaited ──1xx──> awaited ──final head──> body ──its end──> done
//
//   connect fails:                        next backend, each at most once; then 503
//   a reused connection closes unheard:   again on a fresh one, if nothing can have happened twice
//   lost or malformed before the head:    502; too slow: 504
//   a body that is malformed, too large or too slow, before the head: 400, 413, 408
//   lost or malformed after the head:     the client's connection is cut, so that it shows
//
// It pulls the request body from the client connection (takeBody) when the backend can take it, and
// pauses the backend while the client cannot; so each direction holds at most one read.

import { type Body, type OutFraming, createBody, finishBody, hasEnded, transferBody } from "../http1/body.ts";
import { type RequestEdit, type Sender, renderRequestHead } from "../http1/forward.ts";
import { type RequestHead, isIdempotent } from "../http1/request.ts";
import { type ResponseHead, isSwitchTo, parseResponseHead } from "../http1/response.ts";
import { type HeadScan, createScan, restartScan } from "../http1/scan.ts";
import { mayClientSpeak, mayReuseBackend } from "../http1/turn.ts";
import { monotonicClock } from "../system/clock.ts";
import { type AccessRecord, noteAttempt, noteConnected, noteEnd } from "./access-record.ts";
import type { Backend } from "./backend.ts";
import type { Bond } from "./sticky.ts";
import type { BackendConnection, BackendUser } from "./backend-connection.ts";
import type { Context } from "./context.ts";
import { SendWatch } from "./kernel-state.ts";
import { keptBytes } from "./lent-bytes.ts";
import type { Pool, PoolRequest } from "./pool.ts";
import { writeParts } from "./stream.ts";

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

const NO_PARTS: readonly Buffer[] = [];

export class Exchange implements BackendUser, PoolRequest {
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

  private connection: BackendConnection | null = null;

  private request: "waiting" | "body" | "sent" = "waiting";
  private readonly requestBody: Body;
  /** Rendered and not written yet: it leaves with the first bytes of the body. */
  private unsentHead = "";
  private hasTakenBody = false;
  /** Of what the backend takes; made when a deadline has passed. */
  private watch: SendWatch | null = null;
  private isRetry = false;
  /** When the backend had the whole request; 0: it has not, or nobody wants to know. */
  private sentAtMs = 0;

  private response: "awaited" | "body" | "done" = "awaited";
  private responseHead: ResponseHead | null = null;
  private responseBody: Body | null = null;
  /** Bytes of a response head that has not ended. */
  private partialHead: Buffer | null = null;
  private responseScan: HeadScan | null = null;
  private wasHeard = false;
  /** Why the last connect failed. */
  private lastProblem = "";
  private staysOpen = false;

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
  }

  start(): void {
    this.tryNextBackend();
  }

  get clientAddress(): string {
    return this.client.clientAddress;
  }

  /** Bytes of the request body have still to come from the client. */
  get isBodyMissing(): boolean {
    return !hasEnded(this.requestBody);
  }

  /** The client is gone. */
  abort(): void {
    this.response = "done";
    this.dropConnection();
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
    const idle = backend.takeIdle(this);
    if (idle === null) this.connect(backend);
    else this.send(idle);
  }

  private connect(backend: Backend): void {
    this.connection = backend.open(this);
    this.connection.deadlineAt = this.context.timers.after(this.pool.timeouts.connectMs);
  }

  backendConnected(): void {
    if (this.connection !== null) this.send(this.connection);
  }

  private send(connection: BackendConnection): void {
    this.connection = connection;
    if (this.record !== null) noteConnected(this.record, connection);
    if (!this.isRetry) connection.backend.countRequest();
    this.unsentHead = renderRequestHead(this.head, this.client.sender, this.edit);
    this.request = "body";
    if (hasEnded(this.requestBody)) {
      this.flushHead();
      this.endRequest();
      return;
    }
    this.touch();
    this.client.advance();
  }

  /** Writes the request head if it is still waiting for a body to travel with. */
  flushHead(): void {
    if (this.unsentHead === "" || this.connection === null) return;
    writeParts(this.connection.stream, this.unsentHead, NO_PARTS);
    this.unsentHead = "";
  }

  /**
   * Takes request body bytes from the front of input as far as the backend can take them now. Returns
   * how many; 0: nothing moves until advance() is called again.
   */
  takeBody(input: Buffer): number {
    if (this.request !== "body" || this.connection === null) return 0;
    const { stream } = this.connection;
    if (stream.writableNeedDrain) return 0;
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
    writeParts(stream, this.unsentHead, parts);
    this.unsentHead = "";
    if (hasEnded(this.requestBody)) this.endRequest();
    else this.touch();
    return taken;
  }

  private endRequest(): void {
    if (this.connection === null) return;
    this.request = "sent";
    if (this.pool.isTiming) this.sentAtMs = monotonicClock();
    if (this.response === "awaited") this.awaitResponse();
    else this.touch();
  }

  /**
   * The body cannot be read on: the client's mistake, whatever the backend does. The bytes are still in the
   * client's input, even when the body ends in them: they must not be read as its next request.
   */
  private refuseBody(status: number): void {
    if (this.response === "awaited") this.fail(status, { isRequestRead: false });
    else this.cut();
  }

  backendWritable(): void {
    if (this.request !== "body") return;
    this.touch();
    this.client.advance();
  }

  // ── the response ─────────────────────────────────────────────────────────────────────────────

  backendBytes(bytes: Buffer): void {
    this.wasHeard = true;
    if (this.response === "awaited") this.receiveHead(bytes);
    else if (this.response === "body") this.relayBody(bytes, 0, null);
  }

  private receiveHead(bytes: Buffer): void {
    let input = this.partialHead === null ? bytes : Buffer.concat([this.partialHead, bytes]);
    this.partialHead = null;
    this.responseScan ??= createScan();
    for (;;) {
      const { method } = this.head;
      const parsed = parseResponseHead(input, this.responseScan, this.context.responseHeadLimits, method);
      if (parsed.kind === "incomplete") {
        this.partialHead = keptBytes(input);
        return;
      }
      if (parsed.kind === "invalid") {
        this.failBackend(502, `malformed response: ${parsed.reason}`);
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
      this.client.sendInterim(parsed.head);
      input = input.subarray(parsed.end);
      restartScan(this.responseScan);
      if (this.client.isFull) this.connection?.stream.pause();
      if (input.length === 0) return;
    }
  }

  private startResponse(head: ResponseHead, bytes: Buffer, bodyStart: number): void {
    this.noteResponse();
    const out = this.client.framingFor(head);
    this.responseHead = head;
    this.responseBody = createBody(head.framing, out);
    this.response = "body";
    // An early answer: the rest of the request would have to be read to find the next one.
    const maySpeak = mayClientSpeak({
      isRequestSent: this.request === "sent",
      isClientPersistent: this.head.isPersistent && !this.client.isLeaving,
    });
    this.staysOpen = maySpeak && out !== "until-close";
    this.relayBody(bytes, bodyStart, this.withCookie(head));
  }

  /** The head of the backend's response, with the cookie of a sticky pool if the client needs one. */
  private withCookie(head: ResponseHead): ResponseHead {
    const { sticky } = this.pool;
    const backend = this.connection?.backend.name;
    if (sticky === null || backend === undefined) return head;
    return sticky.bind(head, { backend, bond: this.bond, head: this.head, sender: this.client.sender });
  }

  /** It has answered, or will not do so any more. */
  private noteResponse(): void {
    if (this.sentAtMs !== 0) this.connection?.backend.noteResponse(this.sentAtMs);
    this.sentAtMs = 0;
  }

  /** Passes response body bytes on from offset `start`; behind their head, if that has still to leave. */
  private relayBody(bytes: Buffer, start: number, head: ResponseHead | null): void {
    if (this.responseBody === null) return;
    const parts: Buffer[] = [];
    const end = transferBody(this.responseBody, bytes, start, parts);
    if (typeof end !== "number") {
      // A head that came with the fault has not left: the client can still be told.
      if (head !== null) this.response = "awaited";
      this.failBackend(502, `malformed response: ${end.reason}`);
      return;
    }
    if (head === null) {
      this.client.sendBody(parts);
    } else {
      this.countRequest();
      this.client.sendHead(head, this.responseBody.out, this.staysOpen, parts);
    }
    if (hasEnded(this.responseBody)) {
      this.finish({ hasExtraBytes: end < bytes.length });
      return;
    }
    this.touch();
    if (this.client.isFull) this.connection?.stream.pause();
  }

  clientWritable(): void {
    if (this.response === "body") this.touch();
    this.connection?.stream.resume();
  }

  private switchProtocols(head: ResponseHead, rest: Buffer): void {
    if (this.connection === null) return;
    if (!isSwitchTo(head, this.head.upgrade)) {
      this.failBackend(502, "malformed response: 101 to what was not asked for");
      return;
    }
    this.response = "done";
    this.countRequest();
    const { connection } = this;
    const told = this.withCookie(head);
    this.connection = null;
    this.client.exchangeSwitched(told, {
      connection,
      rest,
      idleMs: this.pool.timeouts.tunnelIdleMs,
    });
  }

  private finish({ hasExtraBytes }: { readonly hasExtraBytes: boolean }): void {
    const { connection, responseHead } = this;
    this.response = "done";
    this.connection = null;
    const isRequestSent = this.request === "sent";
    const isBackendPersistent = responseHead?.isPersistent ?? false;
    if (connection !== null) {
      if (mayReuseBackend({ isRequestSent, isBackendPersistent, hasExtraBytes })) {
        connection.backend.recycle(connection, responseHead?.keepAliveTimeoutMs ?? null);
      } else {
        connection.destroy();
      }
    }
    this.client.exchangeEnded(this.staysOpen);
  }

  // ── when it goes wrong ───────────────────────────────────────────────────────────────────────

  backendEnded(): void {
    if (this.response === "body" && this.responseBody !== null) {
      const parts: Buffer[] = [];
      if (finishBody(this.responseBody, parts)) {
        this.client.sendBody(parts);
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
    const { backend } = connection;
    if (this.request === "waiting") {
      this.lastProblem = `connect: ${reason}`;
      backend.countFailure(this.lastProblem);
      this.tryNextBackend();
      return;
    }
    // RFC 9110 9.2.2, RFC 9112 9.3.1: a kept connection may close as we write. Nothing was heard, no
    // byte of the body is spent: the same request may go again if doing it twice does no harm.
    if (connection.isReused && !this.wasHeard && !this.hasTakenBody && isIdempotent(this.head.method)) {
      this.request = "waiting";
      this.isRetry = true;
      if (this.record !== null) noteAttempt(this.record, backend.name);
      this.connect(backend);
      return;
    }
    backend.countFailure(reason);
    noteEnd(this.record, "backend-closed", reason);
    if (this.response === "awaited") this.fail(502);
    else this.cut();
  }

  backendExpired(): void {
    if (this.request === "waiting") {
      this.connection?.destroy();
      this.lose("timed out");
      return;
    }
    if (this.isMoving()) {
      if (this.request === "sent" && this.response === "awaited") this.awaitResponse();
      else this.touch();
      return;
    }
    const isClientStalled =
      this.response === "body"
        ? this.client.isFull
        : this.request === "body" && this.connection?.stream.writableNeedDrain !== true;
    if (!isClientStalled) {
      this.noteResponse();
      this.failBackend(504, this.response === "body" ? "the response stalled" : "no response in time");
    } else {
      noteEnd(this.record, "client-timeout");
      if (this.response === "awaited") this.fail(408);
      else this.cut();
    }
  }

  private failBackend(status: number, reason: string): void {
    this.connection?.backend.countFailure(reason);
    noteEnd(this.record, status === 504 ? "backend-timeout" : "backend-malformed", reason);
    if (this.response === "awaited") this.fail(status);
    else this.cut();
  }

  /** Ends with an error page. */
  private fail(
    status: number,
    { isRequestRead = this.request === "sent" || hasEnded(this.requestBody) } = {},
  ): void {
    this.response = "done";
    this.dropConnection();
    this.countRequest();
    this.client.exchangeFailed(
      status,
      mayClientSpeak({
        isRequestSent: isRequestRead,
        isClientPersistent: this.head.isPersistent && !this.client.isLeaving,
      }),
    );
  }

  private cut(): void {
    this.response = "done";
    this.dropConnection();
    this.client.exchangeCut();
  }

  private dropConnection(): void {
    this.connection?.destroy();
    this.connection = null;
  }

  private countRequest(): void {
    this.context.tally.requests += 1;
    this.context.tally.hasChanged = true;
  }

  /** Who is slow has not stalled: something is taken of what waits to be. */
  private isMoving(): boolean {
    if (this.response === "body" && this.client.isFull && this.client.hasTaken()) return true;
    this.watch ??= new SendWatch();
    return this.connection !== null && this.watch.hasMoved(this.connection.stream);
  }

  private awaitResponse(): void {
    if (this.connection !== null)
      this.connection.deadlineAt = this.context.timers.after(this.pool.timeouts.responseMs);
  }

  /** A byte moved. */
  private touch(): void {
    if (this.connection !== null)
      this.connection.deadlineAt = this.context.timers.after(this.pool.timeouts.bodyMs);
  }
}
