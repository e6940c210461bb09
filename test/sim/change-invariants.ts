// What an operator was told is done stays done: a run-time change is on the disk of its node before it acts, and
// on both disks before the operator hears that both have it; it survives every restart there, gives way only to
// a newer one, and is the same on both nodes once they have been in touch for a bounded time. Only an order about what
// both files had dropped, after it was given, is taken back; and only that nothing is ordered is forgotten.

import { type Change, type ChangeTable, compareChanges, takeBack } from "../../src/election/changes.ts";
import { CONFIGS_AGREE_MS } from "../../src/election/timing.ts";
import type { Machine } from "./machine.ts";
import { type NodeId, otherOf } from "./network.ts";
import { DRAIN } from "./process.ts";
import { extremesOf, settingsOf } from "./scenario.ts";
import { CLOCKS, type ObservedWorld } from "./truth.ts";
import { Violation } from "./violation.ts";

/** In touch, each change has arrived after so long. */
const AGREED_MS = 500;

export class ChangeInvariants {
  readonly #world: ObservedWorld;
  /** By node and key: the newest that this node has promised to keep. */
  readonly #floors: readonly [Map<string, Change>, Map<string, Change>] = [new Map(), new Map()];
  /** When an operator's order was stored. */
  readonly #orderedAt = new Map<Change, number>();
  /** What has taken an order back, as JSON, and that order; and by key, the newest order that was. */
  readonly #endings = new Map<string, Change>();
  readonly #takenBack = new Map<string, Change>();
  /** By node: what it has forgotten, and may be told once more by a peer that has not. */
  readonly #forgotten: readonly [Set<Change>, Set<Change>] = [new Set(), new Set()];
  /** When neither node had the backend in the file that it ran with, or would start with. */
  #unnamedAt = -Infinity;
  /** Since when that is so, and the files are the same. */
  #bareSince: number | undefined;
  #changedAt = -Infinity;
  /** They agreed then; when nothing has changed since, they still do. */
  #agreedAt = -Infinity;

  constructor(world: ObservedWorld) {
    this.#world = world;
  }

  /** An operator ordered it on this node, and it is on the disk there. */
  stored(node: NodeId, change: Change): void {
    this.#orderedAt.set(change, this.#world.now);
    this.#raise(node, change);
    this.#checkKept(node);
  }

  /** The node is about to take this order back. */
  takesBack(node: NodeId, order: Change): void {
    this.#lookAtFiles();
    if (this.#unnamedAt < (this.#orderedAt.get(order) ?? Infinity)) {
      const { node: name } = settingsOf(this.#world.scenario, node);
      const what = `${JSON.stringify(order)}, taken back by ${name}`;
      throw new Violation(`an order stands while a file names what it is about: ${what}`);
    }
    this.#endings.set(JSON.stringify(takeBack(order)), order);
    const newest = this.#takenBack.get(order.key);
    if (newest === undefined || compareChanges(newest, order) < 0) this.#takenBack.set(order.key, order);
  }

  /** That nothing is ordered by this change needs no entry: both disks have it, or nothing of the key. */
  forgets(node: NodeId, change: Change): void {
    this.#forgotten[node].add(change);
    // A copy of the order that it ended may still be on its way over another connection; it is taken back once more.
    const order = this.#endings.get(JSON.stringify(change));
    if (order !== undefined) this.#forgotten[node].add(order);
    this.#raise(otherOf(node), change);
    this.#checkKept(otherOf(node));
  }

  /** And this disk has no entry any more. */
  forgotten(node: NodeId, change: Change): void {
    this.#raise(node, change);
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
    const order = this.#endings.get(JSON.stringify(change));
    if (order !== undefined) {
      this.#checkSpared(order, change);
      return;
    }
    if (!this.#orderedAt.has(change)) {
      throw new Violation(`what no operator ordered only takes an order back: ${JSON.stringify(change)}`);
    }
    if (change.node !== settingsOf(scenario, node).node || this.#forgotten[node].has(change)) return;
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
    this.#lookAtFiles();
    if (truth.inTouchMs < AGREED_MS || now - this.#changedAt < AGREED_MS) return;
    if (scenario.network.loss > 0 || scenario.network.delayed > 0) return;
    const bareSince = Math.max(this.#bareSince ?? Infinity, this.#changedAt, truth.inTouchSince ?? Infinity);
    if (
      now - bareSince > AGREED_MS + CONFIGS_AGREE_MS * CLOCKS + 2 * extremesOf(scenario).longest.intervalMs &&
      machines.some(hasDrain)
    ) {
      throw new Violation("an order about what neither file names is taken back");
    }
    if (this.#agreedAt > Math.max(this.#changedAt, truth.inTouchSince ?? 0)) return;
    this.#agreedAt = now;
    const [a, b] = machines;
    if (!isSame(a.changes, b.changes)) {
      throw new Violation(`nodes in touch agree on every change: ${tell(a.changes)} and ${tell(b.changes)}`);
    }
  }

  #lookAtFiles(): void {
    const { now, processes } = this.#world;
    const has = (node: NodeId): boolean => (processes[node] ?? this.#world.fileOf(node)).hasBackend;
    const isUnnamed = !has(0) && !has(1);
    if (isUnnamed) this.#unnamedAt = now;
    if (isUnnamed && this.#world.fileOf(0).hash === this.#world.fileOf(1).hash) this.#bareSince ??= now;
    else this.#bareSince = undefined;
  }

  #raise(node: NodeId, change: Change): void {
    const floor = this.#floors[node].get(change.key);
    if (floor === undefined || compareChanges(floor, change) < 0) this.#floors[node].set(change.key, change);
  }

  #checkSpared(order: Change, ending: Change): void {
    for (const floors of this.#floors) {
      const floor = floors.get(order.key);
      if (floor === undefined || compareChanges(floor, order) <= 0) continue;
      if (compareChanges(ending, floor) < 0 || floor.value === false) continue;
      throw new Violation(`what takes an order back spares a newer one: ${JSON.stringify(floor)}`);
    }
  }

  #checkKept(node: NodeId): void {
    const { changes } = this.#world.machines[node];
    for (const [key, floor] of this.#floors[node]) {
      const kept = changes.get(key);
      const back = this.#takenBack.get(key);
      const isForgotten = floor.value === false || (back !== undefined && compareChanges(back, floor) >= 0);
      if (kept === undefined && isForgotten) continue;
      if (kept === undefined || compareChanges(kept, floor) < 0) {
        throw new Violation(`an acknowledged change is never lost: ${JSON.stringify(floor)}`);
      }
    }
  }
}

function hasDrain({ changes }: Machine): boolean {
  return changes.get(DRAIN)?.value === true;
}

/** But for what one of them has forgotten already. */
function isSame(one: ChangeTable, other: ChangeTable): boolean {
  for (const key of new Set([...one.keys(), ...other.keys()])) {
    const change = one.get(key);
    const twin = other.get(key);
    if (change === undefined || twin === undefined) {
      if ((change ?? twin)?.value !== false) return false;
    } else if (compareChanges(change, twin) !== 0) return false;
  }
  return true;
}

function tell(table: ChangeTable): string {
  return JSON.stringify([...table.values()]);
}
