// A request that goes to a second pool as well, whose answer nobody gets (`mirror` of a route; nginx: mirror, Envoy:
// request_mirror_policies). Apart from the exchange, because it must cost the client nothing: it begins when the whole
// request has come, works with a copy, and is dropped whenever it would need more than its bounds.
//
//   collecting ──the request is whole──> asking ──answer, failure, too slow, too long──> over
//       └──no place in the pool, too long, the client is gone──> over

import type { MirrorConfig } from "../config/route-config.ts";
import type { OutFraming } from "../http1/body.ts";
import { type RequestEdit, type Sender, renderRequestHead } from "../http1/forward.ts";
import { type RequestHead, isIdempotent } from "../http1/request.ts";
import type { ResponseHead } from "../http1/response.ts";
import { Attempt, type AttemptOwner } from "./attempt.ts";
import type { BackendConnection } from "./backend-connection.ts";
import type { Backend } from "./backend.ts";
import type { Context } from "./context.ts";
import type { Pool, PoolRequest } from "./pool.ts";
import type { Expiring } from "./timers.ts";

/** To one pool, from one worker. Each holds a body at most. */
const MIRRORS_MAX = 64;
/** With the frames of a chunked body. */
const BODY_BYTES_MAX = 64 * 1024;
/** An answer that is longer is not worth its bytes; its connection goes. */
const ANSWER_BYTES_MAX = 1024 * 1024;

const NO_DROPS: ReadonlySet<string> = new Set();

/** The pool that gets a copy of this request; null: it is none of the share. */
export function drawMirror({ pools }: Context, { pool, share }: MirrorConfig): Pool | null {
  return Math.random() * 100 < share ? (pools.get(pool) ?? null) : null;
}

export class Mirror implements AttemptOwner, PoolRequest, Expiring {
  readonly head: RequestHead;
  readonly clientAddress: string;
  readonly bond = null;
  readonly tried: readonly Backend[] = [];
  readonly isFull = false;
  /** Copies are sent once. */
  readonly sentBody = null;
  deadlineAt = Infinity;
  private readonly context: Context;
  private readonly pool: Pool;
  private readonly sender: Sender;
  private readonly edit: RequestEdit;
  private state: "collecting" | "asking" | "over" = "collecting";
  private body: Buffer[] = [];
  private bodyBytes = 0;
  private hasSentBody = false;
  private answerBytes = 0;
  private attempt: Attempt | null = null;

  constructor(options: {
    readonly context: Context;
    readonly pool: Pool;
    readonly head: RequestHead;
    /** As for the backend that answers. */
    readonly edit: RequestEdit | null;
    readonly sender: Sender;
    readonly clientAddress: string;
  }) {
    const { head, edit } = options;
    this.context = options.context;
    this.pool = options.pool;
    this.head = head;
    this.sender = options.sender;
    this.clientAddress = options.clientAddress;
    const { target, authority, drops, lines } = edit ?? { ...head, drops: NO_DROPS, lines: "" };
    this.edit = { target, authority: shadowHost(authority), drops, lines };
    this.pool.mirrors += 1;
    if (this.pool.mirrors > MIRRORS_MAX || framedBytes(head) > BODY_BYTES_MAX) this.drop();
  }

  /** Bytes of the request body, framed; they may be lent. */
  addBody(parts: readonly Buffer[]): void {
    if (this.state !== "collecting") return;
    for (const part of parts) {
      this.bodyBytes += part.length;
      if (this.bodyBytes > BODY_BYTES_MAX) {
        this.drop();
        return;
      }
      this.body.push(Buffer.from(part));
    }
  }

  /** The request is whole: the copy leaves. */
  send(): void {
    if (this.state !== "collecting") return;
    const backend = this.pool.choose(this);
    if (backend === null) {
      this.drop();
      return;
    }
    const { context, pool } = this;
    this.state = "asking";
    this.count("mirrored");
    const { connectMs, responseMs, bodyMs } = pool.timeouts;
    this.deadlineAt = context.timers.after(connectMs + responseMs + bodyMs);
    context.timers.watch(this);
    this.attempt = new Attempt({ context, owner: this, pool, backend });
    this.attempt.start();
  }

  /** The exchange is over. A copy that has left goes its own way. */
  exchangeEnded(): void {
    if (this.state === "collecting") this.end();
  }

  /** It has been under way for as long as any request may be. */
  expire(): void {
    this.attempt?.abandon();
    this.end();
  }

  // ── what the attempt reports ─────────────────────────────────────────────────────────────────

  get isBodyMissing(): boolean {
    return this.bodyBytes > 0 && !this.hasSentBody;
  }

  attemptConnected(): string {
    return renderRequestHead(this.head, this.sender, this.edit);
  }

  attemptReady(): void {
    if (this.hasSentBody) return;
    this.hasSentBody = true;
    this.attempt?.sendBody(this.body);
  }

  /** Nothing was tried yet: a kept connection had gone. */
  attemptUnheard(): boolean {
    this.hasSentBody = false;
    return isIdempotent(this.head.method);
  }

  hasTaken(): boolean {
    return true;
  }

  /** Its own deadline bounds it. */
  answerBy(): number {
    return Infinity;
  }

  isFault(): boolean {
    return true;
  }

  wantsAnswer(): boolean {
    return true;
  }

  attemptDeclined(): void {
    // Every answer is wanted: it is thrown away when it is whole.
  }

  attemptInterim(): void {
    // Nobody waits for it.
  }

  framingFor(head: ResponseHead): OutFraming {
    return head.framing.kind;
  }

  attemptAnswered(_head: ResponseHead, _out: OutFraming, parts: readonly Buffer[]): void {
    this.attemptBody(parts);
  }

  attemptBody(parts: readonly Buffer[]): void {
    for (const { length } of parts) this.answerBytes += length;
    if (this.answerBytes <= ANSWER_BYTES_MAX) return;
    this.attempt?.abandon();
    this.end();
  }

  attemptEnded(): void {
    this.end();
  }

  /** No request with an upgrade is mirrored, so no answer can be one. */
  attemptSwitched(_head: ResponseHead, connection: BackendConnection): void {
    connection.destroy();
    this.end();
  }

  attemptFailed(): void {
    this.end();
  }

  attemptStalled(): void {
    this.end();
  }

  private drop(): void {
    this.count("mirrorsDropped");
    this.end();
  }

  private end(): void {
    if (this.state === "over") return;
    this.state = "over";
    this.body = [];
    this.attempt = null;
    this.pool.mirrors -= 1;
    this.context.timers.unwatch(this);
  }

  private count(what: "mirrored" | "mirrorsDropped"): void {
    this.context.tally[what] += 1;
    this.context.tally.hasChanged = true;
  }
}

/** Of the body, as far as the head says; 0: it does not. */
function framedBytes({ framing }: RequestHead): number {
  return framing.kind === "length" ? framing.length : 0;
}

/**
 * So that a backend knows what it is asked for: as Envoy does it, `-shadow` behind the host. What is no name cannot
 * carry it: an IPv6 address, or no host at all.
 */
function shadowHost(authority: string): string {
  const [, host = "", port = ""] = /^([^:[\]]+)(:\d*)?$/.exec(authority) ?? [];
  return host === "" ? authority : `${host}-shadow${port}`;
}
