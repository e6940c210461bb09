// One virtual address on one machine: the kernel, which keeps it until its lease ends, and the hook processes,
// which go on by themselves when the process that started them has died or is frozen.

import type { Agenda, Planned } from "./agenda.ts";
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
/** How long a claim waits for somebody to answer for the address (measured: 1.03 to 1.07 s with the hook's own time). */
export const PROBE_MS = 1020;
const HOOK_TIMEOUT_MS = 2000;
/** From the kill of a hook until its end is known. */
const ABORT_MS = 1;
/** The kernel removes an address up to this late (measured: 1.01 to 1.04 s for a lease of 1 s). */
const EXPIRY_LATE_MS = 40;

export interface AddressOptions {
  readonly agenda: Agenda;
  readonly random: Random;
  /** Beside other addresses the kernel may keep it for so much longer. */
  readonly expiryLateMs: number;
  readonly clockRate: number;
  readonly conditions: HookConditions;
  /** Whether somebody else on the LAN answers for the address. */
  readonly isAnswered: () => boolean;
  readonly announced: () => void;
  readonly changed: (what: "added" | "removed" | "expired") => void;
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

/** The virtual address of one group on one machine: what its kernel knows, and the hooks that run for it. */
export class Address {
  readonly #options: AddressOptions;
  readonly hooks = new Set<Hook>();
  #expiresAt = -Infinity;
  /** When a hook last set the lease. */
  setAt = -Infinity;
  #expiry: Planned | undefined;
  /** What the file of the present life of the process says. */
  leaseMs = 0;
  /** The length of the lease that a hook last set. */
  setLeaseMs = 0;
  /** A mutant's kernel: renewing an address that has gone brings it back. */
  renewCreates = false;

  constructor(options: AddressOptions) {
    this.#options = options;
  }

  get isHeld(): boolean {
    return this.#expiresAt > this.#options.agenda.now;
  }

  set(): void {
    const { agenda, random, expiryLateMs, clockRate, changed } = this.#options;
    const { leaseMs } = this;
    const wasHeld = this.isHeld;
    this.setAt = agenda.now;
    this.setLeaseMs = leaseMs;
    this.#expiresAt = agenda.now + leaseMs / clockRate + random.between(0, EXPIRY_LATE_MS + expiryLateMs);
    agenda.cancel(this.#expiry);
    this.#expiry = agenda.at(this.#expiresAt, () => changed("expired"));
    if (!wasHeld) changed("added");
  }

  remove(): void {
    const { agenda, changed } = this.#options;
    if (!this.isHeld) return;
    this.#expiresAt = -Infinity;
    agenda.cancel(this.#expiry);
    changed("removed");
  }

  /** No power: nothing is left. */
  reset(): void {
    this.endHooks();
    this.remove();
  }

  /** systemd ends what is left of a life before it starts the next. */
  endHooks(): void {
    for (const hook of this.hooks) hook.kill();
    this.hooks.clear();
  }

  /** Starts a hook; `ended` is called in the machine's time, whoever still listens. */
  startHook(
    action: HookAction,
    { probes }: { readonly probes: boolean },
    ended: (end: HookEnd) => void,
  ): Hook {
    const { agenda, random, conditions } = this.#options;
    const hook = new Hook(agenda);
    this.hooks.add(hook);
    const finish = (end: HookEnd): void => {
      hook.isOver = true;
      this.hooks.delete(hook);
      ended(end);
    };
    const waitsMs = probes ? PROBE_MS : 0;
    const durationMs =
      waitsMs +
      (random.chance(conditions.slow)
        ? random.between(NORMAL_MS.to, SLOW_HOOK_MS)
        : random.between(NORMAL_MS.from, NORMAL_MS.to));
    const actsAfterMs = random.between(waitsMs, durationMs);
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
    hook.plan(isHanging ? timeoutMs(action, this.leaseMs) : durationMs, () => finish(end));
    return hook;
  }

  abort(hook: Hook, ended: (end: HookEnd) => void): void {
    if (hook.isOver) return;
    hook.kill();
    this.hooks.delete(hook);
    this.#options.agenda.after(ABORT_MS, () => ended("aborted"));
  }

  #work(action: HookAction, { probes }: { readonly probes: boolean }): HookEnd {
    switch (action) {
      case "claim":
        if (probes && this.#options.isAnswered()) return "taken";
        this.set();
        return "done";
      case "renew":
        if (!this.isHeld && !this.renewCreates) return "gone";
        this.set();
        return "done";
      case "release":
        this.remove();
        return "done";
      case "announce":
        if (this.isHeld) this.#options.announced();
        return "done";
    }
  }
}

/** As in src/control/vip.ts. */
function timeoutMs(action: HookAction, leaseMs: number): number {
  if (action === "renew") return Math.min(HOOK_TIMEOUT_MS, leaseMs / 2);
  if (action === "announce") return Math.min(HOOK_TIMEOUT_MS, leaseMs / 4);
  return HOOK_TIMEOUT_MS;
}
