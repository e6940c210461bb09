// From the values of a file that kept to the schema to how a pool balances. Part of to-pool.ts.

import { type BalanceConfig, type StickyConfig, stickyCookie } from "./balance-config.ts";
import type { ConfigFile } from "./schema.ts";

type Pool = ConfigFile["pools"][string];

const PANIC_THRESHOLD = 30;
/** Of fewer backends even one that is down is a large share. */
const PANIC_BACKENDS_MIN = 3;

export function toBalance(balance: Pool["balance"]): BalanceConfig {
  if (typeof balance !== "string") return balance;
  return balance === "uri-hash" ? { kind: balance, query: false } : { kind: balance };
}

export function toSticky(
  pool: string,
  { cookie = stickyCookie(pool), ttl, secure, ...rest }: NonNullable<Pool["sticky"]>,
): StickyConfig {
  return { ...rest, cookie, ttlMs: ttl, secure: secure === "auto" ? secure : secure ? "always" : "never" };
}

/** Backups do not count: they are no reason to use backends that are down. */
export function toPanicThreshold({ panicThreshold, backends }: Pool): number {
  const primaries = backends.filter((backend) => !("backup" in backend && backend.backup));
  return panicThreshold ?? (primaries.length < PANIC_BACKENDS_MIN ? 0 : PANIC_THRESHOLD);
}
