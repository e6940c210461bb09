// Two booted machines on the switch of the lab, with its backends, its gateway and its client: what a person has on the
// table who bought two Raspberry Pis. Nothing of vipair is on them yet.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Status } from "../../src/protocol/status.ts";
import { AddressWatch } from "../lab/address-watch.ts";
import { startBackends } from "../lab/backends.ts";
import { VIP } from "../lab/lab-config.ts";
import { Meter } from "../lab/meter.ts";
import { Network } from "../lab/network.ts";
import { adminStatus } from "../support/admin-status.ts";
import { waitUntil } from "../support/wait-until.ts";
import { makeImage } from "./image.ts";
import { Machine } from "./machine.ts";

/** Root's alone. */
const PARENT = "/run";
const PREFIX = "vipair-machines-";
/** What the machines write, the package included, is in memory. */
const MEMORY = "3g";
const REST_WITHIN_MS = 30_000;
/** Before a SYN that was lost goes out again: that would be a failure that nobody counts. */
const REQUEST_MS_MAX = 900;

export interface Roles {
  readonly active: Machine;
  readonly standby: Machine;
}

/** up() builds and boots; down() removes every trace. */
export class Machines {
  readonly network = new Network();
  readonly watch = new AddressWatch([VIP]);
  readonly folder = join(PARENT, `${PREFIX}${String(process.pid)}`);
  #machines: readonly [Machine, Machine] | undefined;
  readonly #onExit = () => {
    this.#remove();
  };

  /** pi-a and pi-b. */
  get both(): readonly [Machine, Machine] {
    if (this.#machines === undefined) throw new Error("the machines are not up");
    return this.#machines;
  }

  async up(): Promise<void> {
    removeOrphans();
    const image = await makeImage();
    process.once("exit", this.#onExit);
    mkdirSync(this.folder, { mode: 0o700 });
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${MEMORY},mode=700`, "vipair-test", this.folder]);
    await this.network.up();
    const { network } = this;
    const machineAt = (place: "a" | "b") => {
      const name = `pi-${place}`;
      return new Machine({ name, place, network, image, folder: join(this.folder, name) });
    };
    this.#machines = [machineAt("a"), machineAt("b")];
    this.watch.open({ "pi-a": network.namespace("a"), "pi-b": network.namespace("b") });
    await startBackends(network, this.folder);
    await Promise.all(
      this.both.map(async (machine) => {
        machine.up();
        await this.boot(machine);
      }),
    );
  }

  /** Switches a machine on; it sets its interface up itself. */
  async boot(machine: Machine): Promise<void> {
    await this.network.takeAddresses(machine.place);
    await machine.boot();
  }

  /** The plug is pulled: link, processes and addresses go together. Resolves to the moment of it. */
  async cutPower(machine: Machine): Promise<number> {
    const atMs = performance.now();
    await this.network.pullCable(machine.place);
    await machine.cutPower();
    await this.network.takeAddresses(machine.place);
    return atMs;
  }

  async down(): Promise<void> {
    await this.watch.close();
    this.#remove();
    process.off("exit", this.#onExit);
  }

  #remove(): void {
    for (const machine of this.#machines ?? []) machine.down();
    this.network.down();
    spawnSync("umount", ["--lazy", this.folder]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  other(machine: Machine): Machine {
    const [a, b] = this.both;
    return machine === a ? b : a;
  }

  // ------------------------------------------------------------ what there is to see

  /** undefined while vipair does not answer there. */
  async status(machine: Machine): Promise<Status | undefined> {
    return machine.isOn ? adminStatus(join(machine.liveRoot, "run/vipair")) : undefined;
  }

  /**
   * Waits until the pair is at rest: one active that alone holds the address, one standby in touch with it
   * and ready to take over, all backends up, and the targets of systemd as the roles are.
   */
  async settle(): Promise<Roles> {
    let seen: unknown;
    return waitUntil(
      async () => {
        const [first, second] = this.both;
        const [a, b] = await Promise.all([this.status(first), this.status(second)]);
        seen = { a, b };
        if (a === undefined || b === undefined || !isWell(a) || !isWell(b)) return false;
        const isFirst = a.role === "active";
        if (isFirst ? b.role !== "standby" : a.role !== "standby" || b.role !== "active") return false;
        const roles = isFirst ? { active: first, standby: second } : { active: second, standby: first };
        if (this.watch.soleHolderSince(roles.active.name) === null) return false;
        return (await this.targetsFollow(roles)) && roles;
      },
      { what: "the pair to come to rest", withinMs: REST_WITHIN_MS, everyMs: 100 },
    ).catch(async (error: unknown) => {
      throw new Error(`it ended with ${JSON.stringify(seen)}\n${await this.journals()}`, { cause: error });
    });
  }

  async targetsFollow({ active, standby }: Roles): Promise<boolean> {
    const found = await Promise.all([
      active.isActive("vipair-active.target"),
      active.isActive("vipair-standby.target"),
      standby.isActive("vipair-active.target"),
      standby.isActive("vipair-standby.target"),
    ]);
    return found.join() === "true,false,false,true";
  }

  async journals(): Promise<string> {
    return (await Promise.all(this.both.map(async (machine) => machine.journal()))).join("\n");
  }

  /** The client asks for a page over a new connection each `intervalMs`. */
  async startMeter(intervalMs: number): Promise<Meter> {
    return Meter.start(this.network, "client", {
      host: VIP,
      port: 80,
      intervalMs,
      timeoutMs: REQUEST_MS_MAX,
    });
  }
}

function isWell({ peer, pools, arbiter, reason }: Status): boolean {
  return (
    reason === null &&
    peer?.connected === true &&
    peer.role !== "unknown" &&
    peer.configMatches === true &&
    arbiter?.problem === null &&
    pools.every(({ backends }) => backends.every(({ state }) => state === "up"))
  );
}

/** What a killed run left: its processes ended with its network. */
function removeOrphans(): void {
  for (const name of readdirSync(PARENT).filter((entry) => entry.startsWith(PREFIX))) {
    if (existsSync(`/proc/${name.slice(PREFIX.length)}`)) continue;
    const folder = join(PARENT, name);
    for (const machine of readdirSync(folder)) spawnSync("umount", ["--lazy", join(folder, machine, "root")]);
    spawnSync("umount", ["--lazy", folder]);
    rmSync(folder, { recursive: true, force: true });
  }
}
