// One node's half of the pair: what all groups of addresses share. The peer link carries the words of each
// election; the node's health and the arbiter speak to all of them; what operators changed at run time is
// kept and replicated; hooks tell the world of a new role. Who is active is decided per group, in group.ts.

import type { Config, NodeConfig, PairConfig } from "../config/config.ts";
import { noSuch } from "../config/nearest.ts";
import type { Change, ChangeValue } from "../election/changes.ts";
import type { Input } from "../election/state.ts";
import { expiryLateMs } from "../election/timing.ts";
import type { PeerConnections } from "../protocol/admin.ts";
import type { ArbiterStatus, CheckStatus, PeerStatus } from "../protocol/status.ts";
import type { Clock } from "../system/clock.ts";
import { type Log, withSubject } from "../system/log.ts";
import { isAboutBackend } from "./backend-orders.ts";
import { ConfigSync, type ConfigSyncOptions } from "./config-sync.ts";
import { type AddressUsers, Group, type SwitchoverOutcome } from "./group.ts";
import { type GroupsSummary, summarizeGroups } from "./groups-summary.ts";
import {
  type ChangeOutcome,
  Maintenance,
  isAboutNode,
  maintenanceKey,
  maintenanceOf,
  type MaintenanceOutcome,
  type ResumeOutcome,
} from "./maintenance.ts";
import { NodeHealth } from "./node-health.ts";
import { Notifier } from "./notifier.ts";
import { PairFiles } from "./pair-files.ts";
import { Peer } from "./peer.ts";
import { RunTimeChanges } from "./run-time-changes.ts";
import type { StateFile } from "./state-file.ts";

export interface PairOptions {
  readonly config: Config;
  readonly pair: PairConfig;
  readonly self: NodeConfig;
  /** Undefined: the pair has no second node yet. */
  readonly peer: NodeConfig | undefined;
  readonly configHash: string;
  /** Directory of the configuration file: relative paths in it start there. */
  readonly configDir: string;
  readonly configFile: ConfigFileOptions;
  /** What must survive a reboot is kept there. */
  readonly stateDir: string;
  /** Absolute path of the hook program. */
  readonly hook: string;
  readonly stateFile: StateFile;
  readonly users: AddressUsers;
  readonly clock: Clock;
  readonly log: Log;
  /** Run-time changes that concern the rest of the node (drained backends) have come, from here or the peer. */
  readonly onChanges: () => void;
  /** Connections of this node to the backends that these changes are about. */
  readonly countConnections: (keys: readonly string[]) => Promise<readonly number[]>;
  /** Whether the configuration has the backend that this change is about; maintenance of nodes is the pair's own. */
  readonly isNamed: (key: string) => boolean;
  /** The secret was read. */
  readonly onSecret: (secret: string) => void;
  /** The elections have ended after stop(): the addresses are released. */
  readonly onStopped: () => void;
}

/** What the rest of the node knows and does with its file. */
export type ConfigFileOptions = Pick<ConfigSyncOptions, "path" | "check" | "reload">;

/**
 * The way out of a stop must fit into the shutdown grace with all its parts: this share is for the
 * connections, the rest for hooks and goodbyes.
 */
const STOP_SHARE = 0.8;

export class Pair {
  readonly #options: PairOptions;
  readonly #groups: readonly Group[];
  readonly #health: NodeHealth;
  readonly #changes: RunTimeChanges;
  readonly #peer: Peer;
  readonly #sync: ConfigSync;
  #acceptsConfig: boolean;
  readonly #notifier: Notifier;
  readonly #maintenance: Maintenance;
  readonly #files: PairFiles;
  #epoch: number;
  /** Groups that have ended their way out, or wait for the connections of the node to end. */
  readonly #draining = new Set<string>();
  readonly #allDraining = Promise.withResolvers<void>();
  #hasStopped = false;

  constructor(options: PairOptions) {
    this.#options = options;
    const { config, pair, self, clock, log, configDir, stateDir } = options;
    const isOfPair = (key: string) => this.#names().some((name) => key === maintenanceKey(name));
    this.#epoch = options.stateFile.read().epoch;
    this.#files = new PairFiles({
      pair,
      configDir,
      hook: options.hook,
      onProblem: (problem) => {
        if (problem === undefined) {
          this.recovered("start");
          return;
        }
        log.error({ problem }, "this node cannot take part in the pair");
        this.fault("start", problem);
      },
      onSecret: (secret, warning) => {
        if (warning !== undefined) log.warn({ reason: warning }, "the secret is not safe");
        options.onSecret(secret);
        this.#peer.start(secret);
      },
    });
    this.#changes = new RunTimeChanges({
      node: self.name,
      stateDir,
      epoch: () => this.#epoch,
      log,
      send: (message) => {
        this.#peer.tell(message);
      },
      onChange: () => {
        this.#applyChanges();
      },
      isObsolete: (key) =>
        this.#peer.hasAgreed &&
        (isAboutNode(key) ? !isOfPair(key) : isAboutBackend(key) && !options.isNamed(key)),
    });
    this.#peer = new Peer({
      ...options,
      groups: () => this.#groups,
      findChange: (key) => this.#changes.find(key),
      events: {
        input: (input) => {
          this.#tellAll(input);
        },
        connected: () => {
          this.#changes.linkConnected();
          this.#sync.linkConnected();
        },
        disconnected: () => {
          this.#changes.linkDisconnected();
          this.#sync.linkDisconnected();
        },
        config: (message) => {
          this.#sync.receive(message);
        },
        changes: (message) => {
          this.#changes.receive(message);
        },
        agreed: () => {
          // An order about something that the file no longer has is of no use on either node.
          this.#changes.tidy();
        },
      },
    });
    this.#acceptsConfig = pair.acceptConfig;
    this.#sync = new ConfigSync({
      ...options.configFile,
      stateDir,
      node: self.name,
      peer: () => this.#peer.node?.name,
      obstacle: () => this.#peer.obstacle,
      send: (message) => {
        this.#peer.tell(message);
      },
      acceptsConfig: () => this.#acceptsConfig,
      log,
    });
    this.#notifier = new Notifier({
      hooks: pair.notify,
      configDir,
      node: self.name,
      peer: () => this.#peer.node?.name,
      addresses: (group) =>
        config.virtualAddresses.filter((address) => address.group === group).map(({ address }) => address),
      log,
    });
    this.#groups = config.groups.map((group) => this.#makeGroup(group));
    this.#maintenance = new Maintenance({
      self: self.name,
      groups: this.#groups,
      isSet: (key) => this.isSet(key),
      isInTouch: () => this.#peer.isConnected,
      setChange: (key, value) => this.setChange(key, value),
      endChange: (key) => outcomeOf(this.#changes.end(key)),
    });
    this.#health = new NodeHealth({
      pair,
      virtualAddresses: config.virtualAddresses,
      configDir,
      stateDir,
      clock,
      log,
      onInput: (input) => {
        this.#tellAll(input);
      },
      onAddressGone: (gone) => {
        for (const group of this.#groups) group.noteAddressGone(gone);
      },
    });
  }

  /** Rule 8: what an earlier life left on the interfaces goes first, before this node can do anything else. */
  removeLeftovers(): void {
    for (const group of this.#groups) group.removeLeftovers();
  }

  start(): void {
    for (const group of this.#groups) group.start();
    this.#health.start();
    this.#files.start();
    void this.#sync.noteRead();
  }

  /** The peer can dial this node, and every group knows its role. */
  isReady(): boolean {
    return this.#peer.isListening && this.#groups.every(({ hasRole }) => hasRole);
  }

  /** Every election does what is due. */
  isTurning(): boolean {
    return this.#groups.every(({ isOverdue }) => !isOverdue);
  }

  /** The node may not hold the addresses; one fault per cause. */
  fault(cause: string, detail: string): void {
    this.#tellAll({ kind: "fault", cause, detail });
  }

  recovered(cause: string): void {
    this.#tellAll({ kind: "recovered", cause });
  }

  /** `problem`: why no backend of any pool can be reached; undefined when one can. */
  noteBackends(problem: string | undefined): void {
    this.#health.noteBackends(problem);
  }

  /** What of a reload is the pair's business. */
  reload({ config, configHash }: { readonly config: Config; readonly configHash: string }): void {
    this.#acceptsConfig = config.pair?.acceptConfig ?? false;
    void this.#sync.noteRead();
    this.#peer.setConfigHash(configHash);
    const stopGraceMs = config.shutdownGraceMs * STOP_SHARE;
    for (const group of this.#groups) group.adopt({ configHash, stopGraceMs });
    if (this.#peer.node === undefined && config.pair !== undefined) this.#meetSecondNode(config, config.pair);
  }

  /** Neither address, lease, role nor epoch are touched: the elections learn a name, and the link begins. */
  #meetSecondNode({ groups }: Config, pair: PairConfig): void {
    const second = pair.nodes.find(({ name }) => name !== this.#options.self.name);
    if (second === undefined) return;
    for (const group of this.#groups) {
      const priorities = groups.find(({ name }) => name === group.name)?.priorities;
      group.adopt({ peer: second.name, peerPriority: priorities?.[second.name] ?? second.priority });
    }
    this.#options.log.info({ peer: second.name }, "the pair has its second node");
    this.#peer.meet(pair, second);
  }

  /** Makes the other node active in the group, whichever is active now. */
  async switchover(order: {
    readonly group: string | undefined;
    readonly force: boolean;
  }): Promise<SwitchoverOutcome & { readonly active: string }> {
    const self = this.#options.self.name;
    const peer = this.#peer.node?.name ?? self;
    const active = () => (group?.status().role === "active" ? self : peer);
    const group = this.#groups.find(({ name }) => name === (order.group ?? this.#groups[0]?.name));
    const names = this.#groups.map(({ name }) => name);
    if (order.group === undefined && names.length > 1) {
      return {
        kind: "refused",
        reason: `say which group: --group ${names.join(" or --group ")}`,
        active: active(),
      };
    }
    if (group === undefined) {
      return { kind: "refused", reason: noSuch("group", order.group ?? "", names), active: active() };
    }
    const was = group.status().role;
    const outcome = await group.switchover({ force: order.force });
    return { ...outcome, active: (was === "active") === (outcome.kind === "done") ? peer : self };
  }

  /** Takes a node out of service. */
  standby(order: { readonly node: string; readonly force: boolean }): Promise<MaintenanceOutcome> {
    return this.#maintenance.begin(order);
  }

  /** Takes a node back, and on this node ends flap damping as well; possible at any time. */
  resume(node: string): Promise<ResumeOutcome> {
    const isSelf = node === this.#options.self.name;
    const wasDamped = isSelf && this.#groups.some((group) => group.status().damped);
    if (isSelf) this.#tellAll({ kind: "resume" });
    return this.#maintenance.end({ node, wasDamped });
  }

  /** Stores the change here, then on the peer; refused when it cannot be stored here. */
  setChange(key: string, value: ChangeValue): Promise<ChangeOutcome> {
    return outcomeOf(this.#changes.set(key, value));
  }

  findChange(key: string): Change | undefined {
    return this.#changes.find(key);
  }

  /** How many connections the peer has to the backend that the change is about, with that change in effect there. */
  countOnPeer(key: string): Promise<PeerConnections> | undefined {
    return this.#peer.countConnections(key);
  }

  /** Both nodes' configuration files, and how this node's gets to the other. */
  get configFiles(): Pick<ConfigSync, "files" | "push"> {
    return this.#sync;
  }

  isSet(key: string): boolean {
    const value = this.#changes.get(key);
    return value !== undefined && value !== false;
  }

  /** Hands over when the peer is ready, releases the addresses, then calls onStopped. */
  stop(): void {
    this.#tellAll({ kind: "stop" });
  }

  /** There is no time for a release: the hook that runs is killed, and the lease ends what it left. */
  kill(): void {
    for (const group of this.#groups) group.kill();
  }

  /** Says goodbye to the peer, ends every timer and hook. After onStopped, or when there is no time for it. */
  async close(): Promise<void> {
    for (const group of this.#groups) group.close();
    this.#files.close();
    this.#health.stop();
    this.#sync.close();
    await Promise.all([this.#changes.close(), this.#peer.close(), this.#notifier.close()]);
  }

  status(): GroupsSummary & {
    readonly peer: PeerStatus | null;
    readonly maintenance: readonly string[];
    readonly arbiter: ArbiterStatus | null;
    readonly checks: readonly CheckStatus[];
  } {
    const groups = this.#groups.map((group) => group.status());
    const peer = this.#peer.status(groups);
    return {
      ...summarizeGroups(groups),
      peer: peer && { ...peer, newerFile: this.#sync.newer() },
      maintenance: this.#names().filter((name) => this.isSet(maintenanceKey(name))),
      arbiter: this.#health.arbiterStatus(),
      checks: this.#health.checkStatus(),
    };
  }

  #makeGroup(config: Config["groups"][number]): Group {
    const { pair, self, hook, clock, log, users, configHash } = this.#options;
    const second = this.#options.peer;
    const { virtualAddresses, shutdownGraceMs, groups } = this.#options.config;
    return new Group({
      config,
      virtualAddresses: virtualAddresses.filter(({ group }) => group === config.name),
      pair,
      self,
      peer: () => this.#peer.node,
      hook,
      clock,
      // With one group its name would be noise.
      log: groups.length > 1 ? withSubject(log, { group: config.name }) : log,
      epoch: this.#epoch,
      maintenance: this.isSet(maintenanceKey(self.name)) ? "waiting" : "off",
      settings: {
        group: config.name,
        node: self.name,
        peer: second?.name,
        priority: config.priorities[self.name] ?? self.priority,
        peerPriority: second === undefined ? 0 : (config.priorities[second.name] ?? second.priority),
        intervalMs: pair.advertisementIntervalMs,
        leaseMs: pair.leaseMs,
        expiryLateMs: expiryLateMs(virtualAddresses.length),
        claim: pair.claim,
        preempt: config.preempt,
        preemptDelayMs: pair.preemptDelayMs,
        configHash,
        arbiter: pair.arbiter.kind !== "none",
        roleChangesMax: pair.roleChangesPerMinute,
        stopGraceMs: shutdownGraceMs * STOP_SHARE,
      },
      users: { ...users, drainWorkers: (options) => this.#drainTogether(config.name, options) },
      events: {
        advertise: (advertisement) => {
          this.#peer.send(advertisement);
        },
        isConnected: () => this.#peer.isConnected,
        remember: (epoch) => {
          this.#rememberEpoch(epoch);
        },
        stepped: (group) => {
          this.#note(group);
        },
        roleChanged: (change) => {
          this.#notifier.notify(change);
        },
      },
    });
  }

  /** Of the nodes. */
  #names(): readonly string[] {
    return [this.#options.self, this.#peer.node].flatMap((node) => node?.name ?? []);
  }

  #tellAll(input: Input): void {
    for (const group of this.#groups) group.input(input);
  }

  /** The workers end once, for all groups: those that still serve must not lose their connections to it. */
  async #drainTogether(group: string, options: { readonly graceMs: number }): Promise<void> {
    this.#draining.add(group);
    this.#noteDraining();
    await this.#allDraining.promise;
    await this.#options.users.drainWorkers(options);
  }

  #noteDraining(): void {
    if (this.#groups.every(({ name, isStopped }) => isStopped || this.#draining.has(name))) {
      this.#allDraining.resolve();
    }
  }

  #applyChanges(): void {
    const ordered = this.#changes.get(maintenanceKey(this.#options.self.name));
    this.#tellAll({ kind: "maintenance", ...maintenanceOf(ordered) });
    this.#options.onChanges();
  }

  #note(group: Group): void {
    const { state } = group;
    this.#rememberEpoch(state.epoch);
    this.#maintenance.noteStep();
    if (!group.isStopped || this.#hasStopped) return;
    this.#noteDraining();
    if (!this.#groups.every(({ isStopped }) => isStopped)) return;
    this.#hasStopped = true;
    this.#options.onStopped();
  }

  /** One number for all groups: it only has to grow. */
  #rememberEpoch(epoch: number): void {
    if (epoch <= this.#epoch) return;
    this.#epoch = epoch;
    try {
      this.#options.stateFile.write({ epoch });
    } catch (error) {
      this.#options.log.warn({ reason: String(error) }, "the epoch could not be stored");
    }
  }
}

/** What an operator is told of a change: what came of it, or why it was refused. */
async function outcomeOf<T extends object>(
  change: Promise<T>,
): Promise<({ readonly kind: "done" } & T) | { readonly kind: "refused"; readonly reason: string }> {
  try {
    return { kind: "done", ...(await change) };
  } catch (error) {
    return { kind: "refused", reason: error instanceof Error ? error.message : String(error) };
  }
}
