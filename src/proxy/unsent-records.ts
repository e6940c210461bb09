// Records of requests whose answers were written and have not left this process: how these ended is not known yet.
// Apart, because only a client that reads slowly has any.

import { type AccessRecord, type RequestEnd, noteEnd } from "./access-record.ts";

interface Unsent {
  readonly record: AccessRecord;
  readonly id: string;
}

export class UnsentRecords {
  private readonly waiting: Unsent[] = [];
  private readonly log: (record: AccessRecord, id: string) => void;

  /** `log` writes the line. */
  constructor(log: (record: AccessRecord, id: string) => void) {
    this.log = log;
  }

  add(record: AccessRecord, id: string): void {
    this.waiting.push({ record, id });
  }

  /** The answer of the first one has left whole. */
  settleFirst(): void {
    const first = this.waiting.shift();
    if (first === undefined) return;
    noteEnd(first.record, "ok");
    this.log(first.record, first.id);
  }

  /** None of them will; of the last answers, so many bytes do not leave. */
  settleAll(end: RequestEnd, lostBytes: number): void {
    let lost = lostBytes;
    for (const { record } of this.waiting.toReversed()) {
      const ofThis = Math.min(lost, record.bytesOut);
      record.bytesOut -= ofThis;
      lost -= ofThis;
      record.end = end;
    }
    for (const { record, id } of this.waiting.splice(0)) this.log(record, id);
  }
}
