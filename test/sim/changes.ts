// Run-time changes in one life of a control process: what src/control/run-time-changes.ts does around the real
// table. A change of this node is on its disk before it counts. A change of the peer counts at once, and is
// confirmed when it is on this disk, too; whoever ordered it then hears that both nodes have it. An order about
// what neither configuration names is taken back; that is forgotten when both disks have it.

import {
  type Change,
  type ChangeTable,
  forgetChanges,
  mergeChanges,
  setChange,
  takeBack,
} from "../../src/election/changes.ts";
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
  readonly beginsEmpty: boolean;
  /** Runs when the event loop gets to it, if the process still lives. */
  readonly deliver: (act: () => void) => void;
  readonly send: (told: Told) => void;
  /** The nodes are in touch and their files agree, and name nothing that the key is about. */
  readonly isObsolete: (key: string) => boolean;
  readonly epoch: () => number;
  /** This order is about to be taken back. */
  readonly takesBack: (order: Change) => void;
  /** Both disks have it, and it says no more than no entry; and it is no longer on this one. */
  readonly forgets: (change: Change) => void;
  readonly forgotten: (change: Change) => void;
  /** It counts from now on. */
  readonly act: (change: Change) => void;
  /** Ordered here, and on this disk. */
  readonly stored: (change: Change) => void;
  /** The peer says that it is on its disk. */
  readonly replicated: (change: Change) => void;
}

/** What the file holds afterwards, and what follows. */
interface Write {
  readonly table: ChangeTable;
  readonly done: () => void;
}

const WRITE_MS = { from: 0.5, to: 20 } as const;

export class RunTimeChanges {
  readonly #options: ChangesOptions;
  #table: ChangeTable;
  #ids = 0;
  readonly #unconfirmed = new Map<number, readonly Change[]>();
  /** By key: what is on the disk of the peer, as far as is known since the link is connected. */
  readonly #shared = new Map<string, Change>();
  /** One after the other. */
  readonly #writes: (() => Write | undefined)[] = [];
  #isWriting = false;

  constructor(options: ChangesOptions) {
    this.#options = options;
    if (options.beginsEmpty) options.machine.changes = new Map();
    this.#table = options.machine.changes;
  }

  get(key: string): Change["value"] | undefined {
    return this.#table.get(key)?.value;
  }

  /** Ordered by an operator on this node. */
  set(key: string, value: boolean): void {
    this.#write(() => {
      const { node, epoch, stored } = this.#options;
      const outcome = setChange(this.#table, { key, value, epoch: epoch(), node });
      if (outcome.kind === "refused") throw new Error(outcome.reason);
      const done = (): void => {
        stored(outcome.change);
        this.#count([outcome.change]);
      };
      return { table: outcome.table, done };
    });
  }

  /** For a connection that has just opened: nobody knows what the peer missed. */
  everything(): Told | undefined {
    return this.#table.size === 0 ? undefined : this.#tell([...this.#table.values()]);
  }

  /** `confirm`: it is on this disk. */
  receive(changes: readonly Change[], confirm: () => void): void {
    const { table, news } = mergeChanges(this.#table, changes);
    this.#table = table;
    for (const change of news) {
      this.#shared.set(change.key, change);
      this.#options.act(change);
    }
    if (news.length > 0) this.tidy();
    this.#write(() => ({ table: this.#table, done: confirm }));
  }

  confirmed(id: number): void {
    for (const change of this.#unconfirmed.get(id) ?? []) {
      this.#shared.set(change.key, change);
      this.#options.replicated(change);
    }
    this.#unconfirmed.delete(id);
    this.#forget();
  }

  disconnected(): void {
    this.#unconfirmed.clear();
    this.#shared.clear();
  }

  /** For the moment at which a key may have become obsolete. */
  tidy(): void {
    if (this.#obsoleteOrders().length > 0) this.#write(() => this.#takeBack());
    this.#forget();
  }

  #obsoleteOrders(): readonly Change[] {
    const { isObsolete } = this.#options;
    return [...this.#table.values()].filter(({ key, value }) => value !== false && isObsolete(key));
  }

  #takeBack(): Write | undefined {
    const orders = this.#obsoleteOrders();
    for (const order of orders) this.#options.takesBack(order);
    const back = orders.map(takeBack);
    if (back.length === 0) return undefined;
    return { table: mergeChanges(this.#table, back).table, done: () => this.#count(back) };
  }

  #forget(): void {
    const { isObsolete, forgets, forgotten } = this.#options;
    const table = forgetChanges(
      this.#table,
      (change) => change.value === false && this.#shared.get(change.key) === change && isObsolete(change.key),
    );
    if (table === this.#table) return;
    const gone = [...this.#table.values()].filter(({ key }) => !table.has(key));
    this.#table = table;
    for (const change of gone) forgets(change);
    const done = (): void => {
      for (const change of gone) forgotten(change);
    };
    this.#write(() => ({ table: this.#table, done }));
  }

  /** They are on this disk. Meanwhile the peer may have told something. */
  #count(changes: readonly Change[]): void {
    const { table, news } = mergeChanges(this.#table, changes);
    this.#table = table;
    for (const change of news) this.#options.act(change);
    this.#options.send(this.#tell(changes));
  }

  #tell(changes: readonly Change[]): Told {
    this.#unconfirmed.set(++this.#ids, changes);
    return { id: this.#ids, changes };
  }

  #write(begin: () => Write | undefined): void {
    this.#writes.push(begin);
    if (!this.#isWriting) this.#writeNext();
  }

  #writeNext(): void {
    const { agenda, machine, random, deliver } = this.#options;
    const begin = this.#writes.shift();
    this.#isWriting = begin !== undefined;
    if (begin === undefined) return;
    const write = begin();
    if (write === undefined) {
      this.#writeNext();
      return;
    }
    // What a killed process was writing is on the disk, or it is not: the file is there as a whole.
    agenda.after(random.between(WRITE_MS.from, WRITE_MS.to), () =>
      deliver(() => {
        machine.changes = write.table;
        write.done();
        this.#writeNext();
      }),
    );
  }
}
