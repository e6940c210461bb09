// A connection after a successful Upgrade: bytes both ways, with back-pressure and half-close, until both
// sides have ended, one is lost, or both were silent for too long.
//
//   open ──one side ends──> half open ──the other side ends──> flushing ──all is taken──> closed
//     └──────────────┴── lost: the other side is reset; silent too long: both closed ──┘
//
// An end is passed on as an end, a loss as a reset, so that what was cut never looks whole. The two
// connections close one after the other, and what one of them has still to take outlives the other; so the
// tunnel has a deadline of its own until both have closed.

import { type AccessRecord, noteEnd } from "./access-record.ts";
import type { BackendConnection, BackendUser } from "./backend-connection.ts";
import { type ByteStream, cutStream, dropIfGone, dropStream, writeParts } from "./stream.ts";
import { GONE_CHECK_MS } from "./kernel-state.ts";
import type { Expiring, Timers } from "./timers.ts";

export class Tunnel implements BackendUser, Expiring {
  deadlineAt = Infinity;
  private readonly client: ByteStream;
  private readonly connection: BackendConnection;
  private readonly timers: Timers;
  private readonly idleMs: number;
  /** null: there is no access log. */
  private readonly record: AccessRecord | null;
  private isClientOpen = true;
  private isBackendOpen = true;

  constructor(options: {
    readonly client: ByteStream;
    readonly connection: BackendConnection;
    readonly timers: Timers;
    readonly idleMs: number;
    readonly record: AccessRecord | null;
  }) {
    this.client = options.client;
    this.connection = options.connection;
    this.timers = options.timers;
    this.idleMs = options.idleMs;
    this.record = options.record;
    this.connection.handTo(this);
    this.timers.watch(this);
    this.touch();
    this.lookAgain();
  }

  clientBytes(bytes: Buffer): void {
    if (!this.isBackendOpen) return;
    this.touch();
    if (this.record !== null) this.record.bytesIn += bytes.length;
    writeParts(this.connection.stream, "", [bytes]);
    if (this.connection.stream.writableNeedDrain) this.client.pause();
  }

  clientEnded(): void {
    if (this.isBackendOpen) this.connection.stream.end();
  }

  clientWritable(): void {
    this.touch();
    if (this.isBackendOpen) this.connection.stream.resume();
  }

  clientClosed(error: Error | null): void {
    this.isClientOpen = false;
    const isWhole = error === null && this.connection.stream.writableEnded;
    noteEnd(this.record, isWhole ? "ok" : "client-closed");
    if (this.isBackendOpen && !isWhole) {
      this.isBackendOpen = false;
      this.connection.cut();
    }
    this.settle();
  }

  backendConnected(): void {
    // Long ago.
  }

  backendBytes(bytes: Buffer): void {
    if (!this.isClientOpen) return;
    this.touch();
    if (this.record !== null) this.record.bytesOut += bytes.length;
    writeParts(this.client, "", [bytes]);
    if (this.client.writableNeedDrain) this.connection.stream.pause();
  }

  backendWritable(): void {
    this.touch();
    if (this.isClientOpen) this.client.resume();
  }

  backendEnded(): void {
    if (this.isClientOpen) this.client.end();
  }

  backendLost(error: Error | null): void {
    this.isBackendOpen = false;
    const isWhole = error === null && this.client.writableEnded;
    if (!isWhole) noteEnd(this.record, "backend-closed");
    if (this.isClientOpen && !isWhole) cutStream(this.client);
    this.settle();
  }

  /** The deadline of the connection is when to look whether one that is not read from has been reset. */
  backendExpired(): void {
    this.lookAgain();
    dropIfGone(this.client);
    dropIfGone(this.connection.stream);
  }

  expire(): void {
    noteEnd(this.record, "idle");
    if (this.isBackendOpen) this.connection.destroy();
    this.isBackendOpen = false;
    dropStream(this.client);
    this.settle();
  }

  private lookAgain(): void {
    this.connection.deadlineAt = this.timers.after(GONE_CHECK_MS);
  }

  private settle(): void {
    if (!this.isClientOpen && !this.isBackendOpen) this.timers.unwatch(this);
  }

  private touch(): void {
    this.deadlineAt = this.timers.after(this.idleMs);
  }
}
