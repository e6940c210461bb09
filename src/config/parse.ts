// Text -> Config, or every mistake in it at once. The one door: whoever holds a Config may trust it.
//
//   text ─ yaml-source ─> values and positions ─┬─ schema ────────> mistakes of single values
//                                               └─ cross-checks ──> mistakes between values
//                                               no mistake ──> Config
//
// The cross-checks look at the values as they were written, so that a slip in one place does not hide
// a contradiction in another.

import type { Config, ConfigError, ListenerConfig, PairConfig, PoolConfig } from "./config.ts";
import { formatAddress } from "./config.ts";
import { crossCheck } from "./cross-checks.ts";
import { mistakesOf } from "./mistakes.ts";
import { formatPath } from "./mistake.ts";
import { configFile } from "./schema.ts";
import type { ConfigFile } from "./schema.ts";
import { readYaml } from "./yaml-source.ts";

export type Parsed =
  | { readonly kind: "config"; readonly config: Config }
  | { readonly kind: "invalid"; readonly errors: readonly ConfigError[] };

/**
 * The configuration in `text`, complete and consistent, or everything that is wrong with it in the
 * order of the file. `file` only names it in errors. Never throws.
 */
export function parseConfig(text: string, file: string): Parsed {
  const source = readYaml(text);
  if (source.kind === "invalid") {
    return invalidConfig(
      source.problems.map(({ path, ...problem }) => ({ file, path: formatPath(path), ...problem })),
    );
  }
  const checked = configFile.safeParse(source.value);
  const mistakes = [...mistakesOf(checked.error?.issues ?? []), ...crossCheck(source.value)];
  if (checked.success && mistakes.length === 0) return { kind: "config", config: toConfig(checked.data) };
  return invalidConfig(
    mistakes.map(({ path, at, message }) => ({
      file,
      ...source.locate(path, at),
      path: formatPath(path),
      message,
    })),
  );
}

/** `vipair.yaml:14:7  pools.web.backends[1].address: "80800" is not a port. Use 1 to 65535.` */
export function formatConfigError({ file, line, column, path, message }: ConfigError): string {
  return `${file}:${String(line)}:${String(column)}  ${path === "" ? "" : `${path}: `}${message}`;
}

function invalidConfig(errors: readonly ConfigError[]): Parsed {
  return { kind: "invalid", errors: errors.toSorted((a, b) => a.line - b.line || a.column - b.column) };
}

function toConfig(file: ConfigFile): Config {
  return {
    ...(file.pair === undefined ? {} : { pair: toPair(file.pair) }),
    workers: file.workers,
    virtualAddresses: file.virtualAddresses.map((entry) => ({
      group: "default",
      ...entry.address,
      interface: entry.interface,
    })),
    groups:
      file.pair === undefined
        ? []
        : [
            {
              name: "default",
              priorities: Object.fromEntries(
                Object.entries(file.pair.nodes).map(([name, { priority }]) => [name, priority]),
              ),
              preempt: file.pair.preempt,
            },
          ],
    listeners: file.listeners.map(toListener),
    pools: Object.entries(file.pools).map(([name, pool]) => toPool(name, pool)),
    logging: { level: file.logging.level },
    shutdownGraceMs: file.shutdownGrace,
  };
}

function toPair(pair: NonNullable<ConfigFile["pair"]>): PairConfig {
  const { nodes, advertisementInterval, preemptDelay, lease, ...rest } = pair;
  return {
    ...rest,
    nodes: Object.entries(nodes).map(([name, node]) => ({ name, ...node })),
    advertisementIntervalMs: advertisementInterval,
    preemptDelayMs: preemptDelay,
    leaseMs: lease,
    arbiter: { kind: "gateway" },
    paths: [
      { addresses: Object.fromEntries(Object.entries(nodes).map(([name, { address }]) => [name, address])) },
    ],
    notify: {},
    roleChangesPerMinute: 4,
    track: [],
    vitals: {
      intervalMs: 10_000,
      temperature: { above: 80, weight: 10 },
      memory: { above: 95, weight: 10 },
      disk: { above: 95, weight: 10 },
      underVoltage: { weight: 10 },
    },
  };
}

function toListener(listener: ConfigFile["listeners"][number]): ListenerConfig {
  const { pool, routes, timeouts, limits, ...rest } = listener;
  return {
    ...rest,
    routes: routes ?? (pool === undefined ? [] : [{ match: {}, pool }]),
    timeouts: { headMs: timeouts.head, idleMs: timeouts.idle },
    limits: { headBytes: limits.head, bodyBytes: limits.body },
  };
}

function toPool(name: string, pool: ConfigFile["pools"][string]): PoolConfig {
  return {
    name,
    balance: pool.balance,
    backends: pool.backends.map((backend) => {
      const { address, weight = 1, name: given } = "address" in backend ? backend : { address: backend };
      return { name: given ?? formatAddress(address.host, address.port), ...address, weight };
    }),
    health: toHealth(pool.health),
    timeouts: {
      connectMs: pool.timeouts.connect,
      responseMs: pool.timeouts.response,
      bodyMs: pool.timeouts.body,
      tunnelIdleMs: pool.timeouts.tunnelIdle,
    },
  };
}

function toHealth(health: ConfigFile["pools"][string]["health"]): PoolConfig["health"] {
  if (health.kind === "none") return health;
  const { interval, timeout, ...rest } = health;
  return { ...rest, intervalMs: interval, timeoutMs: timeout };
}
