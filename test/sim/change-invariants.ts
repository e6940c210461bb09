// What an operator was told is done stays done: a run-time change is on the disk of its node before it acts, and
// on both disks before the operator hears that both have it; it survives every restart there, gives way only to
// a newer one, and is the same on both nodes once they have been in touch for a bounded time.

import { type Change, type ChangeTable, compareChanges } from "../../src/election/changes.ts";
import { type NodeId, otherOf } from "./network.ts";
import { settingsOf } from "./scenario.ts";
import type { ObservedWorld } from "./truth.ts";
import { Violation } from "./violation.ts";

/** In touch, each change has arrived after so long. */
const AGREED_MS = 500;

export class ChangeInvariants {
  readonly #world: ObservedWorld;
  /** By node and key: the newest that this node has promised to keep. */
  readonly #floors: readonly [Map<string, Change>, Map<string, Change>] = [new Map(), new Map()];
  #changedAt = -Infinity;
  /** They agreed then; when nothing has changed since, they still do. */
  #agreedAt = -Infinity;

  constructor(world: ObservedWorld) {
    this.#world = world;
  }

  /** An operator ordered it on this node, and it is on the disk there. */
  stored(node: NodeId, change: Change): void {
    this.#raise(node, change);
    this.#checkKept(node);
  }

  /** The operator was told that both nodes have it. */
  replicated(node: NodeId, change: Change): void {
    this.#raise(otherOf(node), change);
    this.#checkKept(otherOf(node));
  }

  /** The node acts upon it. */
  changed(node: NodeId, change: Change): void {
    const { now, scenario, machines } = this.#world;
    this.#changedAt = now;
    if (change.node !== settingsOf(scenario, node).node) return;
    const onDisk = machines[node].changes.get(change.key);
    if (onDisk === undefined || compareChanges(onDisk, change) < 0) {
      throw new Violation(`a change is on the disk before it acts: ${JSON.stringify(change)}`);
    }
  }

  /** A life of the process begins, or has just begun. */
  starts(node: NodeId): void {
    this.#checkKept(node);
  }

  started(node: NodeId): void {
    this.#checkKept(node);
    const process = this.#world.processes[node];
    for (const elector of process?.electors ?? []) {
      const isOn = this.#world.machines[node].changes.get(`maintenance/${elector.settings.node}`)?.value;
      if ((elector.state.maintenance !== "off") !== (isOn === true)) {
        throw new Violation(`maintenance survives a restart: node ${elector.settings.node}`);
      }
    }
  }

  /** After every event. */
  check(): void {
    const { now, truth, machines, scenario } = this.#world;
    if (truth.inTouchMs < AGREED_MS || now - this.#changedAt < AGREED_MS) return;
    if (scenario.network.loss > 0 || scenario.network.delayed > 0) return;
    if (this.#agreedAt > Math.max(this.#changedAt, truth.inTouchSince ?? 0)) return;
    this.#agreedAt = now;
    const [a, b] = machines;
    if (!isSame(a.changes, b.changes)) {
      throw new Violation(`nodes in touch agree on every change: ${tell(a.changes)} and ${tell(b.changes)}`);
    }
  }

  #raise(node: NodeId, change: Change): void {
    const floor = this.#floors[node].get(change.key);
    if (floor === undefined || compareChanges(floor, change) < 0) this.#floors[node].set(change.key, change);
  }

  #checkKept(node: NodeId): void {
    const { changes } = this.#world.machines[node];
    for (const [key, floor] of this.#floors[node]) {
      const kept = changes.get(key);
      if (kept === undefined || compareChanges(kept, floor) < 0) {
        throw new Violation(`an acknowledged change is never lost: ${JSON.stringify(floor)}`);
      }
    }
  }
}

function isSame(one: ChangeTable, other: ChangeTable): boolean {
  if (one.size !== other.size) return false;
  for (const [key, change] of one) {
    const twin = other.get(key);
    if (twin === undefined || compareChanges(change, twin) !== 0) return false;
  }
  return true;
}

function tell(table: ChangeTable): string {
  return JSON.stringify([...table.values()]);
}
