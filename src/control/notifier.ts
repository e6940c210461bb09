// Tells the operator's own programs which role this node has taken: the notify hooks on-active, on-standby
// and on-fault. Apart from the hooks that move addresses, so that a mail server that hangs can never delay
// a claim. One hook runs at a time on the whole node, in the order of the changes; of each group only the
// newest role waits: a role that was overtaken before its hook began is nobody's news any more.

import { resolve } from "node:path";
import type { NotifyConfig } from "../config/config.ts";
import type { Role } from "../protocol/status.ts";
import { explainRun, programProblem } from "../system/exec.ts";
import type { Run } from "../system/exec.ts";
import { launch } from "../system/launcher.ts";
import type { Log } from "../system/log.ts";

/** No notify hook may take longer. */
const HOOK_TIMEOUT_MS = 30_000;
/** The node is ending: a hook that has begun, or that tells of this very end, may still do its work. */
const CLOSE_GRACE_MS = 500;

/** What a hook is told. */
export interface RoleChange {
  readonly group: string;
  readonly role: Role;
  /** null at the start of the node. */
  readonly previous: Role | null;
  readonly epoch: number;
  /** In words for people. */
  readonly reason: string | null;
}

export interface NotifierOptions {
  /** Paths of the programs; relative ones start at configDir. A role without one is told to nobody. */
  readonly hooks: NotifyConfig;
  readonly configDir: string;
  /** Names of the two nodes; there may be no second one yet. */
  readonly node: string;
  readonly peer: () => string | undefined;
  /** The virtual addresses of a group. */
  readonly addresses: (group: string) => readonly string[];
  readonly log: Log;
  /** After this a hook is killed with its process group; absent: 30 s. For tests. */
  readonly timeoutMs?: number;
}

export class Notifier {
  readonly #options: NotifierOptions;
  /** By group, in the order in which the groups began to wait. */
  readonly #waiting = new Map<string, RoleChange>();
  #running: Run | undefined;
  #isBusy = false;
  /** Settled when nothing runs and nothing waits. */
  #work: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  /** Starts the hook of this role, or lets it wait for the one that runs. Returns at once. */
  notify(change: RoleChange): void {
    if (this.#isClosed) return;
    const overtaken = this.#waiting.get(change.group);
    if (overtaken !== undefined) {
      const { group, role } = overtaken;
      this.#options.log.info({ group, role, newer: change.role }, "notify hook skipped: a newer role came");
    }
    this.#waiting.set(change.group, change);
    if (!this.#isBusy) this.#work = this.#runAll();
  }

  /** Lets what runs and waits come to its end for so long, then kills it; nothing starts afterwards. */
  async close({ graceMs = CLOSE_GRACE_MS }: { readonly graceMs?: number } = {}): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((settle) => {
      timer = setTimeout(settle, graceMs);
    });
    await Promise.race([this.#work, patience]);
    clearTimeout(timer);
    this.#isClosed = true;
    this.#waiting.clear();
    this.#running?.abort();
    await this.#work;
  }

  async #runAll(): Promise<void> {
    this.#isBusy = true;
    for (let change = this.#takeNext(); change !== undefined; change = this.#takeNext()) {
      const hook = this.#usableHook(change);
      if (hook !== undefined) await this.#launch(hook, change);
    }
    this.#isBusy = false;
  }

  #takeNext(): RoleChange | undefined {
    const [change] = this.#waiting.values();
    if (change !== undefined) this.#waiting.delete(change.group);
    return change;
  }

  async #launch(hook: string, change: RoleChange): Promise<void> {
    this.#running = launch(hook, [], {
      env: this.#environment(change),
      timeoutMs: this.#options.timeoutMs ?? HOOK_TIMEOUT_MS,
    });
    const result = await this.#running.result;
    this.#running = undefined;
    const subject = { group: change.group, role: change.role, hook };
    if (result.kind === "exit" && result.code === 0) {
      this.#options.log.info({ ...subject, tookMs: Math.round(result.durationMs) }, "notify hook done");
    } else {
      this.#options.log.warn({ ...subject, reason: explainRun(result) }, "notify hook failed");
    }
  }

  /** Absolute path of the role's hook; undefined when there is none that may run. */
  #usableHook({ group, role }: RoleChange): string | undefined {
    const { hooks, configDir, log } = this.#options;
    const configured = { active: hooks.onActive, standby: hooks.onStandby, fault: hooks.onFault }[role];
    if (configured === undefined) return undefined;
    const hook = resolve(configDir, configured);
    const reason = programProblem(hook);
    if (reason === undefined) return hook;
    log.warn({ group, role, hook, reason }, "notify hook cannot run");
    return undefined;
  }

  #environment({ group, role, previous, epoch, reason }: RoleChange): Record<string, string> {
    return {
      VIPAIR_GROUP: group,
      VIPAIR_ROLE: role,
      VIPAIR_PREVIOUS_ROLE: previous ?? "",
      VIPAIR_EPOCH: String(epoch),
      VIPAIR_NODE: this.#options.node,
      VIPAIR_PEER: this.#options.peer() ?? "",
      VIPAIR_REASON: reason ?? "",
      VIPAIR_ADDRESSES: this.#options.addresses(group).join(" "),
    };
  }
}
