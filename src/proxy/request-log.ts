// What a client connection tells the access log: the record of the request under way, and those of requests whose
// answers have not left this process yet. Without an access log there are none.

import type { Sender } from "../http1/forward.ts";
import {
  type AccessRecord,
  type RequestEnd,
  createRecord,
  describeClient,
  noteEnd,
} from "./access-record.ts";
import type { Context } from "./context.ts";
import { type ByteStream, portOf } from "./stream.ts";
import { UnsentRecords } from "./unsent-records.ts";

/** Whose requests they are. */
interface Logged {
  readonly sender: Sender;
  readonly stream: ByteStream;
  /** Of the request under way. */
  requestId(): string;
}

export class RequestLog {
  /** Of the request under way; null when there is no access log, or nothing to say. */
  record: AccessRecord | null = null;
  private readonly context: Context;
  private readonly connection: Logged;
  /** As it stands in records; null: nobody has asked. */
  private address: string | null = null;
  /** Made when the first answer does not leave at once. */
  private unsent: UnsentRecords | null = null;

  constructor(context: Context, connection: Logged) {
    this.context = context;
    this.connection = connection;
  }

  /** The first bytes of a request to this listener are there. */
  begin(listener: string): void {
    if (this.context.accessLog === null) return;
    const { sender, stream } = this.connection;
    this.address ??= describeClient(sender.address, portOf(stream));
    this.record = createRecord(this.address, listener);
  }

  /** The request has ended, in this way if nothing else was noted. */
  end(end: RequestEnd): void {
    const { record } = this;
    if (record === null) return;
    noteEnd(record, end);
    this.record = null;
    this.context.accessLog?.write(record, this.connection.requestId());
  }

  /** The answer is written: if it has not left, the client may still not get it. */
  answered(): void {
    const { record } = this;
    if (record === null) return;
    const { stream } = this.connection;
    if (stream.writableLength === 0) {
      this.end("ok");
      return;
    }
    this.record = null;
    const unsent = (this.unsent ??= new UnsentRecords((one, id) => this.context.accessLog?.write(one, id)));
    unsent.add(record, this.connection.requestId());
    stream.write("", (error) => {
      // If it failed, whoever closes the stream says why.
      if (error === null || error === undefined) unsent.settleFirst();
    });
  }

  /** What was answered and has not left will not: of the last answers, so many bytes. */
  lose(end: RequestEnd, lostBytes: number): void {
    this.unsent?.settleAll(end, lostBytes);
  }
}
