// A simulated pair: two machines, the network between them and a gateway, and a client's view of it; faults
// happen to them, and orders are given, as the scenario says. Everything the run does comes out of its data.

import type { Change } from "../../src/election/changes.ts";
import type { Input, Settings, State, Step } from "../../src/election/state.ts";
import { arbiterIntervalMs } from "../../src/election/timing.ts";
import { Address, type HookConditions } from "./address.ts";
import { Agenda } from "./agenda.ts";
import { ChangeInvariants } from "./change-invariants.ts";
import type { Elector } from "./elector.ts";
import { Invariants } from "./invariants.ts";
import { Machine } from "./machine.ts";
import type { Mutant } from "./mutant.ts";
import { Network, type NetworkConditions, NODES, type NodeId, otherOf } from "./network.ts";
import { PeerLink } from "./peer-link.ts";
import { DRAIN, type File, type LoopConditions, Process } from "./process.ts";
import { Prober } from "./prober.ts";
import { Random } from "./random.ts";
import {
  CONFIG_HASH,
  extremesOf,
  type Fault,
  nameOf,
  type Scenario,
  settingsOf,
  type Target,
  type Times,
} from "./scenario.ts";
import { Truth } from "./truth.ts";

const RIGHT_SECRET = "right";
const NOTICE_MS_MAX = 200;
const RESTART_MS = 100;
/** An operator whose node does not answer tries again. */
const ORDER_AGAIN_MS = 500;

/** Hears all that happens, for people. */
export interface Witness {
  stepped(
    now: number,
    elector: Elector,
    input: Input | "start",
    before: State | undefined,
    after: Step,
  ): void;
  happened(now: number, who: string, what: string): void;
}

export class SimWorld {
  readonly scenario: Scenario;
  readonly network: Network;
  readonly machines: readonly [Machine, Machine];
  readonly processes: [Process | undefined, Process | undefined] = [undefined, undefined];
  readonly truth: Truth;
  /** By group: where the clients send their packets. */
  readonly arp: (NodeId | undefined)[] = [];
  readonly #invariants: readonly Invariants[];
  readonly #changeInvariants: ChangeInvariants;
  readonly #agenda = new Agenda();
  readonly #random: Random;
  readonly #mutant: Mutant | undefined;
  readonly #witness: Witness | undefined;
  readonly #weather: { network: NetworkConditions; loop: LoopConditions; hooks: HookConditions };
  /** By node, how many faults of a kind are on. */
  readonly #downs: [number, number] = [1, 1];
  readonly #unplugged: [number, number] = [0, 0];
  readonly #silenced: [number, number] = [0, 0];
  readonly #cuts: [number, number] = [0, 0];
  readonly #arbiterCuts: [number, number] = [0, 0];
  readonly #wrongSecrets: [number, number] = [0, 0];
  readonly #otherFiles: [number, number] = [0, 0];
  readonly #otherTimes: readonly [Times[], Times[]] = [[], []];
  readonly #lessFiles: [number, number] = [0, 0];
  #arbiterDeaths = 0;
  /** By node and cause: what its watches would find out about the node at this moment. */
  readonly #conditions: readonly [Map<string, Input>, Map<string, Input>] = [new Map(), new Map()];
  #causes = 0;
  #boots = 0;

  constructor(scenario: Scenario, options: { readonly mutant?: Mutant; readonly witness?: Witness } = {}) {
    this.scenario = scenario;
    this.#random = new Random(scenario.seed, "world");
    this.#mutant = options.mutant;
    this.#witness = options.witness;
    this.#weather = {
      network: { ...scenario.network },
      loop: { ...scenario.loop },
      hooks: { ...scenario.hooks },
    };
    this.network = new Network(this.#agenda, new Random(scenario.seed, "network"), this.#weather.network);
    this.machines = [this.#makeMachine(0), this.#makeMachine(1)];
    this.truth = new Truth(this);
    this.#invariants = scenario.priorities.map((_, group) => new Invariants(this, group));
    this.#changeInvariants = new ChangeInvariants(this);
  }

  get now(): number {
    return this.#agenda.now;
  }

  /** Of all groups. */
  get roleChanges(): number {
    return this.#invariants.reduce((sum, { roleChanges }) => sum + roleChanges, 0);
  }

  /** Throws a Violation when something does not hold. */
  run(): void {
    const { startsAt, namedAt, events, healedAt, isSteady } = this.scenario;
    const { leaseMs, intervalMs } = extremesOf(this.scenario).longest;
    for (const node of NODES) this.#agenda.at(startsAt[node], () => this.#up(node));
    if (namedAt !== undefined) {
      this.#agenda.at(namedAt, () => this.processes[0]?.meet(this.#settingsOf(0)));
    }
    for (const { time, fault } of events) this.#agenda.at(time, () => this.#strike(fault));
    this.#agenda.at(healedAt, () => {
      if (!isSteady) this.#clearWeather();
    });
    const staysMs = Math.max(1.2 * leaseMs, 8 * intervalMs, 1000);
    const isSettled = (): boolean =>
      isSteady || this.#invariants.every(({ settledMs }) => settledMs >= staysMs);
    while (this.#agenda.now < healedAt || !isSettled()) {
      this.#agenda.advance(this.#agenda.now + 1000);
      this.truth.look();
      for (let group = 0; group < this.#invariants.length; group++) this.#invariants[group]!.check();
      this.#changeInvariants.check();
    }
  }

  #makeMachine(node: NodeId): Machine {
    const { scenario } = this;
    const machine = new Machine(node, this.#agenda, new Random(scenario.seed, `clock ${nameOf(node)}`));
    machine.addresses = scenario.priorities.map((_, group) => {
      const address = new Address({
        agenda: this.#agenda,
        random: new Random(scenario.seed, `hooks ${nameOf(node)} ${String(group)}`),
        expiryLateMs: settingsOf(scenario, node).expiryLateMs,
        clockRate: machine.clockRate,
        conditions: this.#weather.hooks,
        isAnswered: () =>
          this.network.passesBothWays() && this.machines[otherOf(node)].addresses[group]!.isHeld,
        announced: () => {
          if (!this.network.isOnLan(node)) return;
          this.arp[group] = node;
          this.#tell(node, `announced${this.#nameOfGroup(group)}`);
        },
        changed: (what) => {
          if (what === "added") this.#invariants[group]!.added(node);
          this.#tell(node, `address${this.#nameOfGroup(group)} ${what}`);
        },
      });
      address.renewCreates = this.#mutant === "renews an expired lease";
      return address;
    });
    return machine;
  }

  #nameOfGroup(group: number): string {
    return this.scenario.priorities.length > 1 ? ` of group ${String(group)}` : "";
  }

  #clearWeather(): void {
    this.#tell(undefined, "the weather clears");
    Object.assign(this.#weather.network, { loss: 0, delayed: 0, duplicated: 0 });
    Object.assign(this.#weather.loop, { late: 0, stalled: 0 });
    Object.assign(this.#weather.hooks, { slow: 0, failing: 0, hanging: 0 });
  }

  #start(node: NodeId): void {
    if (this.processes[node] !== undefined || this.#downs[node] > 0) return;
    const { scenario } = this;
    const machine = this.machines[node];
    for (const address of machine.addresses) address.endHooks();
    const secret = this.#wrongSecrets[node] > 0 ? "wrong" : RIGHT_SECRET;
    const times = this.#otherTimes[node].at(-1) ?? scenario;
    const isAlone = node === 0 && this.#agenda.now < (scenario.namedAt ?? 0);
    const settings = this.#settingsOf(node).map((known) =>
      isAlone ? { ...known, peer: undefined, peerPriority: 0 } : known,
    );
    for (const address of machine.addresses) address.leaseMs = times.leaseMs;
    this.#changeInvariants.starts(node);
    const life = `${String(++this.#boots)} of ${nameOf(node)}`;
    const process = new Process({
      file: this.fileOf(node),
      settings,
      secret,
      machine,
      agenda: this.#agenda,
      random: new Random(scenario.seed, `life ${life}`),
      disk: new Random(scenario.seed, `disk in life ${life}`),
      conditions: this.#weather.loop,
      mutant: this.#mutant,
      observer: {
        stepped: (elector, input, before, after) => {
          this.#witness?.stepped(this.now, elector, input, before, after);
          this.#invariants[elector.group]!.stepped(elector, input, before, after);
        },
      },
      held: ({ isHeld }) => {
        if (!isHeld) this.truth.movesSince[node] = this.now;
        this.truth.look();
        this.#tell(node, isHeld ? "stands still" : "goes on");
      },
      makeLink: (owner) =>
        new PeerLink({
          owner,
          settings: settings[0]!,
          secret,
          boot: this.#boots,
          agenda: this.#agenda,
          network: this.network,
          findPeer: () => this.processes[otherOf(node)],
          isAlone,
        }),
      makeProber: scenario.arbiter
        ? (answered) =>
            new Prober({
              node,
              agenda: this.#agenda,
              network: this.network,
              intervalMs: arbiterIntervalMs(times.intervalMs),
              answered,
            })
        : undefined,
      takesBack: (order) => this.#changeInvariants.takesBack(node, order),
      forgets: (change) => this.#changeInvariants.forgets(node, change),
      forgotten: (change) => this.#changeInvariants.forgotten(node, change),
      changed: (change) => this.#noteChange(node, change),
      stored: (change) => this.#changeInvariants.stored(node, change),
      replicated: (change) => this.#changeInvariants.replicated(node, change),
      exited: () => {
        this.truth.stops(node);
        this.processes[node] = undefined;
        this.#tell(node, "exited");
        this.#agenda.after(RESTART_MS, () => this.#start(node));
      },
    });
    this.processes[node] = process;
    this.truth.starts(node);
    this.#changeInvariants.started(node);
    if (!this.network.hasCarrier[node]) this.#tellCarrier(node);
    for (const input of this.#conditions[node].values()) {
      this.#agenda.after(this.#random.between(0, NOTICE_MS_MAX), () =>
        process.deliver(() => {
          if ("cause" in input && this.#conditions[node].has(input.cause)) process.input(input);
        }),
      );
    }
  }

  #kill(node: NodeId, { tells }: { readonly tells: boolean }): void {
    this.truth.falls(node);
    this.processes[node]?.kill({ tells });
    this.processes[node] = undefined;
  }

  #up(node: NodeId): void {
    this.#downs[node] -= 1;
    this.#start(node);
  }

  #resolve(target: Target): NodeId {
    if (target === 0 || target === 1) return target;
    const isActive = (node: NodeId): boolean =>
      this.processes[node]?.electors[0]!.state.phase.kind === "active";
    const active = NODES.find(isActive) ?? 0;
    return target === "active" ? active : otherOf(active);
  }

  #strike(fault: Fault): void {
    const node = this.#resolve(fault.on);
    this.#tell(node, JSON.stringify(fault));
    for (const invariants of this.#invariants) invariants.strikes(node, fault);
    const heal = this.#inflict(node, fault);
    this.truth.look();
    if (heal === undefined) return;
    this.#agenda.after(fault.forMs, () => {
      this.#tell(node, `over: ${fault.kind}`);
      for (const invariants of this.#invariants) invariants.heals();
      heal();
      this.truth.look();
    });
  }

  /** Does it, and returns what undoes it. */
  #inflict(node: NodeId, fault: Fault): (() => void) | undefined {
    const { network } = this;
    const process = this.processes[node];
    switch (fault.kind) {
      case "crash":
        this.#kill(node, { tells: true });
        this.#downs[node] += 1;
        return () => this.#up(node);
      case "power off":
        this.#kill(node, { tells: false });
        this.machines[node].reset();
        this.#downs[node] += 1;
        this.#unplug(node, 1);
        return () => {
          this.#unplug(node, -1);
          this.#up(node);
        };
      case "freeze":
        return this.#freeze(node, fault.withChildren);
      case "cable":
        return this.#during((change) => this.#unplug(node, change));
      case "silent port":
        return this.#during((change) => {
          this.#silenced[node] += change;
          network.isPortSilent[node] = this.#silenced[node] > 0;
        });
      case "partition":
        return this.#during((change) => {
          this.#cut(0, change);
          this.#cut(1, change);
        });
      case "one-way cut":
        return this.#during((change) => this.#cut(node, change));
      case "arbiter dies":
        return this.#during((change) => {
          this.#arbiterDeaths += change;
          network.hasArbiter = this.#arbiterDeaths === 0;
        });
      case "arbiter unreachable":
        return this.#during((change) => {
          this.#arbiterCuts[node] += change;
          network.isArbiterCut[node] = this.#arbiterCuts[node] > 0;
        });
      case "wrong secret":
        return this.#during((change) => {
          this.#wrongSecrets[node] += change;
          this.#restart(node);
        });
      case "other times":
        return this.#changeTimes(node, fault);
      case "stop":
        this.#downs[node] += 1;
        process?.deliver(() => process.input({ kind: "stop" }));
        return () => this.#up(node);
      case "fault":
        return this.#afflict(node, (cause) => {
          return { kind: "fault", cause, detail: "simulated", soft: fault.soft };
        });
      case "impaired":
        return this.#afflict(node, (cause) => {
          return { kind: "impaired", cause, detail: "simulated", weight: fault.weight };
        });
      case "reload":
        return this.#during((change) => {
          this.#otherFiles[node] += change;
          this.#reload(node);
        });
      case "backend leaves":
        return this.#during((change) => {
          this.#lessFiles[node] += change;
          this.#reload(node);
        });
      case "address removed":
        this.machines[node].addresses[0]!.remove();
        if (fault.seen)
          process?.deliver(() => process.electors[0]!.input({ kind: "address-gone", reason: "somebody" }));
        return undefined;
      case "switchover":
        process?.deliver(() => process.input({ kind: "switchover", force: fault.force }));
        return undefined;
      case "resume":
        process?.deliver(() => process.input({ kind: "resume" }));
        this.#order(node, `maintenance/${nameOf(node)}`, false);
        return undefined;
      case "standby":
        this.#order(node, `maintenance/${nameOf(node)}`, true);
        if (fault.force)
          process?.deliver(() => {
            const on = process.changes.get(`maintenance/${nameOf(node)}`) === true;
            process.input({ kind: "maintenance", on, force: on });
          });
        return () => this.#order(node, `maintenance/${nameOf(node)}`, false);
      case "drain":
        this.#order(node, DRAIN, true);
        return () => this.#order(this.#random.pick(NODES), DRAIN, false);
    }
  }

  #during(change: (by: 1 | -1) => void): () => void {
    change(1);
    return () => change(-1);
  }

  #freeze(node: NodeId, withChildren: boolean): (() => void) | undefined {
    const process = this.processes[node];
    if (process === undefined) return undefined;
    const hooks = withChildren ? this.machines[node].addresses.flatMap((one) => [...one.hooks]) : [];
    for (const hook of hooks) hook.freeze();
    if (withChildren && process.prober !== undefined) process.prober.isFrozen = true;
    process.hold();
    return () => {
      for (const hook of hooks) hook.thaw();
      if (hooks.some(({ isOver }) => !isOver)) this.truth.hooksThawedAt = this.now;
      if (process.prober !== undefined) process.prober.isFrozen = false;
      process.resume();
    };
  }

  /** The last file that was written counts. */
  #changeTimes(node: NodeId, times: Times): () => void {
    const files = this.#otherTimes[node];
    files.push(times);
    this.#restart(node);
    return () => {
      files.splice(files.indexOf(times), 1);
      this.#restart(node);
    };
  }

  #restart(node: NodeId): void {
    this.#kill(node, { tells: true });
    this.#downs[node] += 1;
    this.#agenda.after(RESTART_MS, () => this.#up(node));
  }

  /** The watches of the node find something, now and after each start until it is over. */
  #afflict(node: NodeId, make: (cause: string) => Input): () => void {
    const cause = `cause ${String(++this.#causes)}`;
    const input = make(cause);
    this.#conditions[node].set(cause, input);
    const process = this.processes[node];
    process?.deliver(() => process.input(input));
    return () => {
      this.#conditions[node].delete(cause);
      const later = this.processes[node];
      later?.deliver(() => later.input({ kind: "recovered", cause }));
    };
  }

  /** The configuration file on the disk of this node. */
  fileOf(node: NodeId): File {
    const isOther = this.#otherFiles[node] > 0 || this.#otherTimes[node].length > 0;
    const hash = isOther ? "another" : CONFIG_HASH;
    const hasBackend = this.#lessFiles[node] === 0;
    return { hash: hasBackend ? hash : `${hash} without ${DRAIN}`, hasBackend };
  }

  /** By group, with both nodes named. */
  #settingsOf(node: NodeId): readonly Settings[] {
    const times = this.#otherTimes[node].at(-1) ?? this.scenario;
    return this.scenario.priorities.map((_, group) => settingsOf(this.scenario, node, { group, times }));
  }

  #reload(node: NodeId): void {
    const process = this.processes[node];
    process?.deliver(() => process.reload(this.fileOf(node)));
  }

  /** An operator orders it on this node, again and again until somebody is there to take the order. */
  #order(node: NodeId, key: string, value: boolean): void {
    const process = this.processes[node];
    if (process === undefined) {
      this.#agenda.after(ORDER_AGAIN_MS, () => this.#order(node, key, value));
      return;
    }
    process.deliver(() => {
      // It is refused where the file does not name it.
      if (key !== DRAIN || process.hasBackend) process.changes.set(key, value);
    });
  }

  #noteChange(node: NodeId, change: Change): void {
    this.#changeInvariants.changed(node, change);
    this.#tell(node, `change ${JSON.stringify(change)}`);
  }

  #unplug(node: NodeId, change: 1 | -1): void {
    this.#unplugged[node] += change;
    this.network.hasCarrier[node] = this.#unplugged[node] === 0;
    this.#agenda.after(this.#random.between(0, NOTICE_MS_MAX), () => this.#tellCarrier(node));
  }

  #tellCarrier(node: NodeId): void {
    const process = this.processes[node];
    process?.deliver(() => {
      if (this.network.hasCarrier[node]) process.input({ kind: "recovered", cause: "interface" });
      else process.input({ kind: "fault", cause: "interface", detail: "no carrier" });
    });
  }

  #cut(node: NodeId, change: 1 | -1): void {
    this.#cuts[node] += change;
    this.network.isCut[node] = this.#cuts[node] > 0;
  }

  #tell(node: NodeId | undefined, what: string): void {
    this.#witness?.happened(this.now, node === undefined ? "-" : nameOf(node), what);
  }
}
