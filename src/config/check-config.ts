// How backends are checked, after parsing: part of config.ts. Texts that have a language of their own (regular
// expressions, rules) stay texts here, as a configuration crosses process borders; whoever uses them compiles them.

import type { StatusRange } from "./http-values.ts";

export type HealthConfig = { readonly kind: "none" } | ActiveHealth;

/** What is asked, and how often. */
export type ActiveHealth = HealthTiming & Check;

export interface HealthTiming {
  readonly intervalMs: number;
  /** While the next check may change the health. At most the interval. */
  readonly fastIntervalMs: number;
  /** While a backend is down and nothing else has been heard. */
  readonly downIntervalMs: number;
  readonly timeoutMs: number;
  /** Good checks in a row that bring a backend back. */
  readonly rise: number;
  /** Bad checks in a row that take a backend down. */
  readonly fall: number;
}

export type Check = TcpCheck | HttpCheck | ExecCheck;

export interface TcpCheck {
  readonly kind: "tcp";
  /** Absent: the backend's. */
  readonly port?: number;
  /** Absent: a connection is enough. */
  readonly dialogue?: TcpDialogue;
}

/** Texts of bytes: one character, U+0000 to U+00FF, is one byte. */
export interface TcpDialogue {
  /** Empty: the backend speaks first. */
  readonly send: string;
  readonly expect: TextMatch;
}

/** Found anywhere in what was read. */
export type TextMatch =
  | { readonly kind: "text"; readonly text: string }
  /** For compileRegex. */
  | { readonly kind: "regex"; readonly regex: string };

export interface HttpCheck {
  readonly kind: "http" | "https";
  readonly method: string;
  readonly path: string;
  /** Sent as Host; absent: the backend's address. */
  readonly host?: string;
  /** Absent: the backend's. */
  readonly port?: number;
  /** Inclusive ranges of good status codes. */
  readonly expectedStatus: readonly StatusRange[];
  /** Lower-case names; null: it is there, whatever it says. */
  readonly expectedHeaders: Readonly<Record<string, string | null>>;
  readonly expectedBody?: TextMatch;
  /** Never together with expectedBody. */
  readonly json?: JsonRulesConfig;
  /** With https alone, and always there. */
  readonly tls?: CheckTls;
}

/** Rules for parseExpression. At least one. */
export interface JsonRulesConfig {
  readonly healthy?: string;
  readonly unhealthy?: string;
  readonly degraded?: string;
  /** 1 to 100: of its weight, while it is degraded. */
  readonly degradedWeightPercent: number;
}

export interface CheckTls {
  /** false: whatever certificate the backend shows is taken. */
  readonly verify: boolean;
  /** Sent as SNI, and the name that the certificate must have. Absent: Host without its port, or the backend's. */
  readonly serverName?: string;
  /** Certificates in PEM that are trusted in place of the system's. Relative: to the config file. */
  readonly caFile?: string;
}

export interface ExecCheck {
  readonly kind: "exec";
  /** Program and arguments; never empty. A relative program is relative to the config file. */
  readonly command: readonly string[];
}

/** A backend's own word on how much it can take, asked over TCP. */
export interface AgentConfig {
  readonly port: number;
  /** Bytes as in TcpDialogue; sent when connected. Empty: nothing. */
  readonly send: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** Where one backend is checked otherwise than its pool says. */
export interface BackendCheckConfig {
  readonly port?: number;
  readonly host?: string;
  readonly path?: string;
  readonly method?: string;
  readonly agentPort?: number;
}
