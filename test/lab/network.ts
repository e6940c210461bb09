// The wires of the lab: one network namespace per machine, each with an eth0 whose other end is a port of a
// bridge in a namespace of its own, the switch.
//
//      a          b        client     gateway    backend1   backend2
//   .2 |       .3 |       .10 |       .1 |       .21 |      .22 |        10.77.0.x and fd77::x
//   ---+----------+-----------+----------+-----------+----------+---     switch (a bridge)
//
// What can go wrong with wires, as the bridge can do it:
//
//   cable pulled      the port is taken down: the machine loses its carrier
//   port silenced     the port's state is "disabled": nothing passes, the carrier stays up
//   nodes parted      the ports of both nodes are "isolated": they reach everybody but each other
//
// A direct cable between the nodes, from eth1 to eth1 (10.78.0.2, 10.78.0.3), is a bridge of its own with nothing else on
// it: pulling it takes the carrier from both ends, as it does in life.
//
// Names begin with vl-PID-, so labs of several test files can stand side by side, and what a killed test run
// left behind is found and removed by the next one. A lab that a person keeps has a name without a PID, and
// outlives the process that built it.

import { execFile, spawn, spawnSync, type ChildProcess, type SpawnOptions } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";

const run = promisify(execFile);

const MACHINES = ["a", "b", "client", "gateway", "backend1", "backend2"] as const;
export type Machine = (typeof MACHINES)[number];

/** Last part of the addresses: 10.77.0.N and fd77::N. */
const HOST_PART: Readonly<Record<Machine, number>> = {
  a: 2,
  b: 3,
  client: 10,
  gateway: 1,
  backend1: 21,
  backend2: 22,
};

export type PortTrouble = "cable pulled" | "port silenced" | "parted from the other node";

const SWITCH = "switch";
let networks = 0;

export interface NetworkOptions {
  /** Absent: one of this process's own, which does not outlive it. */
  readonly name?: string;
  /** The two machines that a cable joins, beside the switch; absent: none. */
  readonly directCable?: readonly [Machine, Machine];
}

export function ipv4Of(machine: Machine): string {
  return `10.77.0.${String(HOST_PART[machine])}`;
}

/** On the direct cable. */
export function directIpv4Of(machine: Machine): string {
  return `10.78.0.${String(HOST_PART[machine])}`;
}

export function ipv6Of(machine: Machine): string {
  return `fd77::${String(HOST_PART[machine])}`;
}

/** Builds the namespaces with up() and removes them, and every process in them, with down(). */
export class Network {
  readonly name: string;
  /** It stays when this process ends, and so do the processes that were started in it. */
  readonly isLasting: boolean;
  readonly #directlyJoined: readonly Machine[];
  readonly #onExit = () => {
    this.down();
  };
  readonly #onSignal = () => {
    this.down();
    process.exit(1);
  };

  constructor({ name, directCable }: NetworkOptions = {}) {
    this.isLasting = name !== undefined;
    this.#directlyJoined = directCable ?? [];
    this.name = name ?? `vl-${String(process.pid)}-${String((networks += 1))}`;
  }

  /** The namespace of a machine. */
  namespace(machine: Machine | typeof SWITCH): string {
    return `${this.name}-${machine}`;
  }

  async up(): Promise<void> {
    removeOrphans();
    if (!this.isLasting) {
      process.once("exit", this.#onExit).once("SIGINT", this.#onSignal).once("SIGTERM", this.#onSignal);
    }
    const bridge = this.namespace(SWITCH);
    await ip(`netns add ${bridge}`);
    // Multicast snooping needs a querier, which a switch at home has not either.
    await ip(`-n ${bridge} link add bridge0 type bridge stp_state 0 mcast_snooping 0`);
    await ip(`-n ${bridge} link set bridge0 up`);
    for (const machine of MACHINES) await this.#plugIn(machine, bridge);
    await this.#layDirectCable(bridge);
    await this.exec("gateway", ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
  }

  /** Whether any part of it is there. */
  exists(): boolean {
    return namespaces().some((name) => name.startsWith(`${this.name}-`));
  }

  /** Kills every process in the namespaces and removes them. Never throws; can be called at any time, also twice. */
  down(): void {
    process.off("exit", this.#onExit).off("SIGINT", this.#onSignal).off("SIGTERM", this.#onSignal);
    for (const machine of [...MACHINES, SWITCH] as const) removeNamespace(this.namespace(machine));
  }

  /** `ip COMMAND` in the namespace of a machine; resolves to its stdout. */
  ip(machine: Machine, command: string): Promise<string> {
    return ip(`-n ${this.namespace(machine)} ${command}`);
  }

  /** Runs a command to its end; rejects with its stderr when it fails or takes longer than 30 s. */
  async exec(machine: Machine, argv: readonly string[]): Promise<string> {
    const { stdout } = await run("ip", ["netns", "exec", this.namespace(machine), ...argv], {
      timeout: 30_000,
    });
    return stdout;
  }

  /** Starts a command; the pid of the child is that of the command. */
  spawn(machine: Machine, argv: readonly string[], options: SpawnOptions): ChildProcess {
    const command = ["netns", "exec", this.namespace(machine), ...argv];
    const child = spawn("ip", command, { ...options, detached: this.isLasting });
    if (this.isLasting) child.unref();
    return child;
  }

  /** Starts a command that has this process's terminal and ends before it. */
  spawnHere(machine: Machine, argv: readonly string[]): ChildProcess {
    return spawn("ip", ["netns", "exec", this.namespace(machine), ...argv], { stdio: "inherit" });
  }

  /** Every process in the namespace of a machine, also `ip -n` commands that look into it from outside. */
  async pids(machine: Machine): Promise<number[]> {
    return numbersIn(await ip(`netns pids ${this.namespace(machine)}`));
  }

  /** What is wrong with a machine's port of the switch; empty when nothing is. */
  async portTroubles(machine: Machine): Promise<PortTrouble[]> {
    const listed = await call(
      "bridge",
      `-n ${this.namespace(SWITCH)} -json -details link show dev ${machine}`,
    );
    const [port] = JSON.parse(listed) as {
      readonly flags: readonly string[];
      readonly state: string;
      readonly isolated: boolean;
    }[];
    if (port === undefined) throw new Error(`the switch has no port for ${machine}`);
    const isPulled = !port.flags.includes("UP");
    return [
      ...(isPulled ? (["cable pulled"] as const) : []),
      // A port that is down is always disabled.
      ...(!isPulled && port.state === "disabled" ? (["port silenced"] as const) : []),
      ...(port.isolated ? (["parted from the other node"] as const) : []),
    ];
  }

  /** Whether the machine has its interface, which it loses with its power. */
  async hasPower(machine: Machine): Promise<boolean> {
    const [link] = JSON.parse(await this.ip(machine, "-json link show dev eth0")) as {
      readonly flags: readonly string[];
    }[];
    return link?.flags.includes("UP") === true;
  }

  async pullCable(machine: Machine): Promise<void> {
    await this.#switch(`link set dev ${machine} down`);
  }

  async plugCable(machine: Machine): Promise<void> {
    await this.#switch(`link set dev ${machine} up`);
  }

  /** Nothing happens where there is none. */
  async pullDirectCable(): Promise<void> {
    for (const machine of this.#directlyJoined) await this.#switch(`link set dev direct-${machine} down`);
  }

  async plugDirectCable(): Promise<void> {
    for (const machine of this.#directlyJoined) await this.#switch(`link set dev direct-${machine} up`);
  }

  async silencePort(machine: Machine): Promise<void> {
    await this.#setPort(machine, "state disabled");
  }

  /** The cable must be plugged in: a port that is down has no state that could be set. */
  async wakePort(machine: Machine): Promise<void> {
    await this.#setPort(machine, "state forwarding");
  }

  /** Parted machines reach everybody but each other. */
  async part(machines: readonly Machine[]): Promise<void> {
    for (const machine of machines) await this.#setPort(machine, "isolated on");
  }

  async join(machines: readonly Machine[]): Promise<void> {
    for (const machine of machines) await this.#setPort(machine, "isolated off");
  }

  /** What a machine loses with its power, besides its processes. */
  async takeAddresses(machine: Machine): Promise<void> {
    await this.ip(machine, "link set dev eth0 down");
    await this.ip(machine, "addr flush dev eth0");
  }

  /** The addresses and the route of a machine that boots; nothing happens to one that has them. */
  async giveAddresses(machine: Machine): Promise<void> {
    const isGateway = machine === "gateway";
    await this.ip(machine, `addr replace ${ipv4Of(machine)}/24 dev eth0`);
    await this.ip(machine, `addr replace ${ipv6Of(machine)}/64 dev eth0 nodad`);
    await this.ip(machine, "link set dev eth0 up");
    if (!isGateway) await this.ip(machine, `route replace default via ${ipv4Of("gateway")}`);
  }

  async #plugIn(machine: Machine, bridge: string): Promise<void> {
    const namespace = this.namespace(machine);
    await ip(`netns add ${namespace}`);
    await ip(`link add eth0 netns ${namespace} type veth peer name ${machine} netns ${bridge}`);
    await this.#switch(`link set dev ${machine} master bridge0 up`);
    await this.ip(machine, "link set lo up");
    await this.giveAddresses(machine);
  }

  async #layDirectCable(bridge: string): Promise<void> {
    if (this.#directlyJoined.length > 0) await this.#switch("link add direct type bridge stp_state 0");
    for (const machine of this.#directlyJoined) {
      const port = `direct-${machine}`;
      await ip(`link add eth1 netns ${this.namespace(machine)} type veth peer name ${port} netns ${bridge}`);
      await this.#switch(`link set dev ${port} master direct up`);
      await this.ip(machine, `addr add ${directIpv4Of(machine)}/24 dev eth1`);
      await this.ip(machine, "link set dev eth1 up");
    }
    if (this.#directlyJoined.length > 0) await this.#switch("link set dev direct up");
  }

  async #switch(command: string): Promise<void> {
    await ip(`-n ${this.namespace(SWITCH)} ${command}`);
  }

  async #setPort(machine: Machine, setting: string): Promise<void> {
    await call("bridge", `-n ${this.namespace(SWITCH)} link set dev ${machine} ${setting}`);
  }
}

async function ip(command: string): Promise<string> {
  return call("ip", command);
}

/** None of the words of these commands holds a space. */
async function call(program: "ip" | "bridge", command: string): Promise<string> {
  const { stdout } = await run(program, command.split(" "), { timeout: 10_000 });
  return stdout;
}

function namespaces(): string[] {
  const { stdout } = spawnSync("ip", ["netns", "list"], { encoding: "utf8" });
  return stdout.split("\n").map((line) => line.split(" ")[0] ?? "");
}

function numbersIn(text: string): number[] {
  return text.split(/\s+/).filter(Boolean).map(Number);
}

/** Networks whose makers have gone without taking them down. */
function removeOrphans(): void {
  for (const name of namespaces()) {
    const maker = /^vl-(\d+)-/.exec(name)?.[1];
    if (maker !== undefined && !existsSync(`/proc/${maker}`)) removeNamespace(name);
  }
}

/** Synchronous, because it must also work while this process ends. */
function removeNamespace(name: string): void {
  const { stdout, status } = spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" });
  if (status !== 0) return;
  for (const pid of numbersIn(stdout)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // Has ended by itself.
    }
  }
  spawnSync("ip", ["netns", "del", name]);
}
