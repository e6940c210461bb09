// One connection to a backend: opened for an exchange, kept idle between exchanges, given to a tunnel
// for the rest of its life.
//
//   connecting ──connected──> busy ──release──> idle ──take──> busy
//       │                      │                 │
//       └── failed ──> closed <┴── lost, cut ────┴── idle limit, or a byte that nobody asked for
//
// Such a byte is seen when the event loop reads it. If the connection is taken for a request in the same turn, before that
// read, it is read as the beginning of the answer: no proxy can tell that from a very fast backend.

import type { Socket } from "node:net";
import { lookUpName } from "../system/name-lookup.ts";
import type { Backend } from "./backend.ts";
import { type StreamOwner, createSocket, cutStream } from "./stream.ts";
import type { Expiring, Timers } from "./timers.ts";

/** Who uses the connection now: an exchange or a tunnel. */
export interface BackendUser {
  backendConnected(): void;
  backendBytes(bytes: Buffer): void;
  /** The backend will send no more. */
  backendEnded(): void;
  backendWritable(): void;
  /** The connection is gone; it is no longer the user's. */
  backendLost(error: Error | null): void;
  /** The deadline that the user set has passed. */
  backendExpired(): void;
}

export class BackendConnection implements StreamOwner, Expiring {
  deadlineAt = Infinity;
  readonly backend: Backend;
  readonly stream: Socket;
  /** It carried an exchange before: the backend may be closing it at this moment. */
  isReused = false;
  /** When the first byte of the last request was written, on the clock of Timers. */
  sentAt = -Infinity;
  /** Of the backend, when this was opened. */
  readonly generation: number;
  private readonly timers: Timers;
  /** null: idle or closed. */
  private user: BackendUser | null;

  constructor(backend: Backend, timers: Timers, user: BackendUser) {
    this.backend = backend;
    this.generation = backend.generation;
    this.timers = timers;
    this.user = user;
    this.stream = createSocket(this);
    this.stream.once("connect", () => {
      this.user?.backendConnected();
    });
    timers.watch(this);
    backend.countActive(1);
    this.stream.connect({ host: backend.host, port: backend.port, lookup: lookUpName });
  }

  /** Takes an idle connection for another exchange. */
  reuse(user: BackendUser): void {
    this.isReused = true;
    this.user = user;
    this.backend.countActive(1);
  }

  /** The same connection goes on under another user, which sets a deadline if it wants one. */
  handTo(user: BackendUser): void {
    this.user = user;
    this.deadlineAt = Infinity;
  }

  /** Ends the use; the connection waits for the next one for at most `idleMs`. */
  release(idleMs: number): void {
    this.letGo();
    this.deadlineAt = this.timers.after(idleMs);
    if (this.stream.isPaused()) this.stream.resume();
    this.backend.keepIdle(this);
  }

  /** Closes at once; the user hears nothing more. */
  destroy(): void {
    this.letGo();
    this.stream.destroy();
  }

  /** Closes at once, so that the backend sees that something is missing; the user hears nothing more. */
  cut(): void {
    this.letGo();
    cutStream(this.stream);
  }

  receiveBytes(bytes: Buffer): void {
    // Bytes on an idle connection answer nothing: whatever they are, they must not meet a request.
    if (this.user === null) this.drop();
    else this.user.backendBytes(bytes);
  }

  receiveEnd(): void {
    if (this.user === null) this.drop();
    else this.user.backendEnded();
  }

  becomeWritable(): void {
    this.user?.backendWritable();
  }

  streamClosed(error: Error | null): void {
    this.timers.unwatch(this);
    if (this.user === null) this.backend.forgetIdle(this);
    const { user } = this;
    this.letGo();
    user?.backendLost(error);
  }

  expire(): void {
    if (this.user === null) this.drop();
    else this.user.backendExpired();
  }

  /** Closes an idle connection; nobody may find it in the time until the stream says that it has closed. */
  drop(): void {
    this.backend.forgetIdle(this);
    this.stream.destroy();
  }

  private letGo(): void {
    if (this.user === null) return;
    this.user = null;
    this.deadlineAt = Infinity;
    this.backend.countActive(-1);
  }
}
