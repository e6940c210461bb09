// What outlives a control process on one machine: its clock, its disk, and the addresses in its kernel.

import type { ChangeTable } from "../../src/election/changes.ts";
import type { Address } from "./address.ts";
import type { Agenda } from "./agenda.ts";
import type { NodeId } from "./network.ts";
import type { Random } from "./random.ts";

/** Clocks go up to 1 % too fast or too slow. */
const DRIFT = 0.01;

export class Machine {
  readonly node: NodeId;
  readonly #agenda: Agenda;
  /** Seconds of this machine per second of the run. */
  readonly clockRate: number;
  readonly #clockOffset: number;
  /** By group. */
  addresses: readonly Address[] = [];
  /** On disk, by group: the newest epoch that any life of the control process knew of. */
  readonly memories: { readonly epoch: number }[] = [];
  /** On disk: what operators changed. */
  changes: ChangeTable = new Map();

  constructor(node: NodeId, agenda: Agenda, random: Random) {
    this.node = node;
    this.#agenda = agenda;
    this.clockRate = random.between(1 - DRIFT, 1 + DRIFT);
    this.#clockOffset = random.between(0, 1e6);
  }

  /** This machine's monotonic clock. */
  clock(): number {
    return this.#clockOffset + this.#agenda.now * this.clockRate;
  }

  /** No power: nothing is left but the disk. */
  reset(): void {
    for (const address of this.addresses) address.reset();
  }
}
