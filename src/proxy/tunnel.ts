// A connection after a successful Upgrade: bytes both ways, with back-pressure and half-close, until both
// sides have ended, one is lost, or both were silent for too long.

import type { BackendConnection, BackendUser } from "./backend-connection.ts";
import { type ByteStream, writeParts } from "./stream.ts";
import type { Timers } from "./timers.ts";

export class Tunnel implements BackendUser {
  private readonly client: ByteStream;
  private readonly connection: BackendConnection;
  private readonly timers: Timers;
  private readonly idleMs: number;

  constructor(options: {
    readonly client: ByteStream;
    readonly connection: BackendConnection;
    readonly timers: Timers;
    readonly idleMs: number;
  }) {
    this.client = options.client;
    this.connection = options.connection;
    this.timers = options.timers;
    this.idleMs = options.idleMs;
    this.connection.handTo(this);
    this.touch();
  }

  clientBytes(bytes: Buffer): void {
    this.touch();
    writeParts(this.connection.stream, "", [bytes]);
    if (this.connection.stream.writableNeedDrain) this.client.pause();
  }

  clientEnded(): void {
    this.connection.stream.end();
  }

  clientWritable(): void {
    this.touch();
    this.connection.stream.resume();
  }

  clientClosed(): void {
    this.connection.destroy();
  }

  backendConnected(): void {
    // Long ago.
  }

  backendBytes(bytes: Buffer): void {
    this.touch();
    writeParts(this.client, "", [bytes]);
    if (this.client.writableNeedDrain) this.connection.stream.pause();
  }

  backendWritable(): void {
    this.touch();
    this.client.resume();
  }

  backendEnded(): void {
    this.client.end();
  }

  backendLost(): void {
    // In order when both sides had ended; else what was in flight is lost and the client must see it.
    if (!this.client.writableEnded) this.client.destroy();
  }

  backendExpired(): void {
    this.connection.destroy();
    this.client.destroy();
  }

  private touch(): void {
    this.connection.deadlineAt = this.timers.after(this.idleMs);
  }
}
