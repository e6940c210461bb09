// What outlives a control process: the kernel, which keeps the virtual address until its lease ends, and
// hook processes, which go on by themselves when the process that started them has died or is frozen.

import type { Agenda, Planned } from "./agenda.ts";
import type { NodeId } from "./network.ts";
import type { Random } from "./random.ts";

export type HookAction = "claim" | "renew" | "release" | "announce";

export type HookEnd = "done" | "failed" | "gone" | "taken" | "aborted";

export interface HookConditions {
  /** Share of hooks that take 40 to 300 ms. */
  readonly slow: number;
  /** Share of hooks that fail. */
  readonly failing: number;
  /** Share of hooks that never end by themselves. */
  readonly hanging: number;
}

const NORMAL_MS = { from: 3, to: 40 } as const;
export const SLOW_HOOK_MS = 300;
const TIMEOUT_MS = 2000;
/** From the kill of a hook until its end is known. */
const ABORT_MS = 1;
/** The kernel removes an address up to this late (measured: 1.01 to 1.04 s for a lease of 1 s). */
const EXPIRY_LATE_MS = 40;

export interface World {
  readonly agenda: Agenda;
  readonly random: Random;
  readonly leaseMs: number;
  readonly hooks: HookConditions;
  /** Whether somebody else on the LAN answers for the address. */
  readonly isAnswered: (node: NodeId) => boolean;
  readonly announced: (node: NodeId) => void;
  readonly addressChanged: (node: NodeId, what: string) => void;
}

interface HookEvent {
  readonly act: () => void;
  time: number;
  planned: Planned | undefined;
}

/** A running hook process. */
export class Hook {
  readonly #agenda: Agenda;
  readonly #events: HookEvent[] = [];
  #frozenAt: number | undefined;
  isOver = false;

  constructor(agenda: Agenda) {
    this.#agenda = agenda;
  }

  plan(delayMs: number, act: () => void): void {
    const event: HookEvent = { act, time: this.#agenda.now + delayMs, planned: undefined };
    this.#events.push(event);
    event.planned = this.#agenda.at(event.time, act);
  }

  kill(): void {
    this.isOver = true;
    for (const { planned } of this.#events) this.#agenda.cancel(planned);
  }

  freeze(): void {
    if (this.isOver || this.#frozenAt !== undefined) return;
    this.#frozenAt = this.#agenda.now;
    for (const { planned } of this.#events) this.#agenda.cancel(planned);
  }

  thaw(): void {
    if (this.isOver || this.#frozenAt === undefined) return;
    const frozenMs = this.#agenda.now - this.#frozenAt;
    for (const event of this.#events) {
      // Already happened before the freeze.
      if (event.time < this.#frozenAt) continue;
      event.time += frozenMs;
      event.planned = this.#agenda.at(event.time, event.act);
    }
    this.#frozenAt = undefined;
  }
}

export class Machine {
  readonly node: NodeId;
  readonly #world: World;
  /** Seconds of this machine per second of the run. */
  readonly clockRate: number;
  readonly #clockOffset: number;
  readonly hooks = new Set<Hook>();
  /** On disk: the newest epoch that any life of the control process knew of. */
  savedEpoch = 0;
  #expiresAt = -Infinity;
  #expiry: Planned | undefined;
  /** A mutant's kernel: renewing an address that has gone brings it back. */
  renewCreates = false;

  constructor(node: NodeId, world: World) {
    this.node = node;
    this.#world = world;
    this.clockRate = world.random.between(0.99, 1.01);
    this.#clockOffset = world.random.between(0, 1e6);
  }

  /** This machine's monotonic clock. */
  clock(): number {
    return this.#clockOffset + this.#world.agenda.now * this.clockRate;
  }

  /** When that will be, in the time of the run. */
  timeOf(clock: number): number {
    return (clock - this.#clockOffset) / this.clockRate;
  }

  get holdsAddress(): boolean {
    return this.#expiresAt > this.#world.agenda.now;
  }

  setAddress(): void {
    const { agenda, random, leaseMs, addressChanged } = this.#world;
    const wasHeld = this.holdsAddress;
    this.#expiresAt = agenda.now + leaseMs / this.clockRate + random.between(0, EXPIRY_LATE_MS);
    agenda.cancel(this.#expiry);
    this.#expiry = agenda.at(this.#expiresAt, () => addressChanged(this.node, "expired"));
    if (!wasHeld) addressChanged(this.node, "added");
  }

  removeAddress(): void {
    const { agenda, addressChanged } = this.#world;
    if (!this.holdsAddress) return;
    this.#expiresAt = -Infinity;
    agenda.cancel(this.#expiry);
    addressChanged(this.node, "removed");
  }

  /** No power: nothing is left. */
  reset(): void {
    for (const hook of this.hooks) hook.kill();
    this.hooks.clear();
    this.removeAddress();
  }

  /** Starts a hook; `ended` is called in the machine's time, whoever still listens. */
  startHook(
    action: HookAction,
    { probes }: { readonly probes: boolean },
    ended: (end: HookEnd) => void,
  ): Hook {
    const { agenda, random, hooks: conditions, leaseMs } = this.#world;
    const hook = new Hook(agenda);
    this.hooks.add(hook);
    const finish = (end: HookEnd): void => {
      hook.isOver = true;
      this.hooks.delete(hook);
      ended(end);
    };
    const durationMs = random.chance(conditions.slow)
      ? random.between(NORMAL_MS.to, SLOW_HOOK_MS)
      : random.between(NORMAL_MS.from, NORMAL_MS.to);
    const actsAfterMs = random.between(0, durationMs);
    const isHanging = random.chance(conditions.hanging);
    // A hook that hangs or fails may do so before or after its work.
    const isTroubled = isHanging || random.chance(conditions.failing);
    const worksAnyway = random.chance(0.5);
    let end: HookEnd = isTroubled ? "failed" : "done";
    if (!isTroubled || worksAnyway) {
      hook.plan(actsAfterMs, () => {
        const outcome = this.#work(action, { probes });
        if (!isTroubled || outcome !== "done") end = outcome;
      });
    }
    hook.plan(isHanging ? timeoutMs(action, leaseMs) : durationMs, () => finish(end));
    return hook;
  }

  abort(hook: Hook, ended: (end: HookEnd) => void): void {
    if (hook.isOver) return;
    hook.kill();
    this.hooks.delete(hook);
    this.#world.agenda.after(ABORT_MS, () => ended("aborted"));
  }

  #work(action: HookAction, { probes }: { readonly probes: boolean }): HookEnd {
    switch (action) {
      case "claim":
        if (probes && this.#world.isAnswered(this.node)) return "taken";
        this.setAddress();
        return "done";
      case "renew":
        if (!this.holdsAddress && !this.renewCreates) return "gone";
        this.setAddress();
        return "done";
      case "release":
        this.removeAddress();
        return "done";
      case "announce":
        if (this.holdsAddress) this.#world.announced(this.node);
        return "done";
    }
  }
}

/** As in src/control/vip.ts. */
function timeoutMs(action: HookAction, leaseMs: number): number {
  if (action === "renew") return Math.min(TIMEOUT_MS, leaseMs / 2);
  if (action === "announce") return Math.min(TIMEOUT_MS, leaseMs / 4);
  return TIMEOUT_MS;
}
