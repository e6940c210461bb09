// The faults of the table in docs/failover.md: how each is made and unmade, which node serves afterwards, and
// what clients may notice of it. The tests hold the pair to these figures, the benchmark prints them beside
// what it measured.

import { type Lab, type Node, otherNode } from "./lab.ts";

export const INTERVALS_MS = [200, 50] as const;
export type IntervalMs = (typeof INTERVALS_MS)[number];

export interface Fault {
  readonly name: string;
  /** Hurts the active; resolves to the moment of it. */
  readonly strike: (lab: Lab, active: Node) => Promise<number>;
  /** Repairs the node that was hurt, as its owner would; the pair needs some time afterwards. */
  readonly heal?: (lab: Lab, hurt: Node) => Promise<void>;
  readonly servedBy: "the standby" | "the same node";
  /** The longest outage that clients may see, by advertisement interval; 0: no request fails. */
  readonly outageMsMax: Readonly<Record<IntervalMs, number>>;
}

const ofDeadProcess = { 200: 150, 50: 120 };
const ofSilentNode = { 200: 850, 50: 250 };
const ofDeadWorkers = { 200: 400, 50: 400 };
const none = { 200: 0, 50: 0 };

const startAgain = async (lab: Lab, hurt: Node) => {
  await lab.nodes[hurt].gone();
  lab.startNode(hurt);
};

export const FAULTS: readonly Fault[] = [
  {
    name: "SIGKILL of everything",
    strike: (lab, active) => lab.killEverything(active),
    heal: startAgain,
    servedBy: "the standby",
    outageMsMax: ofDeadProcess,
  },
  {
    name: "SIGKILL of the control process",
    strike: (lab, active) => lab.killControl(active),
    heal: startAgain,
    servedBy: "the standby",
    outageMsMax: ofDeadProcess,
  },
  {
    name: "SIGKILL of all workers",
    strike: (lab, active) => lab.killWorkers(active, "all"),
    servedBy: "the same node",
    outageMsMax: ofDeadWorkers,
  },
  {
    name: "frozen (SIGSTOP)",
    strike: (lab, active) => lab.freeze(active),
    heal: async (lab, hurt) => {
      await lab.thaw(hurt);
    },
    servedBy: "the standby",
    outageMsMax: ofSilentNode,
  },
  {
    name: "cable pulled",
    strike: (lab, active) => lab.pullCable(active),
    heal: (lab, hurt) => lab.plugCable(hurt),
    servedBy: "the standby",
    outageMsMax: ofSilentNode,
  },
  {
    name: "port silenced",
    strike: (lab, active) => lab.silencePort(active),
    heal: (lab, hurt) => lab.wakePort(hurt),
    servedBy: "the standby",
    outageMsMax: ofSilentNode,
  },
  {
    name: "power off",
    strike: (lab, active) => lab.powerOff(active),
    heal: (lab, hurt) => lab.powerOn(hurt),
    servedBy: "the standby",
    outageMsMax: ofSilentNode,
  },
  {
    name: "SIGTERM",
    strike: (lab, active) => Promise.resolve(lab.terminate(active)),
    heal: startAgain,
    servedBy: "the standby",
    outageMsMax: none,
  },
  {
    name: "switchover",
    strike: async (lab, active) => {
      const orderedMs = performance.now();
      await lab.vipair(active, "switchover");
      // The command takes a while to start; what counts begins with the claim.
      return lab.watch.heldSince(otherNode(active)) ?? orderedMs;
    },
    servedBy: "the standby",
    outageMsMax: none,
  },
];
