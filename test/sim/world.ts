// A simulated pair: two machines, the network between them, and a client's view of it; faults happen to
// them as the scenario says. Everything the run does comes out of its seed.

import type { Input, State, Step } from "../../src/election/state.ts";
import { Agenda } from "./agenda.ts";
import { Invariants, type View } from "./invariants.ts";
import { Machine, type HookConditions } from "./machine.ts";
import { Network, type NetworkConditions, NODES, type NodeId, otherOf } from "./network.ts";
import { PeerLink } from "./peer-link.ts";
import { type LoopConditions, type Mutant, Process } from "./process.ts";
import { Random } from "./random.ts";
import type { Fault, Scenario, Target } from "./scenario.ts";

const RIGHT_SECRET = "right";
const CARRIER_NOTICE_MS = 200;
const RESTART_MS = 100;

/** Hears all that happens, for people. */
export interface Witness {
  stepped(
    now: number,
    process: Process,
    input: Input | "start",
    before: State | undefined,
    after: Step,
  ): void;
  happened(now: number, who: string, what: string): void;
}

export class SimWorld implements View {
  readonly scenario: Scenario;
  readonly machines: readonly [Machine, Machine];
  readonly processes: [Process | undefined, Process | undefined] = [undefined, undefined];
  readonly invariants: Invariants;
  arp: NodeId | undefined;
  isTogether = true;
  togetherSince = 0;
  disturbedAt = 0;
  resumedAt = 0;
  hooksThawedAt = -Infinity;
  heldUpAt = -Infinity;
  readonly #agenda = new Agenda();
  readonly #random: Random;
  readonly #network: Network;
  readonly #mutant: Mutant | undefined;
  readonly #witness: Witness | undefined;
  readonly #weather: { network: NetworkConditions; loop: LoopConditions; hooks: HookConditions };
  /** By node, how many faults of a kind are on. */
  readonly #downs: [number, number] = [1, 1];
  readonly #unplugged: [number, number] = [0, 0];
  readonly #silenced: [number, number] = [0, 0];
  readonly #cuts: [number, number] = [0, 0];
  readonly #wrongSecrets: [number, number] = [0, 0];
  #boots = 0;

  constructor(scenario: Scenario, options: { readonly mutant?: Mutant; readonly witness?: Witness } = {}) {
    this.scenario = scenario;
    this.#random = new Random(scenario.seed + 0x5eed);
    this.#mutant = options.mutant;
    this.#witness = options.witness;
    this.#weather = {
      network: { ...scenario.network },
      loop: { ...scenario.loop },
      hooks: { ...scenario.hooks },
    };
    this.#network = new Network(this.#agenda, this.#random, this.#weather.network, () => {
      this.#disturb();
      this.heldUpAt = this.now;
    });
    this.machines = [this.#makeMachine(0), this.#makeMachine(1)];
    this.invariants = new Invariants(this);
  }

  get now(): number {
    return this.#agenda.now;
  }

  /** Throws a Violation when something does not hold. */
  run(): void {
    const { startsAt, events, healedAt, isSteady, settings } = this.scenario;
    for (const node of NODES) this.#agenda.at(startsAt[node], () => this.#up(node));
    for (const { time, fault } of events) this.#agenda.at(time, () => this.#strike(fault));
    this.#agenda.at(healedAt, () => {
      if (!isSteady) this.#clearWeather();
    });
    const { leaseMs, intervalMs } = settings[0];
    const staysMs = Math.max(1.5 * leaseMs, 10 * intervalMs, 2000);
    const isOver = (): boolean =>
      this.#agenda.now >= healedAt && (isSteady || this.invariants.settledMs >= staysMs);
    while (!isOver()) {
      this.#agenda.advance(this.#agenda.now + 1000);
      this.invariants.check();
    }
  }

  #makeMachine(node: NodeId): Machine {
    const machine = new Machine(node, {
      agenda: this.#agenda,
      random: this.#random,
      leaseMs: this.scenario.settings[node].leaseMs,
      hooks: this.#weather.hooks,
      isAnswered: (asking) => this.#network.passesBothWays() && this.machines[otherOf(asking)].holdsAddress,
      announced: (who) => {
        if (!this.#network.isOnLan(who)) return;
        this.arp = who;
        this.#tell(who, "announced");
      },
      addressChanged: (who, what) => this.#tell(who, `address ${what}`),
    });
    machine.renewCreates = this.#mutant === "renews an expired lease";
    return machine;
  }

  #clearWeather(): void {
    this.#tell(undefined, "the weather clears");
    this.#weather.network = Object.assign(this.#weather.network, { loss: 0 });
    this.#weather.loop = Object.assign(this.#weather.loop, { late: 0, stalled: 0 });
    this.#weather.hooks = Object.assign(this.#weather.hooks, { slow: 0, failing: 0, hanging: 0 });
  }

  #start(node: NodeId): void {
    if (this.processes[node] !== undefined || this.#downs[node] > 0) return;
    const machine = this.machines[node];
    // systemd ends what is left of the former life before it starts the next.
    for (const hook of machine.hooks) hook.kill();
    machine.hooks.clear();
    const secret = this.#wrongSecrets[node] > 0 ? "wrong" : RIGHT_SECRET;
    this.#disturb();
    this.resumedAt = this.now;
    const process = new Process({
      settings: this.scenario.settings[node],
      secret,
      machine,
      agenda: this.#agenda,
      random: this.#random,
      loop: this.#weather.loop,
      mutant: this.#mutant,
      observer: {
        stepped: (who, input, before, after) => {
          this.#witness?.stepped(this.now, who, input, before, after);
          this.invariants.stepped(who, input, before, after);
        },
        held: (who) => {
          this.#disturb();
          this.resumedAt = this.now;
          this.#tell(who.node, who.isHeld ? "stands still" : "goes on");
        },
      },
      makeLink: (owner) =>
        new PeerLink({
          owner,
          settings: this.scenario.settings[node],
          secret,
          boot: ++this.#boots,
          agenda: this.#agenda,
          network: this.#network,
          findPeer: () => this.processes[otherOf(node)],
          disturbed: () => this.#disturb(),
        }),
      exited: () => {
        this.processes[node] = undefined;
        this.#disturb();
        this.#tell(node, "exited");
        this.#agenda.after(RESTART_MS, () => this.#start(node));
      },
    });
    this.processes[node] = process;
    this.#noteTogether();
    if (!this.#network.hasCarrier[node]) this.#tellCarrier(node);
  }

  #kill(node: NodeId, { tells }: { readonly tells: boolean }): void {
    this.processes[node]?.kill({ tells });
    this.processes[node] = undefined;
  }

  #down(node: NodeId): void {
    this.#downs[node] += 1;
  }

  #up(node: NodeId): void {
    this.#downs[node] -= 1;
    this.#start(node);
  }

  #resolve(target: Target): NodeId {
    if (target === 0 || target === 1) return target;
    const active = NODES.find((node) => this.processes[node]?.state.phase.kind === "active") ?? 0;
    return target === "active" ? active : otherOf(active);
  }

  #strike(fault: Fault): void {
    const node = this.#resolve(fault.on);
    this.#tell(node, `fault: ${fault.kind}${fault.forMs > 0 ? ` for ${fault.forMs.toFixed(0)} ms` : ""}`);
    const stopsService = ["crash", "freeze", "power off", "cable", "silent port"].includes(fault.kind);
    if (stopsService) this.invariants.expectTakeover(node, fault.kind);
    else this.invariants.expectNothing();
    this.#disturb();
    const heal = this.#inflict(node, fault);
    this.#noteTogether();
    if (heal === undefined) return;
    this.#agenda.after(fault.forMs, () => {
      this.#tell(node, `over: ${fault.kind}`);
      this.invariants.expectNothing();
      this.#disturb();
      heal();
      this.#noteTogether();
    });
  }

  /** Does it, and returns what undoes it. */
  #inflict(node: NodeId, fault: Fault): (() => void) | undefined {
    const process = this.processes[node];
    switch (fault.kind) {
      case "crash":
        this.#kill(node, { tells: true });
        this.#down(node);
        return () => this.#up(node);
      case "power off":
        this.#kill(node, { tells: false });
        this.machines[node].reset();
        this.#down(node);
        this.#unplug(node, 1);
        return () => {
          this.#unplug(node, -1);
          this.#up(node);
        };
      case "freeze":
        return this.#freeze(node, fault.withHooks);
      case "cable":
        this.#unplug(node, 1);
        return () => this.#unplug(node, -1);
      case "silent port":
        this.#silence(node, 1);
        return () => this.#silence(node, -1);
      case "partition":
        this.#cut(0, 1);
        this.#cut(1, 1);
        return () => {
          this.#cut(0, -1);
          this.#cut(1, -1);
        };
      case "one-way cut":
        this.#cut(node, 1);
        return () => this.#cut(node, -1);
      case "wrong secret":
        this.#restart(node, 1);
        return () => this.#restart(node, -1);
      case "stop":
        this.#down(node);
        process?.deliver(() => process.input({ kind: "stop" }));
        return () => this.#up(node);
      case "switchover":
        process?.deliver(() => process.input({ kind: "switchover" }));
        return undefined;
      case "address removed":
        this.machines[node].removeAddress();
        return undefined;
    }
  }

  #freeze(node: NodeId, withHooks: boolean): (() => void) | undefined {
    const process = this.processes[node];
    if (process === undefined) return undefined;
    const hooks = withHooks ? [...this.machines[node].hooks] : [];
    for (const hook of hooks) hook.freeze();
    process.hold();
    return () => {
      for (const hook of hooks) hook.thaw();
      if (hooks.some(({ isOver }) => !isOver)) this.hooksThawedAt = this.now;
      process.resume();
    };
  }

  #restart(node: NodeId, change: 1 | -1): void {
    this.#wrongSecrets[node] += change;
    this.#kill(node, { tells: true });
    this.#down(node);
    this.#agenda.after(RESTART_MS, () => this.#up(node));
  }

  #unplug(node: NodeId, change: 1 | -1): void {
    this.#unplugged[node] += change;
    this.#network.hasCarrier[node] = this.#unplugged[node] === 0;
    this.#agenda.after(this.#random.between(0, CARRIER_NOTICE_MS), () => this.#tellCarrier(node));
  }

  #tellCarrier(node: NodeId): void {
    const process = this.processes[node];
    process?.deliver(() => {
      if (this.#network.hasCarrier[node]) process.input({ kind: "recovered", cause: "interface" });
      else process.input({ kind: "fault", cause: "interface", detail: "no carrier" });
    });
  }

  #silence(node: NodeId, change: 1 | -1): void {
    this.#silenced[node] += change;
    this.#network.isPortSilent[node] = this.#silenced[node] > 0;
  }

  #cut(node: NodeId, change: 1 | -1): void {
    this.#cuts[node] += change;
    this.#network.isCut[node] = this.#cuts[node] > 0;
  }

  #noteTogether(): void {
    const [a, b] = this.processes;
    const shareSecret = a === undefined || b === undefined || a.secret === b.secret;
    const isTogether = this.#network.passesBothWays() && shareSecret;
    if (isTogether && !this.isTogether) this.togetherSince = this.now;
    this.isTogether = isTogether;
  }

  #disturb(): void {
    this.disturbedAt = this.now;
  }

  #tell(node: NodeId | undefined, what: string): void {
    const who = node === undefined ? "-" : this.scenario.settings[node].node;
    this.#witness?.happened(this.now, who, what);
  }
}
