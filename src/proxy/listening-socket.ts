// A listening socket that the control process bound, and the connections that came in through it.
//
//   listening ──close──> closing ──accept queue is empty──> draining ──last connection gone──> closed
//                                                              └── grace over: cut ──┘

import { Server, Socket } from "node:net";
import { monotonicClock } from "../system/clock.ts";
import { AcceptedSocket, takeConnections, takeOver } from "./accepted-socket.ts";
import { ClientConnection } from "./client-connection.ts";
import type { Context } from "./context.ts";
import type { Listener } from "./listener.ts";
import { refuseConnection } from "./refusal.ts";

const BACKLOG = 1024;
/**
 * How long the accept queue may still give connections after a close. The event loop accepts one in each of
 * its turns (libuv does not accept in a loop), so a full queue takes as many turns as it is long.
 */
const ACCEPT_MS_MAX = 1000;

/** Connections that are drained together. Those handed over without a socket form one as well. */
export class ConnectionGroup {
  private readonly connections = new Set<ClientConnection>();
  /** Our own addresses that are no more. */
  private gone: readonly string[] = [];
  private readonly context: Context;
  private readonly listener: Listener;
  private isClosing = false;
  private graceTimer: NodeJS.Timeout | null = null;
  /** On the monotonic clock. Infinity: none was set. */
  private graceEndsMs = Infinity;
  private onEmpty: (() => void) | null = null;

  constructor(context: Context, listener: Listener) {
    this.context = context;
    this.listener = listener;
  }

  /** Takes a client's socket. */
  take(accepted: Socket): void {
    const socket = this.context.ownsSockets ? ownSocket(accepted) : accepted;
    socket.allowHalfOpen = true;
    socket.setNoDelay(true);
    const address = socket instanceof AcceptedSocket ? socket.readPeerAddress() : socket.remoteAddress;
    if (address === undefined || this.isGone(socket)) {
      // It went while it waited, or its address did.
      socket.on("error", ignore);
      socket.destroy();
      return;
    }
    const sender = this.listener.describeSender(address);
    const { room } = this.listener;
    const admission = room.admit(sender);
    if (admission.kind === "refused") {
      refuseConnection(this.context, socket, {
        sender,
        listener: this.listener,
        status: admission.status,
      });
      return;
    }
    const connection = new ClientConnection({
      context: this.context,
      listener: this.listener,
      stream: socket,
      sender,
      onClosed: (closed) => {
        room.leave(admission.place);
        this.connections.delete(closed);
        this.settle();
      },
    });
    this.connections.add(connection);
    if (this.isClosing) connection.leave();
  }

  /** Asks every connection to leave; cuts what is left after the grace. */
  drain(graceMs: number, onEmpty: () => void): void {
    this.isClosing = true;
    this.onEmpty = onEmpty;
    this.limitGrace(graceMs);
    for (const connection of this.connections) connection.leave();
    this.settle();
  }

  /** Cuts what is left after the grace, or after an earlier one that ends sooner. */
  limitGrace(graceMs: number): void {
    const now = monotonicClock();
    this.graceEndsMs = Math.min(this.graceEndsMs, now + graceMs);
    if (this.graceTimer !== null) clearTimeout(this.graceTimer);
    this.graceTimer = setTimeout(
      () => {
        for (const connection of this.connections) connection.cut();
      },
      Math.max(0, this.graceEndsMs - now),
    );
  }

  /** Cuts every connection to one of these addresses of ours, now and later. */
  cutAt(addresses: readonly string[]): void {
    this.gone = addresses;
    for (const connection of this.connections) {
      if (connection.stream instanceof Socket && this.isGone(connection.stream)) connection.cut();
    }
  }

  private isGone(socket: Socket): boolean {
    // To ask a socket for its address is a system call, and until the end of the node there is no need.
    return this.gone.length > 0 && this.gone.includes(socket.localAddress ?? "");
  }

  private settle(): void {
    if (this.onEmpty === null || this.connections.size > 0) return;
    const { onEmpty } = this;
    this.onEmpty = null;
    if (this.graceTimer !== null) clearTimeout(this.graceTimer);
    onEmpty();
  }
}

export class ListeningSocket {
  readonly id: string;
  private readonly group: ConnectionGroup;
  private readonly server: Server;
  private accepted = 0;
  private isClosing = false;

  /** `handle` is the bound and listening server that came from the control process. */
  constructor(options: {
    readonly id: string;
    readonly context: Context;
    readonly listener: Listener;
    readonly handle: Server;
    readonly onListening: () => void;
  }) {
    this.id = options.id;
    this.group = new ConnectionGroup(options.context, options.listener);
    const take = (socket: Socket): void => {
      this.accepted += 1;
      this.group.take(socket);
    };
    this.server = new Server({ allowHalfOpen: true }, take);
    this.server.on("error", (error) => {
      options.context.log.error({ socketId: this.id, error: error.message }, "listening socket failed");
    });
    this.server.listen(options.handle, BACKLOG, () => {
      if (options.context.ownsSockets) takeConnections(this.server, take);
      options.onListening();
    });
  }

  /** Stops accepting and drains; a second call can only shorten the grace. */
  close(graceMs: number, onClosed: () => void): void {
    if (this.isClosing) {
      this.group.limitGrace(graceMs);
      return;
    }
    this.isClosing = true;
    const closedAtMs = monotonicClock();
    // Whoever stands in the accept queue was promised a connection: closing the socket would reset it.
    // Half of the grace is for those who come last.
    this.acceptPending(closedAtMs + Math.min(graceMs / 2, ACCEPT_MS_MAX), () => {
      this.server.close();
      this.group.drain(Math.max(0, closedAtMs + graceMs - monotonicClock()), onClosed);
    });
  }

  cutAt(addresses: readonly string[]): void {
    this.group.cutAt(addresses);
  }

  /**
   * Lets the event loop accept until a whole turn brought nobody, or the time is up: clients that come without a
   * pause would keep it open. `then` runs right after the poll that found
   * none: who comes between it and the close is reset, and the shorter that is the seldomer (decision 0002).
   */
  private acceptPending(untilMs: number, then: () => void): void {
    const before = this.accepted;
    setImmediate(() => {
      // The first immediate may run in the turn that is under way; the second comes after a whole one.
      setImmediate(() => {
        if (this.accepted === before || monotonicClock() >= untilMs) then();
        else this.acceptPending(untilMs, then);
      });
    });
  }
}

function ownSocket(socket: Socket): Socket {
  return socket instanceof AcceptedSocket ? socket : (takeOver(socket) ?? socket);
}

function ignore(): void {
  // The socket is being thrown away.
}
