// `vipair join ADDRESS CODE`: makes this machine the second node of a pair. Configuration and secret come from the node
// that waits there. They are written before that node enters this one, so that it never knows a node that
// does not know it; and taken back if it then says no.

import { dirname, resolve } from "node:path";
import { readIpAddress } from "../../config/address.ts";
import type { Config } from "../../config/config.ts";
import { noSuch } from "../../config/nearest.ts";
import { readJoinCode } from "../../protocol/join-code.ts";
import { nodeNameFile } from "../../system/node-name.ts";
import { VERSION } from "../../system/version.ts";
import { CONFIG_MODE, checkText, readConfig } from "../config-file.ts";
import { lifetimeWarning } from "../pairing/address-lifetime.ts";
import { deriveCodeKey } from "../pairing/code-key.ts";
import { interfaceProblem } from "../pairing/pair-network.ts";
import { readMachineNetwork } from "../pairing/machine-network.ts";
import { writeNewFiles } from "../pairing/new-files.ts";
import { connectToHost } from "../pairing/pairing-joiner.ts";
import type { OfferMessage } from "../pairing/pairing-joiner.ts";
import { installProblem, rootProblem, startOrReload, waitForStatus } from "../service.ts";
import type { NodePaths } from "../service.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";
import { configuredProblem, findName } from "./init.ts";

const SECRET_MODE = 0o600;
/** For the two nodes to find each other. */
const IN_TOUCH_MS = 20_000;

export interface JoinOptions {
  /** Of the node that waits. */
  readonly target: string;
  readonly code: string;
  readonly name?: string | undefined;
  readonly address?: string | undefined;
  readonly port: number;
  readonly yes: boolean;
  readonly force: boolean;
  readonly paths: NodePaths;
  /** Of the peer link. */
  readonly protocol: number;
}

/** Ends in the exit code. */
export async function joinPair(options: JoinOptions, terminal: Terminal): Promise<number> {
  const fail = (...problems: readonly string[]): number => {
    for (const problem of problems) terminal.complain(`vipair: ${problem}`);
    return EXIT.failed;
  };
  const { paths, port, protocol } = options;
  const mayNot = rootProblem(paths, "join") ?? (await installProblem(paths));
  if (mayNot !== undefined) return fail(mayNot);
  const code = readJoinCode(options.code);
  if (code === undefined) {
    return fail(`"${options.code}" cannot be a join code. It has twelve letters and digits: XXXX-XXXX-XXXX`);
  }
  const target = readIpAddress(options.target);
  if (target.kind === "invalid") return fail(target.problem.replace(/\.$/, ""));
  const before = await readConfig(paths.config);
  if (before.kind !== "empty" && !options.force) return fail(configuredProblem(paths.config));
  const name = await findName(options, terminal);
  if (name.kind === "problem") return fail(name.problem);

  const own = options.address === undefined ? undefined : readIpAddress(options.address);
  if (own?.kind === "invalid") return fail(own.problem.replace(/\.$/, ""));
  if (own !== undefined && !readMachineNetwork().has(own.value)) {
    return fail(addressMissing(own.value));
  }
  const session = await connectToHost({
    address: target.value,
    port,
    key: await deriveCodeKey(code),
    ...(own === undefined ? {} : { from: own.value }),
  });
  if (session.kind === "problem") return fail(session.problem);
  const address = own?.value ?? session.localAddress;
  const offer = await session.ask({ name: name.value, address, protocol, version: VERSION });
  if (offer.kind === "problem") return fail(offer.problem);

  const accepted = checkOffer(offer, { name: name.value, address, file: paths.config });
  if (accepted.kind === "problems") {
    session.giveUp(accepted.problems.join("; "));
    return fail(...accepted.problems);
  }
  const { secretFile } = accepted;
  const written = await writeNewFiles([
    ...(secretFile === undefined || offer.secret === null
      ? []
      : [{ path: secretFile, text: offer.secret, mode: SECRET_MODE }]),
    { path: nodeNameFile(paths.config), text: `${name.value}\n`, mode: CONFIG_MODE, isKept: false },
    { path: paths.config, text: offer.config, mode: CONFIG_MODE, isKept: before.kind !== "empty" },
  ]);
  if (written.kind === "failed") {
    session.giveUp(written.problem);
    return fail(written.problem);
  }
  const confirmed = await session.confirm();
  if (confirmed.kind !== "done") {
    await written.undo();
    if (confirmed.kind === "problem") return fail(confirmed.problem);
    return fail(
      `${target.value} has not confirmed, so this machine is as it was before. If it says there that ${name.value} has joined, type there: sudo vipair invite --replace ${name.value}`,
    );
  }
  for (const backup of written.backups) terminal.complain(`the old file is kept as ${backup}`);
  terminal.print(`${name.value} and ${offer.name} are a pair; ${paths.config} is the same on both`);
  const warning = await lifetimeWarning(address);
  if (warning !== undefined) terminal.complain(`vipair: ${warning}`);

  const applied = await startOrReload(paths, { name: name.value });
  if (applied.kind === "failed") return fail(applied.problem);
  terminal.complain(applied.words);
  if (applied.kind === "running") await tellTouch(offer.name, { name: name.value, paths }, terminal);
  return EXIT.ok;
}

async function tellTouch(
  peer: string,
  { name, paths }: { readonly name: string; readonly paths: NodePaths },
  terminal: Terminal,
): Promise<void> {
  const status = await waitForStatus(paths.runtimeDir, (now) => now.peer?.connected === true, {
    withinMs: IN_TOUCH_MS,
  });
  terminal.complain(
    status === undefined
      ? `${peer} is not in touch yet: \`vipair status\` says why`
      : `in touch with ${peer}; ${name} is ${status.role}`,
  );
}

type Accepted =
  /** `secretFile`: where the secret belongs; undefined when it is in the configuration. */
  | { readonly kind: "accepted"; readonly secretFile: string | undefined }
  | { readonly kind: "problems"; readonly problems: readonly string[] };

/** Whether this machine can be what the other node's configuration makes of it. */
function checkOffer(
  offer: OfferMessage,
  { name, address, file }: { readonly name: string; readonly address: string; readonly file: string },
): Accepted {
  const checked = checkText(offer.config, file);
  if (checked.kind === "invalid") return checkedProblems(checked.problems);
  const { config } = checked;
  const own = config.pair?.nodes.find((node) => node.name === name);
  if (config.pair === undefined || own?.address !== address) {
    return checkedProblems([`${offer.name} sent a configuration without ${name} at ${address}`]);
  }
  const problems = machineProblems(config, address);
  if (problems.length > 0) return checkedProblems(problems);
  if (config.pair.secretFile === undefined) return { kind: "accepted", secretFile: undefined };
  const folder = dirname(file);
  const secretFile = resolve(folder, config.pair.secretFile);
  // Whoever has the code may make a pair, and not write wherever root can.
  if (dirname(secretFile) !== folder) {
    return checkedProblems([
      `${offer.name} keeps the secret in ${secretFile}, and join writes only into ${folder}. Put it beside the configuration there, or copy both files yourself`,
    ]);
  }
  return { kind: "accepted", secretFile };
}

function checkedProblems(problems: readonly string[]): Accepted {
  return { kind: "problems", problems };
}

function machineProblems({ virtualAddresses }: Config, address: string): readonly string[] {
  const { interfaces, has } = readMachineNetwork();
  const names = interfaces.map(({ name }) => name);
  const missing = [...new Set(virtualAddresses.map((one) => one.interface))].flatMap((wanted) => {
    if (!names.includes(wanted)) {
      return [`${noSuch("interface", wanted, names)}. The virtual address is on ${wanted} on both nodes`];
    }
    const problem = interfaceProblem(interfaces, wanted);
    return problem === undefined ? [] : [problem];
  });
  if (has(address)) return missing;
  return [...missing, addressMissing(address)];
}

function addressMissing(address: string): string {
  return `this machine does not have the address ${address}`;
}
