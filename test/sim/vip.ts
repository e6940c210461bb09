// The model of src/control/vip.ts: one hook at a time, a claim or release kills what runs and drops what
// waits, a renewal takes the turn of an announcement, and what a newer intent has replaced is told to nobody.

import type { Address, Hook, HookAction, HookEnd } from "./address.ts";
import type { Machine } from "./machine.ts";

interface Intent {
  readonly action: HookAction;
  readonly probes: boolean;
  readonly settle: (end: HookEnd, startedAt: number) => void;
}

interface Running {
  readonly intent: Intent;
  readonly hook: Hook;
  readonly ended: (end: HookEnd) => void;
  /** Killed for a renewal, and to be done again after it. */
  yields: boolean;
}

const RANK: Readonly<Record<HookAction, number>> = { claim: 0, release: 0, renew: 1, announce: 2 };

export class Vip {
  readonly #machine: Machine;
  readonly #address: Address;
  readonly #deliver: (act: () => void) => void;
  #running: Running | undefined;
  #waiting: Intent[] = [];

  /** `deliver`: the end of a hook waits for the event loop like everything else. */
  constructor(machine: Machine, address: Address, deliver: (act: () => void) => void) {
    this.#machine = machine;
    this.#address = address;
    this.#deliver = deliver;
  }

  order(
    action: HookAction,
    settle: (end: HookEnd, startedAt: number) => void,
    { probes = false }: { readonly probes?: boolean } = {},
  ): void {
    const changesHolding = action === "claim" || action === "release";
    const dropped = changesHolding ? this.#waiting : this.#waiting.filter((other) => other.action === action);
    this.#waiting = this.#waiting.filter((other) => !dropped.includes(other));
    for (const intent of dropped) intent.settle("aborted", this.#machine.clock());
    const running = this.#running;
    if (running !== undefined) {
      running.yields = action === "renew" && RANK[running.intent.action] > RANK.renew;
      if (changesHolding || running.yields) this.#address.abort(running.hook, running.ended);
    }
    this.#queue({ action, probes, settle });
    this.#startNext();
  }

  #queue(intent: Intent): void {
    this.#waiting.push(intent);
    this.#waiting.sort((a, b) => RANK[a.action] - RANK[b.action]);
  }

  #startNext(): void {
    if (this.#running !== undefined) return;
    const intent = this.#waiting.shift();
    if (intent === undefined) return;
    const startedAt = this.#machine.clock();
    const ended = (end: HookEnd): void =>
      this.#deliver(() => {
        const isPutBack = this.#running?.yields === true && end === "aborted";
        this.#running = undefined;
        if (!isPutBack) intent.settle(end, startedAt);
        else if (!this.#waiting.some(({ action }) => action === intent.action)) this.#queue(intent);
        this.#startNext();
      });
    const hook = this.#address.startHook(intent.action, intent, ended);
    this.#running = { intent, hook, ended, yields: false };
  }
}
