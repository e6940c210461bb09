// Looks at what this node needs beyond its backends to be worth being active: a program of the operator's
// that decides, a TCP port, a page. Tells when one begins or ends to fail; what that costs (priority, or
// the role) is not decided here. A check that has not answered yet counts as good, and its first failures
// count like all others, so that a restart alone makes no fault.

import type { BackendConfig, TrackedCheckConfig } from "../config/config.ts";
import type { Health } from "../routing/health.ts";
import type { Clock } from "../system/clock.ts";
import { explainRun, lastLine, programProblem } from "../system/exec.ts";
import { launch } from "../system/launcher.ts";
import type { Log } from "../system/log.ts";
import { findProgram } from "../system/program-path.ts";
import { type ActiveHealth, probeBackend, type ProbeResult } from "./probe.ts";
import { RepeatedCheck } from "./repeated-check.ts";

/** A page that redirects is there. */
const EXPECTED_STATUS = [{ from: 200, to: 399 }] as const;
const HTTP_PORT = 80;

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
      timing: { ...config, changingIntervalMs: config.intervalMs },
      health: { kind: "up" },
      clock: options.clock,
      random: options.random,
      look: lookerFor(config, options.configDir),
      onLook: (result, before, after) => {
        this.#note(result, { before, after });
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

  #note(result: ProbeResult, { before, after }: { readonly before: Health; readonly after: Health }): void {
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

type Looker = (abort: AbortSignal) => Promise<ProbeResult>;

function lookerFor({ name, check, ...timing }: TrackedCheckConfig, configDir: string): Looker {
  switch (check.kind) {
    case "exec":
      return (abort) => runCheck(check.command, { configDir, timeoutMs: timing.timeoutMs, abort });
    case "tcp": {
      const { host, port } = check;
      return (abort) => probeBackend(backendAt(name, host, port), { ...timing, kind: "tcp" }, abort);
    }
    case "http": {
      const url = new URL(check.url);
      // The brackets of an IPv6 literal belong to the URL, not to the address.
      const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
      const backend = backendAt(name, host, url.port === "" ? HTTP_PORT : Number(url.port));
      const health: ActiveHealth = {
        ...timing,
        kind: "http",
        path: `${url.pathname}${url.search}`,
        host: url.host,
        expectedStatus: EXPECTED_STATUS,
      };
      return (abort) => probeBackend(backend, health, abort);
    }
  }
}

function backendAt(name: string, host: string, port: number): BackendConfig {
  return { name, host, port, weight: 1, isBackup: false };
}

/** Good is exit 0. The program gets no environment but PATH, and is looked at anew each time, as a person may mend it. */
async function runCheck(
  [program = "", ...args]: readonly string[],
  options: { readonly configDir: string; readonly timeoutMs: number; readonly abort: AbortSignal },
): Promise<ProbeResult> {
  const path = findProgram(program, options.configDir);
  const problem = programProblem(path);
  if (problem !== undefined) return bad(problem);
  const { timeoutMs, abort: signal } = options;
  const result = await launch(path, args, { env: {}, timeoutMs, signal }).result;
  if (result.kind === "exit" && result.code === 0) return { kind: "good" };
  // Many checks say what is wrong on stdout.
  const said =
    result.kind === "failed-to-start" || result.stderr.trim() !== "" ? "" : lastLine(result.stdout);
  return bad(said === "" ? explainRun(result) : `${explainRun(result)}: ${said}`);
}

function bad(reason: string): ProbeResult {
  return { kind: "bad", reason };
}
