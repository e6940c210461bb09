// What a reload takes over of a new file, and what it leaves until a restart (DESIGN section 5, rule 11: a reload touches
// neither address, lease nor heartbeats).

import { createHash } from "node:crypto";
import type { Config, NodeConfig } from "../config/config.ts";
import { configHashInput } from "../config/hash-input.ts";

/** A reload leaves these as they are: they belong to the pair, or to the processes that run already. */
const RESTART_KEYS = ["pair", "virtualAddresses", "workers", "logging.level"] as const;

export interface AdoptedConfig {
  /** What is in effect from now on. */
  readonly config: Config;
  /** Keys that differ from what the file says, until a restart. */
  readonly needsRestart: readonly string[];
}

/** `from`: what the node of that name runs with. `to`: what its file says now. */
export function adoptConfig({
  from,
  to,
  node,
}: {
  readonly from: Config;
  readonly to: Config;
  readonly node: string;
}): AdoptedConfig {
  const { listeners, pools, shutdownGraceMs } = to;
  const kept = withAcceptance(withSecondNode({ from, to, node }), to);
  const logging = { level: from.logging.level, access: to.logging.access };
  return {
    config: { ...kept, listeners, pools, logging, shutdownGraceMs },
    needsRestart: RESTART_KEYS.filter((key) => isChanged({ key, from: kept, to })),
  };
}

/** Whether the other node may change this one's file: nothing that runs depends on it. */
function withAcceptance(from: Config, to: Config): Config {
  if (from.pair === undefined || to.pair === undefined) return from;
  return { ...from, pair: { ...from.pair, acceptConfig: to.pair.acceptConfig } };
}

/**
 * A pair of one node takes over its second: what is about that one, and the paths to it. Of the first node nothing
 * changes, nor of the pair.
 */
function withSecondNode({
  from,
  to,
  node,
}: {
  readonly from: Config;
  readonly to: Config;
  readonly node: string;
}): Config {
  const self = from.pair?.nodes.find(({ name }) => name === node);
  const second = to.pair?.nodes.find(({ name }) => name !== node);
  if (from.pair?.nodes.length !== 1 || self === undefined) return from;
  if (to.pair?.nodes.length !== 2 || second === undefined) return from;
  const [first, ...further] = to.pair.paths;
  // The first path begins where this node listens already.
  const paths = [{ addresses: { ...first?.addresses, [node]: self.address } }, ...further];
  const nodes = to.pair.nodes.map((other) => (other.name === node ? self : other));
  const groups = from.groups.map((group) => {
    const same = to.groups.find(({ name }) => name === group.name);
    const priority = same?.priorities[second.name] ?? second.priority;
    return { ...group, priorities: reordered({ ...group.priorities, [second.name]: priority }, nodes) };
  });
  return { ...from, pair: { ...from.pair, nodes, paths }, groups };
}

/** In the order of the file, so that what is equal is also written alike. */
function reordered(
  priorities: Readonly<Record<string, number>>,
  nodes: readonly NodeConfig[],
): Readonly<Record<string, number>> {
  return Object.fromEntries(nodes.map(({ name, priority }) => [name, priorities[name] ?? priority]));
}

/** First 12 hex digits of the SHA-256 of the configuration without its secrets. */
export function hashConfig(config: Config): string {
  return createHash("sha256").update(configHashInput(config)).digest("hex").slice(0, 12);
}

/** Whether what stands below a key of the file has changed. */
function isChanged({
  key,
  from,
  to,
}: {
  readonly key: (typeof RESTART_KEYS)[number];
  readonly from: Config;
  readonly to: Config;
}): boolean {
  // The file has the groups among the virtual addresses; they take their defaults from the pair.
  const isGroups = key === "virtualAddresses" && !isChanged({ key: "pair", from, to });
  const read = (config: Config) => {
    const value = key === "logging.level" ? config.logging.level : config[key];
    return JSON.stringify([value, isGroups && config.groups]);
  };
  return read(from) !== read(to);
}
