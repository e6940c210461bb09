// Run-time changes in one life of a control process: what src/control/run-time-changes.ts does around the
// real table. A change is on the disk before it acts, and before the operator is told that it is done.

import { type Change, mergeChanges, setChange } from "../../src/election/changes.ts";
import type { Machine } from "./machine.ts";

export interface ChangesOptions {
  readonly machine: Machine;
  readonly node: string;
  /** A mutant begins with nothing. */
  readonly forgets: boolean;
  readonly send: (changes: readonly Change[]) => void;
  /** After it was persisted: by key, what is new. */
  readonly act: (change: Change) => void;
}

export class RunTimeChanges {
  readonly #options: ChangesOptions;

  constructor(options: ChangesOptions) {
    this.#options = options;
    if (options.forgets) options.machine.changes = new Map();
  }

  get all(): readonly Change[] {
    return [...this.#options.machine.changes.values()];
  }

  get(key: string): Change["value"] | undefined {
    return this.#options.machine.changes.get(key)?.value;
  }

  /** Ordered by an operator on this node; returns what is acknowledged to them. */
  set(key: string, value: boolean, epoch: number): Change {
    const { machine, node, send, act } = this.#options;
    const outcome = setChange(machine.changes, { key, value, epoch, node });
    if (outcome.kind === "refused") throw new Error(outcome.reason);
    machine.changes = outcome.table;
    send([outcome.change]);
    act(outcome.change);
    return outcome.change;
  }

  receive(changes: readonly Change[]): void {
    const { machine, act } = this.#options;
    const { table, news } = mergeChanges(machine.changes, changes);
    machine.changes = table;
    for (const change of news) act(change);
  }
}
