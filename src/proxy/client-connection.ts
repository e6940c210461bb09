// One client's connection: reads requests one after the other, lets an exchange answer each, and ends
// politely.
//
//   idle ──first byte──> head ──request──> exchange ──response──> idle …
//   exchange ──101──> tunnel
//   idle, head, exchange ──last response, refusal, drain──> leaving ──the client closes, or takes nothing more──> closed
//   any ──the client is gone, or a cut: an answer cannot be completed, the grace is over──> closed
//
// Bytes that nobody can take yet stay in `input`, and the stream is paused: pipelined requests wait
// their turn there, a body waits for its backend. Leaving means: our end is closed, what the client
// still sends is thrown away, because closing on unread bytes would reset the connection and could
// destroy the response on its way. Where that cannot happen it is left out, and the connection closes at once (closeStream).

import type { OutFraming } from "../http1/body.ts";
import {
  type HeadEdit,
  type Sender,
  renderInterimHead,
  renderResponseHead,
  renderSwitchHead,
  responseOutFraming,
} from "../http1/forward.ts";
import { type RequestHead, parseRequestHead } from "../http1/request.ts";
import type { ResponseHead } from "../http1/response.ts";
import { type HeadScan, createScan, restartScan } from "../http1/scan.ts";
import { type RequestEnd, noteBadHead, noteEnd, noteHead, noteSent, noteStatus } from "./access-record.ts";
import type { Context } from "./context.ts";
import { dispatch, type PoolDispatch } from "./dispatch.ts";
import { Exchange } from "./exchange.ts";
import type { ExchangeClient, SwitchedTo } from "./exchange-client.ts";
import { finalContent } from "./final-recipient.ts";
import { GONE_CHECK_MS, SendWatch } from "./kernel-state.ts";
import type { Listener } from "./listener.ts";
import { keptBytes } from "./lent-bytes.ts";
import { drawMirror } from "./mirror.ts";
import { errorContent, type OwnContent, renderOwnResponse } from "./own-response.ts";
import { requestId } from "./request-id.ts";
import { RequestLog } from "./request-log.ts";
import {
  type ByteStream,
  type StreamOwner,
  adoptStream,
  closeStream,
  cutStream,
  dropIfGone,
  dropStream,
  writeParts,
} from "./stream.ts";
import type { Expiring } from "./timers.ts";
import { Tunnel } from "./tunnel.ts";

/** How long a client may take nothing of the last response's end. */
const FLUSH_MS = 30_000;
/** How long a client may send nothing and not close after that, and how long it may go on sending (nginx's lingering_time). */
const LINGER_MS = 2000;
const LINGER_TOTAL_MS = 30_000;

const CR = 13;
const LF = 10;

const NO_PARTS: readonly Buffer[] = [];

export class ClientConnection implements StreamOwner, ExchangeClient, Expiring {
  readonly stream: ByteStream;
  readonly sender: Sender;
  deadlineAt = Infinity;
  isLeaving = false;
  private readonly context: Context;
  private readonly listener: Listener;
  private readonly onClosed: (connection: ClientConnection) => void;

  /** Made when someone asks for it; null in between. */
  private currentId: string | null = null;
  private phase: "idle" | "head" | "exchange" | "tunnel" | "leaving" = "idle";
  private input: Buffer | null = null;
  private readonly scan: HeadScan = createScan();
  private head: RequestHead | null = null;
  private readonly log: RequestLog;
  private watch: SendWatch | null = null;
  private exchange: Exchange | null = null;
  private responseEdit: HeadEdit | null = null;
  private tunnel: Tunnel | null = null;
  /** The head of an answer has gone, and its end has not. */
  private isAnswering = false;
  /** When it ends, whatever the client sends; Infinity: the last answer has not left. */
  private lingersUntil = Infinity;
  private hasServed = false;
  private requests = 0;
  /** As saysLast: of the last request. */
  private hasSaidLast = false;
  private hasInputEnded = false;
  private isAdvancing = false;

  constructor(options: {
    readonly context: Context;
    readonly listener: Listener;
    readonly stream: ByteStream;
    readonly sender: Sender;
    readonly onClosed: (connection: ClientConnection) => void;
  }) {
    this.context = options.context;
    this.listener = options.listener;
    this.sender = options.sender;
    this.onClosed = options.onClosed;
    this.log = new RequestLog(options.context, this);
    this.context.tally.connections += 1;
    this.context.tally.hasChanged = true;
    this.context.timers.watch(this);
    this.deadlineAt = this.context.timers.after(this.listener.timeouts.idleMs);
    this.stream = options.stream;
    adoptStream(this.stream, this);
  }

  get clientAddress(): string {
    return this.head === null ? this.sender.address : this.listener.clientAddress(this.head, this.sender);
  }

  /**
   * Close as soon as politeness allows: now when a kept connection waits for a next request, else after
   * the response in flight. A client that has not asked yet is served once.
   */
  leave(): void {
    this.isLeaving = true;
    if (this.phase === "idle" && this.hasServed) this.endStream();
  }

  /** Close now; so that the client sees it if its answer or its tunnel is not over. */
  cut(): void {
    const { stream, phase } = this;
    noteEnd(this.log.record, "shutdown");
    this.log.lose("shutdown", stream.writableLength);
    if (phase === "exchange" || (phase === "tunnel" && !stream.writableEnded)) cutStream(stream);
    else dropStream(stream);
  }

  get node(): string {
    return this.context.node;
  }

  requestId(): string {
    return (this.currentId ??= requestId(this.head, this.sender, this.context.requestIds));
  }

  // ── bytes in ─────────────────────────────────────────────────────────────────────────────────

  receiveBytes(bytes: Buffer): void {
    if (this.tunnel !== null) {
      this.tunnel.clientBytes(bytes);
      return;
    }
    if (this.phase === "leaving") {
      this.linger();
      return;
    }
    this.input = this.input === null ? bytes : Buffer.concat([this.input, bytes]);
    this.advance();
    if (this.input !== null) this.input = keptBytes(this.input);
  }

  receiveEnd(): void {
    this.hasInputEnded = true;
    if (this.tunnel !== null) this.tunnel.clientEnded();
    else if (this.phase !== "leaving") this.advance();
  }

  becomeWritable(): void {
    if (this.tunnel !== null) this.tunnel.clientWritable();
    else if (this.exchange !== null) this.exchange.clientWritable();
    else if (this.phase === "idle") this.advance();
  }

  streamClosed(error: Error | null): void {
    this.context.timers.unwatch(this);
    this.context.tally.connections -= 1;
    this.context.tally.hasChanged = true;
    this.exchange?.abort();
    this.tunnel?.clientClosed(error);
    this.log.lose("client-closed", 0);
    this.log.end("client-closed");
    this.onClosed(this);
  }

  expire(): void {
    switch (this.phase) {
      case "idle":
        this.endStream();
        break;
      case "head":
        this.refuse(408, "client-timeout");
        break;
      case "leaving":
        this.expireLeaving();
        break;
      case "exchange":
        // The exchange has a deadline of its own.
        dropIfGone(this.stream);
        this.deadlineAt = this.context.timers.after(GONE_CHECK_MS);
        break;
      case "tunnel":
        // So has the tunnel.
        break;
    }
  }

  private expireLeaving(): void {
    const { stream } = this;
    if (this.hasTaken()) {
      this.deadlineAt = this.context.timers.after(FLUSH_MS);
      return;
    }
    this.log.lose("client-timeout", stream.writableLength);
    dropStream(stream);
  }

  // ── requests ─────────────────────────────────────────────────────────────────────────────────

  /** Moves as far as the input allows. */
  advance(): void {
    if (this.isAdvancing) return;
    this.isAdvancing = true;
    while (this.input !== null && this.step(this.input)) {
      // Each step takes something from the input.
    }
    this.isAdvancing = false;
    this.exchange?.flushHead();
    if (this.hasInputEnded) this.settleEnd();
    this.steerReading();
  }

  /** False: nothing more can be taken from the input now. */
  private step(input: Buffer): boolean {
    switch (this.phase) {
      case "idle":
        // A client that does not read its responses gets no further ones made.
        if (this.stream.writableNeedDrain) return false;
        // What may become an empty line is waited for in peace.
        if (input[0] === CR && input.length === 1) return false;
        if (input[0] === CR && input[1] === LF) {
          this.skipEmptyLines(input);
          return true;
        }
        this.phase = "head";
        this.deadlineAt = this.context.timers.after(this.listener.timeouts.headMs);
        this.currentId = null;
        this.log.begin(this.listener.name);
        return this.readHead(input);
      case "head":
        return this.readHead(input);
      case "exchange": {
        const taken = this.exchange?.takeBody(input) ?? 0;
        if (taken > 0) this.consume(taken);
        return taken > 0;
      }
      case "tunnel":
      case "leaving":
        return false;
    }
  }

  /** RFC 9112 2.2: some clients send an empty line behind a body. It is not the start of a request. */
  private skipEmptyLines(input: Buffer): void {
    let end = 2;
    while (input[end] === CR && input[end + 1] === LF) end += 2;
    this.consume(end);
  }

  private consume(count: number): void {
    if (this.input === null) return;
    const { record } = this.log;
    if (record !== null) record.bytesIn += count;
    this.input = count === this.input.length ? null : this.input.subarray(count);
  }

  private readHead(input: Buffer): boolean {
    const parsed = parseRequestHead(input, this.scan, this.listener.requestRules);
    switch (parsed.kind) {
      case "incomplete":
        return false;
      case "invalid":
        this.refuse(parsed.status, "refused", parsed.reason);
        return false;
      case "head":
        this.consume(parsed.end);
        this.startExchange(parsed.head);
        return true;
    }
  }

  private startExchange(head: RequestHead): void {
    this.phase = "exchange";
    this.deadlineAt = Infinity;
    this.requests += 1;
    if (this.requests >= this.listener.requestsPerConnectionMax) this.isLeaving = true;
    this.head = head;
    restartScan(this.scan);
    if (this.log.record !== null) noteHead(this.log.record, head);
    const { framing } = head;
    if (head.maxForwards === 0) {
      this.answerSelf(head, finalContent(head), "answered");
    } else if (framing.kind === "length" && framing.length > this.listener.bodyBytesMax) {
      this.answerSelf(head, errorContent(413, this.listener.errorPages), "refused");
    } else {
      const found = dispatch(this.listener, head, this);
      if (found.kind === "pool") this.askPool(head, found);
      else if (found.kind === "answer") this.answerSelf(head, found.content, "answered");
      else this.answerSelf(head, errorContent(404, this.listener.errorPages), "no-route");
    }
  }

  private askPool(head: RequestHead, { pool: name, edits, mirror }: PoolDispatch): void {
    const pool = this.context.pools.get(name);
    if (pool === undefined) {
      this.answerSelf(head, errorContent(404, this.listener.errorPages), "no-route");
      return;
    }
    const { context } = this;
    const { record } = this.log;
    if (record !== null) record.pool = name;
    const { bodyBytesMax } = this.listener;
    this.responseEdit = edits?.response ?? null;
    const edit = edits?.request ?? null;
    const mirrorPool = mirror === null ? null : drawMirror(context, mirror);
    this.exchange = new Exchange({
      context,
      client: this,
      head,
      pool,
      bodyBytesMax,
      edit,
      record,
      mirrorPool,
    });
    this.exchange.start();
  }

  /** Answers without a backend; a body that comes is not read. */
  private answerSelf(head: RequestHead, content: OwnContent, end: RequestEnd): void {
    noteEnd(this.log.record, end);
    this.countRequest();
    this.sendOwn(content, head.isPersistent && head.framing.kind === "none" && !this.isLeaving);
  }

  /** The client sends no more. A request that is whole is still answered (half-close). */
  private settleEnd(): void {
    switch (this.phase) {
      case "idle":
        if (this.input === null || !this.stream.writableNeedDrain) this.endStream();
        break;
      case "head":
        this.dropHalf();
        break;
      case "exchange":
        if (this.input === null && this.exchange?.awaitsClient === true) this.dropHalf();
        break;
      case "tunnel":
      case "leaving":
        break;
    }
  }

  /** The end of a request will not come. What is left of earlier answers is still due. */
  private dropHalf(): void {
    const { record } = this.log;
    if (record !== null && this.input !== null) noteBadHead(record, this.input);
    noteEnd(record, "client-closed");
    if (this.isAnswering) {
      cutStream(this.stream);
      return;
    }
    this.exchange?.abort();
    this.exchange = null;
    this.endStream();
  }

  private steerReading(): void {
    if (this.phase === "tunnel") return;
    const isHeld = this.phase === "exchange" || (this.phase === "idle" && this.stream.writableNeedDrain);
    const mustWait = this.input !== null && isHeld;
    if (mustWait === this.stream.isPaused()) return;
    if (mustWait) {
      this.stream.pause();
      if (this.phase === "exchange") this.deadlineAt = this.context.timers.after(GONE_CHECK_MS);
    } else {
      this.stream.resume();
    }
  }

  // ── the response ─────────────────────────────────────────────────────────────────────────────

  get isFull(): boolean {
    return this.stream.writableNeedDrain;
  }

  hasTaken(): boolean {
    this.watch ??= new SendWatch();
    return this.watch.hasMoved(this.stream);
  }

  framingFor(head: ResponseHead): OutFraming {
    return responseOutFraming(head, this.minor);
  }

  sendInterim(head: ResponseHead): void {
    // RFC 9110 15.2: an HTTP/1.0 client knows no interim responses.
    if (this.minor === 1) this.write(renderInterimHead(head), NO_PARTS);
  }

  sendHead(head: ResponseHead, out: OutFraming, staysOpen: boolean, parts: readonly Buffer[]): void {
    this.isAnswering = true;
    if (this.log.record !== null) noteStatus(this.log.record, head.status);
    this.write(renderResponseHead(head, out, { minor: this.minor, staysOpen }, this.responseEdit), parts);
  }

  sendBody(parts: readonly Buffer[]): void {
    this.write("", parts);
  }

  private write(head: string, parts: readonly Buffer[]): void {
    if (this.log.record !== null) noteSent(this.log.record, head, parts);
    writeParts(this.stream, head, parts);
  }

  /** Of the request that is being answered. */
  private get minor(): 0 | 1 {
    return this.head?.minor ?? 1;
  }

  // ── what exchanges report ────────────────────────────────────────────────────────────────────

  exchangeEnded(maySpeak: boolean): void {
    this.isAnswering = false;
    this.log.answered();
    this.hasSaidLast = this.head !== null && saysLast(this.head);
    this.exchange = null;
    this.head = null;
    this.hasServed = true;
    if (!maySpeak || this.isLeaving) {
      this.endStream();
      return;
    }
    this.phase = "idle";
    this.deadlineAt = this.context.timers.after(this.listener.timeouts.idleMs);
    this.advance();
  }

  exchangeFailed(status: number, maySpeak: boolean): void {
    this.sendOwn(errorContent(status, this.listener.errorPages), maySpeak);
  }

  private sendOwn(content: OwnContent, staysOpen: boolean): void {
    const isHead = this.head?.method === "HEAD";
    const { minor } = this;
    if (this.log.record !== null) this.log.record.status = content.status;
    this.write(renderOwnResponse(content, { staysOpen, minor, isHead }), NO_PARTS);
    this.exchangeEnded(staysOpen);
  }

  exchangeCut(): void {
    this.log.end("backend-closed");
    this.exchange = null;
    cutStream(this.stream);
  }

  exchangeSwitched(head: ResponseHead, { connection, rest, idleMs }: SwitchedTo): void {
    const { record } = this.log;
    if (record !== null) {
      noteStatus(record, head.status);
      // Its head will have gone when the tunnel ends.
      this.requestId();
    }
    this.write(renderSwitchHead(head, this.responseEdit), rest.length > 0 ? [rest] : NO_PARTS);
    const { timers } = this.context;
    const tunnel = new Tunnel({ client: this.stream, connection, timers, idleMs, record });
    this.exchange = null;
    this.head = null;
    this.phase = "tunnel";
    this.tunnel = tunnel;
    this.stream.resume();
    if (this.input !== null) tunnel.clientBytes(this.input);
    this.input = null;
    if (this.hasInputEnded) tunnel.clientEnded();
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────

  /** Answers what is no request of ours to pass on, and ends. */
  private refuse(status: number, end: RequestEnd, reason = ""): void {
    const { record } = this.log;
    if (record !== null && this.input !== null) noteBadHead(record, this.input);
    noteEnd(record, end, reason);
    this.countRequest();
    this.exchangeFailed(status, false);
  }

  private countRequest(): void {
    this.context.tally.requests += 1;
    this.context.tally.hasChanged = true;
  }

  private endStream(): void {
    const hasUnread = this.input !== null;
    this.phase = "leaving";
    this.input = null;
    const { hasInputEnded } = this;
    const isSilent = !hasUnread && (hasInputEnded || this.hasSaidLast);
    if (isSilent && closeStream(this.stream, { hasInputEnded })) return;
    this.deadlineAt = this.context.timers.after(FLUSH_MS);
    this.stream.end(() => {
      this.lingersUntil = this.context.timers.after(LINGER_TOTAL_MS);
      this.linger();
    });
    this.stream.resume();
  }

  /** Our end is closed, and something came that nobody wants. */
  private linger(): void {
    if (this.lingersUntil === Infinity) return;
    this.deadlineAt = Math.min(this.context.timers.after(LINGER_MS), this.lingersUntil);
  }
}

/**
 * RFC 9112 9.6: a client that has asked for the close "MUST NOT send further requests on that connection". One of HTTP/1.0 has
 * promised nothing, and behind a body some send an empty line (RFC 9112 2.2).
 */
function saysLast({ minor, isPersistent, framing }: RequestHead): boolean {
  return minor === 1 && !isPersistent && framing.kind === "none";
}
