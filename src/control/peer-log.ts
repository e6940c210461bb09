// What the peer link tells people: a thing that goes wrong again and again is one line, not one for each
// attempt. All paths share it, so that one mistake that shows on every path is one line too.

import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";

/** What goes wrong again and again is logged once in this time. */
const PAUSE_MS = 10_000;
const KEYS_MAX = 50;

export class PeerLog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #loggedAtMs = new Map<string, number>();

  constructor({ log, clock }: { readonly log: Log; readonly clock: Clock }) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Two problems may alternate; each is worth a line, and not again for a while. */
  sometimes(key: string, level: "info" | "warn", subject: object, event: string): void {
    const now = this.#clock();
    const loggedAtMs = this.#loggedAtMs.get(key);
    if (loggedAtMs !== undefined && now - loggedAtMs < PAUSE_MS) return;
    if (this.#loggedAtMs.size >= KEYS_MAX) this.#loggedAtMs.clear();
    this.#loggedAtMs.set(key, now);
    this.#log[level](subject, event);
  }
}
