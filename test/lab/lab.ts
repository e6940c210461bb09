// A whole pair in a network of its own: nodes a and b with real hooks, kernel leases and workers, two backends,
// a client that measures, and the faults that befall machines. A test says what happens to which node and
// looks at what the client saw; everything between is here.

import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Role, Status } from "../../src/protocol/status.ts";
import { waitUntil } from "../support/wait-until.ts";
import { AddressWatch } from "./address-watch.ts";
import { startBackends } from "./backends.ts";
import { type LabConfig, VIP, writeConfig } from "./lab-config.ts";
import { Meter } from "./meter.ts";
import { type Machine, Network } from "./network.ts";
import { NodeProcesses, signalAll } from "./node-processes.ts";

export const NODES = ["a", "b"] as const;
export type Node = (typeof NODES)[number];

/** The default lease, which the configuration of the lab does not change. */
export const LEASE_MS = 2000;

/** Root's alone, and empty after a boot. */
const PARENT_FOLDER = "/run";

/** The arbiter is asked at least once a second. */
const ARBITER_FRESH_MS = 1500;
const RECENT_LINES = 60;

export interface LabOptions extends LabConfig {
  /** A lab of this name outlives the process that builds it, and is found by it. Absent: it ends with us. */
  readonly name?: string;
  /** Addresses to watch from the beginning; absent: VIP. */
  readonly watched?: readonly [string, ...string[]];
}

export function otherNode(node: Node): Node {
  return node === "a" ? "b" : "a";
}

/** up() builds it, down() removes every trace; between them one pair runs, is hurt and recovers. */
export class Lab {
  readonly network: Network;
  readonly watch: AddressWatch;
  readonly nodes: Readonly<Record<Node, NodeProcesses>>;
  readonly #options: LabOptions;
  readonly folder: string;
  readonly #removeFolder = () => {
    rmSync(this.folder, { recursive: true, force: true });
  };

  constructor(options: LabOptions = {}) {
    this.#options = options;
    const { name, directCable = false } = options;
    this.network = new Network({
      ...(name !== undefined && { name }),
      ...(directCable && { directCable: NODES }),
    });
    this.folder = join(PARENT_FOLDER, `vipair-lab-${this.network.name}`);
    this.watch = new AddressWatch(options.watched ?? [VIP]);
    const { network } = this;
    const processesOf = (node: Node) =>
      new NodeProcesses({ node, network, folder: this.folder, observers: () => this.watch.pids });
    this.nodes = { a: processesOf("a"), b: processesOf("b") };
  }

  /** Network, backends and files; starts no node yet. One that lasts has no watch. */
  async up(): Promise<void> {
    if (!this.network.isLasting) process.once("exit", this.#removeFolder);
    // What a killed run of the same pid may have left.
    this.#removeFolder();
    mkdirSync(this.folder, { mode: 0o700 });
    writeConfig(this.folder, this.#options);
    await this.network.up();
    if (!this.network.isLasting) {
      this.watch.open({ a: this.network.namespace("a"), b: this.network.namespace("b") });
    }
    await startBackends(this.network, this.folder);
    this.#noteNeighbours();
  }

  async down(): Promise<void> {
    await this.watch.close();
    this.network.down();
    this.#removeFolder();
    process.off("exit", this.#removeFolder);
  }

  /** What the client's neighbour table learns, and when: the other half of every story about a claim. */
  #noteNeighbours(): void {
    const log = openSync(join(this.folder, "client.log"), "w");
    const argv = ["ip", "-timestamp", "monitor", "neigh"];
    this.network.spawn("client", argv, { stdio: ["ignore", log, log] });
    closeSync(log);
  }

  // ------------------------------------------------------------ faults of processes

  /** SIGKILL to the control process, its workers and its hooks, all at once. Resolves to the moment of it. */
  async killEverything(node: Node): Promise<number> {
    const atMs = signalAll(await this.nodes[node].allPids(), "SIGKILL");
    await this.nodes[node].gone();
    return atMs;
  }

  /** SIGKILL to the control process alone. */
  async killControl(node: Node): Promise<number> {
    const atMs = this.#signalControl(node, "SIGKILL");
    await this.nodes[node].gone();
    return atMs;
  }

  /** SIGKILL to one worker that serves, or to all of them and the spare one. Resolves when others have taken their places. */
  async killWorkers(node: Node, which: "one" | "all"): Promise<number> {
    const workers = (await this.status(node))?.workers ?? [];
    const [one] = workers;
    if (one === undefined) throw new Error(`${node} has no worker to kill`);
    const killed = which === "one" ? [one.pid] : this.nodes[node].workerPids();
    const atMs = signalAll(killed, "SIGKILL");
    await waitUntil(
      async () => {
        const now = await this.status(node);
        return (
          now?.workers.length === workers.length &&
          now.workers.every(({ pid }) => !killed.includes(pid)) &&
          now.listeners.every(({ open }) => open)
        );
      },
      { what: `new workers on ${node}`, withinMs: 5000 },
    );
    return atMs;
  }

  /** SIGTERM to the control process; resolves at once, the node ends later. */
  terminate(node: Node): number {
    return this.#signalControl(node, "SIGTERM");
  }

  /** SIGSTOP to everything: the machine still answers pings, its processes do nothing. */
  async freeze(node: Node): Promise<number> {
    return signalAll(await this.nodes[node].allPids(), "SIGSTOP");
  }

  async thaw(node: Node): Promise<number> {
    return signalAll(await this.nodes[node].allPids(), "SIGCONT");
  }

  #signalControl(node: Node, signal: NodeJS.Signals): number {
    const pid = this.nodes[node].controlPid();
    if (pid === undefined) throw new Error(`no vipair runs on ${node}`);
    return signalAll([pid], signal);
  }

  // ------------------------------------------------------------ faults of machines and wires

  async pullCable(machine: Machine): Promise<number> {
    const atMs = performance.now();
    await this.network.pullCable(machine);
    return atMs;
  }

  async plugCable(machine: Machine): Promise<void> {
    await this.network.plugCable(machine);
  }

  /** Between the nodes; needs `directCable`. The nodes lose its carrier, and have the switch still. */
  async pullDirectCable(): Promise<number> {
    const atMs = performance.now();
    await this.network.pullDirectCable();
    return atMs;
  }

  async plugDirectCable(): Promise<void> {
    await this.network.plugDirectCable();
  }

  /** The port of the switch passes nothing any more; the node has a carrier all the time. */
  async silencePort(node: Node): Promise<number> {
    const atMs = performance.now();
    await this.network.silencePort(node);
    return atMs;
  }

  async wakePort(node: Node): Promise<void> {
    await this.network.wakePort(node);
  }

  /** Link, processes and addresses go together. */
  async powerOff(node: Node): Promise<number> {
    const atMs = await this.pullCable(node);
    await this.pullDirectCable();
    await this.killEverything(node);
    await this.network.takeAddresses(node);
    return atMs;
  }

  /** The machine boots, and its vipair with it. */
  async powerOn(node: Node): Promise<void> {
    await this.plugCable(node);
    await this.plugDirectCable();
    await this.network.giveAddresses(node);
    this.startNode(node);
  }

  /** The nodes do not reach each other; each reaches everybody else. */
  async part(): Promise<number> {
    const atMs = performance.now();
    await this.network.part(NODES);
    return atMs;
  }

  async join(): Promise<void> {
    await this.network.join(NODES);
  }

  /** As a person would, or another program on the machine. Resolves to the moment before. */
  async deleteAddress(node: Node, address: string = VIP): Promise<number> {
    const family = address.includes(":") ? "-6" : "-4";
    const listed = await this.network.ip(node, `-o ${family} addr show dev eth0 to ${address}`);
    const [, withPrefix] = /inet6? (\S+)/.exec(listed) ?? [];
    if (withPrefix === undefined) throw new Error(`${address} is not on ${node}`);
    const atMs = performance.now();
    await this.network.ip(node, `addr del ${withPrefix} dev eth0`);
    return atMs;
  }

  /**
   * What a program of the lab's does from now on at this node: the hook when it is called with this action (needs
   * `mischief`), `hooks/check` as a tracked check, `hooks/on-...` as notify hooks.
   */
  tellHook(
    node: Node,
    action: "claim" | "renew" | "release" | "announce" | "check" | "notify",
    order: "fail" | "hang" | "work",
  ): void {
    const file = join(this.folder, "hooks", `${node}.${action}`);
    if (order === "work") rmSync(file, { force: true });
    else writeFileSync(file, order);
  }

  // ------------------------------------------------------------ what a person would type

  startNode(node: Node): void {
    this.nodes[node].start();
  }

  async vipair(node: Node, ...args: readonly string[]): Promise<string> {
    return this.nodes[node].vipair(...args);
  }

  // ------------------------------------------------------------ what there is to see

  isRunning(node: Node): boolean {
    return this.nodes[node].isRunning();
  }

  logOf(node: Node): string[] {
    return this.nodes[node].log();
  }

  /** The last of what both nodes wrote and what the client learnt, for people. */
  recentLogs(): string {
    const client = readFileSync(join(this.folder, "client.log"), "utf8").split("\n");
    const logs = { a: this.logOf("a"), b: this.logOf("b"), client };
    return Object.entries(logs)
      .map(([machine, lines]) => `--- ${machine}\n${lines.slice(-RECENT_LINES).join("\n")}`)
      .join("\n");
  }

  async status(node: Node): Promise<Status | undefined> {
    return this.nodes[node].status();
  }

  /** The nodes whose interface has the address now: what the kernel says, whatever the nodes believe. */
  async holders(address: string = VIP): Promise<Node[]> {
    const holders: Node[] = [];
    for (const node of NODES) {
      const stdout = await this.network.ip(node, "-json addr show dev eth0");
      const interfaces = JSON.parse(stdout) as {
        readonly addr_info?: readonly { readonly local?: string }[];
      }[];
      const addresses = interfaces.flatMap((one) => one.addr_info ?? []);
      if (addresses.some(({ local }) => local === address)) holders.push(node);
    }
    return holders;
  }

  /** True when the client's neighbour table leads the address to this node. */
  async clientReaches(node: Node, address: string = VIP): Promise<boolean> {
    const link = JSON.parse(await this.network.ip(node, "-json link show dev eth0")) as { address: string }[];
    const neighbours = JSON.parse(
      await this.network.ip("client", `-json neigh show ${address} dev eth0`),
    ) as {
      lladdr?: string;
    }[];
    return neighbours[0]?.lladdr === link[0]?.address;
  }

  async waitForRole(node: Node, role: Role, { withinMs }: { readonly withinMs: number }): Promise<Status> {
    return waitUntil(
      async () => {
        const status = await this.status(node);
        return status?.role === role && status;
      },
      { what: `${node} to be ${role}`, withinMs },
    );
  }

  /** Ends every fault that can be ended from outside, and starts what does not run. */
  async repair(): Promise<void> {
    await Promise.all([this.plugCable("gateway"), this.plugDirectCable(), this.join()]);
    await Promise.all(NODES.map(async (node) => this.#repairNode(node)));
  }

  async #repairNode(node: Node): Promise<void> {
    await this.plugCable(node);
    await this.wakePort(node);
    await this.network.giveAddresses(node);
    await this.thaw(node);
    if (!this.isRunning(node)) this.startNode(node);
  }

  /**
   * Repairs what is broken and waits until the pair is at rest: one active that alone holds the address, one
   * standby that is in touch with it and ready to take over, all backends up.
   */
  async settle(): Promise<{ readonly active: Node; readonly standby: Node }> {
    await this.repair();
    let seen: unknown;
    return waitUntil(
      async () => {
        for (const node of NODES) {
          if (!this.isRunning(node))
            throw new Error(`${node} has ended: ${this.logOf(node).slice(-10).join("\n")}`);
        }
        const [a, b] = [await this.status("a"), await this.status("b")];
        seen = { a, b };
        if (a === undefined || b === undefined || !isWell(a) || !isWell(b)) return undefined;
        const active = NODES.find((node) => (node === "a" ? a : b).role === "active");
        if (active === undefined) return undefined;
        const standby = otherNode(active);
        if ((standby === "a" ? a : b).role !== "standby") return undefined;
        const holders = await this.holders();
        return holders.length === 1 && holders[0] === active ? { active, standby } : undefined;
      },
      { what: "the pair to come to rest", withinMs: 20_000, everyMs: 50 },
    ).catch((error: unknown) => {
      throw new Error(`it ended with ${JSON.stringify(seen)}`, { cause: error });
    });
  }

  /** A new connection from the client machine to the address each 5 ms, from now until down(). */
  async startMeter(host: string = VIP): Promise<Meter> {
    return Meter.start(this.network, "client", { host, port: 80 });
  }
}

/**
 * A node that gives a reason is not at rest: it still starts, or listens before it may claim. Without the
 * arbiter's word a standby would not take over from silence.
 */
function isWell(status: Status): boolean {
  return (
    status.reason === null &&
    status.peer?.connected === true &&
    status.peer.role !== "unknown" &&
    (status.arbiter?.lastAnswerMs ?? Infinity) < ARBITER_FRESH_MS &&
    status.pools.every((pool) => pool.backends.every((backend) => backend.state === "up"))
  );
}
