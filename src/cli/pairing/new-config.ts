// The configuration that `init` writes: short, for people, and complete. What a person changes first is in it,
// with a word about each; everything else is in docs/configuration.md.

import { formatScalar } from "../../config/yaml-edit.ts";
import type { PairNetwork } from "./pair-network.ts";

export interface NewPair extends PairNetwork {
  /** Of this node. */
  readonly name: string;
  readonly priority: number;
  /** `192.168.1.21:8080` */
  readonly backends: readonly string[];
  /** Of the listener. */
  readonly port: number;
}

/** The secret's file, beside the configuration. */
export const SECRET_FILE = "secret";

/** The text of the file. It must be checked before it is written: the values are as they were given. */
export function writeConfig(pair: NewPair): string {
  const { name, address, priority, vip, prefixLength, interface: device, port, gateway } = pair;
  const virtual = `${vip}/${String(prefixLength)}`;
  const arbiter =
    gateway === null
      ? "arbiter: { kind: none } # this machine has no gateway that could tell which node is cut off"
      : "arbiter: { kind: gateway } # the router tells which node is cut off when they do not hear each other";
  return `\
# vipair: a pair of load balancers. The same file stands on both nodes.
#
# After a change:  vipair check                   every mistake, with its line
#                  sudo systemctl reload vipair   the node takes it
#                  sudo vipair config push        the other node gets it, too
# All keys:        /usr/share/doc/vipair/configuration.md (docs/configuration.md in a checkout)

pair:
  nodes: # who they are, and where they find each other; the higher priority is preferred (100 when none is given)
    ${formatScalar(name)}: { address: ${formatScalar(address)}, priority: ${String(priority)} }
  secretFile: ${SECRET_FILE} # beside this file, the same on both nodes, readable by root alone
  ${arbiter}

virtualAddresses: # what clients connect to; it is on the active node
  - { address: ${formatScalar(virtual)}, interface: ${formatScalar(device)} }

listeners:
  - name: web
    bind: 0.0.0.0:${String(port)}
    pool: web

pools:
  web: # without backends requests get 503
    # sudo vipair backend add web 192.168.1.21:8080
    # sudo vipair backend remove web 192.168.1.21:8080
    backends:${listOf(pair.backends)}
    health: { kind: tcp } # or, better: { kind: http, path: /health }
`;
}

function listOf(backends: readonly string[]): string {
  if (backends.length === 0) return " []";
  return backends.map((backend) => `\n      - ${formatScalar(backend)}`).join("");
}
