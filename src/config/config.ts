// What the operator asked for, after parsing: every default filled in, every unit resolved, every
// reference checked. The rest of the program trusts a Config; only parse.ts makes one.
// Durations are milliseconds, sizes are bytes; both say so in their names.

/** A whole configuration file. The same file stands on both nodes of a pair. */
export interface Config {
  /** Absent: this node balances alone, is always active and has no standby. */
  readonly pair?: PairConfig;
  /** Worker processes; "auto" is one per core. */
  readonly workers: number | "auto";
  readonly virtualAddresses: readonly VirtualAddress[];
  /** At least one with a pair, none without. */
  readonly groups: readonly GroupConfig[];
  readonly listeners: readonly ListenerConfig[];
  readonly pools: readonly PoolConfig[];
  readonly logging: { readonly level: LogLevel };
  /** How long SIGTERM may take: requests in flight get this long to end. */
  readonly shutdownGraceMs: number;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

/** `fast` claims as soon as the peer is judged dead; `safe` waits until the predecessor's lease has ended. */
export type ClaimMode = "fast" | "safe";

export interface PairConfig {
  /** Exactly two. */
  readonly nodes: readonly NodeConfig[];
  /** Exactly one of secret and secretFile is present. A relative secretFile is relative to the config file. */
  readonly secret?: string;
  readonly secretFile?: string;
  readonly port: number;
  readonly advertisementIntervalMs: number;
  readonly preempt: boolean;
  readonly preemptDelayMs: number;
  readonly claim: ClaimMode;
  /** Kernel lease on each virtual address; a whole number of seconds. */
  readonly leaseMs: number;
  /** The program that moves the address. Absent: scripts/hooks/vip. Relative: to the config file. */
  readonly hook?: string;
  readonly arbiter: ArbiterConfig;
  /** Heartbeat paths; the first one is the nodes' own addresses. */
  readonly paths: readonly PathConfig[];
  readonly notify: NotifyConfig;
  /** More changes of the active role than this in a minute damp the node. */
  readonly roleChangesPerMinute: number;
  readonly track: readonly TrackedCheckConfig[];
  readonly vitals: VitalsConfig;
}

/** Who is asked whether this node is the one that is cut off. Without an address: the default gateway. */
export type ArbiterConfig =
  { readonly kind: "none" } | { readonly kind: "gateway"; readonly address?: string };

export interface PathConfig {
  /** By node: the address of that node on this path. */
  readonly addresses: Readonly<Record<string, string>>;
}

/** Programs that are told of a new role; relative to the config file. */
export interface NotifyConfig {
  readonly onActive?: string;
  readonly onStandby?: string;
  readonly onFault?: string;
}

export interface TrackedCheckConfig {
  readonly name: string;
  readonly check: TrackedCheck;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Good results in a row that end a failure. */
  readonly rise: number;
  /** Bad results in a row that make one. */
  readonly fall: number;
  readonly effect: { readonly kind: "weight"; readonly weight: number } | { readonly kind: "fault" };
}

export type TrackedCheck =
  /** Program (relative to the config file) and arguments; no shell. */
  | { readonly kind: "exec"; readonly command: readonly string[] }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "http"; readonly url: string };

/** A weight of 0: not looked at. */
export interface VitalsConfig {
  readonly intervalMs: number;
  /** °C */
  readonly temperature: { readonly above: number; readonly weight: number };
  /** Percent used. */
  readonly memory: { readonly above: number; readonly weight: number };
  /** Percent used. */
  readonly disk: { readonly above: number; readonly weight: number };
  /** Of a Raspberry Pi. */
  readonly underVoltage: { readonly weight: number };
}

export interface NodeConfig {
  readonly name: string;
  /** IPv4 or IPv6 literal on which this node's peer link listens. */
  readonly address: string;
  /** 1 to 254; the higher one is preferred. */
  readonly priority: number;
}

/** Virtual addresses that move together, with an election of their own. */
export interface GroupConfig {
  readonly name: string;
  /** By node; 1 to 254. */
  readonly priorities: Readonly<Record<string, number>>;
  readonly preempt: boolean;
}

export interface VirtualAddress {
  /** The name of its group. */
  readonly group: string;
  /** IPv4 or IPv6 literal. */
  readonly address: string;
  readonly prefixLength: number;
  readonly interface: string;
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
}

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
  /** Body of one request; a longer one is answered 413. null: unlimited. */
  readonly bodyBytes: number | null;
}

export interface RouteConfig {
  readonly match: RouteMatch;
  readonly pool: string;
}

/** An absent field matches everything. */
export interface RouteMatch {
  /** Lower case, without a port; a leading "*." matches one or more labels. */
  readonly host?: string;
  /** A prefix on segment borders: "/v1" matches "/v1" and "/v1/x", not "/v10". */
  readonly path?: string;
  readonly method?: string;
}

export interface PoolConfig {
  readonly name: string;
  readonly balance: "round-robin";
  /** At least one. */
  readonly backends: readonly BackendConfig[];
  readonly health: HealthConfig;
  readonly timeouts: PoolTimeouts;
}

export interface BackendConfig {
  /** Unique in its pool; the address when the file names none. */
  readonly name: string;
  /** Host name, IPv4 or IPv6 literal (without brackets). */
  readonly host: string;
  readonly port: number;
  /** 1 to 256. */
  readonly weight: number;
}

export interface HealthTiming {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Good checks in a row that bring a backend back. */
  readonly rise: number;
  /** Bad checks in a row that take a backend down. */
  readonly fall: number;
}

export type HealthConfig =
  | { readonly kind: "none" }
  | (HealthTiming & { readonly kind: "tcp" })
  | (HealthTiming & {
      readonly kind: "http";
      readonly path: string;
      /** Sent as Host; absent: the backend's address. */
      readonly host?: string;
      /** Inclusive ranges of good status codes. */
      readonly expectedStatus: readonly { readonly from: number; readonly to: number }[];
    });

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

/** The backend's address as people write it: `192.168.1.21:8080`, `[fd00::1]:80`. */
export function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${String(port)}` : `${host}:${String(port)}`;
}
