// Messages of one line each over a connection, one at a time: at most so many bytes, within so much time. Whatever else
// comes is the end of the connection.

import type { Duplex } from "node:stream";

export type Received =
  | { readonly kind: "line"; readonly line: string }
  /** Closed, too long, or too late. */
  | { readonly kind: "ended" };

export class LineChannel {
  readonly #stream: Duplex;
  readonly #bytesMax: number;
  #received = Buffer.alloc(0);
  #hasEnded = false;
  #waiting: (() => void) | undefined;

  /** `bytesMax`: of what the other side sends and nobody has taken yet. */
  constructor(stream: Duplex, { bytesMax }: { readonly bytesMax: number }) {
    this.#stream = stream;
    this.#bytesMax = bytesMax;
    stream.on("data", (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      if (this.#received.length > this.#bytesMax) this.close();
      this.#waiting?.();
    });
    for (const event of ["end", "close", "error"]) {
      stream.on(event, () => {
        this.#hasEnded = true;
        this.#waiting?.();
      });
    }
  }

  send(message: object): void {
    if (!this.#hasEnded) this.#stream.write(`${JSON.stringify(message)}\n`);
  }

  /** The next line. One caller at a time. */
  async receive({ withinMs }: { readonly withinMs: number }): Promise<Received> {
    const timer = setTimeout(() => this.close(), withinMs);
    try {
      for (;;) {
        const end = this.#received.indexOf("\n");
        if (end !== -1 && end < this.#bytesMax) {
          const line = this.#received.toString("utf8", 0, end);
          this.#received = this.#received.subarray(end + 1);
          return { kind: "line", line };
        }
        if (this.#hasEnded) return { kind: "ended" };
        // oxlint-disable-next-line no-await-in-loop -- until there is more, or the end
        await new Promise<void>((resolve) => (this.#waiting = resolve));
      }
    } finally {
      this.#waiting = undefined;
      clearTimeout(timer);
    }
  }

  /** Says that nothing more comes, and waits until the other side has heard everything. */
  async finish({ withinMs }: { readonly withinMs: number }): Promise<void> {
    this.#stream.end();
    await this.receive({ withinMs });
    this.close();
  }

  /** Nothing is heard afterwards. */
  close(): void {
    this.#hasEnded = true;
    this.#stream.destroy();
    this.#waiting?.();
  }
}
