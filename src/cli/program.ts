// The command line: names, options and help of every command. `run` is handed in, because commands
// here may not reach into the control plane. Commands that read configurations are loaded when they are called: the schema
// is most of what there is to load.

import { resolve } from "node:path";
import { Command, CommanderError, Option } from "commander";
import { VERSION } from "../system/version.ts";
import { addBackendOrderCommands } from "./commands/backend-order-commands.ts";
import { addConfigCommands } from "./commands/config-commands.ts";
import { orderResume, orderStandby } from "./commands/maintenance.ts";
import { addPairingCommands } from "./commands/pairing-commands.ts";
import { addProbeCommand } from "./commands/probe-command.ts";
import { reloadNode } from "./commands/reload.ts";
import { printRole } from "./commands/role.ts";
import type { RouteOptions } from "./commands/route.ts";
import { printStatus } from "./commands/status.ts";
import { orderSwitchover } from "./commands/switchover.ts";
import { EXIT, processTerminal } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

const DEFAULT_CONFIG = "/etc/vipair/vipair.yaml";
const DEFAULT_RUNTIME_DIR = "/run/vipair";
const DEFAULT_STATE_DIR = "/var/lib/vipair";

export interface RunOptions {
  readonly config: string;
  /** Absent: $VIPAIR_NODE was not set either; the file `node` beside the configuration decides, or the host name. */
  readonly node?: string;
  readonly runtimeDir: string;
  /** Absent: /var/lib/vipair, or the runtime directory when that is not the default one either. */
  readonly stateDir?: string;
}

export interface CommandLine {
  /** The arguments after the program's name. */
  readonly args: readonly string[];
  /** Runs a node; ends in the exit code. */
  readonly run: (options: RunOptions) => Promise<number>;
  /** Version of the peer link: two nodes that pair must have the same. */
  readonly peerProtocol: number;
  /** Absent: stdout and stderr of this process. */
  readonly terminal?: Terminal;
}

/** Performs the command and ends in the exit code: 2 for a command line that makes no sense. */
export async function runCommandLine({
  args,
  run,
  peerProtocol,
  terminal = processTerminal(),
}: CommandLine): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = buildProgram({
    run,
    peerProtocol,
    terminal,
    onEnd: (code) => {
      exitCode = code;
    },
  });
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version end through here too, with 0.
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  return exitCode;
}

/** Every command with its options and its help, to be read and not to be run: for the manual page and completions. */
export function commandTree(): Command {
  return buildProgram({
    run: () => Promise.reject(new Error("a tree of commands runs nothing")),
    peerProtocol: 0,
    terminal: { print: () => undefined, complain: () => undefined },
    onEnd: () => undefined,
  });
}

function buildProgram({
  run,
  peerProtocol,
  terminal,
  onEnd,
}: {
  readonly run: CommandLine["run"];
  readonly peerProtocol: number;
  readonly terminal: Terminal;
  readonly onEnd: (exitCode: number) => void;
}): Command {
  const program = new Command("vipair")
    .description("A highly available pair of load balancers")
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => {
        terminal.print(text.trimEnd());
      },
      writeErr: (text) => {
        terminal.complain(text.trimEnd());
      },
    });

  program
    .command("run")
    .description("run a node in the foreground")
    .addOption(configOption())
    .addOption(new Option("--node <name>", "this node's name in the configuration").env("VIPAIR_NODE"))
    .addOption(runtimeDirOption())
    .addOption(
      new Option(
        "--state-dir <dir>",
        `where orders survive a reboot (default: "${DEFAULT_STATE_DIR}", or --runtime-dir when that is given)`,
      ).env("STATE_DIRECTORY"),
    )
    .action(async (options: RunOptions) => {
      onEnd(await run(options));
    });
  program
    .command("check")
    .description("report every mistake in the configuration")
    .addOption(configOption())
    .option("--node <name>", "a node that must stand in it")
    .action(async (options: { config: string; node?: string }) => {
      const { checkConfig } = await import("./commands/check.ts");
      onEnd(await checkConfig(options, terminal));
    });
  program
    .command("route")
    .description("explain which route a request takes: vipair route 'GET http://host/path' -H 'x: y'")
    .argument("<request>", "method and URL in quotes; GET when there is a URL alone")
    .option("-H, --header <field>", "a header field of the request; may be given again", collect, [])
    .option("--client <address>", "where the client is", "127.0.0.1")
    .option("--listener <name>", "when several listeners have the port of the URL")
    .option("--json", "for programs", false)
    .addOption(configOption())
    .action(
      async (
        request: string,
        { header, listener, ...options }: Omit<RouteOptions, "request" | "fields"> & { header: string[] },
      ) => {
        const { explainRequest } = await import("./commands/route.ts");
        onEnd(await explainRequest({ ...options, request, fields: header, listener }, terminal));
      },
    );
  program
    .command("status")
    .description("show what the node knows")
    .option("--json", "for programs", false)
    .addOption(runtimeDirOption())
    .action(async (options: { json: boolean; runtimeDir: string }) => {
      onEnd(await printStatus(options, terminal));
    });
  program
    .command("role")
    .description("print active, standby or fault; exit 3 when no vipair runs here")
    .addOption(runtimeDirOption())
    .action(async (options: { runtimeDir: string }) => {
      onEnd(await printRole(options, terminal));
    });
  program
    .command("reload")
    .description("have the node read its configuration again, and say whether it took it")
    .addOption(runtimeDirOption())
    .action(async (options: { runtimeDir: string }) => {
      onEnd(await reloadNode(options, terminal));
    });
  program
    .command("switchover")
    .description("make the other node active, without a failed request")
    .option("--group <name>", "of the virtual addresses, when there are several groups")
    .option("--force", "even if the other node is not ready: clients may notice", false)
    .addOption(runtimeDirOption())
    .action(async (options: { runtimeDir: string; group?: string; force: boolean }) => {
      onEnd(await orderSwitchover({ ...options, group: options.group }, terminal));
    });
  program
    .command("standby")
    .description("take a node out of service until `vipair resume`, across restarts")
    .argument("[node]", "this machine's when absent")
    .option("--force", "even if the other node cannot take over: nobody serves then", false)
    .addOption(runtimeDirOption())
    .action(async (node: string | undefined, options: { runtimeDir: string; force: boolean }) => {
      onEnd(await orderStandby({ ...options, node }, terminal));
    });
  program
    .command("resume")
    .description("take a node back into service; ends flap damping, too")
    .argument("[node]", "this machine's when absent")
    .addOption(runtimeDirOption())
    .action(async (node: string | undefined, options: { runtimeDir: string }) => {
      onEnd(await orderResume({ ...options, node, force: false }, terminal));
    });
  addBackendOrderCommands(program, { terminal, onEnd, runtimeDirOption });
  addConfigCommands(program, { terminal, onEnd, runtimeDirOption });
  addPairingCommands(program, {
    terminal,
    onEnd,
    configOption,
    runtimeDirOption,
    pathsOf: ({ config, runtimeDir }) => ({
      config: resolve(config),
      runtimeDir: resolve(runtimeDir),
      isDefault: resolve(config) === DEFAULT_CONFIG && resolve(runtimeDir) === DEFAULT_RUNTIME_DIR,
    }),
    protocol: peerProtocol,
  });
  addProbeCommand(program, { terminal, onEnd });
  return program;
}

/** Where what must survive a reboot is kept; whoever chose a runtime directory has a place of their own. */
export function stateDirOf({ stateDir, runtimeDir }: Pick<RunOptions, "stateDir" | "runtimeDir">): string {
  return stateDir ?? (runtimeDir === DEFAULT_RUNTIME_DIR ? DEFAULT_STATE_DIR : runtimeDir);
}

/** An option that may be given again. */
function collect(value: string, earlier: readonly string[]): readonly string[] {
  return [...earlier, value];
}

function configOption(): Option {
  return new Option("--config <file>", "the configuration").default(DEFAULT_CONFIG);
}

function runtimeDirOption(): Option {
  return new Option("--runtime-dir <dir>", "where the admin socket and the state are").default(
    DEFAULT_RUNTIME_DIR,
  );
}
