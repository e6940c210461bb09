// vipair-active.target and vipair-standby.target follow the role of this node, so that other units can follow it, too. systemctl is
// started by the launcher and waited for by nobody, least of all by a claim: what counts is the newest role, once the order before it has been given.

import type { Role } from "../protocol/status.ts";
import { explainRun } from "../system/exec.ts";
import { launch } from "../system/launcher.ts";
import type { Log } from "../system/log.ts";

const ACTIVE = "vipair-active.target";
const STANDBY = "vipair-standby.target";

/** systemctl --no-block only hands its order over. */
const TIMEOUT_MS = 5_000;

/** Each of the two stops the other one (Conflicts= in systemd/). */
const ORDERS = {
  active: ["start", ACTIVE],
  standby: ["start", STANDBY],
  none: ["stop", ACTIVE, STANDBY],
} as const;

export class RoleTargets {
  readonly #log: Log;
  #wanted: keyof typeof ORDERS = "none";
  /** What systemd was told last; undefined when that is not known. */
  #told: keyof typeof ORDERS | undefined;
  #isBusy = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** `null`: the node has no role yet, or gives up the one it has. Called again and again: a failed order is then given again. */
  follow(role: Role | null): void {
    this.#wanted = role === null || role === "fault" ? "none" : role;
    if (!this.#isBusy) void this.#order();
  }

  async #order(): Promise<void> {
    const wanted = this.#wanted;
    if (wanted === this.#told) return;
    this.#isBusy = true;
    const result = await launch("systemctl", ["--no-block", ...ORDERS[wanted]], {
      env: {},
      timeoutMs: TIMEOUT_MS,
    }).result;
    this.#isBusy = false;
    if (result.kind === "exit" && result.code === 0) {
      this.#told = wanted;
      if (wanted !== this.#wanted) void this.#order();
      return;
    }
    this.#told = undefined;
    this.#log.warn({ role: wanted, reason: explainRun(result) }, "the targets could not be told of the role");
  }
}
