// What a backend has got of a request's body, kept so that another one can get it too. Bounded: when there is more, it is all
// forgotten, and the request cannot be sent again. In one piece, so that many small reads cost no more than they bring.

const NOTHING = Buffer.alloc(0);
const FIRST_BYTES = 4096;

export class Replay {
  private readonly bytesMax: number;
  private bytes = NOTHING;
  private size = 0;
  private isComplete = true;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** These go to the backend; they may be lent. */
  keep(parts: readonly Buffer[]): void {
    if (!this.isComplete) return;
    let more = 0;
    for (const part of parts) more += part.length;
    if (this.size + more > this.bytesMax) {
      this.isComplete = false;
      this.bytes = NOTHING;
      return;
    }
    this.makeRoom(this.size + more);
    for (const part of parts) {
      this.bytes.set(part, this.size);
      this.size += part.length;
    }
  }

  /** All that was sent so far; null: that was too much. */
  get sent(): Buffer | null {
    return this.isComplete ? this.bytes.subarray(0, this.size) : null;
  }

  private makeRoom(size: number): void {
    if (size <= this.bytes.length) return;
    const grown = Math.max(size, Math.min(this.bytesMax, Math.max(FIRST_BYTES, this.bytes.length * 2)));
    const bytes = Buffer.allocUnsafeSlow(grown);
    this.bytes.copy(bytes, 0, 0, this.size);
    this.bytes = bytes;
  }
}
