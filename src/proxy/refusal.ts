// A connection that is one too many: it is told so at once, before it asks, and let go. A close on bytes that
// were not read would be a reset and could destroy the answer, so what the client sends is thrown away for
// a moment; when too many stand there already, the next ones are reset without a word, which costs nothing.

import type { Socket } from "node:net";
import type { Sender } from "../http1/forward.ts";
import { describeClient } from "./access-record.ts";
import type { Context } from "./context.ts";
import type { Listener } from "./listener.ts";
import { errorContent, type OwnContent, renderOwnResponse } from "./own-response.ts";
import { type ByteStream, type StreamOwner, adoptStream } from "./stream.ts";
import type { Expiring } from "./timers.ts";

/** How long a client may take to read the answer and close. */
const LINGER_MS = 1000;
/** Of one worker, at one time. */
const LINGERING_MAX = 256;

class Refusal implements StreamOwner, Expiring {
  deadlineAt: number;
  private readonly context: Context;
  private readonly stream: ByteStream;

  constructor(context: Context, socket: Socket) {
    this.context = context;
    this.deadlineAt = context.timers.after(LINGER_MS);
    context.timers.watch(this);
    context.tally.refusing += 1;
    this.stream = socket;
    adoptStream(socket, this);
  }

  answer(content: OwnContent): void {
    this.stream.end(renderOwnResponse(content, { staysOpen: false, minor: 1, isHead: false }), "latin1");
    this.stream.resume();
  }

  receiveBytes(): void {
    // Whatever it is, it was answered.
  }

  receiveEnd(): void {
    // The stream closes by itself.
  }

  becomeWritable(): void {
    // There is nothing more to write.
  }

  streamClosed(): void {
    this.context.timers.unwatch(this);
    this.context.tally.refusing -= 1;
  }

  expire(): void {
    this.stream.destroy();
  }
}

/** Turns a client's socket away. */
export function refuseConnection(
  context: Context,
  socket: Socket,
  from: { readonly sender: Sender; readonly listener: Listener; readonly status: number },
): void {
  const { sender, listener, status } = from;
  context.tally.refusedConnections += 1;
  context.tally.hasChanged = true;
  const isAnswered = context.tally.refusing < LINGERING_MAX;
  context.accessLog?.writeRefusal({
    client: describeClient(sender.address, socket.remotePort),
    listener: listener.name,
    status: isAnswered ? status : 0,
    id: context.requestIds.next(),
  });
  if (isAnswered) new Refusal(context, socket).answer(errorContent(status, listener.errorPages));
  else socket.resetAndDestroy();
}
