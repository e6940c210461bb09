// Reads responses from a raw stream, one after the other, as their bytes come: for tests that watch bytes
// and not what an HTTP client makes of them. Bodies are hashed, not kept.

import { type Hash, createHash } from "node:crypto";

export interface ReadResponse {
  readonly status: number;
  /** Up to the empty line. */
  readonly head: string;
  readonly bodyBytes: number;
  /** SHA-256 of the body, hex. */
  readonly hash: string;
  /** The body's first bytes, latin1. */
  readonly start: string;
}

const START_BYTES = 256;

export class ResponseReader {
  readonly responses: ReadResponse[] = [];
  private readonly onResponse: (response: ReadResponse) => void;
  private rest: Buffer = Buffer.alloc(0);
  private phase: "head" | "length" | "size" | "data" | "trailer" = "head";
  private head = "";
  private remaining = 0;
  private hash: Hash = createHash("sha256");
  private bodyBytes = 0;
  private start = "";

  constructor(onResponse: (response: ReadResponse) => void = () => undefined) {
    this.onResponse = onResponse;
  }

  /** Bytes of a response that has not ended are there. */
  get isInside(): boolean {
    return this.phase !== "head" || this.rest.length > 0;
  }

  /** Throws on what no response is. */
  read(bytes: Buffer): void {
    this.rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    while (this.step());
  }

  private step(): boolean {
    switch (this.phase) {
      case "head": {
        const end = this.rest.indexOf("\r\n\r\n");
        if (end === -1) return false;
        this.startResponse(this.take(end + 4).toString("latin1"));
        return true;
      }
      case "length":
      case "data": {
        if (this.rest.length === 0) return false;
        this.takeBody();
        if (this.remaining > 0) return true;
        if (this.phase === "length") this.end();
        else this.phase = "size";
        return true;
      }
      case "size": {
        // The CR LF behind the data of the chunk before comes first.
        const from = this.bodyBytes > 0 ? 2 : 0;
        const end = this.rest.indexOf("\r\n", from);
        if (end === -1) return false;
        const line = this.take(end + 2).toString("latin1");
        if (!/^(?:\r\n)?[0-9a-f]+\r\n$/u.test(line))
          throw new Error(`no chunk size: ${JSON.stringify(line)}`);
        this.remaining = Number.parseInt(line.trim(), 16);
        this.phase = this.remaining === 0 ? "trailer" : "data";
        return true;
      }
      case "trailer": {
        if (this.rest.length < 2) return false;
        if (this.take(2).toString("latin1") !== "\r\n") throw new Error("unexpected trailers");
        this.end();
        return true;
      }
    }
  }

  private startResponse(head: string): void {
    if (!/^HTTP\/1\.1 \d{3} /u.test(head))
      throw new Error(`no response: ${JSON.stringify(head.slice(0, 100))}`);
    this.head = head;
    this.hash = createHash("sha256");
    this.bodyBytes = 0;
    this.start = "";
    const length = /\r\ncontent-length: (\d+)\r\n/iu.exec(head)?.[1];
    if (/\r\ntransfer-encoding: chunked\r\n/iu.test(head)) {
      this.phase = "size";
    } else if (length === undefined || length === "0") {
      this.end();
    } else {
      this.remaining = Number(length);
      this.phase = "length";
    }
  }

  private takeBody(): void {
    const bytes = this.take(Math.min(this.remaining, this.rest.length));
    this.remaining -= bytes.length;
    this.bodyBytes += bytes.length;
    this.hash.update(bytes);
    if (this.start.length < START_BYTES) {
      this.start += bytes.toString("latin1", 0, START_BYTES - this.start.length);
    }
  }

  private take(count: number): Buffer {
    const bytes = this.rest.subarray(0, count);
    this.rest = this.rest.subarray(count);
    return bytes;
  }

  private end(): void {
    const response = {
      status: Number(this.head.slice(9, 12)),
      head: this.head,
      bodyBytes: this.bodyBytes,
      hash: this.hash.digest("hex"),
      start: this.start,
    };
    this.phase = "head";
    this.responses.push(response);
    this.onResponse(response);
  }
}
