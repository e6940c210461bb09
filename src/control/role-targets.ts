// vipair-active.target and vipair-standby.target follow the role of this node, so that other units can follow it, too. systemctl is
// started by the launcher and waited for by nobody, least of all by a claim: what counts is the newest role, once the order before it has been given.
//
// Others start and stop targets as well: whoever starts a unit with BindsTo=vipair-active.target on the standby starts the target with it, and `systemctl
// isolate` stops both. So systemd is asked from time to time, and told again when the targets are not as the role is.

import type { Role } from "../protocol/status.ts";
import type { Clock } from "../system/clock.ts";
import { explainRun } from "../system/exec.ts";
import { launch } from "../system/launcher.ts";
import type { Log } from "../system/log.ts";

const ACTIVE = "vipair-active.target";
const STANDBY = "vipair-standby.target";

/** systemctl --no-block only hands its order over. */
const TIMEOUT_MS = 5_000;
/** How long a target that somebody else has started or stopped may lie. */
const CHECK_MS = 5_000;

/** Each of the two stops the other one (Conflicts= in systemd/). */
const ORDERS = {
  active: ["start", ACTIVE],
  standby: ["start", STANDBY],
  none: ["stop", ACTIVE, STANDBY],
} as const;

/** What `systemctl is-active` says of both, in the order of the names. */
const STATES = {
  active: "active inactive",
  standby: "inactive active",
  none: "inactive inactive",
} as const;

export interface RoleTargetsOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** As that of launcher.ts. */
  readonly launch?: typeof launch;
}

export class RoleTargets {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #launch: typeof launch;
  #wanted: keyof typeof ORDERS = "none";
  /** What systemd was told last; undefined when that is not known, or no longer so. */
  #told: keyof typeof ORDERS | undefined;
  /** When that was last known to be so. */
  #knownAtMs = -Infinity;
  #isBusy = false;
  #isChecking = false;
  /** That have been given. */
  #orders = 0;
  /** Why the last order could not be given; a reason is logged once. */
  #problem: string | undefined;

  constructor({ log, clock, launch: launchProgram = launch }: RoleTargetsOptions) {
    this.#log = log;
    this.#clock = clock;
    this.#launch = launchProgram;
  }

  /** `null`: the node has no role yet, or gives up the one it has. Called again and again: a failed order is then given again. */
  follow(role: Role | null): void {
    this.#wanted = role === null || role === "fault" ? "none" : role;
    if (!this.#isBusy) void this.#order();
  }

  async #order(): Promise<void> {
    const wanted = this.#wanted;
    if (wanted === this.#told) {
      if (!this.#isChecking && this.#clock() - this.#knownAtMs >= CHECK_MS) void this.#check();
      return;
    }
    this.#isBusy = true;
    const result = await this.#systemctl("--no-block", ...ORDERS[wanted]);
    this.#isBusy = false;
    this.#knownAtMs = this.#clock();
    this.#orders += 1;
    if (result.kind === "exit" && result.code === 0) {
      this.#told = wanted;
      this.#problem = undefined;
      if (wanted !== this.#wanted) void this.#order();
      return;
    }
    this.#told = undefined;
    const problem = explainRun(result);
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#log.warn({ role: wanted, reason: problem }, "the targets could not be told of the role");
  }

  /** Whether the targets are as systemd was told. No order waits for it. */
  async #check(): Promise<void> {
    const orders = this.#orders;
    this.#isChecking = true;
    const result = await this.#systemctl("is-active", ACTIVE, STANDBY);
    this.#isChecking = false;
    this.#knownAtMs = this.#clock();
    // It fails where none is active. What it says of an earlier order, or while one is being given, is of no use.
    if (result.kind !== "exit" || this.#isBusy || orders !== this.#orders || this.#told === undefined) return;
    const states = result.stdout.trim().replaceAll(/\s+/gu, " ");
    // Without an answer, or in the middle of a change, the next check is soon enough.
    if (!Object.values<string>(STATES).includes(states) && states !== "active active") return;
    if (states === STATES[this.#told]) return;
    this.#log.warn(
      { role: this.#told, [ACTIVE]: states.split(" ")[0], [STANDBY]: states.split(" ")[1] },
      "somebody else has started or stopped the targets: they follow the role again",
    );
    this.#told = undefined;
  }

  #systemctl(...args: readonly string[]) {
    return this.#launch("systemctl", args, { env: {}, timeoutMs: TIMEOUT_MS }).result;
  }
}
