// The ten minutes in which a second node may join: makes the code, opens the port, says the line to type there, and
// tells what comes of it. What `init` ends with, and all that `invite` does.

import { randomBytes } from "node:crypto";
import { JOIN_CODE_LENGTH, formatJoinCode } from "../../protocol/join-code.ts";
import { PAIRING_PORT } from "../../protocol/pairing.ts";
import { startOrReload, waitForStatus } from "../service.ts";
import type { Applied, NodePaths } from "../service.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";
import { deriveCodeKey } from "./code-key.ts";
import { offerTo } from "./node-offer.ts";
import type { OfferingNode } from "./node-offer.ts";
import { PairingHost } from "./pairing-host.ts";

const CODE_VALID_MS = 10 * 60_000;
/** For the two nodes to find each other, once both know. */
const IN_TOUCH_MS = 20_000;

export interface WaitingNode extends OfferingNode {
  readonly address: string;
  readonly port: number;
  readonly paths: NodePaths;
}

export interface Waiting {
  readonly kind: "waiting";
  /** Prints the line and stays until it is over; ends in the exit code: 0 when a node has joined. */
  readonly stay: () => Promise<number>;
  /** Without a node. */
  readonly close: () => void;
}

/** Opens the port; nobody knows the code yet. */
export async function openForNode(
  node: WaitingNode,
  terminal: Terminal,
): Promise<Waiting | { readonly kind: "failed"; readonly problem: string }> {
  const code = formatJoinCode(randomBytes(JOIN_CODE_LENGTH));
  let applied: Applied | undefined;
  const host = new PairingHost({
    address: node.address,
    port: node.port,
    key: await deriveCodeKey(code),
    validMs: CODE_VALID_MS,
    offerTo: async (join, from) => {
      const offer = await offerTo(node, join, from);
      if (offer.kind === "refused") return offer;
      const commit = async () => {
        const problem = await offer.commit();
        // Before the other one starts: it would find a peer here that does not know it.
        if (problem === undefined) applied = await startOrReload(node.paths, { name: node.name });
        return problem;
      };
      return { ...offer, commit };
    },
    tell: (event) => terminal.complain(`vipair: ${event}`),
  });
  const problem = await host.open();
  if (problem !== undefined) return { kind: "failed", problem };
  return {
    kind: "waiting",
    stay: () => stay(host, { node, code, applied: () => applied }, terminal),
    close: () => host.close(),
  };
}

async function stay(
  host: PairingHost,
  {
    node,
    code,
    applied,
  }: {
    readonly node: WaitingNode;
    readonly code: string;
    /** What became of the new configuration here; undefined before a node has joined. */
    readonly applied: () => Applied | undefined;
  },
  terminal: Terminal,
): Promise<number> {
  const port = node.port === PAIRING_PORT ? "" : ` --port ${String(node.port)}`;
  terminal.complain("On the second machine, within 10 minutes, while this one waits:");
  terminal.print(`sudo vipair join ${node.address} ${code}${port}`);
  const end = await host.ended;
  switch (end.kind) {
    case "expired":
      terminal.complain("vipair: nobody has joined within 10 minutes. `sudo vipair invite` makes a new code");
      return EXIT.failed;
    case "burned":
      terminal.complain(
        "vipair: three wrong codes, so this one is good no more. `sudo vipair invite` makes a new one",
      );
      return EXIT.failed;
    case "closed":
      return EXIT.failed;
    case "joined":
      terminal.complain(`${end.name} at ${end.address} has joined`);
      return tellTouch(node, { peer: end.name, applied: applied() }, terminal);
  }
}

async function tellTouch(
  node: WaitingNode,
  { peer, applied }: { readonly peer: string; readonly applied: Applied | undefined },
  terminal: Terminal,
): Promise<number> {
  if (applied === undefined) return EXIT.failed;
  if (applied.kind === "failed") {
    terminal.complain(`vipair: ${applied.problem}`);
    return EXIT.failed;
  }
  terminal.complain(applied.words);
  if (applied.kind === "not-running") return EXIT.ok;
  const status = await waitForStatus(node.paths.runtimeDir, (now) => now.peer?.connected === true, {
    withinMs: IN_TOUCH_MS,
  });
  terminal.complain(
    status === undefined
      ? `${peer} is not in touch yet: \`vipair status\` says why`
      : `in touch with ${peer}; ${node.name} is ${status.role}`,
  );
  return EXIT.ok;
}
