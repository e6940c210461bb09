// Time for everything that waits or measures. Monotonic: a clock set by hand or by NTP cannot elect anybody.

/** Milliseconds since some fixed moment of this process's life; never goes back. */
export type Clock = () => number;

export const monotonicClock: Clock = () => performance.now();

/** The wall clock, for people only: ISO 8601, UTC. */
export function wallTime(): string {
  return new Date().toISOString();
}

/** Seconds since 1970, for what another machine must understand: when a cookie expires. Never for waiting. */
export function wallSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
