// One node from its start to its end: the configuration, the control plane, the admin socket, the signals, and what systemd is
// told. It wires the parts together, and decides nothing.

import { resolve } from "node:path";
import { AdminServer } from "./admin/server.ts";
import type { AdminServerOptions, Outcome } from "./admin/server.ts";
import type { RunOptions } from "./cli/program.ts";
import { stateDirOf } from "./cli/program.ts";
import { EXIT } from "./cli/terminal.ts";
import { describeNotConfigured } from "./config/not-configured.ts";
import { Controller } from "./control/controller.ts";
import { forgetLastWords, leaveLastWords } from "./control/last-words.ts";
import { RoleTargets } from "./control/role-targets.ts";
import { ServiceReport, type ServiceState } from "./control/service-report.ts";
import { formatStatusLine, statusKey } from "./control/status-line.ts";
import type { ReloadResult } from "./protocol/admin.ts";
import { type ReadConfig, readConfig } from "./read-config.ts";
import { monotonicClock } from "./system/clock.ts";
import { startLauncher, stopLauncher } from "./system/launcher.ts";
import { createLog, type Log } from "./system/log.ts";
import { runUrgently } from "./system/scheduling.ts";
import { takeServiceManager, type ServiceManager } from "./system/service-manager.ts";
import { VERSION } from "./system/version.ts";

/** Of a stop, beside the grace: hooks, goodbyes, and workers that are killed. */
const STOP_MARGIN_MS = 10_000;

/** Runs a node until a signal ends it; ends in the exit code. */
export async function runNode(options: RunOptions): Promise<number> {
  // Before anything is started that could inherit it.
  const manager = takeServiceManager(process.env, { pid: process.pid });
  const configPath = resolve(options.config);
  const runtimeDir = resolve(options.runtimeDir);
  const loaded = await readConfig({ path: configPath, node: options.node });
  if (loaded.kind === "invalid") {
    for (const line of loaded.problems) process.stderr.write(`${line}\n`);
    return cannotStart(loaded.problems.join("; "), { manager, runtimeDir });
  }
  const level = loaded.kind === "config" ? loaded.config.logging.level : "info";
  const log = createLog({ level, subject: { node: loaded.node } });
  raisePriority(log);
  startLauncher((reason) => {
    log.error({ reason }, "the process that starts hooks has ended; another one takes its place");
  });

  /** Undefined as long as nobody has written a configuration. */
  let controller: Controller | undefined;
  const notConfigured = describeNotConfigured(configPath);
  const start = async ({
    config,
    errorPages,
    node,
  }: Extract<ReadConfig, { kind: "config" }>): Promise<Controller> => {
    const starting = new Controller({
      config,
      errorPages,
      configPath,
      node,
      runtimeDir,
      stateDir: resolve(stateDirOf(options)),
      program: process.argv[1] ?? "",
      readAgain: async () => {
        const outcome = await reload();
        return outcome.kind === "done" ? outcome : { kind: "refused", reason: outcome.error };
      },
      version: VERSION,
      clock: monotonicClock,
      log: createLog({ level: config.logging.level, subject: { node } }),
    });
    controller = starting;
    await starting.start();
    return starting;
  };
  /** A file that cannot be used changes nothing but the log; whoever asked hears the same. One reload at a time. */
  let lastReload: Promise<unknown> = Promise.resolve();
  const reload = (): Promise<Outcome<ReloadResult>> => {
    const reloaded = lastReload.then(async (): Promise<Outcome<ReloadResult>> => {
      // Who this node is does not change while it runs.
      const found = await readConfig({ path: configPath, node: controller?.node ?? options.node });
      if (found.kind !== "config") {
        const problems = found.kind === "empty" ? [notConfigured] : found.problems;
        log.error({ problems }, "the new configuration is not used");
        return { kind: "refused", error: problems.join("\n") };
      }
      const wasRunning = controller !== undefined;
      const configured = controller ?? (await start(found));
      if (wasRunning) await configured.reload(found);
      const { configHash, needsRestart } = configured;
      return { kind: "done", result: { configHash, needsRestart } };
    });
    lastReload = reloaded.catch(() => undefined);
    return reloaded;
  };
  const admin = new AdminServer({
    runtimeDir,
    log,
    reload,
    objection: () => (controller === undefined ? notConfigured : undefined),
    ...adminOrders(() => {
      if (controller === undefined) throw new Error(notConfigured);
      return controller;
    }),
  });
  const started = await admin.start();
  if (started.kind === "refused") {
    log.error({ problem: started.problem }, "vipair does not start");
    return cannotStart(started.problem, { manager, runtimeDir });
  }
  forgetLastWords(runtimeDir);
  const targets = new RoleTargets({ log, clock: monotonicClock });
  const report =
    manager &&
    new ServiceReport({
      manager,
      clock: monotonicClock,
      log,
      follow: (role) => {
        targets.follow(role);
      },
      look: () => lookAt(controller, notConfigured),
    });
  const stopped = obeySignals({
    log,
    stop: async () => {
      report?.stop({ withinMs: (controller?.shutdownGraceMs ?? 0) + STOP_MARGIN_MS });
      await controller?.stop();
    },
    kill: () => controller?.kill(),
    reload,
  });
  const begun = loaded.kind === "config" ? start(loaded) : undefined;
  if (begun === undefined) log.warn({ reason: notConfigured }, "vipair waits for a configuration");
  // From here on there is a controller to look at, or nothing to wait for.
  report?.start();
  await begun;
  await stopped;
  report?.close();
  await admin.stop();
  await stopLauncher();
  return EXIT.ok;
}

/** A service says it where people look first. Ends in the exit code. */
function cannotStart(
  problem: string,
  { manager, runtimeDir }: { readonly manager: ServiceManager | undefined; readonly runtimeDir: string },
): number {
  const words = `cannot start: ${problem}`;
  if (manager !== undefined) {
    manager.tell({ status: words });
    leaveLastWords(runtimeDir, words);
  }
  return EXIT.failed;
}

function outcomeOf<T>(
  outcome:
    { readonly kind: "done"; readonly result: T } | { readonly kind: "refused"; readonly reason: string },
): Outcome<T> {
  return outcome.kind === "done" ? outcome : { kind: "refused", error: outcome.reason };
}

/** What people may ask of a node that is configured. */
function adminOrders(
  controller: () => Controller,
): Omit<AdminServerOptions, "runtimeDir" | "log" | "reload" | "objection"> {
  return {
    status: () => controller().status(),
    configFiles: async () => outcomeOf(await controller().configFiles()),
    pushConfig: async (order) => outcomeOf(await controller().pushConfig(order)),
    switchover: async (order) => {
      const outcome = await controller().switchover(order);
      return outcome.kind === "done"
        ? { kind: "done", result: { active: outcome.active, tookMs: outcome.tookMs } }
        : { kind: "refused", error: outcome.reason };
    },
    standby: async ({ node: wanted = controller().node, force }) => {
      const outcome = await controller().standby({ node: wanted, force });
      if (outcome.kind === "refused") return { kind: "refused", error: outcome.reason };
      const { replicated, pending } = outcome;
      return { kind: "done", result: { node: wanted, replicated, pending } };
    },
    resume: async ({ node: wanted = controller().node }) => {
      const outcome = await controller().resume({ node: wanted });
      if (outcome.kind === "refused") return { kind: "refused", error: outcome.reason };
      const { ended, replicated, unstored } = outcome;
      return { kind: "done", result: { node: wanted, ended, replicated, unstored } };
    },
    orderBackend: async (order) => {
      const outcome = await controller().orderBackend(order);
      if (outcome.kind === "refused") return { kind: "refused", error: outcome.reason };
      const { replicated, warning, weight } = outcome;
      return { kind: "done", result: { replicated, warning, weight } };
    },
    countConnections: async (name) => {
      const outcome = await controller().countConnections(name);
      return outcome.kind === "done"
        ? { kind: "done", result: outcome.result }
        : { kind: "refused", error: outcome.reason };
    },
  };
}

/** What systemd is told of the node. */
function lookAt(controller: Controller | undefined, notConfigured: string): ServiceState {
  if (controller === undefined) {
    return { line: notConfigured, key: notConfigured, isReady: true, isTurning: true, role: null };
  }
  const summary = controller.summary();
  return {
    line: formatStatusLine(summary, { nowMs: Date.now() }),
    key: statusKey(summary),
    isReady: controller.isReady(),
    isTurning: controller.isTurning(),
    role: summary.role,
  };
}

/**
 * SIGTERM and SIGINT drain, a second one exits at once, SIGHUP reloads, one after the other. Settles when the node has stopped.
 * A bad file at a reload changes nothing but the log.
 */
function obeySignals({
  log,
  stop,
  kill,
  reload,
}: {
  readonly log: Log;
  readonly stop: () => Promise<void>;
  readonly kill: () => void;
  readonly reload: () => Promise<unknown>;
}): Promise<void> {
  return new Promise((settle) => {
    let isStopping = false;
    const obey = (signal: NodeJS.Signals) => {
      log.info({ signal }, "signal received");
      if (isStopping) {
        kill();
        process.exit(EXIT.failed);
      }
      isStopping = true;
      void stop().then(settle);
    };
    process.on("SIGTERM", obey);
    process.on("SIGINT", obey);
    process.on("SIGHUP", () => {
      if (!isStopping) void reload();
    });
  });
}

/** Heartbeats go before traffic; where that is not allowed, the node runs as it is. */
function raisePriority(log: Log): void {
  const problem = runUrgently();
  if (problem !== undefined) log.info({ problem }, "heartbeats may be late when the processors are busy");
}
