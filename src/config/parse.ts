// Text -> Config, or every mistake in it at once. The one door: whoever holds a Config may trust it.
//
//   text ─ yaml-source ─> values and positions ─┬─ schema ────────> mistakes of single values
//                                               └─ cross-checks ──> mistakes between values
//                                               no mistake ──> Config
//
// The cross-checks look at the values as they were written, so that a slip in one place does not hide
// a contradiction in another.

import type { Config, ConfigError, GroupConfig, ListenerConfig, NotifyConfig, PairConfig } from "./config.ts";
import type { PoolConfig, TrackedCheck, TrackedCheckConfig, VirtualAddress } from "./config.ts";
import { DEFAULT_GROUP, formatAddress } from "./config.ts";
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
    ...toGroups(file),
    listeners: file.listeners.map(toListener),
    pools: Object.entries(file.pools).map(([name, pool]) => toPool(name, pool)),
    logging: { level: file.logging.level },
    shutdownGraceMs: file.shutdownGrace,
  };
}

type PairFile = NonNullable<ConfigFile["pair"]>;

function toPair(pair: PairFile): PairConfig {
  const { nodes, advertisementInterval, preemptDelay, lease, paths, track, vitals, notify, ...rest } = pair;
  const { interval, ...watched } = vitals;
  return {
    ...rest,
    nodes: Object.entries(nodes).map(([name, node]) => ({ name, ...node })),
    advertisementIntervalMs: advertisementInterval,
    preemptDelayMs: preemptDelay,
    leaseMs: lease,
    paths: [mapValues(nodes, ({ address }) => address), ...paths].map((addresses) => ({ addresses })),
    track: track.map(toTrackedCheck),
    vitals: { intervalMs: interval, ...watched },
    notify: toNotify(notify),
  };
}

function toTrackedCheck(check: PairFile["track"][number]): TrackedCheckConfig {
  const { exec, tcp, http, interval, timeout, weight, fault: _, ...rest } = check;
  return {
    ...rest,
    check: toCheck({ exec, tcp, http }),
    intervalMs: interval,
    timeoutMs: timeout,
    effect: weight === undefined ? { kind: "fault" } : { kind: "weight", weight },
  };
}

/** The cross-checks made sure that exactly one of the three is there. */
function toCheck({
  exec,
  tcp,
  http,
}: {
  readonly [K in "exec" | "tcp" | "http"]: PairFile["track"][number][K] | undefined;
}): TrackedCheck {
  if (tcp !== undefined) return { kind: "tcp", ...tcp };
  if (http !== undefined) return { kind: "http", url: http.url };
  return { kind: "exec", command: exec ?? [] };
}

function toNotify(notify: PairFile["notify"]): NotifyConfig {
  const { "on-active": onActive, "on-standby": onStandby, "on-fault": onFault } = notify;
  return {
    ...(onActive === undefined ? {} : { onActive }),
    ...(onStandby === undefined ? {} : { onStandby }),
    ...(onFault === undefined ? {} : { onFault }),
  };
}

/** The virtual addresses with the names of their groups, and the groups. Without groups in the file there is one. */
function toGroups({ pair, virtualAddresses }: ConfigFile): Pick<Config, "virtualAddresses" | "groups"> {
  if (pair === undefined) return { virtualAddresses: [], groups: [] };
  const priorities = mapValues(pair.nodes, (node) => node.priority);
  const groups: GroupConfig[] = [];
  const addresses: VirtualAddress[] = [];
  for (const entry of virtualAddresses) {
    if ("group" in entry) {
      const { group: name, preempt = pair.preempt } = entry;
      groups.push({ name, priorities: { ...priorities, ...entry.priorities }, preempt });
      addresses.push(...entry.addresses.map((inner) => toVirtualAddress(inner, name)));
    } else {
      addresses.push(toVirtualAddress(entry, DEFAULT_GROUP));
    }
  }
  if (groups.length === 0) groups.push({ name: DEFAULT_GROUP, priorities, preempt: pair.preempt });
  return { virtualAddresses: addresses, groups };
}

function toVirtualAddress(
  entry: { readonly address: Pick<VirtualAddress, "address" | "prefixLength">; readonly interface: string },
  group: string,
): VirtualAddress {
  return { ...entry.address, interface: entry.interface, group };
}

function mapValues<T, U>(
  map: Readonly<Record<string, T>>,
  convert: (value: T) => U,
): Readonly<Record<string, U>> {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, convert(value)]));
}

function toListener(listener: ConfigFile["listeners"][number]): ListenerConfig {
  const { pool, routes, timeouts, limits, ...rest } = listener;
  return {
    ...rest,
    routes: routes ?? (pool === undefined ? [] : [{ match: {}, pool }]),
    timeouts: { headMs: timeouts.head, idleMs: timeouts.idle },
    limits: {
      headBytes: limits.head,
      requestLineBytes: limits.requestLine,
      fields: limits.fields,
      bodyBytes: limits.body,
      connections: limits.connections,
      connectionsPerAddress: limits.connectionsPerAddress,
      requestsPerConnection: limits.requestsPerConnection,
    },
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
