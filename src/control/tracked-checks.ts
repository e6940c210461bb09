// Looks at what this node needs beyond its backends to be worth being active: a program of the operator's
// that decides, a TCP port, a page. Tells when one begins or ends to fail; what that costs (priority, or
// the role) is not decided here. A check that has not answered yet counts as good, and its first failures
// count like all others, so that a restart alone makes no fault.

import type { TrackedCheckConfig } from "../config/config.ts";
import type { Health } from "../routing/health.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { httpProber } from "./http-probe.ts";
import type { Prober } from "./probe.ts";
import { programProber } from "./program-probe.ts";
import { type Look, RepeatedCheck } from "./repeated-check.ts";
import { tcpProber } from "./tcp-probe.ts";

/** A page that redirects is there. */
const EXPECTED_STATUS = [{ from: 200, to: 399 }] as const;
const HTTP_PORT = 80;
/** First looks are spread over this time: soon, and not in one burst. */
const FIRST_LOOKS_MS = 20;

export interface TrackedChecksOptions {
  readonly checks: readonly TrackedCheckConfig[];
  /** Relative paths of programs start here. */
  readonly configDir: string;
  readonly clock: Clock;
  /** 0 <= random() < 1 */
  readonly random: () => number;
  readonly log: Log;
  /** A check has begun to fail, or is good again. */
  readonly onChange: (change: TrackedCheckChange) => void;
}

export interface TrackedCheckChange {
  readonly name: string;
  readonly failing: boolean;
  /** Why it fails, for people: `connect refused`; empty when it is good. */
  readonly detail: string;
}

export interface TrackedCheckStatus {
  readonly name: string;
  /** null: it has not answered yet, and counts as good. */
  readonly failing: boolean | null;
  /** What the last look found, when that was bad; empty otherwise. */
  readonly detail: string;
}

export class TrackedChecks {
  readonly #checks: readonly TrackedCheck[];

  constructor(options: TrackedChecksOptions) {
    this.#checks = options.checks.map((config) => new TrackedCheck(config, options));
  }

  start(): void {
    for (const check of this.#checks) check.start();
  }

  /** Ends every timer, connection and program. */
  stop(): void {
    for (const check of this.#checks) check.stop();
  }

  /** In the order of the configuration. */
  status(): readonly TrackedCheckStatus[] {
    return this.#checks.map((check) => check.status());
  }
}

class TrackedCheck {
  readonly #name: string;
  readonly #options: TrackedChecksOptions;
  readonly #check: RepeatedCheck;
  #hasAnswered = false;
  #problem = "";

  constructor(config: TrackedCheckConfig, options: TrackedChecksOptions) {
    this.#name = config.name;
    this.#options = options;
    this.#check = new RepeatedCheck({
      timing: { ...config, fastIntervalMs: config.intervalMs, downIntervalMs: config.intervalMs },
      health: { kind: "up" },
      clock: options.clock,
      random: options.random,
      look: proberFor(config, options.configDir),
      firstWithinMs: FIRST_LOOKS_MS,
      onLook: (look) => {
        this.#note(look);
      },
    });
  }

  start(): void {
    this.#check.start();
  }

  stop(): void {
    this.#check.stop();
  }

  status(): TrackedCheckStatus {
    const failing = this.#hasAnswered ? isFailing(this.#check.health) : null;
    return { name: this.#name, failing, detail: this.#problem };
  }

  #note({ result, before, after }: Look): void {
    this.#hasAnswered = true;
    this.#problem = result.kind === "bad" ? result.reason : "";
    const failing = isFailing(after);
    if (failing === isFailing(before)) return;
    const { log, onChange } = this.#options;
    const name = this.#name;
    if (failing) log.warn({ check: name, reason: this.#problem }, "tracked check fails");
    else log.info({ check: name }, "tracked check is good again");
    onChange({ name, failing, detail: this.#problem });
  }
}

function isFailing(health: Health): boolean {
  return health.kind === "down";
}

function proberFor({ check, timeoutMs }: TrackedCheckConfig, configDir: string): Prober {
  switch (check.kind) {
    case "exec":
      return programProber({ command: check.command, configDir, env: {}, timeoutMs });
    case "tcp":
      return tcpProber(check, {}, timeoutMs);
    case "http": {
      const url = new URL(check.url);
      // The brackets of an IPv6 literal belong to the URL, not to the address.
      const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
      const target = { host, port: url.port === "" ? HTTP_PORT : Number(url.port) };
      const page = {
        kind: "http",
        method: "GET",
        path: `${url.pathname}${url.search}`,
        host: url.host,
      } as const;
      return httpProber(
        target,
        { ...page, expectedStatus: EXPECTED_STATUS, expectedHeaders: {} },
        { timeoutMs, configDir },
      );
    }
  }
}
