// The control process of one node, put together: workers and their listeners, health checks, and, when
// there is a pair, the election. It has no traffic of its own. What people ask of a node (status, reload,
// switchover, stop) comes in here.

import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import type { Config } from "../config/config.ts";
import { noSuch } from "../config/nearest.ts";
import type * as admin from "../protocol/admin.ts";
import type { Status } from "../protocol/status.ts";
import type { ErrorPages, WorkerConfig, WorkerCounters } from "../protocol/worker.ts";
import type { ChangeValue } from "../election/changes.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { Moment } from "../system/moment.ts";
import { writeAddressesFile } from "./addresses-file.ts";
import { prepareAccessLog } from "./access-log-file.ts";
import { backendOrderKey, isAboutBackend } from "./backend-orders.ts";
import type { BackendOrderOutcome } from "./backend-orders.ts";
import { Backends } from "./backends.ts";
import { checkConfigFile } from "./config-check.ts";
import type { SyncOutcome } from "./config-sync.ts";
import type { SwitchoverOutcome } from "./group.ts";
import { countConnections } from "./connections.ts";
import { Listeners } from "./listeners.ts";
import type { ChangeOutcome, MaintenanceOutcome, ResumeOutcome } from "./maintenance.ts";
import { Pair } from "./pair.ts";
import { pairMembers, resolveHook } from "./pair-members.ts";
import { adoptConfig, hashConfig } from "./reloaded-config.ts";
import { RunTimeChanges } from "./run-time-changes.ts";
import { StateFile } from "./state-file.ts";
import type { NodeSummary } from "./status-line.ts";
import { StickyKey } from "./sticky-key.ts";
import { NO_COUNTERS } from "./worker-counters.ts";
import { Workers } from "./workers.ts";

export interface ControllerOptions {
  readonly config: Config;
  readonly errorPages: ErrorPages;
  /** Absolute; paths inside the file are relative to its directory. */
  readonly configPath: string;
  readonly node: string;
  readonly runtimeDir: string;
  /** What must survive a reboot is kept there. */
  readonly stateDir: string;
  /** The file that this process was started with: commands of its own run it. */
  readonly program: string;
  /** As SIGHUP: reads the file and calls reload(). */
  readonly readAgain: () => Promise<SyncOutcome<admin.ReloadResult>>;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** How long status waits for the workers' counters; one that is slower is counted with its last. */
const REPORT_TIMEOUT_MS = 200;

const ALONE = "this node balances alone: the configuration has no pair";

export class Controller {
  readonly #options: ControllerOptions;
  readonly #workerCount: number;
  readonly #workers: Workers;
  readonly #listeners: Listeners;
  readonly #backends: Backends;
  readonly #pair: Pair | undefined;
  /** What operators ordered on a node alone; a pair keeps its own. */
  readonly #changes: RunTimeChanges | undefined;
  readonly #stickyKey: StickyKey;
  readonly #startedAt: number;
  /** Of the role of a node alone; a pair keeps its own. */
  #since: Moment;
  #config: Config;
  #errorPages: ErrorPages;
  #configHash: string;
  #workersFault: string | undefined;
  /** Keys that the last reload found changed and could not apply. */
  #needsRestart: readonly string[] = [];
  #hasStarted = false;
  #isStopping = false;
  /** Settled when the election has ended after a stop; a node alone has none to wait for. */
  readonly #electionEnded = Promise.withResolvers<void>();
  /** The drain of all workers, once it has begun. */
  #drained: Promise<void> | undefined;

  constructor(options: ControllerOptions) {
    this.#options = options;
    const { config, clock, log } = options;
    this.#config = config;
    this.#errorPages = options.errorPages;
    this.#configHash = hashConfig(config);
    this.#startedAt = clock();
    this.#since = new Moment(clock);
    this.#stickyKey = new StickyKey(config.pair, dirname(options.configPath));
    this.#backends = new Backends({
      log,
      clock,
      random: Math.random,
      configDir: dirname(options.configPath),
      pools: () => this.#config.pools,
      listeners: () => this.#config.listeners,
      find: (key) => this.#pair?.findChange(key) ?? this.#changes?.find(key),
      set: (key, value) => this.#setChange(key, value),
      onChange: () => {
        this.#workers.tellHealth();
        this.#noteBackends();
      },
    });
    this.#workerCount = config.workers === "auto" ? availableParallelism() : config.workers;
    this.#workers = new Workers({
      count: this.#workerCount,
      log,
      clock,
      readHealth: () => this.#backends.table(),
      onBackendFailure: ({ pool, backend, reason }) => {
        this.#backends.noteFailure({ pool, backend, reason });
      },
      onFailureRow: (report) => {
        this.#backends.noteRow(report);
      },
      onFault: (reason) => {
        this.#workersFault = reason;
        this.#since = new Moment(clock);
        this.#pair?.fault("workers", reason);
      },
      onRecovered: () => {
        this.#workersFault = undefined;
        this.#since = new Moment(clock);
        this.#pair?.recovered("workers");
      },
    });
    this.#listeners = new Listeners({
      workers: this.#workers,
      listeners: config.listeners,
      virtualAddresses: config.virtualAddresses,
    });
    this.#pair = this.#makePair();
    this.#changes = this.#pair === undefined ? this.#makeChanges() : undefined;
  }

  /** Ends when the workers run and the listeners on plain addresses were opened, or tried. */
  async start(): Promise<void> {
    const { log } = this.#options;
    log.info({ version: this.#options.version, configHash: this.#configHash }, "vipair starts");
    this.#listAddresses();
    this.#pair?.removeLeftovers();
    this.#backends.configure();
    this.#workers.configure(this.#workerConfig());
    await this.#workers.start();
    await this.#listeners.start();
    if (this.#isStopping) return;
    // Only now could this node serve what it claims.
    this.#pair?.start();
    this.#hasStarted = true;
    if (this.#pair === undefined)
      log.info({ role: "active" }, "balances alone: no pair is configured, so there is no standby");
  }

  /**
   * Takes over a new configuration: listeners, routes, error pages, pools, health checks, access log. What belongs to the pair, the
   * number of workers and the log level stay as they are until a restart (rule 11: a reload touches
   * neither address, lease nor heartbeats).
   */
  async reload({
    config,
    errorPages,
  }: {
    readonly config: Config;
    readonly errorPages: ErrorPages;
  }): Promise<void> {
    const { log, node } = this.#options;
    const adopted = adoptConfig({ from: this.#config, to: config, node });
    this.#needsRestart = adopted.needsRestart;
    if (this.#needsRestart.length > 0) {
      log.warn({ keys: this.#needsRestart }, "these changes take effect at the next restart");
    }
    this.#config = adopted.config;
    this.#errorPages = errorPages;
    // Of what is in effect: a peer that runs with the rest of the file runs with something else.
    this.#configHash = hashConfig(this.#config);
    this.#pair?.reload({ config: this.#config, configHash: this.#configHash });
    this.#backends.configure();
    this.#workers.configure(this.#workerConfig());
    this.#noteBackends();
    this.#changes?.tidy();
    await this.#listeners.reload(this.#config.listeners, { graceMs: this.#config.shutdownGraceMs });
    log.info({ configHash: this.#configHash }, "configuration reloaded");
  }

  /** Keys that the last reload found changed and could not apply. */
  get needsRestart(): readonly string[] {
    return this.#needsRestart;
  }

  /** First 12 hex digits of the SHA-256 of the configuration in effect, without its secrets. */
  get configHash(): string {
    return this.#configHash;
  }

  /** Hands over if it can, releases the addresses, lets requests in flight end. Within `shutdownGrace`. */
  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    const { clock, log } = this.#options;
    const deadline = clock() + this.#config.shutdownGraceMs;
    log.info({ graceMs: this.#config.shutdownGraceMs }, "stopping");
    this.#backends.stop();
    if (this.#pair !== undefined) {
      this.#pair.stop();
      await Promise.race([this.#electionEnded.promise, this.#untilPassed(deadline)]);
      // Through listeners on all addresses clients may still be connected to the virtual ones.
      this.#workers.cutAt(this.#config.virtualAddresses.map(({ address }) => address));
    }
    // Whoever has nothing more to say about the addresses says goodbye: a silent connection would be taken for a
    // fault, again and again, while the last clients are served.
    await Promise.all([
      this.#drainWorkers({ graceMs: Math.max(0, deadline - clock()) }),
      this.#pair?.close(),
      this.#changes?.close(),
    ]);
    log.info({ uptimeMs: Math.round(clock() - this.#startedAt) }, "vipair stopped");
  }

  /** At once: workers are killed; the kernel's lease ends what a hook did not get to release. */
  kill(): void {
    this.#workers.killAll();
    this.#pair?.kill();
  }

  async status(): Promise<Status> {
    return this.#statusWith(await this.#workers.report({ timeoutMs: REPORT_TIMEOUT_MS }));
  }

  /** Without what only the workers know, so that it is there at once. */
  summary(): NodeSummary {
    return this.#statusWith(NO_COUNTERS);
  }

  /** Listeners are bound, the peer link listens, and the first role is decided. */
  isReady(): boolean {
    const areBound = this.#listeners.status().every(({ problem }) => problem === null);
    return this.#hasStarted && areBound && (this.#pair?.isReady() ?? true);
  }

  /** The elections do what is due: what systemd takes for a sign of life. */
  isTurning(): boolean {
    return this.#pair?.isTurning() ?? true;
  }

  get node(): string {
    return this.#options.node;
  }

  get shutdownGraceMs(): number {
    return this.#config.shutdownGraceMs;
  }

  #statusWith(counters: WorkerCounters): Status {
    const { node, version, clock } = this.#options;
    return {
      node,
      ...this.#roleStatus(),
      priority: this.#pair?.status().groups[0]?.priority ?? null,
      listeners: this.#listeners.status(),
      workers: this.#workers.status(),
      pools: this.#backends.status(counters),
      requests: counters.requests,
      refusedConnections: counters.refusedConnections,
      mirrors: counters.mirrors,
      version,
      configHash: this.#configHash,
      uptimeMs: Math.round(clock() - this.#startedAt),
    };
  }

  /** The name of the node that is active afterwards, or why not. */
  async switchover(order: {
    readonly group?: string;
    readonly force: boolean;
  }): Promise<SwitchoverOutcome & { readonly active: string }> {
    if (this.#pair === undefined) return { kind: "refused", reason: ALONE, active: this.#options.node };
    return this.#pair.switchover({ group: order.group, force: order.force });
  }

  /** Both nodes' configuration files as they are now. */
  async configFiles(): Promise<SyncOutcome<admin.ConfigFilesResult>> {
    return this.#pair?.configFiles.files() ?? { kind: "refused", reason: ALONE };
  }

  /** Copies this node's configuration file to the other node; both reload. */
  async pushConfig(order: admin.ConfigPushOrder): Promise<SyncOutcome<admin.ConfigPushResult>> {
    return this.#pair?.configFiles.push(order) ?? { kind: "refused", reason: ALONE };
  }

  /** Takes a node out of service. */
  async standby(order: { readonly node: string; readonly force: boolean }): Promise<MaintenanceOutcome> {
    const pair = this.#pairOf(order.node);
    return typeof pair === "string" ? { kind: "refused", reason: pair } : pair.standby(order);
  }

  /** Takes a node back into service. */
  async resume(order: { readonly node: string }): Promise<ResumeOutcome> {
    const pair = this.#pairOf(order.node);
    return typeof pair === "string" ? { kind: "refused", reason: pair } : pair.resume(order.node);
  }

  /** For an order about that node; or why it makes no sense. */
  #pairOf(node: string): Pair | string {
    const { pair } = this.#config;
    if (this.#pair === undefined || pair === undefined) return ALONE;
    if (pairMembers(pair, node) !== undefined) return this.#pair;
    return noSuch(
      "node",
      node,
      pair.nodes.map(({ name }) => name),
    );
  }

  /** Drains a backend, takes it out of service, back, or changes its weight: on both nodes and across restarts. */
  async orderBackend(order: admin.BackendOrder): Promise<BackendOrderOutcome> {
    return this.#backends.orders.give(order);
  }

  /** Connections to a backend on both nodes, with the orders for it in effect. */
  async countConnections(
    name: admin.BackendName,
  ): Promise<
    | { readonly kind: "done"; readonly result: admin.ConnectionsResult }
    | { readonly kind: "refused"; readonly reason: string }
  > {
    const known = this.#backends.orders.stateOf(name);
    if (known.kind === "refused") return known;
    const key = backendOrderKey(name);
    const { node } = this.#options;
    const [connections, peer] = await Promise.all([
      countConnections(this.#workers, [key]),
      this.#pair?.countOnPeer(key),
    ]);
    const result: admin.ConnectionsResult = {
      node,
      connections: connections[0] ?? 0,
      peer: peer ?? null,
      ordered: known.state,
    };
    return { kind: "done", result };
  }

  #makePair(): Pair | undefined {
    const { config, configPath, node, runtimeDir, clock, log } = this.#options;
    if (config.pair === undefined) return undefined;
    const members = pairMembers(config.pair, node);
    if (members === undefined) throw new Error(`${node} is none of the pair's nodes`);
    return new Pair({
      config,
      pair: config.pair,
      ...members,
      configHash: this.#configHash,
      configDir: dirname(configPath),
      configFile: {
        path: configPath,
        check: (path) => checkConfigFile(path, { node, program: this.#options.program }),
        reload: this.#options.readAgain,
      },
      hook: resolveHook(config.pair, dirname(configPath)),
      stateDir: this.#options.stateDir,
      stateFile: new StateFile(runtimeDir),
      clock,
      log,
      onChanges: () => {
        this.#backends.followOrders();
      },
      countConnections: (keys) => countConnections(this.#workers, keys),
      isNamed: (key) => this.#backends.orders.isNamed(key),
      onSecret: (secret) => {
        if (this.#stickyKey.adopt(secret)) this.#workers.configure(this.#workerConfig());
      },
      onStopped: () => {
        this.#electionEnded.resolve();
      },
      users: {
        openVipListeners: (group) => this.#listeners.openOnVirtualAddresses(group),
        closeVipListeners: (group, options) => this.#listeners.closeOnVirtualAddresses(group, options),
        drainWorkers: (options) => this.#drainWorkers(options),
        listenerProblem: (group) => this.#listeners.problem(group),
        usesOnlyVipListeners: () => this.#listeners.areAllVirtual(),
      },
    });
  }

  #drainWorkers({ graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#drained ??= this.#workers.drain({ graceMs });
    return this.#drained;
  }

  /** A hook that hangs may keep the election longer than the grace allows; this ends the wait. */
  #untilPassed(deadline: number): Promise<void> {
    return new Promise((resolve) => {
      setTimeout(resolve, deadline - this.#options.clock()).unref();
    });
  }

  /** A node alone keeps the orders for its backends as a pair does; it has nobody to tell. */
  #makeChanges(): RunTimeChanges {
    const { node, stateDir, log } = this.#options;
    return new RunTimeChanges({
      node,
      stateDir,
      epoch: () => 0,
      log,
      send: () => undefined,
      onChange: () => {
        this.#backends.followOrders();
      },
      isObsolete: (key) => isAboutBackend(key) && !this.#backends.orders.isNamed(key),
    });
  }

  /** For whatever comes after this process, before it holds anything. */
  #listAddresses(): void {
    const { config, configPath, runtimeDir, log } = this.#options;
    const { pair, virtualAddresses } = config;
    try {
      writeAddressesFile(runtimeDir, {
        hook: pair === undefined ? "" : resolveHook(pair, dirname(configPath)),
        addresses: pair === undefined ? [] : virtualAddresses,
      });
    } catch (error) {
      log.warn({ reason: String(error) }, "nobody could release the addresses in place of this process");
    }
  }

  async #setChange(key: string, value: ChangeValue): Promise<ChangeOutcome> {
    if (this.#pair !== undefined) return this.#pair.setChange(key, value);
    try {
      await this.#changes?.set(key, value);
      return { kind: "done", replicated: true };
    } catch (error) {
      return { kind: "refused", reason: error instanceof Error ? error.message : String(error) };
    }
  }

  #noteBackends(): void {
    this.#pair?.noteBackends(this.#backends.problem());
  }

  #workerConfig(): WorkerConfig {
    const { listeners, pools, logging } = this.#config;
    const { node } = this.#options;
    const accessLog = prepareAccessLog(logging.access, {
      configDir: dirname(this.#options.configPath),
      log: this.#options.log,
    });
    const { value: stickyKey } = this.#stickyKey;
    const workers = this.#workerCount;
    const errorPages = this.#errorPages;
    return { node, listeners, pools, logLevel: logging.level, accessLog, stickyKey, workers, errorPages };
  }

  #roleStatus(): Omit<
    Status,
    | "node"
    | "priority"
    | "listeners"
    | "workers"
    | "pools"
    | "requests"
    | "refusedConnections"
    | "mirrors"
    | "version"
    | "configHash"
    | "uptimeMs"
  > {
    if (this.#pair !== undefined) {
      const status = this.#pair.status();
      const reasons = [status.reason, this.#restartReason()].filter((reason) => reason !== null);
      return { ...status, reason: reasons.length === 0 ? null : reasons.join("; ") };
    }
    const alone = "balances alone: no pair is configured, so there is no standby";
    return {
      role: this.#workersFault === undefined ? "active" : "fault",
      reason: this.#workersFault ?? this.#restartReason() ?? alone,
      epoch: 0,
      since: this.#since.format(),
      peer: null,
      virtualAddresses: [],
      groups: [],
      maintenance: [],
      arbiter: null,
      checks: [],
    };
  }

  #restartReason(): string | null {
    if (this.#needsRestart.length === 0) return null;
    return `restart to apply what was changed in ${this.#needsRestart.join(", ")}`;
  }
}
