// argv -> command. `run` puts a node together: the configuration, the control plane, the admin socket,
// and the signals; every other command asks a running node over its admin socket. Nothing is decided here.

import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { AdminServer, type Outcome } from "./admin/server.ts";
import { readErrorPages } from "./cli/error-page-files.ts";
import type { RunOptions } from "./cli/program.ts";
import { runCommandLine, stateDirOf } from "./cli/program.ts";
import { EXIT } from "./cli/terminal.ts";
import type { Config } from "./config/config.ts";
import { formatConfigError, locateMistakes, parseConfig } from "./config/parse.ts";
import { Controller } from "./control/controller.ts";
import { pairMembers } from "./control/pair-members.ts";
import { PROTOCOL_VERSION } from "./control/peer-frame.ts";
import type { ReloadResult } from "./protocol/admin.ts";
import type { ErrorPages } from "./protocol/worker.ts";
import { monotonicClock } from "./system/clock.ts";
import { startLauncher, stopLauncher } from "./system/launcher.ts";
import { createLog, type Log } from "./system/log.ts";
import { readNodeName } from "./system/node-name.ts";
import { runUrgently } from "./system/scheduling.ts";
import { untrustedReason } from "./system/trusted-file.ts";
import { VERSION } from "./system/version.ts";

process.exitCode = await runCommandLine({
  args: process.argv.slice(2),
  run,
  peerProtocol: PROTOCOL_VERSION,
});

/** Runs a node until a signal ends it; ends in the exit code. */
async function run(options: RunOptions): Promise<number> {
  const configPath = resolve(options.config);
  const loaded = loadConfig(configPath);
  if (loaded.kind === "invalid") {
    for (const line of loaded.problems) process.stderr.write(`${line}\n`);
    return EXIT.failed;
  }
  const { config, errorPages } = loaded;
  const node = options.node ?? readNodeName(configPath) ?? hostname();
  if (config.pair !== undefined && pairMembers(config.pair, node) === undefined) {
    const names = config.pair.nodes.map(({ name }) => name).join(", ");
    process.stderr.write(
      `${configPath}: pair.nodes has no "${node}", only ${names}. Name this node with --node or $VIPAIR_NODE.\n`,
    );
    return EXIT.failed;
  }
  const log = createLog({ level: config.logging.level, subject: { node } });
  raisePriority(log);
  startLauncher((reason) => {
    log.error({ reason }, "the process that starts hooks has ended; another one takes its place");
  });

  const controller = new Controller({
    config,
    errorPages,
    configPath,
    node,
    runtimeDir: resolve(options.runtimeDir),
    stateDir: resolve(stateDirOf(options)),
    version: VERSION,
    clock: monotonicClock,
    log,
  });
  const reload = () => reloadFrom(configPath, { controller, log });
  const admin = new AdminServer({
    runtimeDir: resolve(options.runtimeDir),
    log,
    status: () => controller.status(),
    reload,
    switchover: async (order) => {
      const outcome = await controller.switchover(order);
      return outcome.kind === "done"
        ? { kind: "done", result: { active: outcome.active, tookMs: outcome.tookMs } }
        : { kind: "refused", error: outcome.reason };
    },
    standby: async ({ node: wanted = node, force }) => {
      const outcome = await controller.standby({ node: wanted, force });
      if (outcome.kind === "refused") return { kind: "refused", error: outcome.reason };
      const { replicated, pending } = outcome;
      return { kind: "done", result: { node: wanted, replicated, pending } };
    },
    resume: async ({ node: wanted = node }) => {
      const outcome = await controller.resume({ node: wanted });
      if (outcome.kind === "refused") return { kind: "refused", error: outcome.reason };
      const { ended, replicated, unstored } = outcome;
      return { kind: "done", result: { node: wanted, ended, replicated, unstored } };
    },
    orderBackend: async (order) => {
      const outcome = await controller.orderBackend(order);
      if (outcome.kind === "refused") return { kind: "refused", error: outcome.reason };
      const { replicated, warning, weight } = outcome;
      return { kind: "done", result: { replicated, warning, weight } };
    },
    countConnections: async (name) => {
      const outcome = await controller.countConnections(name);
      return outcome.kind === "done"
        ? { kind: "done", result: outcome.result }
        : { kind: "refused", error: outcome.reason };
    },
  });
  const started = await admin.start();
  if (started.kind === "refused") {
    log.error({ problem: started.problem }, "vipair does not start");
    return EXIT.failed;
  }
  const stopped = obeySignals({ controller, reload, log });
  await controller.start();
  await stopped;
  await admin.stop();
  await stopLauncher();
  return EXIT.ok;
}

type Loaded =
  | { readonly kind: "config"; readonly config: Config; readonly errorPages: ErrorPages }
  | { readonly kind: "invalid"; readonly problems: readonly string[] };

function loadConfig(path: string): Loaded {
  const untrusted = untrustedReason(path);
  if (untrusted !== undefined) return { kind: "invalid", problems: [untrusted] };
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    return { kind: "invalid", problems: [`${path}: cannot be read: ${String(error)}`] };
  }
  const parsed = parseConfig(text, path);
  if (parsed.kind === "invalid") return { kind: "invalid", problems: parsed.errors.map(formatConfigError) };
  const { config } = parsed;
  const { pages, mistakes } = readErrorPages(config, dirname(path));
  if (mistakes.length === 0) return { kind: "config", config, errorPages: pages };
  return { kind: "invalid", problems: locateMistakes(text, { file: path, mistakes }).map(formatConfigError) };
}

/** A file that cannot be used changes nothing but the log; whoever asked hears the same. */
async function reloadFrom(
  configPath: string,
  { controller, log }: { readonly controller: Controller; readonly log: Log },
): Promise<Outcome<ReloadResult>> {
  const loaded = loadConfig(configPath);
  if (loaded.kind === "invalid") {
    log.error({ problems: loaded.problems }, "the new configuration is not used");
    return { kind: "refused", error: loaded.problems.join("\n") };
  }
  await controller.reload(loaded);
  const { configHash, needsRestart } = controller;
  return { kind: "done", result: { configHash, needsRestart } };
}

/** SIGTERM and SIGINT drain, a second one exits at once, SIGHUP reloads. Settles when the node has stopped. */
function obeySignals({
  controller,
  reload,
  log,
}: {
  readonly controller: Controller;
  readonly reload: () => Promise<unknown>;
  readonly log: Log;
}): Promise<void> {
  return new Promise((settle) => {
    let isStopping = false;
    const stop = (signal: NodeJS.Signals) => {
      log.info({ signal }, "signal received");
      if (isStopping) {
        controller.kill();
        process.exit(EXIT.failed);
      }
      isStopping = true;
      void controller.stop().then(settle);
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
    process.on("SIGHUP", () => void reload());
  });
}

/** Heartbeats go before traffic; where that is not allowed, the node runs as it is. */
function raisePriority(log: Log): void {
  const problem = runUrgently();
  if (problem !== undefined) log.info({ problem }, "heartbeats may be late when the processors are busy");
}
