// `vipair init`: makes the first node of a pair out of a machine. It finds out what it can, asks for the rest, writes
// configuration and secret, gets the node to run, and waits for the second one.

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { readBackendAddress } from "../../config/address.ts";
import { readName } from "../../config/fields.ts";
import { noSuch } from "../../config/nearest.ts";
import { nodeNameFile, readNodeName } from "../../system/node-name.ts";
import { CONFIG_MODE, checkText, readConfig } from "../config-file.ts";
import { lifetimeWarning } from "../pairing/address-lifetime.ts";
import { probeAddress } from "../pairing/address-probe.ts";
import { readMachineNetwork } from "../pairing/machine-network.ts";
import { SECRET_FILE, writeConfig } from "../pairing/new-config.ts";
import { writeNewFiles } from "../pairing/new-files.ts";
import { choosePairNetwork } from "../pairing/pair-network.ts";
import type { PairNetwork } from "../pairing/pair-network.ts";
import { openForNode } from "../pairing/wait-for-node.ts";
import { installProblem, rootProblem, startOrReload, waitForStatus } from "../service.ts";
import type { NodePaths } from "../service.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";

const SECRET_BYTES = 32;
/** Of root alone. */
const SECRET_MODE = 0o600;

/** A node that is alone listens, asks the network and claims. */
const ROLE_MS = 10_000;

export interface InitOptions {
  readonly vip?: string | undefined;
  readonly interface?: string | undefined;
  readonly name?: string | undefined;
  readonly address?: string | undefined;
  readonly priority: number;
  readonly backends: readonly string[];
  /** Port of the listener. */
  readonly listen: number;
  /** Of the pairing. */
  readonly port: number;
  readonly yes: boolean;
  readonly force: boolean;
  readonly paths: NodePaths;
  /** Of the peer link. */
  readonly protocol: number;
}

/** Ends in the exit code: 0 when a second node has joined. */
export async function initPair(options: InitOptions, terminal: Terminal): Promise<number> {
  const fail = (...problems: readonly string[]): number => {
    for (const problem of problems) terminal.complain(`vipair: ${problem}`);
    return EXIT.failed;
  };
  const { paths } = options;
  const mayNot = rootProblem(paths, "init") ?? (await installProblem(paths));
  if (mayNot !== undefined) return fail(mayNot);
  const before = await readConfig(paths.config);
  if (before.kind !== "empty" && !options.force) return fail(configuredProblem(paths.config));

  const ours = before.kind === "config" ? before.config.virtualAddresses.map(({ address }) => address) : [];
  const name = await findName(options, terminal);
  const place: Place = name === STOPPED ? name : await findPlace(options, terminal, ours);
  const problems = new Set([
    ...(name.kind === "problem" ? [name.problem] : []),
    ...(place.kind === "problem" ? [place.problem] : []),
    ...options.backends.flatMap((backend) => {
      const read = readBackendAddress(backend);
      return read.kind === "invalid" ? [`--backend: ${read.problem.replace(/\.$/, "")}`] : [];
    }),
  ]);
  if (name.kind === "problem" || place.kind === "problem" || problems.size > 0) return fail(...problems);
  const { network, known } = place;

  const { backends, listen, priority, protocol, port } = options;
  const text = writeConfig({ ...network, name: name.value, priority, backends, port: listen });
  const checked = checkText(text, paths.config);
  if (checked.kind === "invalid") return fail(...checked.problems);
  const waiting = await openForNode(
    { file: paths.config, name: name.value, address: network.address, port, protocol, paths },
    terminal,
  );
  if (waiting.kind === "failed") return fail(waiting.problem);
  const secret = `${randomBytes(SECRET_BYTES).toString("base64url")}\n`;
  const written = await writeNewFiles([
    { path: join(dirname(paths.config), SECRET_FILE), text: secret, mode: SECRET_MODE },
    { path: nodeNameFile(paths.config), text: `${name.value}\n`, mode: CONFIG_MODE, isKept: false },
    { path: paths.config, text, mode: CONFIG_MODE, isKept: before.kind !== "empty" },
  ]);
  if (written.kind === "failed") {
    waiting.close();
    return fail(written.problem);
  }
  for (const backup of written.backups) terminal.complain(`the old file is kept as ${backup}`);
  for (const line of summary(network, { name: name.value, config: paths.config, backends, known }))
    terminal.complain(line);
  const warning = await lifetimeWarning(network.address);
  if (warning !== undefined) terminal.complain(`vipair: ${warning}`);

  const applied = await startOrReload(paths, { name: name.value });
  if (applied.kind === "failed") {
    waiting.close();
    return fail(applied.problem, "when the node runs, `sudo vipair invite` lets the second one in");
  }
  terminal.complain(applied.words);
  if (applied.kind === "running") await tellRole(paths, terminal);
  return waiting.stay();
}

/** Whether it serves by now: what stands in the way is best known before a second node comes. */
async function tellRole({ runtimeDir }: NodePaths, terminal: Terminal): Promise<void> {
  const status = await waitForStatus(runtimeDir, ({ role }) => role !== "standby", { withinMs: ROLE_MS });
  if (status === undefined) {
    terminal.complain("this node is not active yet: `vipair status` says why");
    return;
  }
  const { node, role, reason, listeners } = status;
  terminal.complain(
    role === "active" ? `${node} is active` : `${node} is in fault: ${reason ?? "see its log"}`,
  );
  for (const { name, problem } of listeners) {
    if (problem !== null) terminal.complain(`listener ${name}: ${problem}`);
  }
}

export function configuredProblem(file: string): string {
  return `${file} is configured already, and stays as it is. \`sudo vipair invite\` lets a second node in; --force makes a new one and keeps this as ${file}.bak`;
}

export type NodeName =
  { readonly kind: "name"; readonly value: string } | { readonly kind: "problem"; readonly problem: string };

/** Of somebody who was asked and has gone. */
const STOPPED = { kind: "problem", problem: "stopped, and nothing was written" } as const;

/** As given, as it was called before, or the host name if that can be a name. */
export async function findName(
  { name, yes, paths }: Pick<InitOptions, "name" | "yes" | "paths">,
  terminal: Terminal,
): Promise<NodeName> {
  const host = hostname();
  const known = name ?? readNodeName(paths.config) ?? (host === "localhost" ? undefined : host);
  const read = readName(known ?? "");
  if (read.kind === "ok") return { kind: "name", value: read.value };
  const problem = known === undefined ? "This machine has no name of its own." : read.problem;
  if (name === undefined && !yes && terminal.ask !== undefined)
    return askForName(problem, terminal, terminal.ask);
  return { kind: "problem", problem: `${problem} Give the node a name: --name pi-a` };
}

/** Again and again, until there is one; `problem`: why the one before will not do. */
async function askForName(
  problem: string,
  terminal: Terminal,
  ask: NonNullable<Terminal["ask"]>,
): Promise<NodeName> {
  terminal.complain(problem);
  const answer = await ask("Name of this node (such as pi-a): ");
  if (answer === undefined) return STOPPED;
  const read = readName(answer);
  return read.kind === "ok" ? { kind: "name", value: read.value } : askForName(read.problem, terminal, ask);
}

type Place =
  /** `known`: what the network says of the address; null where it cannot be asked. */
  | { readonly kind: "place"; readonly network: PairNetwork; readonly known: string | null }
  | { readonly kind: "problem"; readonly problem: string };

/** Where the virtual address will be, which nobody has yet. `ours`: what this machine may hold as the node that it is already. */
async function findPlace(options: InitOptions, terminal: Terminal, ours: readonly string[]): Promise<Place> {
  const ask = options.yes ? undefined : terminal.ask;
  if (options.vip !== undefined) return placeFor(options.vip, options, { terminal, ask, ours });
  if (ask === undefined) {
    return { kind: "problem", problem: "which address shall the pair have? --vip 192.168.1.50" };
  }
  const vip = await ask("Virtual address, which no machine has yet (such as 192.168.1.50): ");
  if (vip === undefined) return STOPPED;
  if (vip === "") return findPlace(options, terminal, ours);
  const place = await placeFor(vip, options, { terminal, ask, ours });
  if (place.kind === "place" || place === STOPPED) return place;
  terminal.complain(`${place.problem}.`);
  return findPlace(options, terminal, ours);
}

async function placeFor(
  vip: string,
  options: InitOptions,
  asking: {
    readonly terminal: Terminal;
    /** Absent: nobody can answer. */
    readonly ask: Terminal["ask"];
    readonly ours: readonly string[];
  },
): Promise<Place> {
  const { terminal, ask, ours } = asking;
  const chosen = choosePairNetwork(readMachineNetwork(), { ...options, vip }, { ours });
  if (chosen.kind === "problem") return chosen;
  if (chosen.kind === "network") {
    const holder = await findHolder(chosen, ours);
    return holder.kind === "problem" ? holder : { kind: "place", network: chosen, known: holder.known };
  }
  const names = chosen.interfaces.join(", ");
  if (ask === undefined)
    return { kind: "problem", problem: `${vip} could be on ${names}. Choose one: --interface` };
  const answer = await ask(`${vip} could be on ${names}. Which one? `);
  if (answer === undefined) return STOPPED;
  if (chosen.interfaces.includes(answer)) return placeFor(vip, { ...options, interface: answer }, asking);
  if (answer !== "") terminal.complain(`${noSuch("interface", answer, chosen.interfaces)}.`);
  return placeFor(vip, options, asking);
}

type Holder =
  /** None but this pair. `known`: what the network says of it; null where it cannot be asked. */
  | { readonly kind: "none"; readonly known: string | null }
  /** Somebody else has the address, or that cannot be found out. */
  | { readonly kind: "problem"; readonly problem: string };

async function findHolder(network: PairNetwork, ours: readonly string[]): Promise<Holder> {
  const { vip, interface: device, isLoopback } = network;
  // Nobody else is on a loopback; and what this pair holds answers, as it should.
  if (isLoopback) return { kind: "none", known: null };
  if (ours.includes(vip)) return { kind: "none", known: "this pair's already" };
  const probed = await probeAddress(network);
  switch (probed.kind) {
    case "free":
      return { kind: "none", known: "free" };
    case "taken": {
      const problem = `${probed.problem}. Choose an address that no machine has, and that no DHCP server gives away`;
      return { kind: "problem", problem };
    }
    case "unknown":
      return {
        kind: "problem",
        problem: `cannot find out whether ${vip} is free on ${device}: ${probed.problem}`,
      };
  }
}

function summary(
  { vip, prefixLength, interface: device, address, gateway }: PairNetwork,
  {
    name,
    config,
    backends,
    known,
  }: {
    readonly name: string;
    readonly config: string;
    readonly backends: readonly string[];
    /** Of the virtual address. */
    readonly known: string | null;
  },
): readonly string[] {
  const who =
    backends.length === 0 ? "none yet: sudo vipair backend add web ADDRESS:PORT" : backends.join(", ");
  return [
    config,
    `  virtual address  ${vip}/${String(prefixLength)} on ${device}${known === null ? "" : `, ${known}`}`,
    `  this node        ${name} at ${address}`,
    `  arbiter          ${gateway === null ? "none: this machine has no gateway" : `the gateway ${gateway}`}`,
    `  backends         ${who}`,
  ];
}
