// One life of a control process: an event loop that can be late or stand still, around the real election
// core. Like Node's, it looks at its timers first, then at what has arrived, then goes on to what was put
// off until then (`read-queue`). Mutants are made here, around the core, to show that the invariants bite.

import type { Effect, Input, Settings, State, Step } from "../../src/election/state.ts";
import { nextDeadline, start, step } from "../../src/election/step.ts";
import type { Agenda, Planned } from "./agenda.ts";
import type { Machine } from "./machine.ts";
import type { NodeId } from "./network.ts";
import type { LinkOwner, PeerLink } from "./peer-link.ts";
import type { Random } from "./random.ts";
import { Vip } from "./vip.ts";

export type Mutant =
  "claims without listening" | "renews an expired lease" | "ignores the tie-break" | "skips the queue";

export interface LoopConditions {
  /** Share of wake-ups that are up to 30 ms late. */
  readonly late: number;
  /** Share of wake-ups that are 500 ms late. */
  readonly stalled: number;
}

/** Who watches: the invariants, and the transcript when there is one. */
export interface Observer {
  stepped(process: Process, input: Input | "start", before: State | undefined, after: Step): void;
  held(process: Process): void;
}

export interface ProcessOptions {
  readonly settings: Settings;
  readonly secret: string;
  readonly machine: Machine;
  readonly agenda: Agenda;
  readonly random: Random;
  readonly loop: LoopConditions;
  readonly observer: Observer;
  readonly mutant: Mutant | undefined;
  readonly makeLink: (owner: LinkOwner) => PeerLink;
  /** Has stopped by itself: the process ends. */
  readonly exited: () => void;
}

const DRAIN_MS_MAX = 3000;

export class Process implements LinkOwner {
  readonly node: NodeId;
  readonly settings: Settings;
  readonly secret: string;
  readonly startedAt: number;
  readonly link: PeerLink;
  readonly #options: ProcessOptions;
  readonly #vip: Vip;
  readonly #inputs: Input[] = [];
  #state: State;
  #isStepping = false;
  #holds = 0;
  #inbox: (() => void)[] = [];
  #isReading = false;
  #afterReading: (() => void)[] = [];
  #wake: { readonly planned: Planned; readonly time: number } | undefined;
  #wakeIsDue = false;
  #isAlive = true;
  #claims = 0;

  constructor(options: ProcessOptions) {
    this.#options = options;
    this.node = options.machine.node;
    this.settings = options.settings;
    this.secret = options.secret;
    this.startedAt = options.machine.clock();
    this.#vip = new Vip(options.machine, (act) => this.deliver(act));
    this.link = options.makeLink(this);
    const first = start(this.settings, this.startedAt, { epoch: options.machine.savedEpoch });
    this.#state = this.#mutateState(first.state);
    options.observer.stepped(this, "start", undefined, first);
    this.link.start();
    for (const effect of first.effects) this.#perform(effect);
    this.#sleep();
  }

  get state(): State {
    return this.#state;
  }

  get isHeld(): boolean {
    return this.#holds > 0;
  }

  /** How late the timers fired that run now, and how much had arrived by then and was not read yet. */
  late = { byMs: 0, unread: 0 };

  get isAlive(): boolean {
    return this.#isAlive;
  }

  deliver(act: () => void): void {
    if (!this.#isAlive) return;
    if (this.#holds > 0 || this.#isReading) this.#inbox.push(act);
    else act();
  }

  input(input: Input): void {
    if (!this.#isAlive) return;
    this.#inputs.push(input);
    if (this.#isStepping) return;
    this.#isStepping = true;
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) this.#step(next);
    this.#isStepping = false;
    this.#sleep();
  }

  /** The event loop stands still. */
  hold(): void {
    this.#holds += 1;
    this.#options.observer.held(this);
  }

  resume(): void {
    this.#holds -= 1;
    if (this.#holds > 0 || !this.#isAlive) return;
    this.#options.observer.held(this);
    this.link.forgiveSilence();
    this.#isReading = true;
    if (this.#wakeIsDue) {
      const byMs = this.#options.machine.clock() - nextDeadline(this.settings, this.#state);
      this.late = { byMs, unread: this.#inbox.length };
      this.#wakeIsDue = false;
      this.input({ kind: "deadline" });
      this.late = { byMs: 0, unread: 0 };
    }
    for (let act = this.#inbox.shift(); act !== undefined && this.#isAlive; act = this.#inbox.shift()) act();
    this.#isReading = false;
    const put = this.#afterReading;
    this.#afterReading = [];
    for (const act of put) act();
  }

  kill({ tells }: { readonly tells: boolean }): void {
    this.#isAlive = false;
    this.#options.agenda.cancel(this.#wake?.planned);
    this.link.stop({ tells });
  }

  #step(input: Input): void {
    if (!this.#isAlive) return;
    const { machine, observer } = this.#options;
    const before = this.#mutateState(this.#state);
    const after = step(this.settings, before, this.#mutateInput(input), machine.clock());
    this.#state = after.state;
    machine.savedEpoch = after.state.epoch;
    observer.stepped(this, input, before, after);
    for (const effect of after.effects) this.#perform(effect);
    if (after.state.phase.kind === "stopped" && this.#isAlive) {
      this.kill({ tells: true });
      this.#options.exited();
    }
  }

  #perform(effect: Effect): void {
    const { agenda, random } = this.#options;
    switch (effect.kind) {
      case "advertise":
        this.link.send(effect.advertisement);
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
          this.deliver(() => this.input({ kind: "drained" })),
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
    const settle = (end: string, startedAt: number): void => {
      if (end === "aborted") return;
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
    const answer = (): void => this.input({ kind: "queue-read" });
    if (this.#options.mutant === "skips the queue") this.#inputs.unshift({ kind: "queue-read" });
    else if (this.#isReading) this.#afterReading.push(answer);
    else this.#options.agenda.after(0, () => this.deliver(answer));
  }

  #sleep(): void {
    const { agenda, machine } = this.#options;
    const deadline = nextDeadline(this.settings, this.#state);
    if (deadline === Infinity || !this.#isAlive) return;
    // setTimeout() counts whole milliseconds.
    const time = agenda.now + Math.ceil(Math.max(deadline - machine.clock(), 0) / machine.clockRate);
    if (this.#wake !== undefined && this.#wake.time <= time) return;
    agenda.cancel(this.#wake?.planned);
    this.#wake = { time, planned: agenda.at(time, () => this.#awake()) };
  }

  #awake(): void {
    this.#wake = undefined;
    const { loop, random, agenda } = this.#options;
    if (this.isHeld) {
      this.#wakeIsDue = true;
      return;
    }
    const lateMs = random.chance(loop.stalled) ? 500 : random.chance(loop.late) ? random.between(0, 30) : 0;
    if (lateMs > 0) {
      this.#wakeIsDue = true;
      this.hold();
      agenda.after(lateMs, () => this.resume());
      return;
    }
    if (nextDeadline(this.settings, this.#state) > this.#options.machine.clock()) this.#sleep();
    else this.input({ kind: "deadline" });
  }

  #mutateState(state: State): State {
    const { phase } = state;
    const now = this.#options.machine.clock();
    if (this.#options.mutant === "claims without listening" && phase.kind === "listening") {
      return { ...state, phase: { kind: "standby", vacantSince: now } };
    }
    if (this.#options.mutant === "renews an expired lease" && phase.kind === "active") {
      return { ...state, phase: { ...phase, lease: { ...phase.lease, from: now } } };
    }
    return state;
  }

  #mutateInput(input: Input): Input {
    if (this.#options.mutant !== "ignores the tie-break" || input.kind !== "advertisement") return input;
    const isContender = input.advertisement.role === "active" || input.advertisement.role === "claiming";
    if (!isContender) return input;
    return { ...input, advertisement: { ...input.advertisement, epoch: 0, priority: 0 } };
  }
}
