// The command line of `vipair probe`: its options, their limits, and its help, which is longer than that of
// the commands that talk to a node.

import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { formatDuration, readDuration } from "../../config/quantity.ts";
import { readTarget } from "../probe-target.ts";
import type { Terminal } from "../terminal.ts";
import { probe } from "./probe.ts";

const DEFAULT_INTERVAL_MS = 10;
const DEFAULT_TIMEOUT_MS = 400;
/** With more connections per second a machine runs out of local ports, which rest a minute after use. */
const INTERVAL_MS_MIN = 5;
const MS_MAX = 60_000;
const DAY_MS = 24 * 3_600_000;
/** Each takes a socket; beyond, machines with small limits fail by themselves. */
const WAITING_MAX = 200;

const HELP = `
Starts a new connection with one GET each interval, whether or not the earlier ones have been answered, and
shows how the service does. Ctrl-C ends it and prints the report. Use it while you pull the plug.

A request has failed when it was refused or cut off, when its whole answer was not there in time, or when the answer
was an error (status 400 and above). An outage lasts from the start of the first request that failed to the start of the
next one that was answered; outages less than 50 ms apart are one. Its length is exact to one interval.

Exit status: 0 when no request failed, 1 when some did, 2 when the command line makes no sense.

  vipair probe http://192.168.1.50/
  vipair probe https://192.168.1.50/ --host www.example.lan --insecure
  vipair probe http://192.168.1.50/health --for 30s --json`;

interface Given {
  readonly interval: number;
  readonly timeout: number;
  readonly for?: number;
  readonly host?: string;
  readonly insecure: boolean;
  readonly json: boolean;
}

/** `onEnd` gets the exit code. */
export function addProbeCommand(
  program: Command,
  { terminal, onEnd }: { readonly terminal: Terminal; readonly onEnd: (exitCode: number) => void },
): void {
  const command: Command = program
    .command("probe")
    .description("measure how long a service is away: an open-loop client for tests of failover")
    .argument("<url>", "what to ask for: http:// or https://")
    .addOption(
      new Option("--interval <duration>", "between two requests")
        .argParser(durationBetween(INTERVAL_MS_MIN, MS_MAX))
        .default(DEFAULT_INTERVAL_MS, formatDuration(DEFAULT_INTERVAL_MS)),
    )
    .addOption(
      new Option("--timeout <duration>", "when a request without a whole answer has failed")
        .argParser(durationBetween(1, MS_MAX))
        .default(DEFAULT_TIMEOUT_MS, formatDuration(DEFAULT_TIMEOUT_MS)),
    )
    .addOption(
      new Option("--for <duration>", "end by itself after this").argParser(durationBetween(1, 7 * DAY_MS)),
    )
    .addOption(new Option("--host <name>", "ask for this host: Host field and TLS server name"))
    .addOption(new Option("--insecure", "accept any certificate").default(false))
    .addOption(new Option("--json", "print the report alone, for programs").default(false))
    .addHelpText("after", HELP);
  command.action(async (text: string, given: Given) => {
    const reading = readTarget(text, { host: given.host });
    if (reading.kind === "invalid") command.error(`error: ${reading.problem}`);
    const { interval: intervalMs, timeout: timeoutMs } = given;
    if (timeoutMs / intervalMs > WAITING_MAX) {
      command.error(
        `error: with --interval ${formatDuration(intervalMs)} and --timeout ${formatDuration(timeoutMs)} up to ` +
          `${String(Math.ceil(timeoutMs / intervalMs))} requests could wait at a time, but ${String(WAITING_MAX)} is the limit. ` +
          "Use a longer interval or a shorter timeout.",
      );
    }
    const { for: forMs, insecure, json } = given;
    onEnd(await probe({ target: reading.target, intervalMs, timeoutMs, forMs, insecure, json }, terminal));
  });
}

function durationBetween(minMs: number, maxMs: number): (text: string) => number {
  return (text) => {
    const reading = readDuration(text);
    if (reading.kind !== "ok")
      throw new InvalidArgumentError("Write a whole number and a unit: 200ms, 5s, 1m or 1h.");
    if (reading.value < minMs || reading.value > maxMs) {
      throw new InvalidArgumentError(`From ${formatDuration(minMs)} to ${formatDuration(maxMs)}.`);
    }
    return reading.value;
  };
}
