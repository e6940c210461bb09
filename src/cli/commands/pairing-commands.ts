// The command line of what makes and changes a pair's files: init, join, invite, and backend add and remove. What they do
// is loaded when they are called.

import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { PAIRING_PORT } from "../../protocol/pairing.ts";
import type { NodePaths } from "../service.ts";
import type { Terminal } from "../terminal.ts";
import type { InitOptions } from "./init.ts";
import type { JoinOptions } from "./join.ts";

export interface PairingCommandOptions {
  readonly terminal: Terminal;
  /** Gets the exit code. */
  readonly onEnd: (exitCode: number) => void;
  readonly configOption: () => Option;
  readonly runtimeDirOption: () => Option;
  readonly pathsOf: (options: { readonly config: string; readonly runtimeDir: string }) => NodePaths;
  /** Of the peer link. */
  readonly protocol: number;
}

interface Places {
  readonly config: string;
  readonly runtimeDir: string;
}

export function addPairingCommands(program: Command, options: PairingCommandOptions): void {
  addInit(program, options);
  addJoin(program, options);
  addInvite(program, options);
  addBackendCommands(program, options);
}

function addInit(program: Command, options: PairingCommandOptions): void {
  const { terminal, onEnd, protocol, pathsOf } = options;
  const command = program
    .command("init")
    .description("make this machine the first node of a pair, and wait for the second one")
    .option("--vip <address>", "the address that clients will use, which no machine has yet")
    .option("--interface <name>", "where it will be, when several would do")
    .addOption(
      numberOption("--priority <number>", "of this node; the second one gets 100", {
        from: 1,
        to: 254,
        by: 150,
      }),
    )
    .option("--backend <address:port>", "a backend; may be given again", collect, [])
    .addOption(numberOption("--listen <port>", "where clients connect", { from: 1, to: 65_535, by: 80 }));
  addNodeOptions(command, { address: "the one in the network of --vip", ...options }).action(
    async (given: Omit<InitOptions, "backends" | "paths" | "protocol"> & { backend: string[] } & Places) => {
      const { backend: backends, config, runtimeDir, ...rest } = given;
      const paths = pathsOf({ config, runtimeDir });
      const { initPair } = await import("./init.ts");
      onEnd(await initPair({ ...rest, backends, paths, protocol }, terminal));
    },
  );
}

function addJoin(program: Command, options: PairingCommandOptions): void {
  const { terminal, onEnd, protocol, pathsOf } = options;
  const command = program
    .command("join")
    .description("make this machine the second node of the pair that waits at an address")
    .argument("<address>", "of the first node, as init prints it")
    .argument("<code>", "as init prints it; small letters and missing dashes do not matter");
  addNodeOptions(command, { address: "the one from which the first node is reached", ...options }).action(
    async (
      target: string,
      code: string,
      given: Omit<JoinOptions, "target" | "code" | "paths" | "protocol"> & Places,
    ) => {
      const { config, runtimeDir, ...rest } = given;
      const paths = pathsOf({ config, runtimeDir });
      const { joinPair } = await import("./join.ts");
      onEnd(await joinPair({ ...rest, target, code, paths, protocol }, terminal));
    },
  );
}

/** What a machine is asked that becomes a node, be it the first one or the second. `address`: what its own one is by itself. */
function addNodeOptions(
  command: Command,
  {
    address,
    configOption,
    runtimeDirOption,
  }: Pick<PairingCommandOptions, "configOption" | "runtimeDirOption"> & { readonly address: string },
): Command {
  return command
    .option("--name <name>", "this node's name (default: the host name)")
    .option("--address <address>", `this node's own address (default: ${address})`)
    .addOption(portOption())
    .addOption(new Option("--yes", "ask nothing; what cannot be found out is an error").default(false))
    .option(
      "--force",
      "even if this machine is configured already; the old file is kept beside the new one",
      false,
    )
    .addOption(configOption())
    .addOption(runtimeDirOption());
}

function addInvite(program: Command, options: PairingCommandOptions): void {
  const { terminal, onEnd, protocol, pathsOf } = options;
  program
    .command("invite")
    .description("make a new join code for the second node, and wait for it")
    .option("--replace <node>", "the node whose place a new machine takes")
    .addOption(new Option("--node <name>", "this node's name in the configuration").env("VIPAIR_NODE"))
    .addOption(portOption())
    .addOption(options.configOption())
    .addOption(options.runtimeDirOption())
    .action(async (given: { replace?: string; node?: string; port: number } & Places) => {
      const { config, runtimeDir, ...rest } = given;
      const paths = pathsOf({ config, runtimeDir });
      const { inviteNode } = await import("./invite.ts");
      onEnd(await inviteNode({ ...rest, paths, protocol }, terminal));
    });
}

function addBackendCommands(program: Command, options: PairingCommandOptions): void {
  const { terminal, onEnd, pathsOf } = options;
  const backend = program.command("backend").description("change who is in a pool, in the configuration");
  backend
    .command("add")
    .description("put a backend into a pool")
    .argument("<pool>", "as in the configuration")
    .argument("<address:port>", "where the backend listens")
    .option("--name <name>", "its name in logs and status (default: its address)")
    .addOption(numberOption("--weight <number>", "its share of the requests", { from: 0, to: 256 }))
    .option("--backup", "it serves only when no other can", false)
    .option("--push", "copy the file to the other node afterwards", false)
    .addOption(options.configOption())
    .addOption(options.runtimeDirOption())
    .action(
      async (
        pool: string,
        address: string,
        given: { name?: string; weight?: number; backup: boolean; push: boolean } & Places,
      ) => {
        const { config, runtimeDir, ...rest } = given;
        const { addBackend } = await import("./backend-edit.ts");
        onEnd(await addBackend({ pool, address, ...rest, paths: pathsOf({ config, runtimeDir }) }, terminal));
      },
    );
  backend
    .command("remove")
    .description("take a backend out of a pool")
    .argument("<pool>", "as in the configuration")
    .argument("<backend>", "its name or address")
    .option("--force", "even if it is the last one", false)
    .option("--push", "copy the file to the other node afterwards", false)
    .addOption(options.configOption())
    .addOption(options.runtimeDirOption())
    .action(async (pool: string, name: string, given: { force: boolean; push: boolean } & Places) => {
      const { config, runtimeDir, ...rest } = given;
      const { removeBackend } = await import("./backend-edit.ts");
      onEnd(
        await removeBackend(
          { pool, backend: name, ...rest, paths: pathsOf({ config, runtimeDir }) },
          terminal,
        ),
      );
    });
}

function portOption(): Option {
  return numberOption("--port <port>", "of the pairing, the same on both nodes", {
    from: 1,
    to: 65_535,
    by: PAIRING_PORT,
  });
}

/** `by`: what it is when not given. */
function numberOption(
  flags: string,
  description: string,
  { from, to, by }: { readonly from: number; readonly to: number; readonly by?: number },
): Option {
  const option = new Option(flags, description).argParser((text: string) => {
    const number = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= from && number <= to) return number;
    throw new InvalidArgumentError(`Use ${String(from)} to ${String(to)}.`);
  });
  return by === undefined ? option : option.default(by);
}

/** An option that may be given again. */
function collect(value: string, earlier: readonly string[]): readonly string[] {
  return [...earlier, value];
}
