// Lines into a file descriptor without ever waiting for it: they are gathered, written in batches by a thread of
// the pool, and dropped and counted when whoever reads cannot keep up. Apart from the log of events (log.ts),
// which has few lines and none to lose; here there is one for each request.
//
//   append ──> text ──a piece is full──> batch ──it is full, or 200 ms──> waiting ──> written, one at a time
//                                                                └─ 1 MiB wait: dropped
//
// A pipe or a socket is given whole lines of at most PIPE_BUF bytes at a time: the kernel never mixes those with
// the lines of other processes (pipe(7)). A file that is opened for appending takes a batch as a whole.

import { closeSync, fstatSync, write } from "node:fs";
import { openForAppending } from "./appended-file.ts";

/** PIPE_BUF of Linux. */
const PIECE_BYTES = 4096;
const BATCH_BYTES = 65_536;
/** Full batches that wait for one that is being written. */
const WAITING_MAX = 15;
const FLUSH_MS = 200;
/** A pipe that somebody has made non-blocking is full. */
const RETRY_MS = 20;

interface Batch {
  readonly bytes: Buffer;
  /** The first byte is a line feed, which is written only behind a line that was torn. */
  size: number;
}

export interface LineWriterOptions {
  /** null: the standard output, which stays open. Opened by openForAppending(). */
  readonly file: string | null;
  /** The line that stands where lines are missing. */
  readonly describeLoss: (lines: number) => string;
  /** Nothing can be written; said each time. */
  readonly onError: (problem: string) => void;
}

export class LineWriter {
  private readonly options: LineWriterOptions;
  private readonly fd: number;
  private readonly isFile: boolean;
  /** ASCII. */
  private text = "";
  private batch: Batch | null = null;
  private readonly waiting: Batch[] = [];
  private spare: Buffer | null = null;
  private isWriting = false;
  private isTorn = false;
  private hasGivenUp = false;
  private lostLines = 0;
  private flushTimer: NodeJS.Timeout | null = null;
  private onEmpty: (() => void) | null = null;

  /** Throws when the file cannot be opened. */
  constructor(options: LineWriterOptions) {
    this.options = options;
    this.fd = options.file === null ? 1 : openForAppending(options.file);
    this.isFile = fstatSync(this.fd).isFile();
  }

  /** `line` is ASCII, ends in its only line feed, and has at most PIPE_BUF (4096) bytes. */
  append(line: string): void {
    if (this.lostLines > 0 && !this.tellLoss()) {
      this.lostLines += 1;
      return;
    }
    if (!this.add(line)) this.lostLines = 1;
    this.flushTimer ??= setTimeout(() => {
      this.flushTimer = null;
      this.flush();
    }, FLUSH_MS);
  }

  /**
   * Writes what is there, for at most `withinMs`, and closes the file. True when all was written; false when a
   * thread still hangs in a write, so that an orderly exit of the process would hang as well.
   */
  async close({ withinMs }: { readonly withinMs: number }): Promise<boolean> {
    if (this.flushTimer !== null) clearTimeout(this.flushTimer);
    this.flushTimer = null;
    if (this.lostLines > 0) this.tellLoss();
    this.flush();
    const isEmpty = await this.becomesEmpty(withinMs);
    if (isEmpty && this.options.file !== null) closeSync(this.fd);
    return isEmpty;
  }

  private becomesEmpty(withinMs: number): Promise<boolean> {
    if (!this.isWriting) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.hasGivenUp = true;
        resolve(false);
      }, withinMs);
      this.onEmpty = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  /** False: there is no room. */
  private add(line: string): boolean {
    if (this.text.length + line.length > PIECE_BYTES && !this.seal()) return false;
    this.text += line;
    return true;
  }

  /** False: there is still no room, for this line and for others. */
  private tellLoss(): boolean {
    if (!this.seal()) return false;
    this.text = this.options.describeLoss(this.lostLines);
    this.lostLines = 0;
    return true;
  }

  /** Moves the text into the batch: a few lines at once cost less than each by itself. */
  private seal(): boolean {
    if (this.batch !== null && this.batch.size + this.text.length > BATCH_BYTES) {
      if (this.waiting.length >= WAITING_MAX) return false;
      this.waiting.push(this.batch);
      this.batch = null;
      this.writeNext();
    }
    this.batch ??= this.createBatch();
    this.batch.size += this.batch.bytes.write(this.text, this.batch.size, "latin1");
    this.text = "";
    return true;
  }

  private createBatch(): Batch {
    const bytes = this.spare ?? Buffer.allocUnsafeSlow(BATCH_BYTES);
    this.spare = null;
    bytes[0] = 10;
    return { bytes, size: 1 };
  }

  private flush(): void {
    if (this.text !== "") this.seal();
    if (!this.isWriting) this.writeNext();
  }

  private writeNext(): void {
    if (this.isWriting) return;
    const batch = this.waiting.shift() ?? this.batch;
    if (batch === null) {
      this.onEmpty?.();
      return;
    }
    if (batch === this.batch) this.batch = null;
    this.isWriting = true;
    this.writeFrom(batch, this.isTorn ? 0 : 1);
    this.isTorn = false;
  }

  private writeFrom(batch: Batch, start: number): void {
    const { bytes, size } = batch;
    let end = size;
    if (!this.isFile && size - start > PIECE_BYTES) {
      const lineEnd = bytes.lastIndexOf(10, start + PIECE_BYTES - 1) + 1;
      end = lineEnd > start ? lineEnd : start + PIECE_BYTES;
    }
    write(this.fd, bytes, start, end - start, null, (error, written) => {
      if (error !== null) {
        this.handleError(error, batch, start);
        return;
      }
      if (start + written < size) this.writeFrom(batch, start + written);
      else this.finishBatch(batch);
    });
  }

  private handleError(error: NodeJS.ErrnoException, batch: Batch, start: number): void {
    if (this.hasGivenUp) {
      if (this.options.file !== null) closeSync(this.fd);
      return;
    }
    if (error.code === "EAGAIN") {
      setTimeout(() => {
        this.writeFrom(batch, start);
      }, RETRY_MS);
      return;
    }
    this.isTorn = start > 1 && batch.bytes[start - 1] !== 10;
    this.lostLines += countLines(batch, start);
    this.options.onError(error.message);
    this.finishBatch(batch);
  }

  private finishBatch(batch: Batch): void {
    this.spare = batch.bytes;
    this.isWriting = false;
    this.writeNext();
  }
}

function countLines({ bytes, size }: Batch, start: number): number {
  let lines = 0;
  for (let at = Math.max(1, start); at < size; at += 1) if (bytes[at] === 10) lines += 1;
  return lines;
}
