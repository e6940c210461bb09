// The command line of the orders for one backend: their names, options and help.

import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { readDuration } from "../../config/quantity.ts";
import type { Terminal } from "../terminal.ts";
import { type OrderedState, orderState, orderWeight } from "./backend-orders.ts";

const STATES: readonly { readonly state: OrderedState; readonly description: string }[] = [
  { state: "drain", description: "give a backend no new requests, on both nodes" },
  { state: "maintenance", description: "take a backend out of service: no requests, no health checks" },
  { state: "ready", description: "give a backend requests again after drain or maintenance" },
];

/** `onEnd` gets the exit code. */
export function addBackendOrderCommands(
  program: Command,
  {
    terminal,
    onEnd,
    runtimeDirOption,
  }: {
    readonly terminal: Terminal;
    readonly onEnd: (exitCode: number) => void;
    readonly runtimeDirOption: () => Option;
  },
): void {
  for (const { state, description } of STATES) {
    const command = program
      .command(state)
      .description(description)
      .argument("<pool/backend>", "as `vipair status` names them")
      .addOption(runtimeDirOption());
    if (state !== "ready") command.addOption(waitOption());
    command.action(
      async (target: string, { runtimeDir, wait }: { runtimeDir: string; wait?: number | true }) => {
        const waitMs = wait === true ? Infinity : (wait ?? false);
        onEnd(await orderState({ runtimeDir, target, state, waitMs }, terminal));
      },
    );
  }
  program
    .command("weight")
    .description("give a backend another weight until `reset`, on both nodes; 0: no new clients")
    .argument("<pool/backend>", "as `vipair status` names them")
    .argument("<weight>", "0 to 256, a share of the configured one such as 50%, or reset")
    .addOption(runtimeDirOption())
    .action(async (target: string, weight: string, { runtimeDir }: { runtimeDir: string }) => {
      onEnd(await orderWeight({ runtimeDir, target, weight }, terminal));
    });
}

function waitOption(): Option {
  return new Option(
    "--wait [duration]",
    "until its last connection has gone on both nodes, at most so long: --wait=30s",
  ).argParser((text: string) => {
    const read = readDuration(text);
    if (read.kind === "ok") return read.value;
    throw new InvalidArgumentError(read.problem);
  });
}
