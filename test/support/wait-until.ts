// Waiting in tests: for a condition, for a bounded time, never for "long enough".

import { setTimeout as sleep } from "node:timers/promises";

export interface WaitOptions {
  /** What is waited for, as the end of the sentence "waited 500 ms for ...". */
  readonly what: string;
  readonly withinMs: number;
  readonly everyMs?: number;
}

/** The first value of `read` that is not undefined or false; throws when none came in time. Errors of `read` pass through. */
export async function waitUntil<T>(
  read: () => T | Promise<T>,
  { what, withinMs, everyMs = 20 }: WaitOptions,
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = await read();
    if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
    if (performance.now() >= deadline) throw new Error(`waited ${String(withinMs)} ms for ${what}`);
    await sleep(everyMs);
  }
}
