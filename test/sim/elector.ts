// One group's election in one life of a control process: the real core, its timer, and the hooks that it
// orders. What src/control/driver.ts and pair.ts do, in virtual time. Mutants are made here, around the core.

import type { Advertisement } from "../../src/election/advertisement.ts";
import type { Effect, Input, Settings, State, Step } from "../../src/election/state.ts";
import { type Memory, nextDeadline, start, step } from "../../src/election/step.ts";
import type { Agenda, Planned } from "./agenda.ts";
import type { Machine } from "./machine.ts";
import { type Mutant, mutateInput, mutateSettings, mutateState } from "./mutant.ts";
import type { NodeId } from "./network.ts";
import type { Random } from "./random.ts";
import { Vip } from "./vip.ts";

/** The event loop around an election. */
export interface Loop {
  readonly isAlive: boolean;
  readonly isHeld: boolean;
  /** Runs when the event loop gets to it; not at all when the process has died by then. */
  deliver(act: () => void): void;
  /** The moment of a timer has come; false: the event loop is late, and calls wake() when it gets there. */
  mayWake(): boolean;
  /** After everything that has arrived by now. */
  afterReading(act: () => void): void;
}

/** Who watches: the invariants, and the transcript when there is one. */
export interface Observer {
  stepped(elector: Elector, input: Input | "start", before: State | undefined, after: Step): void;
}

export interface ElectorOptions {
  readonly group: number;
  readonly settings: Settings;
  readonly memory: Memory;
  readonly machine: Machine;
  readonly agenda: Agenda;
  /** Of this node's doings. */
  readonly random: Random;
  readonly loop: Loop;
  readonly observer: Observer;
  readonly mutant: Mutant | undefined;
  readonly send: (advertisement: Advertisement) => void;
  readonly stopped: () => void;
}

const DRAIN_MS_MAX = 3000;

export class Elector {
  readonly node: NodeId;
  readonly group: number;
  readonly startedAt: number;
  settings: Settings;
  readonly #options: ElectorOptions;
  readonly #vip: Vip;
  readonly #inputs: Input[] = [];
  #state: State;
  #deadline = Infinity;
  #isStepping = false;
  #wake: Planned | undefined;
  #claims = 0;
  /** How late the timer fired that runs now, and how much had arrived by then and was not read yet. */
  late = { byMs: 0, unread: 0 };

  constructor(options: ElectorOptions) {
    const { machine, group, loop } = options;
    this.#options = options;
    this.node = machine.node;
    this.group = group;
    this.settings = options.settings;
    this.startedAt = machine.clock();
    this.#vip = new Vip(machine, machine.addresses[group]!, (act) => loop.deliver(act));
    const first = start(this.#coreSettings(), this.startedAt, options.memory);
    this.#state = mutateState(options.mutant, first.state, this.startedAt);
    this.#remember(this.#state);
    options.observer.stepped(this, "start", undefined, first);
    for (const effect of first.effects) this.#perform(effect);
    this.#sleep();
  }

  get state(): State {
    return this.#state;
  }

  /** When the core wants to be woken; Infinity: not by the clock. */
  get deadline(): number {
    return this.#deadline;
  }

  /** The process around it stands still at this moment. */
  get isHeld(): boolean {
    return this.#options.loop.isHeld;
  }

  input(input: Input): void {
    const { loop } = this.#options;
    if (!loop.isAlive) return;
    if (this.#isStepping) {
      this.#inputs.push(input);
      return;
    }
    this.#isStepping = true;
    this.#step(input);
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) this.#step(next);
    this.#isStepping = false;
    this.#sleep();
  }

  reload(configHash: string): void {
    this.settings = { ...this.settings, configHash };
    this.input({ kind: "deadline" });
  }

  /** The pair has its second node. */
  meet({ peer, peerPriority }: Settings): void {
    this.settings = { ...this.settings, peer, peerPriority };
    this.input({ kind: "deadline" });
  }

  /** A timer that was due while the event loop stood still. */
  wakeLate(unread: number): void {
    const byMs = this.#options.machine.clock() - this.#deadline;
    // It was another group's timer, or one that was set too early.
    if (byMs < 0) {
      this.#sleep();
      return;
    }
    this.late = { byMs, unread };
    this.input({ kind: "deadline" });
    this.late = { byMs: 0, unread: 0 };
  }

  end(): void {
    this.#options.agenda.cancel(this.#wake);
  }

  #step(input: Input): void {
    const { machine, observer, mutant, loop, stopped } = this.#options;
    if (!loop.isAlive) return;
    const now = machine.clock();
    const before = mutateState(mutant, this.#state, now);
    const after = step(this.#coreSettings(), before, mutateInput(mutant, input, before), now);
    this.#state = after.state;
    this.#remember(after.state);
    observer.stepped(this, input, before, after);
    for (const effect of after.effects) this.#perform(effect);
    if (after.state.phase.kind === "stopped" && loop.isAlive) stopped();
  }

  #coreSettings(): Settings {
    return mutateSettings(this.#options.mutant, this.settings);
  }

  /** As pair.ts does before it performs anything. */
  #remember({ epoch }: State): void {
    const { machine } = this.#options;
    if (machine.memories[this.group]?.epoch !== epoch) machine.memories[this.group] = { epoch };
  }

  #perform(effect: Effect): void {
    const { agenda, random, loop, send } = this.#options;
    switch (effect.kind) {
      case "advertise":
        send(effect.advertisement);
        return;
      case "claim":
        this.#claim(effect.epoch, effect.probe);
        return;
      case "renew":
        this.#vip.order("renew", (end, startedAt) => {
          if (end === "done") this.input({ kind: "renewed", startedAt });
          else if (end !== "aborted")
            this.input({ kind: "renew-failed", gone: end === "gone", reason: "renew hook" });
        });
        return;
      case "announce":
        this.#vip.order("announce", () => {
          // Failed announcements are repeated by the election's own plan.
        });
        return;
      case "release":
        this.#claims += 1;
        this.#vip.order("release", (end) => {
          if (end === "done") this.input({ kind: "released" });
        });
        return;
      case "drain":
        agenda.after(random.between(0, DRAIN_MS_MAX), () =>
          loop.deliver(() => this.input({ kind: "drained" })),
        );
        return;
      case "read-queue":
        this.#readQueue();
        return;
      case "switchover-done":
      case "switchover-refused":
      case "log":
    }
  }

  #claim(epoch: number, probes: boolean): void {
    const generation = ++this.#claims;
    let isRenewed = !probes;
    const settle = (end: string, startedAt: number): void => {
      if (end === "aborted") return;
      if (end === "done" && !isRenewed) {
        isRenewed = true;
        this.#vip.order("renew", settle);
        return;
      }
      if (end === "done") {
        this.input({ kind: "claimed", epoch, startedAt });
        return;
      }
      const fail = (): void => this.input({ kind: "claim-failed", epoch, reason: `claim hook: ${end}` });
      if (generation === this.#claims) this.#vip.order("release", fail);
      else fail();
    };
    this.#vip.order("claim", settle, { probes });
  }

  #readQueue(): void {
    if (this.#options.mutant === "skips the queue") this.#inputs.unshift({ kind: "queue-read" });
    else this.#options.loop.afterReading(() => this.input({ kind: "queue-read" }));
  }

  #sleep(): void {
    const { agenda, machine, loop } = this.#options;
    this.#deadline = nextDeadline(this.settings, this.#state);
    if (this.#deadline === Infinity || !loop.isAlive) return;
    // setTimeout() counts whole milliseconds.
    const time = agenda.now + Math.ceil(Math.max(this.#deadline - machine.clock(), 0) / machine.clockRate);
    // An earlier timer that is set already wakes too early and sleeps again: cheaper than a new one each time.
    if (this.#wake?.act !== undefined && this.#wake.time <= time) return;
    agenda.cancel(this.#wake);
    this.#wake = agenda.at(time, () => this.#awake());
  }

  #awake(): void {
    if (!this.#options.loop.mayWake()) return;
    if (this.#deadline > this.#options.machine.clock()) this.#sleep();
    else this.input({ kind: "deadline" });
  }
}
