// A health checker that looks at real backends on loopback, and what it tells.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { PoolConfig } from "../../src/config/config.ts";
import { HealthChecker } from "../../src/control/health-checker.ts";
import type { HealthTable } from "../../src/protocol/worker.ts";
import { monotonicClock } from "../../src/system/clock.ts";
import type { Log } from "../../src/system/log.ts";
import { expectConfig } from "../config/pair-yaml.ts";
import { HOST } from "./probe-rig.ts";

export interface Watch {
  readonly checker: HealthChecker;
  readonly tables: HealthTable[];
  /** Messages of the log. */
  readonly events: string[];
  /** Backends that an operator has in maintenance; noteOrders() makes the checker look. */
  readonly inMaintenance: Set<string>;
  readonly state: (backend?: string) => string;
  readonly reason: (backend?: string) => string | null;
}

/** Checks these pools until the test ends. */
export function watch(
  t: TestContext,
  pools: readonly PoolConfig[],
  { configDir = "/", random = (): number => 0.5 } = {},
): Watch {
  const tables: HealthTable[] = [];
  const events: string[] = [];
  const note = (_subject: object, event: string) => {
    events.push(event);
  };
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const inMaintenance = new Set<string>();
  const checker = new HealthChecker({
    log,
    clock: monotonicClock,
    random,
    configDir,
    isInMaintenance: (_pool, backend) => inMaintenance.has(backend),
    onChange: (table) => tables.push(table),
  });
  checker.configure(pools);
  t.after(() => {
    checker.stop();
  });
  return {
    checker,
    tables,
    events,
    inMaintenance,
    state: (backend = "a") => checker.status("web", backend).state,
    reason: (backend = "a") => checker.status("web", backend).reason,
  };
}

export const OFTEN = "interval: 50ms, timeout: 50ms";

/** With timeouts that a busy machine does not reach, which no configuration would allow for such intervals. */
export function patient(pool: PoolConfig): PoolConfig {
  const timeoutMs = 5_000;
  const { health, agent, ...rest } = pool;
  return {
    ...rest,
    health: health.kind === "none" ? health : { ...health, timeoutMs },
    ...(agent === undefined ? {} : { agent: { ...agent, timeoutMs } }),
  };
}

/** The first check, and those that hints bring. */
export const ONCE = "interval: 1m, timeout: 5s";

/** The pool `web`; `yaml` is what it has beside its backends, each of which is on a port of loopback. */
export function web(yaml: string, ports: Readonly<Record<string, number>>): PoolConfig {
  const backends = Object.entries(ports).map(
    ([name, port]) => `{ name: ${name}, address: ${HOST}:${String(port)} }`,
  );
  const { pools } = expectConfig(
    `listeners: [{ name: l, bind: 127.0.0.1:80, pool: web }]\npools:\n  web: { backends: [${backends.join(", ")}], ${yaml} }\n`,
  );
  assert.ok(pools[0] !== undefined);
  return pools[0];
}

export async function until(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 20_000;
  while (!holds()) {
    assert.ok(performance.now() < end, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
