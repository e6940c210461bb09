// One backend of one pool as its checks and its agent see it: what they found, and what follows from it. A new
// configuration makes a new one, which goes on with the memory of the old.

import type { AgentConfig, HealthConfig } from "../config/check-config.ts";
import type { BackendConfig, PoolConfig } from "../config/config.ts";
import type { AgentStatus, LastCheck } from "../protocol/status.ts";
import { hearAgent, NOTHING_SAID } from "../routing/agent.ts";
import type { AgentState } from "../routing/agent.ts";
import type { BackendHealth, BackendState } from "../routing/backend-state.ts";
import { type Conclusion, conclude } from "../routing/findings.ts";
import { UNKNOWN } from "../routing/health.ts";
import type { Health } from "../routing/health.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { askAgent } from "./agent-question.ts";
import type { AgentAnswer } from "./agent-question.ts";
import { proberFor } from "./backend-probe.ts";
import { type Look, RepeatedCheck } from "./repeated-check.ts";
import { Repeater } from "./repeater.ts";

export interface CheckedBackendOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** 0 <= random() < 1 */
  readonly random: () => number;
  /** Relative programs and files stand there. */
  readonly configDir: string;
  /** The first look comes within this time of the start. */
  readonly firstWithinMs: number;
  readonly onChange: (change: Change) => void;
  /** An operator has just ended its maintenance: it starts slowly, as after a recovery. */
  readonly isBack?: boolean;
}

/** `health`: whether the backend gets requests may have changed. `weight`: only how many. */
export type Change = "health" | "weight";

/** What checks and agent know of a backend, for status. */
export interface BackendCheckStatus {
  readonly state: BackendHealth;
  /** Why it is not up; null when it is. */
  readonly reason: string | null;
  /** Of the configured weight. */
  readonly weightPercent: number;
  readonly degraded: string | null;
  readonly lastCheck: LastCheck | null;
  readonly agent: AgentStatus | null;
}

/** Of a backend before anybody looks. */
export const UNCHECKED: BackendCheckStatus = {
  state: "up",
  reason: null,
  weightPercent: 100,
  degraded: null,
  lastCheck: null,
  agent: null,
};

/** What has been found out, and stays true while the same backend is checked under another configuration. */
interface Memory {
  health: Health;
  /** Of the last bad check. */
  reason: string | null;
  /** Of the last good check. */
  degraded: string | null;
  lastCheck: (Omit<LastCheck, "agoMs"> & { readonly at: number }) | null;
  agent: AgentState;
  /** The agent's last line, and when it was heard. */
  line: { readonly said: string; readonly at: number } | null;
  agentProblem: string | null;
  /** It was down or in maintenance, and has not been up since. */
  wasOut: boolean;
  recoveredAt: number | null;
}

export class CheckedBackend {
  readonly #pool: PoolConfig;
  readonly #backend: BackendConfig;
  readonly #options: CheckedBackendOptions;
  readonly #memory: Memory;
  /** undefined: nobody looks at this backend. */
  readonly #check: RepeatedCheck | undefined;
  /** undefined: it has none. */
  readonly #agent: Repeater | undefined;

  /** `known`: the same backend under an earlier configuration; it must have been stopped. */
  constructor(
    pool: PoolConfig,
    backend: BackendConfig,
    known: CheckedBackend | undefined,
    options: CheckedBackendOptions,
  ) {
    this.#pool = pool;
    this.#backend = backend;
    this.#options = options;
    this.#memory = recall(pool, known === undefined ? undefined : known.#memory);
    if (options.isBack === true) this.#memory.recoveredAt = options.clock();
    this.#check = pool.health.kind === "none" ? undefined : this.#makeCheck(pool.health);
    this.#agent = pool.agent === undefined ? undefined : this.#makeAgent(pool.agent);
  }

  /** Whether what is known of this one is true of `backend` of a new configuration. */
  isSameAs({ host, port }: BackendConfig): boolean {
    return this.#backend.host === host && this.#backend.port === port;
  }

  start(): void {
    this.#check?.start();
    this.#agent?.start();
  }

  /** Ends every timer, connection and program. What is known stays. */
  stop(): void {
    this.#check?.stop();
    this.#agent?.stop();
  }

  /** A request failed: looks now instead of at the next interval. */
  hasten(): void {
    this.#check?.hasten();
  }

  /** For the workers. */
  state(): BackendState {
    const { health, weightPercent } = this.#conclude();
    const { recoveredAt } = this.#memory;
    return {
      health,
      ...(weightPercent === 100 ? {} : { weightPercent }),
      ...(recoveredAt === null ? {} : { recoveredAgoMs: this.#options.clock() - recoveredAt }),
    };
  }

  status(): BackendCheckStatus {
    const { lastCheck, degraded, line, agentProblem } = this.#memory;
    const { health, weightPercent } = this.#conclude();
    const now = this.#options.clock();
    return {
      state: health,
      reason: this.#reason(health),
      weightPercent,
      degraded,
      lastCheck: lastCheck === null ? null : toLastCheck(lastCheck, now),
      agent:
        this.#agent === undefined
          ? null
          : {
              said: line?.said ?? null,
              agoMs: line === null ? null : Math.round(now - line.at),
              problem: agentProblem,
            },
    };
  }

  #makeCheck(health: Exclude<HealthConfig, { kind: "none" }>): RepeatedCheck {
    const { configDir } = this.#options;
    return new RepeatedCheck({
      ...this.#options,
      timing: health,
      health: this.#memory.health,
      look: proberFor(this.#backend, health, { pool: this.#pool.name, configDir }),
      onLook: (look) => {
        this.#apply(() => {
          this.#learn(look);
        });
      },
    });
  }

  #makeAgent(config: AgentConfig): Repeater {
    const target = { host: this.#backend.host, port: this.#backend.check?.agentPort ?? config.port };
    return new Repeater({
      ...this.#options,
      act: async (abort) => {
        const answer = await askAgent(target, config, abort);
        if (!abort.aborted) {
          this.#apply(() => {
            this.#hear(answer);
          });
        }
        return config.intervalMs;
      },
    });
  }

  #learn({ result, durationMs, after }: Look): void {
    const memory = this.#memory;
    memory.health = after;
    const isGood = result.kind === "good";
    memory.lastCheck = {
      at: this.#options.clock(),
      durationMs,
      good: isGood,
      code: result.code ?? null,
      doubt: isGood ? (result.doubt ?? null) : null,
    };
    if (isGood) this.#noteDegraded(result.degraded ?? null);
    else memory.reason = result.reason;
  }

  #noteDegraded(degraded: string | null): void {
    const was = this.#memory.degraded;
    this.#memory.degraded = degraded;
    if ((was === null) === (degraded === null)) return;
    if (degraded === null) this.#options.log.info(this.#subject, "backend no longer degraded");
    else this.#options.log.warn({ ...this.#subject, reason: degraded }, "backend degraded");
  }

  #hear(answer: AgentAnswer): void {
    const memory = this.#memory;
    let problem: string | null = null;
    if (answer.kind === "silent") {
      // HAProxy 5.2, agent-check: an agent that cannot be reached is no error; the checks see to that.
      problem = answer.reason;
    } else {
      const { state, said, unknown } = hearAgent(memory.agent, answer.line);
      memory.agent = state;
      memory.line = { said, at: this.#options.clock() };
      if (unknown.length > 0) problem = `no word of an agent: ${unknown.join(" ")}`;
    }
    if (problem !== null && memory.agentProblem === null)
      this.#options.log.warn(
        { ...this.#subject, reason: problem },
        "the agent of a backend is not understood",
      );
    memory.agentProblem = problem;
  }

  /** Does what changes the memory, and tells what follows from it. */
  #apply(update: () => void): void {
    const memory = this.#memory;
    const before = this.#conclude();
    update();
    const after = this.#conclude();
    if (after.health === "down" || after.health === "maintenance") memory.wasOut = true;
    else if (after.health === "up" && memory.wasOut) {
      memory.wasOut = false;
      memory.recoveredAt = this.#options.clock();
    }
    if (after.health !== before.health) {
      this.#logHealth(after.health);
      this.#options.onChange("health");
    } else if (after.weightPercent !== before.weightPercent) this.#options.onChange("weight");
  }

  #logHealth(health: BackendHealth): void {
    const { log } = this.#options;
    if (health === "up") log.info(this.#subject, "backend up");
    else log.warn({ ...this.#subject, reason: this.#reason(health) }, `backend ${health}`);
  }

  #conclude(): Conclusion {
    const { health, agent, degraded } = this.#memory;
    return conclude({
      health,
      agent,
      degradedWeightPercent: degraded === null ? 100 : degradedWeightPercent(this.#pool.health),
    });
  }

  #reason(health: BackendHealth): string | null {
    const { health: checked, reason, agent } = this.#memory;
    switch (health) {
      case "up":
      case "ejected":
        return null;
      case "suspect":
        return reason;
      case "down":
        return checked.kind === "down" ? reason : `its agent says ${agent.failure ?? "down"}`;
      case "drain":
        return "its agent says drain";
      case "maintenance":
        return "its agent says maint";
    }
  }

  get #subject(): { readonly pool: string; readonly backend: string } {
    return { pool: this.#pool.name, backend: this.#backend.name };
  }
}

/** What of a memory is still true under this configuration; all that is unknown without one. */
function recall(pool: PoolConfig, known: Memory | undefined): Memory {
  const memory: Memory = { ...NOTHING_KNOWN, ...known };
  if (pool.health.kind === "none") Object.assign(memory, NOTHING_CHECKED);
  if (degradedWeightPercent(pool.health) === 100) memory.degraded = null;
  if (pool.agent === undefined) Object.assign(memory, NOTHING_HEARD);
  return memory;
}

const NOTHING_CHECKED = { health: UNKNOWN, reason: null, degraded: null, lastCheck: null } as const;
const NOTHING_HEARD = { agent: NOTHING_SAID, line: null, agentProblem: null } as const;
const NOTHING_KNOWN: Memory = { ...NOTHING_CHECKED, ...NOTHING_HEARD, wasOut: false, recoveredAt: null };

/** 100 where nothing can be degraded. */
function degradedWeightPercent(health: HealthConfig): number {
  if (health.kind !== "http" && health.kind !== "https") return 100;
  return health.json?.degraded === undefined ? 100 : health.json.degradedWeightPercent;
}

function toLastCheck({ at, durationMs, ...rest }: NonNullable<Memory["lastCheck"]>, now: number): LastCheck {
  return { ...rest, agoMs: Math.round(now - at), durationMs: Math.round(durationMs * 10) / 10 };
}
