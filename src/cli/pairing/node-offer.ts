// What a joining node is told: the configuration with it in it, and the secret, or why it cannot be the second node. The
// file here changes only when the other node has everything on its disk.

import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { readIpAddress } from "../../config/address.ts";
import type { Config, PairConfig } from "../../config/config.ts";
import { readName } from "../../config/fields.ts";
import type { YamlEdit } from "../../config/yaml-edit.ts";
import type { JoinMessage } from "../../protocol/pairing.ts";
import { describeAccess } from "../../system/page-file.ts";
import { VERSION } from "../../system/version.ts";
import { editText, readConfig, writeConfigText } from "../config-file.ts";
import type { Offer } from "./pairing-host.ts";

export interface OfferingNode {
  /** The configuration. */
  readonly file: string;
  readonly name: string;
  /** Of the peer link. */
  readonly protocol: number;
  /** The other node's entry may be taken over, by one of that name. */
  readonly replace?: string | undefined;
}

type Refused = { readonly kind: "refused"; readonly problem: string };

export async function offerTo(self: OfferingNode, join: JoinMessage, from: string): Promise<Offer | Refused> {
  const { file } = self;
  const read = await readConfig(file);
  if (read.kind !== "config" || read.config.pair === undefined) {
    return refused(`${file} is not the configuration of a pair any more. Look at it on ${self.name}`);
  }
  const { pair } = read.config;
  const problem = findProblem(self, { join, from, config: read.config, pair });
  if (problem !== undefined) return refused(problem);
  const edits = editsFor(pair, join);
  const edited = editText(read.text, edits, file);
  if (edited.kind === "problems") return refused(edited.problems.join("; "));
  const secret = await readSecretOf(pair, file);
  if (secret.kind === "refused") return secret;
  return {
    kind: "offer",
    message: { kind: "offer", name: self.name, config: edited.text, secret: secret.text },
    commit: async () =>
      edited.text === read.text ? undefined : writeConfigText(file, { before: read.text, text: edited.text }),
  };
}

/** Why the node cannot join as what it says it is. */
function findProblem(
  self: OfferingNode,
  {
    join,
    from,
    config,
    pair,
  }: {
    readonly join: JoinMessage;
    readonly from: string;
    readonly config: Config;
    readonly pair: PairConfig;
  },
): string | undefined {
  if (join.protocol !== self.protocol) {
    return `${self.name} has vipair ${VERSION} (protocol ${String(self.protocol)}), the joining node ${join.version} (protocol ${String(join.protocol)}). Install the same version on both`;
  }
  const name = readName(join.name);
  if (name.kind === "invalid") return `${name.problem} Join again with --name`;
  const address = readIpAddress(join.address);
  if (address.kind === "invalid") return `${address.problem} Join again with --address`;
  if (address.value !== join.address || join.address !== from) {
    return `it comes from ${from} and says that it is ${join.address}: without translation between them the nodes must reach each other`;
  }
  const own = pair.nodes.find((node) => node.name === self.name);
  if (join.name === self.name) {
    return `both nodes are called "${join.name}". Join again with another name, such as --name ${otherName(join.name)}`;
  }
  if (own?.address === join.address) return `it has the address of ${self.name}, ${join.address}`;
  if (config.virtualAddresses.some((virtual) => virtual.address === join.address)) {
    return `${join.address} is the virtual address. Join again with --address and the node's own one`;
  }
  const peer = pair.nodes.find((node) => node.name !== self.name);
  if (peer === undefined || (peer.name === join.name && self.replace === join.name)) return undefined;
  if (self.replace !== undefined)
    return `${self.name} waits for ${self.replace}. Join again with --name ${self.replace}`;
  return `${self.name} and ${peer.name} are a pair already`;
}

function editsFor(pair: PairConfig, join: JoinMessage): readonly YamlEdit[] {
  const path = ["pair", "nodes", join.name];
  const known = pair.nodes.find(({ name }) => name === join.name);
  if (known === undefined) return [{ kind: "set", at: path, value: { address: join.address } }];
  return known.address === join.address
    ? []
    : [{ kind: "set", at: [...path, "address"], value: join.address }];
}

async function readSecretOf(
  { secretFile }: PairConfig,
  file: string,
): Promise<{ readonly kind: "secret"; readonly text: string | null } | Refused> {
  if (secretFile === undefined) return { kind: "secret", text: null };
  const path = resolve(dirname(file), secretFile);
  try {
    return { kind: "secret", text: await readFile(path, "utf8") };
  } catch (error) {
    return refused(`the secret file ${path} ${describeAccess(error)}`);
  }
}

/** `pi-a` and `pi-b`, `node1` and `node2`; otherwise with something behind it. */
function otherName(name: string): string {
  if (name.endsWith("a")) return `${name.slice(0, -1)}b`;
  if (name.endsWith("1")) return `${name.slice(0, -1)}2`;
  return `${name}-2`;
}

function refused(problem: string): Refused {
  return { kind: "refused", problem };
}
