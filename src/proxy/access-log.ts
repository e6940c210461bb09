// The access log of a worker: makes the records, and a line of each at its end. Replaced at every reload, so that
// a file that was moved away is opened anew.

import type { AccessLogConfig } from "../config/config.ts";
import { monotonicClock } from "../system/clock.ts";
import { LineWriter } from "../system/line-writer.ts";
import type { Log } from "../system/log.ts";
import { quoted, renderLine } from "./access-line.ts";
import { type AccessRecord, createRecord } from "./access-record.ts";

/** The wall clock may be set; lines follow it after this time. */
const WALL_CLOCK_MS = 1000;
/** A full disk fails every batch; the log of events has it once in this time. */
const PROBLEM_LOG_PAUSE_MS = 10_000;
/** How long lines may take to be written when a log is closed and nobody waits for that. */
const CLOSE_MS = 10_000;

export class AccessLog {
  private readonly writer: LineWriter;
  private readonly suffix: string;
  private readonly log: Log;
  private readonly file: string | null;
  private wallOffsetMs = 0;
  private wallReadAt = -Infinity;
  private problemLoggedAt = -Infinity;

  /** Throws when the file cannot be opened. */
  constructor(options: { readonly config: AccessLogConfig; readonly node: string; readonly log: Log }) {
    this.log = options.log;
    this.file = options.config.file;
    this.suffix = `,"node":${quoted(options.node)},"msg":"request"}\n`;
    this.writer = new LineWriter({
      file: this.file,
      describeLoss: (lines) =>
        `{"time":"${new Date().toISOString()}","lost":${String(lines)},"node":${quoted(options.node)},"msg":"lines lost"}\n`,
      onError: (problem) => {
        this.noteProblem(problem);
      },
    });
  }

  /** Writes the line of a request that ends now. `id` names it. */
  write(record: AccessRecord, id: string): void {
    const endedAt = monotonicClock();
    if (endedAt - this.wallReadAt > WALL_CLOCK_MS) {
      this.wallReadAt = endedAt;
      this.wallOffsetMs = Date.now() - endedAt;
    }
    const { wallOffsetMs, suffix } = this;
    this.writer.append(renderLine(record, { id, wallOffsetMs, endedAt, suffix }));
  }

  /** A connection that was turned away before it asked. `status` 0: without a word. */
  writeRefusal(from: {
    readonly client: string;
    readonly listener: string;
    readonly status: number;
    readonly id: string;
  }): void {
    const record = createRecord(from.client, from.listener);
    record.status = from.status;
    record.end = "refused";
    record.reason = "too many connections";
    this.write(record, from.id);
  }

  /** Another log takes its place: what is there is still written. */
  retire(): void {
    void this.writer.close({ withinMs: CLOSE_MS });
  }

  /** As LineWriter.close. */
  async close(options: { readonly withinMs: number }): Promise<boolean> {
    return this.writer.close(options);
  }

  private noteProblem(problem: string): void {
    // Whoever reads no lines would not read this one either.
    if (this.file === null) return;
    const now = monotonicClock();
    if (now - this.problemLoggedAt < PROBLEM_LOG_PAUSE_MS) return;
    this.problemLoggedAt = now;
    this.log.error({ file: this.file, problem }, "lines of the access log are lost");
  }
}
