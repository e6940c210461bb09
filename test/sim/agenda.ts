// Virtual time: what happens next, and nothing between. Events of one moment happen in the order in which
// they were planned, so a run depends on nothing but its seed.

export interface Planned {
  readonly time: number;
  readonly order: number;
  act: (() => void) | undefined;
}

export class Agenda {
  /** Milliseconds since the run began. */
  now = 0;
  #planned = 0;
  readonly #heap: Planned[] = [];

  at(time: number, act: () => void): Planned {
    const event: Planned = { time: Math.max(time, this.now), order: this.#planned++, act };
    this.#push(event);
    return event;
  }

  after(delayMs: number, act: () => void): Planned {
    return this.at(this.now + delayMs, act);
  }

  cancel(event: Planned | undefined): void {
    if (event !== undefined) event.act = undefined;
  }

  /** Lets the next event happen; false when nothing is planned at or before `until`, which is now then. */
  advance(until: number): boolean {
    for (;;) {
      const [next] = this.#heap;
      if (next === undefined || next.time > until) {
        this.now = until;
        return false;
      }
      this.#pop();
      if (next.act === undefined) continue;
      this.now = next.time;
      const { act } = next;
      next.act = undefined;
      act();
      return true;
    }
  }

  #push(event: Planned): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(one: Planned, other: Planned): boolean {
  return one.time < other.time || (one.time === other.time && one.order < other.order);
}
