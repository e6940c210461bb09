// What is remembered of a request for its line in the access log. Connections, exchanges and tunnels fill it in as
// things happen; where there is no access log there is no record, and a look at a null is all that it costs.

import type { RequestHead } from "../http1/request.ts";
import { monotonicClock } from "../system/clock.ts";

/** Of a request line that makes no sense, this much is kept. */
const REQUEST_LINE_MAX = 256;

/** How a request ended. docs/logging.md tells what each means. */
export type RequestEnd =
  | "ok"
  | "answered"
  | "refused"
  | "no-route"
  | "no-backend"
  | "connect-failed"
  | "queue-full"
  | "queue-timeout"
  | "backend-closed"
  | "backend-malformed"
  | "backend-timeout"
  | "client-closed"
  | "client-timeout"
  | "client-malformed"
  | "idle"
  | "shutdown";

/** Moments are milliseconds of the monotonic clock; NaN: it did not come to that. */
export interface AccessRecord {
  /** Address and port. */
  readonly client: string;
  readonly listener: string;
  /** The first byte was read. */
  readonly startedAt: number;
  /** The head was whole. */
  headAt: number;
  /** There was a connection to a backend. */
  connectedAt: number;
  /** The head of the response was whole. */
  respondedAt: number;
  head: RequestHead | null;
  /** Latin1, as it came, for a head that is none. */
  requestLine: string;
  pool: string;
  /** The last one that was tried. */
  backend: string;
  /** Connections that were tried. */
  attempts: number;
  /** 0: nothing was answered. */
  status: number;
  bytesIn: number;
  bytesOut: number;
  /** null: not yet. */
  end: RequestEnd | null;
  /** Why it did not end well. */
  reason: string;
}

/** A request begins. */
export function createRecord(client: string, listener: string): AccessRecord {
  return {
    client,
    listener,
    startedAt: monotonicClock(),
    headAt: NaN,
    connectedAt: NaN,
    respondedAt: NaN,
    head: null,
    requestLine: "",
    pool: "",
    backend: "",
    attempts: 0,
    status: 0,
    bytesIn: 0,
    bytesOut: 0,
    end: null,
    reason: "",
  };
}

/** An IPv6 address stands in brackets; without a port when the client has gone. */
export function describeClient(address: string, port: number | undefined): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return port === undefined ? host : `${host}:${String(port)}`;
}

export function noteHead(record: AccessRecord, head: RequestHead): void {
  record.head = head;
  record.headAt = monotonicClock();
}

/** `input`: what came in place of a head, from its start. */
export function noteBadHead(record: AccessRecord, input: Buffer): void {
  const lineEnd = input.subarray(0, REQUEST_LINE_MAX).indexOf(10);
  const line = input.toString("latin1", 0, lineEnd === -1 ? REQUEST_LINE_MAX : lineEnd);
  record.requestLine = line.endsWith("\r") ? line.slice(0, -1) : line;
  record.bytesIn = input.length;
}

/** A connection to this backend is looked for. */
export function noteAttempt(record: AccessRecord, backend: string): void {
  record.backend = backend;
  record.attempts += 1;
}

/** A request goes out on it. */
export function noteConnected(record: AccessRecord, { isReused }: { readonly isReused: boolean }): void {
  const isAtOnce = isReused && record.attempts === 1;
  record.connectedAt = isAtOnce ? record.headAt : monotonicClock();
}

/** The head of the final response goes to the client. */
export function noteStatus(record: AccessRecord, status: number): void {
  record.status = status;
  record.respondedAt = monotonicClock();
}

export function noteSent(record: AccessRecord, head: string, parts: readonly Buffer[]): void {
  record.bytesOut += head.length;
  for (const part of parts) record.bytesOut += part.length;
}

/** Says how it ended unless that is known already: what follows from the first cause is no cause. */
export function noteEnd(record: AccessRecord | null, end: RequestEnd, reason = ""): void {
  if (record === null || record.end !== null) return;
  record.end = end;
  record.reason = reason;
}
