// Pools in one line, and what is chosen from them.

import assert from "node:assert/strict";
import type { BalanceConfig } from "../../src/config/balance-config.ts";
import type { BackendHealth, BackendState } from "../../src/routing/backend-state.ts";
import type { Moment } from "../../src/routing/policies.ts";
import { type Candidate, type PoolState, chooseBackend, configurePool } from "../../src/routing/pool.ts";
import { createLoad } from "../../src/routing/response-time.ts";

export type BalanceKind = BalanceConfig["kind"];

export const BALANCES = {
  "round-robin": { kind: "round-robin" },
  "least-connections": { kind: "least-connections" },
  "least-response-time": { kind: "least-response-time" },
  random: { kind: "random" },
  first: { kind: "first" },
  "source-hash": { kind: "source-hash" },
  "uri-hash": { kind: "uri-hash", query: false },
  "header-hash": { kind: "header-hash", header: "x-user" },
  "cookie-hash": { kind: "cookie-hash", cookie: "session" },
} as const satisfies Record<BalanceKind, BalanceConfig>;

export interface PoolOptions {
  readonly balance?: BalanceKind;
  readonly slowStartMs?: number;
  readonly panicThreshold?: number;
  readonly previous?: PoolState | null;
  readonly nowMs?: number;
}

/** "a*5 b c+": backends (none: "") with weights, 1 when none is given; "+" is a backup. Health by name, "up" when none is. */
export function pool(
  notation: string,
  health: Readonly<Record<string, BackendHealth | BackendState>> = {},
  {
    balance = "round-robin",
    slowStartMs = 0,
    panicThreshold = 0,
    previous = null,
    nowMs = 0,
  }: PoolOptions = {},
): PoolState {
  const backends = notation
    .split(" ")
    .filter(Boolean)
    .map((text) => {
      const [name = "", weight = "1"] = text.replace("+", "").split("*");
      return { name, host: "127.0.0.1", port: 1, weight: Number(weight), isBackup: text.endsWith("+") };
    });
  const known = new Map(previous?.candidates.map(({ name, load }) => [name, load]));
  const loads = backends.map(({ name }) => known.get(name) ?? createLoad());
  const config = { balance: BALANCES[balance], backends, slowStartMs, panicThreshold };
  return configurePool(config, states(health), { previous, loads, nowMs });
}

export function states(
  health: Readonly<Record<string, BackendHealth | BackendState>>,
): Record<string, BackendState> {
  return Object.fromEntries(
    Object.entries(health).map(([name, state]) => [
      name,
      typeof state === "string" ? { health: state } : state,
    ]),
  );
}

/** Numbers that look like chance, the same for the same seed (mulberry32). */
export function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export interface ChooseOptions {
  readonly refused?: readonly string[];
  readonly key?: string | null;
  readonly moment?: Moment;
}

export function choose(
  state: PoolState,
  { refused = [], key = null, moment = { nowMs: 0, random: chance(1) } }: ChooseOptions = {},
): Candidate | null {
  const asker = { hashKey: () => key, accepts: ({ name }: Candidate) => !refused.includes(name) };
  return chooseBackend(state, asker, moment);
}

/** The names chosen one after the other, "-" for nobody. */
export function chooseMany(state: PoolState, count: number, options: ChooseOptions = {}): string {
  const moment = options.moment ?? { nowMs: 0, random: chance(1) };
  let order = "";
  for (let i = 0; i < count; i += 1) order += choose(state, { ...options, moment })?.name ?? "-";
  return order;
}

export function expectOrder(state: PoolState, order: string, options: ChooseOptions = {}): void {
  assert.equal(chooseMany(state, order.length, options), order);
}
