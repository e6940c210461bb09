// Two nodes and a client, each a network namespace, on one bridge: the smallest network on which a
// virtual address can move. Used by the tests of scripts/hooks/vip, which need root.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const TOOLS = ["ip", "nft", "arping", "ping", "perl"];
const HOOK = join(import.meta.dirname, "../../scripts/hooks/vip");

export type Machine = "a" | "b" | "c";

export interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
}

/** Why these tests cannot run here; false when they can. */
export function whyNotHere(): string | false {
  if (process.getuid?.() !== 0) return "needs root for network namespaces";
  const missing = TOOLS.filter((tool) =>
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].every((dir) => !existsSync(join(dir, tool))),
  );
  return missing.length === 0 ? false : `needs ${missing.join(", ")}`;
}

export function execute(command: readonly string[], env: Record<string, string> = {}): Output {
  const [program = "", ...args] = command;
  const startedAt = performance.now();
  const { status, stdout, stderr } = spawnSync(program, args, {
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ...env },
    encoding: "utf8",
    timeout: 10_000,
  });
  return { code: status, stdout, stderr, tookMs: performance.now() - startedAt };
}

export class Network {
  readonly #prefix = `vt-link-${String(process.pid)}`;

  open(): void {
    for (const machine of ["a", "b", "c", "sw"]) this.#must(`ip netns add ${this.#prefix}-${machine}`);
    this.#must(`ip -n ${this.#prefix}-sw link add br0 type bridge`);
    this.#must(`ip -n ${this.#prefix}-sw link set br0 up`);
    for (const [index, machine] of (["a", "b", "c"] as const).entries()) {
      const name = this.nameOf(machine);
      const host = String(index + 1);
      this.#must(`ip -n ${this.#prefix}-sw link add p${machine} type veth peer name eth0 netns ${name}`);
      this.#must(`ip -n ${this.#prefix}-sw link set p${machine} master br0 up`);
      this.#must(`ip -n ${name} link set lo up`);
      this.#must(`ip -n ${name} link set eth0 up`);
      this.#must(`ip -n ${name} addr add 10.99.0.${host}/24 dev eth0`);
      this.#must(`ip -n ${name} addr add fd99::${host}/64 dev eth0 nodad`);
    }
  }

  close(): void {
    for (const machine of ["a", "b", "c", "sw"]) {
      execute(["ip", "netns", "del", `${this.#prefix}-${machine}`]);
    }
  }

  nameOf(machine: Machine): string {
    return `${this.#prefix}-${machine}`;
  }

  /** Runs a command line (split at spaces) on a machine; throws when it fails. */
  on(machine: Machine, line: string): string {
    return this.#must(`ip netns exec ${this.nameOf(machine)} ${line}`);
  }

  onSwitch(line: string): string {
    return this.#must(`ip netns exec ${this.#prefix}-sw ${line}`);
  }

  /** Calls scripts/hooks/vip on a node as vipair does. */
  hook(machine: "a" | "b", action: string, env: Record<string, string>): Output {
    const peer = machine === "a" ? "b" : "a";
    return execute(["ip", "netns", "exec", this.nameOf(machine), HOOK, action], {
      VIPAIR_INTERFACE: "eth0",
      VIPAIR_LEASE_SECONDS: "2",
      VIPAIR_EPOCH: "1",
      VIPAIR_NODE: machine,
      VIPAIR_PEER: peer,
      VIPAIR_PEER_ADDRESS: peer === "a" ? "10.99.0.1" : "10.99.0.2",
      ...env,
    });
  }

  mac(machine: Machine): string {
    return /link\/ether (\S+)/.exec(this.on(machine, "ip -o link show dev eth0"))?.[1] ?? "";
  }

  /** The MAC under which a machine knows an address; undefined when it knows none. */
  neighbourMac(machine: Machine, address: string): string | undefined {
    return /lladdr (\S+)/.exec(this.on(machine, `ip neigh show to ${address} dev eth0`))?.[1];
  }

  #must(line: string): string {
    const { code, stdout, stderr } = execute(line.split(" "));
    if (code !== 0) throw new Error(`${line}: ${stderr}`);
    return stdout;
  }
}
