// One client's connection: reads requests one after the other, lets an exchange answer each, and ends
// politely.
//
//   idle ──first byte──> head ──request──> exchange ──response──> idle …
//   exchange ──101──> tunnel
//   idle, head, exchange ──last response, refusal, drain──> leaving ──the client closes──> closed
//
// Bytes that nobody can take yet stay in `input`, and the stream is paused: pipelined requests wait
// their turn there, a body waits for its backend. Leaving means: our end is closed, what the client
// still sends is thrown away, because closing on unread bytes would reset the connection and could
// destroy the response on its way.

import type { Sender } from "../http1/forward.ts";
import { type RequestHead, parseRequestHead } from "../http1/request.ts";
import { type HeadScan, createScan, restartScan } from "../http1/scan.ts";
import { findRoute } from "../routing/route.ts";
import {
  type AccessRecord,
  type RequestEnd,
  createRecord,
  describeClient,
  noteAnswer,
  noteBadHead,
  noteEnd,
  noteHead,
} from "./access-record.ts";
import type { Context } from "./context.ts";
import { renderErrorPage } from "./error-page.ts";
import { Exchange, type ExchangeClient } from "./exchange.ts";
import { renderFinalAnswer } from "./final-recipient.ts";
import type { Listener } from "./listener.ts";
import { requestId } from "./request-id.ts";
import { type ByteStream, type StreamOwner, adoptStream, cutStream, keptBytes, portOf } from "./stream.ts";
import type { Expiring } from "./timers.ts";
import type { Tunnel } from "./tunnel.ts";

/** How long a client may take to read the last response's end. */
const FLUSH_MS = 30_000;
/** How long a client may take to close after that. */
const LINGER_MS = 2000;

export class ClientConnection implements StreamOwner, ExchangeClient, Expiring {
  readonly stream: ByteStream;
  readonly sender: Sender;
  deadlineAt = Infinity;
  isLeaving = false;
  private readonly context: Context;
  private readonly listener: Listener;
  private readonly onClosed: (connection: ClientConnection) => void;

  private phase: "idle" | "head" | "exchange" | "tunnel" | "leaving" = "idle";
  private input: Buffer | null = null;
  private readonly scan: HeadScan = createScan();
  private head: RequestHead | null = null;
  /** Of the request under way; null when there is no access log, or nothing to say. */
  private record: AccessRecord | null = null;
  /** As it stands in records; null: nobody has asked. */
  private address: string | null = null;
  private exchange: Exchange | null = null;
  private tunnel: Tunnel | null = null;
  private hasServed = false;
  private requests = 0;
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
    this.context.tally.connections += 1;
    this.context.tally.hasChanged = true;
    this.context.timers.watch(this);
    this.deadlineAt = this.context.timers.after(this.listener.timeouts.idleMs);
    this.stream = adoptStream(options.stream, this);
  }

  /**
   * Close as soon as politeness allows: now when a kept connection waits for a next request, else after
   * the response in flight. A client that has not asked yet is served once.
   */
  leave(): void {
    this.isLeaving = true;
    if (this.phase === "idle" && this.hasServed) this.endStream();
  }

  /** Close now. */
  cut(): void {
    noteEnd(this.record, "shutdown");
    this.stream.destroy();
  }

  // ── bytes in ─────────────────────────────────────────────────────────────────────────────────

  receiveBytes(bytes: Buffer): void {
    if (this.tunnel !== null) {
      this.tunnel.clientBytes(bytes);
      return;
    }
    if (this.phase === "leaving") return;
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
    this.logRequest("client-closed");
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
        this.stream.destroy();
        break;
      case "exchange":
      case "tunnel":
        // The deadlines are those of the backend connection and of the tunnel.
        break;
    }
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
        this.phase = "head";
        this.deadlineAt = this.context.timers.after(this.listener.timeouts.headMs);
        if (this.context.accessLog !== null) this.startRecord();
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

  private consume(count: number): void {
    if (this.input === null) return;
    if (this.record !== null) this.record.bytesIn += count;
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
    if (this.record !== null) noteHead(this.record, head);
    if (head.maxForwards === 0) {
      this.answerAsLast(head);
      return;
    }
    const route = findRoute(this.listener.routes, head);
    const pool = route === null ? undefined : this.context.pools.get(route.pool);
    if (this.record !== null && route !== null) this.record.pool = route.pool;
    const { bodyBytesMax } = this.listener;
    const isBodyTooLarge = head.framing.kind === "length" && head.framing.length > bodyBytesMax;
    if (pool === undefined || isBodyTooLarge) {
      this.countRequest();
      const hasBody = head.framing.kind !== "none";
      noteEnd(this.record, isBodyTooLarge ? "refused" : "no-route");
      this.exchangeFailed(isBodyTooLarge ? 413 : 404, head.isPersistent && !hasBody && !this.isLeaving);
      return;
    }
    const { context, record } = this;
    this.exchange = new Exchange({ context, client: this, head, pool, bodyBytesMax, record });
    this.exchange.start();
  }

  private answerAsLast(head: RequestHead): void {
    this.countRequest();
    const staysOpen = head.isPersistent && head.framing.kind === "none" && !this.isLeaving;
    noteEnd(this.record, "answered");
    this.writeOwn(200, renderFinalAnswer(head, staysOpen));
    this.exchangeEnded(staysOpen);
  }

  /** The client sends no more. A request that is whole is still answered (half-close). */
  private settleEnd(): void {
    switch (this.phase) {
      case "idle":
        if (this.input === null) this.endStream();
        break;
      case "head":
        this.stream.destroy();
        break;
      case "exchange":
        if (this.input === null && this.exchange?.isBodyMissing === true) this.stream.destroy();
        break;
      case "tunnel":
      case "leaving":
        break;
    }
  }

  private steerReading(): void {
    if (this.phase === "tunnel") return;
    const mustWait = this.input !== null && (this.phase === "exchange" || this.phase === "idle");
    if (mustWait === this.stream.isPaused()) return;
    if (mustWait) this.stream.pause();
    else this.stream.resume();
  }

  // ── what exchanges report ────────────────────────────────────────────────────────────────────

  exchangeEnded(maySpeak: boolean): void {
    this.logRequest("ok");
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
    const isHead = this.head?.method === "HEAD";
    const minor = this.head?.minor ?? 1;
    const page = renderErrorPage({ status, staysOpen: maySpeak, minor, isHead });
    this.writeOwn(status, page);
    this.exchangeEnded(maySpeak);
  }

  /** Writes an answer that no backend gave. */
  private writeOwn(status: number, answer: string): void {
    if (this.record !== null) noteAnswer(this.record, status, answer);
    this.stream.write(answer, "latin1");
  }

  exchangeCut(): void {
    this.logRequest("refused");
    this.exchange = null;
    cutStream(this.stream);
  }

  exchangeSwitched(tunnel: Tunnel): void {
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
    if (this.record !== null && this.input !== null) noteBadHead(this.record, this.input);
    noteEnd(this.record, end, reason);
    this.countRequest();
    this.exchangeFailed(status, false);
  }

  private countRequest(): void {
    this.context.tally.requests += 1;
    this.context.tally.hasChanged = true;
  }

  private startRecord(): void {
    this.address ??= describeClient(this.sender.address, portOf(this.stream));
    this.record = createRecord(this.address, this.listener.name);
  }

  /** The request has ended, in this way if nothing else was noted. */
  private logRequest(end: RequestEnd): void {
    const { record } = this;
    if (record === null) return;
    noteEnd(record, end);
    this.record = null;
    this.context.accessLog?.write(record, requestId(record.head, this.sender, this.context.requestIds));
  }

  private endStream(): void {
    this.phase = "leaving";
    this.input = null;
    this.deadlineAt = this.context.timers.after(FLUSH_MS);
    this.stream.end(() => {
      this.deadlineAt = this.context.timers.after(LINGER_MS);
    });
    this.stream.resume();
  }
}
