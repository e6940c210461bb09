// The seam between an exchange and whoever speaks with its client, so that a client over another protocol is a second class.

import type { OutFraming } from "../http1/body.ts";
import type { Sender } from "../http1/forward.ts";
import type { ResponseHead } from "../http1/response.ts";
import type { BackendConnection } from "./backend-connection.ts";

/**
 * The client's side of an exchange: what carries the response in its own way. An HTTP/1.1 connection
 * (client-connection.ts) is one; an HTTP/2 stream can be one (docs/architecture.md). Nothing of the response's
 * way to the client is known here but how its body is framed.
 */
export interface ExchangeClient {
  readonly sender: Sender;
  /** Who asked, perhaps behind a proxy of ours; worked out each time. */
  readonly clientAddress: string;
  /** This worker is about to close the connection for its own reasons. */
  readonly isLeaving: boolean;
  /** What was sent waits in this process; clientWritable is called when it has left. */
  readonly isFull: boolean;
  /** Whether the client takes what was sent, however slowly; asked when a deadline has passed. As SendWatch.hasMoved. */
  hasTaken(): boolean;
  /** Try to move the request body on. */
  advance(): void;
  /** How the body of this response is to be given to sendHead and sendBody. */
  framingFor(head: ResponseHead): OutFraming;
  /** A 1xx response other than 101. */
  sendInterim(head: ResponseHead): void;
  /**
   * The final head and the beginning of the body, in one write. The parts may be lent, here and in sendBody.
   * `staysOpen`: the client may ask again.
   */
  sendHead(head: ResponseHead, out: OutFraming, staysOpen: boolean, parts: readonly Buffer[]): void;
  sendBody(parts: readonly Buffer[]): void;
  /** Last of all, after the whole response was written. */
  exchangeEnded(mayClientSpeak: boolean): void;
  /** Last of all: answer with an error page, no head was sent yet. */
  exchangeFailed(status: number, mayClientSpeak: boolean): void;
  /** Last of all: the response cannot be completed. */
  exchangeCut(): void;
  /** Last of all: a tunnel over the backend's connection, which is the client's now, follows this 101. */
  exchangeSwitched(head: ResponseHead, tunnel: SwitchedTo): void;
}

/** What a client side needs to make a tunnel. */
export interface SwitchedTo {
  readonly connection: BackendConnection;
  /** What the backend sent behind its 101; lent. */
  readonly rest: Buffer;
  readonly idleMs: number;
}
