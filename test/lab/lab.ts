// A whole pair in a network of its own: nodes a and b with real hooks, kernel leases and workers, two backends,
// a client that measures, and the faults that befall machines. A test says what happens to which node and
// looks at what the client saw; everything between is here.

import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import type { ChildProcess } from "node:child_process";
import { ADMIN_PATHS, ADMIN_SOCKET } from "../../src/protocol/admin.ts";
import type { Role, Status } from "../../src/protocol/status.ts";
import { waitUntil } from "../support/wait-until.ts";
import { AddressWatch } from "./address-watch.ts";
import { Meter } from "./meter.ts";
import { ipv4Of, Network } from "./network.ts";

export const NODES = ["a", "b"] as const;
export type Node = (typeof NODES)[number];

export const VIP = "10.77.0.100";
export const VIP6 = "fd77::100";
/** The default lease, which the configuration of the lab does not change. */
export const LEASE_MS = 2000;

const LAUNCHER = join(import.meta.dirname, "../../scripts/vipair");
const BACKEND = join(import.meta.dirname, "../support/backend.ts");
const BACKENDS = ["backend1", "backend2"] as const;
/** Root's alone down to the root of the file system, because vipair refuses hooks and secrets that others could write. */
const PARENT_FOLDER = "/run";
const STATUS_TIMEOUT_MS = 1000;

export interface LabOptions {
  readonly virtualAddresses?: readonly string[];
  readonly bind?: string;
  /** Lines under `pair:`, indented by two: what a test changes from the defaults. */
  readonly pair?: string;
}

export function otherNode(node: Node): Node {
  return node === "a" ? "b" : "a";
}

function configOf({ virtualAddresses = [`${VIP}/24`], bind = "0.0.0.0:80", pair = "" }: LabOptions): string {
  return `
pair:
  nodes:
    a: { address: ${ipv4Of("a")}, priority: 150 }
    b: { address: ${ipv4Of("b")}, priority: 100 }
  secretFile: secret
${pair}
virtualAddresses:
${virtualAddresses.map((address) => `  - { address: "${address}", interface: eth0 }`).join("\n")}
listeners:
  - name: web
    bind: "${bind}"
    routes: [{ pool: web }]
pools:
  web:
    backends: [${BACKENDS.map((machine) => `"${ipv4Of(machine)}:8080"`).join(", ")}]
    health: { kind: http, path: /health }
`;
}

/** up() builds it, down() removes every trace; between them one pair runs, is hurt and recovers. */
export class Lab {
  readonly network = new Network();
  readonly watch: AddressWatch;
  readonly #options: LabOptions;
  readonly #nodes = new Map<Node, ChildProcess>();
  readonly #removeFolder = () => {
    if (this.#folder !== "") rmSync(this.#folder, { recursive: true, force: true });
  };
  #folder = "";

  constructor(options: LabOptions = {}) {
    this.#options = options;
    this.watch = new AddressWatch(VIP);
  }

  /** Network, backends and files; starts no node yet. */
  async up(): Promise<void> {
    await this.network.up();
    process.once("exit", this.#removeFolder);
    this.#folder = mkdtempSync(join(PARENT_FOLDER, "vipair-lab-"));
    writeFileSync(join(this.#folder, "vipair.yaml"), configOf(this.#options), { mode: 0o600 });
    writeFileSync(join(this.#folder, "secret"), "the secret of the lab, known to all\n", { mode: 0o600 });
    this.watch.open({ a: this.network.namespace("a"), b: this.network.namespace("b") });
    for (const machine of BACKENDS) {
      const argv = [process.execPath, BACKEND, machine, "::", "8080"];
      const backend = this.network.spawn(machine, argv, { stdio: ["ignore", "pipe", "inherit"] });
      if (backend.stdout === null) throw new Error("stdout is a pipe");
      await once(backend.stdout, "data", { signal: AbortSignal.timeout(10_000) });
    }
  }

  async down(): Promise<void> {
    await this.watch.close();
    this.network.down();
    this.#removeFolder();
    process.off("exit", this.#removeFolder);
  }

  /** Starts the control process of a node. Its log goes to a file, which logOf() reads. */
  startNode(node: Node): void {
    const log = openSync(join(this.#folder, `${node}.log`), "a");
    const options = {
      config: join(this.#folder, "vipair.yaml"),
      node,
      "runtime-dir": this.runtimeFolder(node),
    };
    const argv = [
      LAUNCHER,
      "run",
      ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
    ];
    const child = this.network.spawn(node, argv, { stdio: ["ignore", log, log] });
    closeSync(log);
    this.#nodes.set(node, child);
  }

  runtimeFolder(node: Node): string {
    return join(this.#folder, node);
  }

  /** Lines of everything the node's processes wrote, since the lab is up. */
  logOf(node: Node): string[] {
    try {
      return readFileSync(join(this.#folder, `${node}.log`), "utf8").split("\n");
    } catch {
      return [];
    }
  }

  isRunning(node: Node): boolean {
    const child = this.#nodes.get(node);
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  // ------------------------------------------------------------ faults

  /** SIGKILL to the control process, its workers and its hooks, all at once. Resolves to the moment of it. */
  async killEverything(node: Node): Promise<number> {
    const child = this.#nodes.get(node);
    const gone = child !== undefined && this.isRunning(node) ? once(child, "exit") : undefined;
    const atMs = await this.#signal(node, "SIGKILL");
    await gone;
    return atMs;
  }

  /** SIGSTOP to the same: the machine still answers pings, its processes do nothing. */
  async freeze(node: Node): Promise<number> {
    return this.#signal(node, "SIGSTOP");
  }

  async thaw(node: Node): Promise<number> {
    return this.#signal(node, "SIGCONT");
  }

  async pullCable(node: Node): Promise<number> {
    const atMs = performance.now();
    await this.network.pullCable(node);
    return atMs;
  }

  async plugCable(node: Node): Promise<void> {
    await this.network.plugCable(node);
  }

  async #signal(node: Node, signal: NodeJS.Signals): Promise<number> {
    // The namespace knows them all, also a hook whose parent has gone.
    const pids = (await this.network.pids(node)).filter((pid) => !this.watch.pids.has(pid));
    const atMs = performance.now();
    for (const pid of pids) {
      try {
        process.kill(pid, signal);
      } catch {
        // Ended by itself since the list was made.
      }
    }
    return atMs;
  }

  // ------------------------------------------------------------ what a person would type

  /** Runs a vipair command for a node, on its machine. */
  async vipair(node: Node, command: string): Promise<string> {
    return this.network.exec(node, [LAUNCHER, command, "--runtime-dir", this.runtimeFolder(node)]);
  }

  // ------------------------------------------------------------ what there is to see

  /** undefined while no node answers there. */
  async status(node: Node): Promise<Status | undefined> {
    return new Promise((resolve) => {
      const socketPath = join(this.runtimeFolder(node), ADMIN_SOCKET);
      const signal = AbortSignal.timeout(STATUS_TIMEOUT_MS);
      const request = get({ socketPath, path: ADMIN_PATHS.status, signal }, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (body += chunk));
        response.on("end", () => {
          resolve(response.statusCode === 200 ? (JSON.parse(body) as Status) : undefined);
        });
        response.on("error", () => {
          resolve(undefined);
        });
      });
      request.on("error", () => {
        resolve(undefined);
      });
    });
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

  /**
   * Both nodes run, their cables plugged in, and the pair is at rest: one active that alone holds the address,
   * one standby that is in touch with it and ready to take over, all backends up. Starts what does not run.
   */
  async settle(): Promise<{ readonly active: Node; readonly standby: Node }> {
    for (const node of NODES) {
      await this.plugCable(node);
      if (!this.isRunning(node)) this.startNode(node);
    }
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

/** A node that gives a reason is not at rest: it still starts, or listens before it may claim. */
function isWell(status: Status): boolean {
  return (
    status.reason === null &&
    status.peer?.connected === true &&
    status.peer.role !== "unknown" &&
    status.pools.every((pool) => pool.backends.every((backend) => backend.state === "up"))
  );
}
