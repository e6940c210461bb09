// Run-time changes in one life of a control process: what src/control/run-time-changes.ts does around the real
// table. A change of this node is on its disk before it counts. A change of the peer counts at once, and is
// confirmed when it is on this disk, too; whoever ordered it then hears that both nodes have it.

import { type Change, type ChangeTable, mergeChanges, setChange } from "../../src/election/changes.ts";
import type { Agenda } from "./agenda.ts";
import type { Machine } from "./machine.ts";
import type { Random } from "./random.ts";

/** As one frame carries them; the answer names its id. */
export interface Told {
  readonly id: number;
  readonly changes: readonly Change[];
}

export interface ChangesOptions {
  readonly machine: Machine;
  readonly agenda: Agenda;
  readonly random: Random;
  readonly node: string;
  /** A mutant begins with nothing. */
  readonly forgets: boolean;
  /** Runs when the event loop gets to it, if the process still lives. */
  readonly deliver: (act: () => void) => void;
  readonly send: (told: Told) => void;
  /** It counts from now on. */
  readonly act: (change: Change) => void;
  /** Ordered here, and on this disk. */
  readonly stored: (change: Change) => void;
  /** The peer says that it is on its disk. */
  readonly replicated: (change: Change) => void;
}

const WRITE_MS = { from: 0.5, to: 20 } as const;

export class RunTimeChanges {
  readonly #options: ChangesOptions;
  #table: ChangeTable;
  #ids = 0;
  readonly #unconfirmed = new Map<number, readonly Change[]>();

  constructor(options: ChangesOptions) {
    this.#options = options;
    if (options.forgets) options.machine.changes = new Map();
    this.#table = options.machine.changes;
  }

  get(key: string): Change["value"] | undefined {
    return this.#table.get(key)?.value;
  }

  /** Ordered by an operator on this node. */
  set(key: string, value: boolean, epochNow: () => number): void {
    this.#write(() => {
      const { machine, node, stored, act, send } = this.#options;
      const outcome = setChange(this.#table, { key, value, epoch: epochNow(), node });
      if (outcome.kind === "refused") throw new Error(outcome.reason);
      machine.changes = mergeChanges(machine.changes, [outcome.change]).table;
      this.#table = outcome.table;
      stored(outcome.change);
      act(outcome.change);
      send(this.#tell([outcome.change]));
    });
  }

  /** For a connection that has just opened: nobody knows what the peer missed. */
  everything(): Told | undefined {
    return this.#table.size === 0 ? undefined : this.#tell([...this.#table.values()]);
  }

  /** `confirm`: it is on this disk. */
  receive(changes: readonly Change[], confirm: () => void): void {
    const { act, machine } = this.#options;
    const { table, news } = mergeChanges(this.#table, changes);
    this.#table = table;
    for (const change of news) act(change);
    this.#write(() => {
      machine.changes = mergeChanges(machine.changes, changes).table;
      confirm();
    });
  }

  confirmed(id: number): void {
    for (const change of this.#unconfirmed.get(id) ?? []) this.#options.replicated(change);
    this.#unconfirmed.delete(id);
  }

  #tell(changes: readonly Change[]): Told {
    this.#unconfirmed.set(++this.#ids, changes);
    return { id: this.#ids, changes };
  }

  #write(then: () => void): void {
    const { agenda, random, deliver } = this.#options;
    agenda.after(random.between(WRITE_MS.from, WRITE_MS.to), () => deliver(then));
  }
}
