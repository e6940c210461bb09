// What the operator asked for, after parsing: every default filled in, every unit resolved, every
// reference checked. The rest of the program trusts a Config; only parse.ts makes one.
// Durations are milliseconds, sizes are bytes; both say so in their names.

import type { AgentConfig, BackendCheckConfig, HealthConfig } from "./check-config.ts";
import type { BalanceConfig, StickyConfig } from "./balance-config.ts";
import type { ErrorPagesConfig } from "./error-page-config.ts";
import type { QueueConfig, RetryConfig } from "./resilience-config.ts";
import type { CircuitBreakerConfig, OutlierConfig } from "./passive-config.ts";
import type { RouteConfig } from "./route-config.ts";

/** A whole configuration file. The same file stands on both nodes of a pair. */
export interface Config {
  /** Absent: this node balances alone, is always active and has no standby. */
  readonly pair?: PairConfig;
  /** Worker processes; "auto" is one per core. */
  readonly workers: number | "auto";
  /** Of all groups, in the order of the file. */
  readonly virtualAddresses: readonly VirtualAddress[];
  /** At least one when there is a pair, none otherwise. */
  readonly groups: readonly GroupConfig[];
  readonly listeners: readonly ListenerConfig[];
  readonly pools: readonly PoolConfig[];
  readonly logging: LoggingConfig;
  /** How long SIGTERM may take: requests in flight get this long to end. */
  readonly shutdownGraceMs: number;
}

export interface LoggingConfig {
  readonly level: LogLevel;
  /** null: none. */
  readonly access: AccessLogConfig | null;
}

/** Where the lines of requests go. */
export interface AccessLogConfig {
  /** Relative: to the config file. null: the standard output. */
  readonly file: string | null;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

/** What a file may say of the two times that each node tells the other; in an advertisement other figures are refused. */
export const INTERVAL_MS = { from: 20, to: 10_000 } as const;
export const LEASE_MS = { from: 1000, to: 60_000 } as const;

/** `fast` claims as soon as the peer is judged dead; `safe` waits until the predecessor's lease has ended. */
export type ClaimMode = "fast" | "safe";

export interface PairConfig {
  /** Two, or one until the second has joined. */
  readonly nodes: readonly NodeConfig[];
  /** Exactly one of secret and secretFile is present. A relative secretFile is relative to the config file. */
  readonly secret?: string;
  readonly secretFile?: string;
  readonly port: number;
  /** Whether `vipair config push` on the other node may replace this node's file. */
  readonly acceptConfig: boolean;
  readonly advertisementIntervalMs: number;
  readonly preempt: boolean;
  readonly preemptDelayMs: number;
  readonly claim: ClaimMode;
  /** Kernel lease on each virtual address; a whole number of seconds. */
  readonly leaseMs: number;
  /** The program that moves the address. Absent: scripts/hooks/vip. Relative: to the config file. */
  readonly hook?: string;
  readonly arbiter: ArbiterConfig;
  /** Where the peer link runs. At least one: the first is the nodes' own addresses. */
  readonly paths: readonly PathConfig[];
  /** More role changes than this within a minute are damped. */
  readonly roleChangesPerMinute: number;
  readonly track: readonly TrackedCheckConfig[];
  readonly vitals: VitalsConfig;
  readonly notify: NotifyConfig;
}

/** Who tells a node that hears its peer no more which of the two is cut off. */
export type ArbiterConfig =
  | { readonly kind: "none" }
  /** `address` is an IPv4 or IPv6 literal; absent: the default gateway. */
  | { readonly kind: "gateway"; readonly address?: string };

/** One way between the two nodes. */
export interface PathConfig {
  /** An IPv4 or IPv6 literal for each node that there is, by its name; all of one family. */
  readonly addresses: Readonly<Record<string, string>>;
}

/** What must work on a node besides vipair itself. */
export interface TrackedCheckConfig {
  readonly name: string;
  readonly check: TrackedCheck;
  readonly intervalMs: number;
  /** At most the interval. */
  readonly timeoutMs: number;
  /** Good checks in a row that end the failure. */
  readonly rise: number;
  /** Bad checks in a row that make a failure. */
  readonly fall: number;
  readonly effect:
    /** 1 to 253: the priority falls by it while the check fails. */
    { readonly kind: "weight"; readonly weight: number } | { readonly kind: "fault" };
}

export type TrackedCheck =
  /** Program and arguments; never empty. A relative program is relative to the config file. */
  | { readonly kind: "exec"; readonly command: readonly string[] }
  /** Host name, IPv4 or IPv6 literal (without brackets). */
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  /** `http://host[:port]/path`. */
  | { readonly kind: "http"; readonly url: string };

/** Thresholds of the machine itself. A weight is 0 to 253, and 0 means that nobody looks. */
export interface VitalsConfig {
  readonly intervalMs: number;
  /** Degrees Celsius. */
  readonly temperature: { readonly above: number; readonly weight: number };
  /** Percent in use. */
  readonly memory: { readonly above: number; readonly weight: number };
  /** Percent in use, of the fuller one of two file systems: the root, and where vipair's state is. */
  readonly disk: { readonly above: number; readonly weight: number };
  readonly underVoltage: { readonly weight: number };
}

/** Programs to run after a role change. Relative: to the config file. */
export interface NotifyConfig {
  readonly onActive?: string;
  readonly onStandby?: string;
  readonly onFault?: string;
}

export interface NodeConfig {
  readonly name: string;
  /** IPv4 or IPv6 literal on which this node's peer link listens. */
  readonly address: string;
  /** 1 to 254; the higher one is preferred. */
  readonly priority: number;
}

export interface VirtualAddress {
  /** IPv4 or IPv6 literal. */
  readonly address: string;
  readonly prefixLength: number;
  readonly interface: string;
  /** The name of its group. */
  readonly group: string;
}

/** Virtual addresses that move together: they have one election, and it is theirs alone. */
export interface GroupConfig {
  /** Unique; DEFAULT_GROUP when the file names no groups. */
  readonly name: string;
  /** 1 to 254 for each of the nodes, by its name. */
  readonly priorities: Readonly<Record<string, number>>;
  readonly preempt: boolean;
}

export interface ListenerConfig {
  readonly name: string;
  readonly bind: Bind;
  readonly protocol: "http";
  /** Tried in order; the first whose match holds decides. No match: 404. */
  readonly routes: readonly RouteConfig[];
  readonly timeouts: ListenerTimeouts;
  readonly limits: ListenerLimits;
  /** CIDR blocks of proxies in front whose forwarded fields are believed and extended. */
  readonly trustedProxies: readonly string[];
  readonly underscoreHeaders: UnderscoreHeaders;
  readonly trace: "refuse" | "pass";
  /** In place of the plain words of our own answers. */
  readonly errorPages: ErrorPagesConfig;
}

/** What becomes of request fields with "_" in their name: left out, passed on, or the request gets 400. */
export type UnderscoreHeaders = "drop" | "pass" | "refuse";

/** `vip` binds on every virtual address, on becoming active; `address` binds at start. */
export type Bind =
  | { readonly kind: "address"; readonly host: string; readonly port: number }
  | { readonly kind: "vip"; readonly port: number };

export interface ListenerTimeouts {
  /** From the first byte of a request to the end of its head. */
  readonly headMs: number;
  /** Between two requests on a kept-alive connection. */
  readonly idleMs: number;
}

export interface ListenerLimits {
  /** Request line and header fields of one request together; a longer head is answered 431. */
  readonly headBytes: number;
  /** Method, target and version of one request; more is answered 414. */
  readonly requestLineBytes: number;
  /** Fields of one request; more are answered 431. */
  readonly fields: number;
  /** Body of one request; a longer one is answered 413. null: unlimited. */
  readonly bodyBytes: number | null;
  /** Client connections of the listener over all workers; one more is answered 503. null: unlimited. */
  readonly connections: number | null;
  /** From one client address, in each worker; one more is answered 429. null: unlimited. */
  readonly connectionsPerAddress: number | null;
  /** Requests on one connection; it closes after the last one's answer. null: unlimited. */
  readonly requestsPerConnection: number | null;
}

export interface PoolConfig {
  readonly name: string;
  readonly balance: BalanceConfig;
  /** null: every request is balanced for itself. */
  readonly sticky: StickyConfig | null;
  /** 0: a backend that came back gets its full weight at once. */
  readonly slowStartMs: number;
  /** Percent of the backends that must be healthy; below it all are used as if they were. 0: never. */
  readonly panicThreshold: number;
  /** May be empty: nobody answers then. */
  readonly backends: readonly BackendConfig[];
  readonly health: HealthConfig;
  /** Absent: no backend has one. */
  readonly agent?: AgentConfig;
  /** null: what requests find out ejects nobody. */
  readonly outliers: OutlierConfig | null;
  /** null: its backends have none. */
  readonly circuitBreaker: CircuitBreakerConfig | null;
  readonly timeouts: PoolTimeouts;
  readonly retry: RetryConfig;
  /** null: no backend is ever full. */
  readonly queue: QueueConfig | null;
}

export interface BackendConfig {
  /** Unique in its pool; the address when the file names none. */
  readonly name: string;
  /** Host name, IPv4 or IPv6 literal (without brackets). */
  readonly host: string;
  readonly port: number;
  /** 0 to 256; 0: no new clients. */
  readonly weight: number;
  /** Absent: it is checked as the pool says. */
  readonly check?: BackendCheckConfig;
  /** Serves only when none of the others can. */
  readonly isBackup: boolean;
  /** Requests and tunnels at a time, over all workers. Absent: unlimited. */
  readonly maxConnections?: number;
}

export interface PoolTimeouts {
  readonly connectMs: number;
  /** From the end of the request to the head of the response. */
  readonly responseMs: number;
  /** Longest time without a byte of a body in either direction. */
  readonly bodyMs: number;
  /** Longest silence on an upgraded connection (a tunnel). */
  readonly tunnelIdleMs: number;
}

/** One mistake in a configuration file: where, what, and what to do. */
export interface ConfigError {
  /** As the operator named it, for the message. */
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
  /** `pools.web.backends[1].address`; empty for the whole file. */
  readonly path: string;
  /** `"80800" is not a port. Use 1 to 65535.` */
  readonly message: string;
}

/** Characters of a secret, wherever it stands: shorter ones are guessed. */
export const SECRET_LENGTH_MIN = 16;

/** The group of all virtual addresses when the file names no groups. */
export const DEFAULT_GROUP = "default";

/** The backend's address as people write it: `192.168.1.21:8080`, `[fd00::1]:80`. */
export function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${String(port)}` : `${host}:${String(port)}`;
}
