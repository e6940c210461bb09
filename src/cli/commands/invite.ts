// `vipair invite`: a new join code, for a second node that has not come within the first one's ten minutes, or for a
// machine that takes the place of one that broke.

import { hostname } from "node:os";
import { noSuch } from "../../config/nearest.ts";
import { describeNotConfigured } from "../../config/not-configured.ts";
import { readNodeName } from "../../system/node-name.ts";
import { readConfig } from "../config-file.ts";
import { openForNode } from "../pairing/wait-for-node.ts";
import { rootProblem } from "../service.ts";
import type { NodePaths } from "../service.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";

export interface InviteOptions {
  /** This node's name. */
  readonly node?: string | undefined;
  /** The other node, whose place a new machine takes. */
  readonly replace?: string | undefined;
  readonly port: number;
  readonly paths: NodePaths;
  /** Of the peer link. */
  readonly protocol: number;
}

/** Ends in the exit code: 0 when a node has joined. */
export async function inviteNode(options: InviteOptions, terminal: Terminal): Promise<number> {
  const fail = (...problems: readonly string[]): number => {
    for (const problem of problems) terminal.complain(`vipair: ${problem}`);
    return EXIT.failed;
  };
  const { paths, port, protocol, replace } = options;
  const mayNot = rootProblem(paths, "invite");
  if (mayNot !== undefined) return fail(mayNot);
  const read = await readConfig(paths.config);
  if (read.kind === "invalid") return fail(...read.problems);
  if (read.kind === "empty") return fail(describeNotConfigured(paths.config));
  const { pair } = read.config;
  if (pair === undefined) return fail(`${paths.config} has no pair: without one, a node balances alone`);
  const name = options.node ?? readNodeName(paths.config) ?? hostname();
  const own = pair.nodes.find((node) => node.name === name);
  const peer = pair.nodes.find((node) => node.name !== name);
  if (own === undefined) {
    return fail(
      `${noSuch(
        "node",
        name,
        pair.nodes.map((node) => node.name),
      )}. Say who this is: --node`,
    );
  }
  if (replace === undefined && peer !== undefined) {
    return fail(
      `${name} and ${peer.name} are a pair already. For a new machine in the place of ${peer.name}: sudo vipair invite --replace ${peer.name}`,
    );
  }
  if (replace !== undefined && replace !== peer?.name) {
    return fail(
      peer === undefined
        ? `${name} has no second node that could be replaced`
        : noSuch("other node", replace, [peer.name]),
    );
  }
  const waiting = await openForNode(
    { file: paths.config, name, address: own.address, port, protocol, paths, replace },
    terminal,
  );
  if (waiting.kind === "failed") return fail(waiting.problem);
  return waiting.stay();
}
