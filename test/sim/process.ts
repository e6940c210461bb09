// One life of a control process: an event loop that can be late or stand still, around an election for each
// group, the peer link and the arbiter's prober. Like Node's, it looks at its timers first, then at what has
// arrived, then goes on to what was put off until then (`read-queue`).

import type { Advertisement } from "../../src/election/advertisement.ts";
import type { Change } from "../../src/election/changes.ts";
import type { Input, Settings } from "../../src/election/state.ts";
import { CONFIGS_AGREE_MS } from "../../src/election/timing.ts";
import type { Agenda } from "./agenda.ts";
import { RunTimeChanges } from "./changes.ts";
import { Elector, type Loop, type Observer } from "./elector.ts";
import type { Machine } from "./machine.ts";
import type { Mutant } from "./mutant.ts";
import type { NodeId } from "./network.ts";
import type { LinkOwner, PeerLink } from "./peer-link.ts";
import type { Prober } from "./prober.ts";
import type { Random } from "./random.ts";

/** The backend that operators drain, and that files may lose. */
export const DRAIN = "drain/web/big";

export interface LoopConditions {
  /** Share of wake-ups that are up to 30 ms late. */
  readonly late: number;
  /** Share of wake-ups that are 500 ms late. */
  readonly stalled: number;
}

/** What the election and the changes know of a configuration file. */
export interface File {
  readonly hash: string;
  /** Whether it has the backend that operators drain. */
  readonly hasBackend: boolean;
}

export interface ProcessOptions {
  readonly file: File;
  /** By group. */
  readonly settings: readonly Settings[];
  readonly secret: string;
  readonly machine: Machine;
  readonly agenda: Agenda;
  /** Of this node's event loop. */
  readonly random: Random;
  /** Of what its disk takes. */
  readonly disk: Random;
  readonly conditions: LoopConditions;
  readonly observer: Observer;
  readonly mutant: Mutant | undefined;
  readonly makeLink: (owner: LinkOwner) => PeerLink;
  /** Undefined: there is no arbiter. */
  readonly makeProber: ((answered: () => void) => Prober) | undefined;
  readonly changed: (change: Change) => void;
  /** An order is about to be taken back. */
  readonly takesBack: (order: Change) => void;
  /** That it was is forgotten: in memory, and on the disk. */
  readonly forgets: (change: Change) => void;
  readonly forgotten: (change: Change) => void;
  /** An operator's change is on this disk; and on the peer's, as that says. */
  readonly stored: (change: Change) => void;
  readonly replicated: (change: Change) => void;
  /** It begins or ceases to stand still. */
  readonly held: (process: Process) => void;
  /** Has stopped by itself: the process ends. */
  readonly exited: () => void;
}

export class Process implements LinkOwner, Loop {
  readonly node: NodeId;
  readonly secret: string;
  readonly link: PeerLink;
  readonly electors: readonly Elector[];
  readonly changes: RunTimeChanges;
  readonly prober: Prober | undefined;
  readonly #options: ProcessOptions;
  #file: File;
  /** Since when the peer is in touch, and says that it has the file that this node has. */
  #agreeSince: number | undefined;
  /** For so long that it is not an old word. */
  #filesAgree = false;
  #holds = 0;
  #inbox: (() => void)[] = [];
  #isReading = false;
  #afterReading: (() => void)[] = [];
  #isWakeDue = false;
  isAlive = true;

  constructor(options: ProcessOptions) {
    this.#options = options;
    this.#file = options.file;
    this.node = options.machine.node;
    this.secret = options.secret;
    this.link = options.makeLink(this);
    const { machine, agenda, random, observer, mutant } = options;
    const node = options.settings[0]!.node;
    const maintenance = `maintenance/${node}`;
    this.changes = new RunTimeChanges({
      machine,
      agenda,
      random: options.disk,
      node,
      deliver: (act) => this.deliver(act),
      stored: options.stored,
      replicated: options.replicated,
      beginsEmpty: mutant === "forgets a change at restart",
      send: (told) => this.link.sendChanges(told),
      epoch: () => this.epoch,
      isObsolete: (key) => this.#filesAgree && !this.hasBackend && key === DRAIN,
      takesBack: options.takesBack,
      forgets: options.forgets,
      forgotten: options.forgotten,
      act: (change) => {
        options.changed(change);
        if (change.key === maintenance) this.input({ kind: "maintenance", on: change.value === true });
      },
    });
    const isInMaintenance = this.changes.get(maintenance) === true;
    this.electors = options.settings.map(
      (settings, group) =>
        new Elector({
          group,
          settings: { ...settings, configHash: this.#file.hash },
          memory: { ...machine.memories[group], maintenance: isInMaintenance ? "waiting" : "off" },
          machine,
          agenda,
          random,
          loop: this,
          observer,
          mutant,
          send: (advertisement) => this.link.send(advertisement),
          stopped: () => this.#stop(),
        }),
    );
    this.link.start();
    this.prober = options.makeProber?.(() => {
      this.deliver(() => this.input({ kind: "arbiter-answered" }));
    });
  }

  /** The newest claim that any of its groups knows of. */
  get epoch(): number {
    return Math.max(...this.electors.map(({ state }) => state.epoch));
  }

  /** Of the file that it runs with. */
  get hasBackend(): boolean {
    return this.#file.hasBackend;
  }

  /** As the controller and pair.ts do. */
  reload(file: File): void {
    this.#file = file;
    this.#disagree();
    for (const elector of this.electors) elector.reload(file.hash);
  }

  /** A reload with a file that names the second node; `settings`: by group. */
  meet(settings: readonly Settings[]): void {
    for (const [group, elector] of this.electors.entries()) elector.meet(settings[group]!);
    this.link.meet();
  }

  disconnected(): void {
    this.#disagree();
    this.changes.disconnected();
  }

  hear(said: Advertisement): void {
    if (said.configHash === this.#file.hash) this.#agree();
    else this.#disagree();
    this.electors[Number(said.group)]?.input({ kind: "advertisement", advertisement: said });
  }

  #agree(): void {
    const { now } = this.#options.agenda;
    this.#agreeSince ??= now;
    if (this.#filesAgree || now - this.#agreeSince < CONFIGS_AGREE_MS) return;
    this.#filesAgree = true;
    this.changes.tidy();
  }

  #disagree(): void {
    this.#agreeSince = undefined;
    this.#filesAgree = false;
  }

  get isHeld(): boolean {
    return this.#holds > 0;
  }

  get isFree(): boolean {
    return this.isAlive && this.#holds === 0 && !this.#isReading;
  }

  deliver(act: () => void): void {
    if (this.isFree) act();
    else if (this.isAlive) this.#inbox.push(act);
  }

  /** What concerns every group. */
  input(input: Input): void {
    for (const elector of this.electors) elector.input(input);
  }

  /** The event loop stands still. */
  hold(): void {
    this.#holds += 1;
    this.#options.held(this);
  }

  resume(): void {
    this.#holds -= 1;
    if (this.#holds > 0 || !this.isAlive) return;
    this.#options.held(this);
    this.link.forgiveSilence();
    this.#isReading = true;
    if (this.#isWakeDue) {
      this.#isWakeDue = false;
      for (const elector of this.electors) elector.wakeLate(this.#inbox.length);
    }
    for (let act = this.#inbox.shift(); act !== undefined && this.isAlive; act = this.#inbox.shift()) act();
    this.#isReading = false;
    const put = this.#afterReading;
    this.#afterReading = [];
    for (const act of put) act();
  }

  mayWake(): boolean {
    const { conditions, random, agenda } = this.#options;
    if (!this.isHeld) {
      const lateMs = random.chance(conditions.stalled)
        ? 500
        : random.chance(conditions.late)
          ? random.between(0, 30)
          : 0;
      if (lateMs === 0) return true;
      this.hold();
      agenda.after(lateMs, () => this.resume());
    }
    this.#isWakeDue = true;
    return false;
  }

  afterReading(act: () => void): void {
    if (this.#isReading) this.#afterReading.push(act);
    else this.#options.agenda.after(0, () => this.deliver(act));
  }

  kill({ tells }: { readonly tells: boolean }): void {
    this.isAlive = false;
    this.prober?.end();
    for (const elector of this.electors) elector.end();
    this.link.stop({ tells });
  }

  /** It ends when the last of its groups has stopped. */
  #stop(): void {
    if (this.electors.some(({ state }) => state.phase.kind !== "stopped")) return;
    this.kill({ tells: true });
    this.#options.exited();
  }
}
