// What vipair makes of bytes: the pure part of the engine, called as the shell calls it. Bytes come in pieces, and
// what it forwards is what a backend or a client would receive.

import {
  type Body,
  type OutFraming,
  createBody,
  finishBody,
  hasEnded,
  transferBody,
} from "../../src/http1/body.ts";
import {
  type Sender,
  renderInterimHead,
  renderRequestHead,
  renderResponseHead,
  responseOutFraming,
} from "../../src/http1/forward.ts";
import type { BodyFraming } from "../../src/http1/framing.ts";
import { DEFAULT_REQUEST_RULES, parseRequestHead } from "../../src/http1/request.ts";
import { parseResponseHead } from "../../src/http1/response.ts";
import { DEFAULT_HEAD_LIMITS, createScan } from "../../src/http1/scan.ts";

/** Of whole messages only: what was read of them, and what goes out for them. */
export interface Forwarding {
  /** For each message the offset in the input behind it. */
  readonly ends: readonly number[];
  /** For each message the bytes that go out. */
  readonly forwarded: readonly string[];
  /** The head that went out for a message whose body is not whole; "" when there is none. */
  readonly begun: string;
  /** Why it stopped; null: the input ended between two messages. */
  readonly stopped: "refused" | "incomplete" | "closes" | null;
}

export const SENDER: Sender = { address: "192.0.2.7", isTrusted: false, scheme: "http" };

/** The input as pieces that end at the offsets, and what stays unread of a piece. */
class Pieces {
  /** From the first byte that nobody has taken. */
  bytes: Buffer;
  taken = 0;
  private readonly whole: Buffer;
  private readonly ends: number[];

  constructor(input: string, splits: readonly number[]) {
    this.whole = Buffer.from(input, "latin1");
    this.ends = [...splits.filter((at) => at < this.whole.length), this.whole.length];
    this.bytes = this.whole.subarray(0, this.ends.shift());
  }

  take(count: number): void {
    this.taken += count;
    this.bytes = this.bytes.subarray(count);
  }

  /** False: that was all. */
  more(): boolean {
    const end = this.ends.shift();
    if (end === undefined) return false;
    this.bytes = this.whole.subarray(this.taken, end);
    return true;
  }
}

/** `splits` ascending: where the reads end. */
export function forwardRequests(input: string, splits: readonly number[]): Forwarding {
  const pieces = new Pieces(input, splits);
  const forwarded: string[] = [];
  const ends: number[] = [];
  let isPersistent = true;
  for (;;) {
    if (!isPersistent) return { ends, forwarded, begun: "", stopped: "closes" };
    const scan = createScan();
    let parsed = parseRequestHead(pieces.bytes, scan, DEFAULT_REQUEST_RULES);
    while (parsed.kind === "incomplete" && pieces.more())
      parsed = parseRequestHead(pieces.bytes, scan, DEFAULT_REQUEST_RULES);
    if (parsed.kind === "incomplete")
      return { ends, forwarded, begun: "", stopped: pieces.bytes.length === 0 ? null : "incomplete" };
    if (parsed.kind === "invalid") return { ends, forwarded, begun: "", stopped: "refused" };
    const { head, end } = parsed;
    pieces.take(end);
    const { framing } = head;
    const body = transferAll(pieces, framing, framing.kind);
    const text = renderRequestHead(head, SENDER);
    if (typeof body !== "string") return { ends, forwarded, begun: text, stopped: body.stopped };
    ends.push(pieces.taken);
    forwarded.push(text + body);
    ({ isPersistent } = head);
  }
}

/** One final response and the interim ones before it; there is one end, behind all of them. */
export function forwardResponse(
  input: string,
  splits: readonly number[],
  { method, minor }: { readonly method: string; readonly minor: 0 | 1 },
): Forwarding {
  const pieces = new Pieces(input, splits);
  const forwarded: string[] = [];
  for (;;) {
    const scan = createScan();
    let parsed = parseResponseHead(pieces.bytes, scan, DEFAULT_HEAD_LIMITS, method);
    while (parsed.kind === "incomplete" && pieces.more())
      parsed = parseResponseHead(pieces.bytes, scan, DEFAULT_HEAD_LIMITS, method);
    if (parsed.kind === "incomplete") return { ends: [], forwarded: [], begun: "", stopped: "incomplete" };
    if (parsed.kind === "invalid" || parsed.head.status === 101)
      return { ends: [], forwarded: [], begun: "", stopped: "refused" };
    const { head, end } = parsed;
    pieces.take(end);
    if (head.status < 200) {
      if (minor === 1) forwarded.push(renderInterimHead(head));
      continue;
    }
    const out = responseOutFraming(head, minor);
    const body = transferAll(pieces, head.framing, out);
    if (typeof body !== "string") return { ends: [], forwarded: [], begun: "", stopped: body.stopped };
    const staysOpen = out !== "until-close";
    forwarded.push(renderResponseHead(head, out, { minor, staysOpen }) + body);
    return { ends: [pieces.taken], forwarded, begun: "", stopped: null };
  }
}

function transferAll(
  pieces: Pieces,
  framing: BodyFraming,
  out: OutFraming,
): string | { readonly stopped: "refused" | "incomplete" } {
  const body: Body = createBody(framing, out);
  const parts: Buffer[] = [];
  while (!hasEnded(body)) {
    const count = transferBody(body, pieces.bytes, 0, parts);
    if (typeof count !== "number") return { stopped: "refused" };
    pieces.take(count);
    if (hasEnded(body)) break;
    if (!pieces.more() && !finishBody(body, parts)) return { stopped: "incomplete" };
  }
  return Buffer.concat(parts).toString("latin1");
}
