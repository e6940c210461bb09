// Every choice of a simulated run comes from here, and every one of them from the seed: the same seed is
// the same run, on any machine. Each concern (the network, the hooks of one node, one event) draws from a
// stream of its own, so that a new draw in one place does not make another run of everything else.
// (mulberry32: small, fast, and good enough to pick faults with.)

export class Random {
  #state: number;

  constructor(seed: number, concern: string) {
    // Seeds are 1, 2, 3 ...: mixed first, or neighbours would begin alike.
    this.#state = Math.imul((seed ^ 0x9e3779b9) + hashOf(concern), 0x85ebca6b) >>> 0;
    this.fraction();
  }

  /** 0 up to, without, 1. */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  between(from: number, to: number): number {
    return from + this.fraction() * (to - from);
  }

  /** A whole number; both ends are possible. */
  whole(from: number, to: number): number {
    return from + Math.floor(this.fraction() * (to - from + 1));
  }

  chance(probability: number): boolean {
    return probability > 0 && this.fraction() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.fraction() * choices.length)]!;
  }
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash;
}
