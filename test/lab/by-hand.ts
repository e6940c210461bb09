// What scripts/lab does to the lab. A person who breaks things must be able to believe what the command says, so each of these looks
// first whether there is anything to do, and afterwards whether it is done; if not, it rejects with a sentence that the
// person can act on.

import { waitUntil } from "../support/wait-until.ts";
import type { Lab, Node } from "./lab.ts";

const STARTS_WITHIN_MS = 15_000;
/** `shutdownGrace` and what a release may take. */
const ENDS_WITHIN_MS = 15_000;
const OBEYS_WITHIN_MS = 5000;
const LAST_LINES = 5;

export class ByHand {
  readonly #lab: Lab;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  async pull(node: Node): Promise<void> {
    await this.#refuseOff(node);
    if (await this.#isPulled(node)) throw new Error(`the cable of ${node} is pulled already`);
    await this.#lab.pullCable(node);
  }

  async silence(node: Node): Promise<void> {
    await this.#refuseOff(node);
    const troubles = await this.#lab.network.portTroubles(node);
    if (troubles.includes("cable pulled")) {
      throw new Error(`the cable of ${node} is pulled: scripts/lab plug ${node}`);
    }
    if (troubles.includes("port silenced")) throw new Error(`the port of ${node} is silent already`);
    await this.#lab.silencePort(node);
  }

  /** Undoes both of them. */
  async plug(node: Node): Promise<void> {
    await this.#refuseOff(node);
    const troubles = await this.#lab.network.portTroubles(node);
    if (!troubles.includes("cable pulled") && !troubles.includes("port silenced")) {
      throw new Error(`the cable of ${node} is plugged in, and its port is not silent`);
    }
    await this.#lab.plugCable(node);
    await this.#lab.wakePort(node);
  }

  async part(): Promise<void> {
    if (await this.#areParted()) throw new Error("the nodes are parted already");
    await this.#lab.part();
  }

  async join(): Promise<void> {
    if (!(await this.#areParted())) throw new Error("the nodes are not parted");
    await this.#lab.join();
  }

  async gateway(state: string | undefined): Promise<void> {
    if (state !== "off" && state !== "on") throw new Error("off or on?");
    const isOff = (await this.#lab.network.portTroubles("gateway")).includes("cable pulled");
    if (isOff === (state === "off")) throw new Error(`the gateway is ${state} already`);
    await (isOff ? this.#lab.plugCable("gateway") : this.#lab.pullCable("gateway"));
  }

  async freeze(node: Node): Promise<void> {
    this.#requireVipair(node);
    if (await this.#isFrozen(node)) throw new Error(`${node} is frozen already`);
    await this.#lab.freeze(node);
    await waitUntil(() => this.#isFrozen(node), {
      what: `every process on ${node} to stop`,
      withinMs: OBEYS_WITHIN_MS,
    });
  }

  async thaw(node: Node): Promise<void> {
    this.#requireVipair(node);
    if (!(await this.#isFrozen(node))) throw new Error(`${node} is not frozen`);
    await this.#lab.thaw(node);
  }

  async kill(node: Node): Promise<void> {
    if (!(await this.#lives(node))) throw new Error(`nothing runs on ${node}`);
    await this.#lab.killEverything(node);
    await waitUntil(async () => !(await this.#lives(node)), {
      what: `every process on ${node} to end`,
      withinMs: OBEYS_WITHIN_MS,
    });
  }

  async stop(node: Node): Promise<void> {
    this.#requireVipair(node);
    if (await this.#isFrozen(node)) {
      throw new Error(`${node} is frozen and would not notice: scripts/lab thaw ${node}`);
    }
    this.#lab.terminate(node);
    await waitUntil(() => !this.#lab.isRunning(node), {
      what: `vipair on ${node} to end`,
      withinMs: ENDS_WITHIN_MS,
    });
  }

  async start(node: Node): Promise<void> {
    await this.#refuseOff(node);
    if (await this.#isFrozen(node)) throw new Error(`${node} is frozen: scripts/lab thaw ${node}`);
    if (this.#lab.isRunning(node)) throw new Error(`vipair runs on ${node} already`);
    this.#lab.startNode(node);
    await this.#hasStarted(node);
  }

  async off(node: Node): Promise<void> {
    await this.#refuseOff(node);
    await this.#lab.powerOff(node);
  }

  async on(node: Node): Promise<void> {
    if (await this.#lab.network.hasPower(node)) {
      const further = this.#lab.isRunning(node) ? "" : `; scripts/lab start ${node} starts its vipair`;
      throw new Error(`${node} is on already${further}`);
    }
    await this.#lab.powerOn(node);
    await this.#hasStarted(node);
  }

  async delete(node: Node): Promise<void> {
    await this.#lab.deleteAddress(node);
  }

  /** What a person would say of the node: its role, or what keeps it from having one. */
  async describe(node: Node): Promise<string> {
    if (!(await this.#lab.network.hasPower(node))) return "off";
    if (!this.#lab.isRunning(node)) return "no vipair runs";
    if (await this.#isFrozen(node)) return "frozen";
    const status = await this.#lab.status(node);
    return status?.role ?? "does not answer";
  }

  async #hasStarted(node: Node): Promise<void> {
    await waitUntil(
      async () => {
        if (!this.#lab.isRunning(node)) {
          const last = this.#lab.logOf(node).filter(Boolean).slice(-LAST_LINES);
          throw new Error(`vipair on ${node} ended at once:\n${last.join("\n")}`);
        }
        return (await this.#lab.status(node)) !== undefined;
      },
      { what: `vipair on ${node} to answer`, withinMs: STARTS_WITHIN_MS },
    );
  }

  async #refuseOff(node: Node): Promise<void> {
    if (!(await this.#lab.network.hasPower(node))) throw new Error(`${node} is off: scripts/lab on ${node}`);
  }

  #requireVipair(node: Node): void {
    if (!this.#lab.isRunning(node)) throw new Error(`no vipair runs on ${node}: scripts/lab start ${node}`);
  }

  async #isFrozen(node: Node): Promise<boolean> {
    return this.#lab.nodes[node].isFrozen();
  }

  async #lives(node: Node): Promise<boolean> {
    return (await this.#lab.nodes[node].allPids()).length > 0;
  }

  async #isPulled(node: Node): Promise<boolean> {
    return (await this.#lab.network.portTroubles(node)).includes("cable pulled");
  }

  async #areParted(): Promise<boolean> {
    return (await this.#lab.network.portTroubles("a")).includes("parted from the other node");
  }
}
