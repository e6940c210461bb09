// Who is who in the pair: this node, its peer, and the hook that moves its addresses.

import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { NodeConfig, PairConfig } from "../config/config.ts";

/** This node and the other one, if there is one yet; undefined when no node of the pair has this name. */
export function pairMembers(
  pair: PairConfig,
  node: string,
): { readonly self: NodeConfig; readonly peer: NodeConfig | undefined } | undefined {
  const self = pair.nodes.find(({ name }) => name === node);
  const peer = pair.nodes.find(({ name }) => name !== node);
  return self === undefined ? undefined : { self, peer };
}

/** Absolute path of the hook: as configured, relative to the configuration file, or the one that comes along. */
export function resolveHook(pair: PairConfig, configDir: string): string {
  if (pair.hook !== undefined) return resolve(configDir, pair.hook);
  const installation = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
  return join(installation, "scripts", "hooks", "vip");
}
