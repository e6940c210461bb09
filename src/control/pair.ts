// One node's half of the pair: the election and everything that it moves. Facts come in from the peer
// link, the carrier, the hooks and the operator; effects go out to the peer link, the hooks and the
// listeners on virtual addresses. Who is active is decided in election/, not here.

import type { Config, NodeConfig, PairConfig } from "../config/config.ts";
import { reasonOf, roleOf } from "../election/role.ts";
import type { Effect, State } from "../election/state.ts";
import { activeDownMs } from "../election/timing.ts";
import type { PeerStatus, Role, VirtualAddressStatus } from "../protocol/status.ts";
import { type Clock, wallTime } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { ElectionDriver } from "./driver.ts";
import { InterfaceWatch } from "./interface-watch.ts";
import { PeerLink } from "./peer-link.ts";
import { readSecret } from "./secret.ts";
import type { StateFile } from "./state-file.ts";
import { hookProblem, Vip, Vips } from "./vip.ts";

/** What the pair needs of the rest of the node when the addresses come or go. */
export interface AddressUsers {
  /** Opens the listeners on virtual addresses; the addresses are on the interfaces. */
  openVipListeners(): Promise<void>;
  /** Why clients would not be served though they should be; undefined when all listeners are open. */
  listenerProblem(): string | undefined;
  /** Ends when their last connection has gone, at the latest after the grace. */
  closeVipListeners(options: { readonly graceMs: number }): Promise<void>;
  /** The node is stopping: ends when every connection of the node has gone, at the latest after the grace. */
  drainWorkers(options: { readonly graceMs: number }): Promise<void>;
  /** Whether all client connections come in through listeners on virtual addresses. */
  usesOnlyVipListeners(): boolean;
}

export interface PairOptions {
  readonly config: Config;
  readonly pair: PairConfig;
  readonly self: NodeConfig;
  readonly peer: NodeConfig;
  readonly configHash: string;
  /** Directory of the configuration file: relative paths in it start there. */
  readonly configDir: string;
  /** Absolute path of the hook program. */
  readonly hook: string;
  readonly stateFile: StateFile;
  readonly users: AddressUsers;
  readonly clock: Clock;
  readonly log: Log;
  /** The election has ended after stop(): the addresses are released. */
  readonly onStopped: () => void;
}

export type SwitchoverOutcome =
  { readonly kind: "done"; readonly tookMs: number } | { readonly kind: "refused"; readonly reason: string };

/** A hook that is missing or a secret that cannot be read is looked for again so often. */
const RECHECK_MS = 1000;

/** A release that failed is tried again, less and less often; the kernel's lease ends it in any case. */
const RELEASE_RETRY_MS = { first: 250, atMost: 30_000 } as const;

/**
 * The way out of a stop must fit into the shutdown grace with all its parts: this share is for the
 * connections, the rest for hooks and goodbyes.
 */
const STOP_SHARE = 0.8;

export class Pair {
  readonly #options: PairOptions;
  readonly #driver: ElectionDriver;
  readonly #vips: Vips;
  readonly #interfaces: InterfaceWatch;
  readonly #switchovers: { readonly since: number; readonly settle: (outcome: SwitchoverOutcome) => void }[] =
    [];
  #link: PeerLink | undefined;
  #recheck: NodeJS.Timeout | undefined;
  #drainTimer: NodeJS.Timeout | undefined;
  #releaseRetry: NodeJS.Timeout | undefined;
  #isClosed = false;
  #role: Role = "standby";
  #since = wallTime();
  #epoch: number;
  #startProblem: string | undefined;
  #configHash: string;
  #configsDiffer = false;

  constructor(options: PairOptions) {
    this.#options = options;
    const { config, pair, self, peer, clock, log, hook } = options;
    this.#epoch = options.stateFile.read().epoch;
    this.#configHash = options.configHash;
    this.#vips = new Vips(
      config.virtualAddresses.map(
        (address) =>
          new Vip({ address, self, peer, hook, hookEnv: demoEnv(), leaseMs: pair.leaseMs, clock, log }),
      ),
      clock,
    );
    this.#driver = new ElectionDriver({
      settings: {
        node: self.name,
        peer: peer.name,
        priority: self.priority,
        peerPriority: peer.priority,
        intervalMs: pair.advertisementIntervalMs,
        leaseMs: pair.leaseMs,
        claim: pair.claim,
        preempt: pair.preempt,
        preemptDelayMs: pair.preemptDelayMs,
        configHash: options.configHash,
        stopGraceMs: config.shutdownGraceMs * STOP_SHARE,
      },
      epoch: this.#epoch,
      clock,
      perform: (effect) => {
        this.#perform(effect);
      },
      onState: (state) => {
        this.#note(state);
      },
    });
    this.#interfaces = new InterfaceWatch({
      addresses: config.virtualAddresses,
      log,
      onCarrier: (problem) => {
        if (problem === undefined) this.recovered("interface");
        else this.fault("interface", problem);
      },
      // The next renewal finds it gone.
      onAddressGone: () => undefined,
    });
  }

  /** Rule 8: what an earlier life left on the interfaces goes first, before this node can do anything else. */
  removeLeftovers(): void {
    void this.#vips.release();
  }

  start(): void {
    this.#driver.start();
    this.#interfaces.start();
    this.#tryToStartLink();
  }

  /** The node may not hold the addresses; one fault per cause. */
  fault(cause: string, detail: string): void {
    this.#driver.input({ kind: "fault", cause, detail });
  }

  recovered(cause: string): void {
    this.#driver.input({ kind: "recovered", cause });
  }

  setConfigHash(configHash: string): void {
    this.#configHash = configHash;
    this.#driver.setConfigHash(configHash);
  }

  /** Makes the other node active, whichever is active now. */
  switchover(): Promise<SwitchoverOutcome> {
    return new Promise((settle) => {
      this.#switchovers.push({ since: this.#options.clock(), settle });
      this.#driver.input({ kind: "switchover" });
    });
  }

  /** Hands over when the peer is ready, releases the addresses, then calls onStopped. */
  stop(): void {
    this.#driver.input({ kind: "stop" });
  }

  /** There is no time for a release: the hook that runs is killed, and the lease ends what it left. */
  kill(): void {
    this.#vips.abandon();
  }

  /** Says goodbye to the peer, ends every timer and hook. After onStopped, or when there is no time for it. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#vips.abandon();
    this.#driver.stop();
    this.#interfaces.stop();
    for (const timer of [this.#recheck, this.#drainTimer, this.#releaseRetry]) clearTimeout(timer);
    await this.#link?.stop();
  }

  status(): {
    readonly role: Role;
    readonly reason: string | null;
    readonly epoch: number;
    readonly since: string;
    readonly peer: PeerStatus;
    readonly virtualAddresses: readonly VirtualAddressStatus[];
  } {
    const { state } = this.#driver;
    return {
      role: this.#role,
      reason: reasonOf(state) ?? null,
      epoch: state.epoch,
      since: this.#since,
      peer: this.#peerStatus(state),
      virtualAddresses: this.#vips.all.map((vip) => ({
        address: vip.address.address,
        interface: vip.address.interface,
        held: vip.isHeld(),
      })),
    };
  }

  #peerStatus({ peer, said }: State): PeerStatus {
    const link = this.#link?.status();
    const isConnected = link?.connected ?? false;
    const words = peer.kind === "heard" ? peer.said : undefined;
    return {
      node: this.#options.peer.name,
      // What a lost peer said last would mislead: it may be anything by now.
      role: words === undefined || !isConnected ? "unknown" : peerRole(words.role),
      connected: isConnected,
      lastHeardMs: link?.lastHeardMs ?? null,
      configMatches: words === undefined ? null : words.configHash === said?.configHash,
      problem: link?.problem ?? null,
    };
  }

  /** The peer link needs the secret, and a claim needs the hook: without them the node waits in fault. */
  #tryToStartLink(): void {
    const { pair, configDir, hook, log } = this.#options;
    const secret = readSecret(pair, configDir);
    const problem = secret.kind === "unreadable" ? secret.problem : hookProblem(hook);
    if (problem !== this.#startProblem) {
      if (problem === undefined) this.recovered("start");
      else {
        log.error({ problem }, "this node cannot take part in the pair");
        this.fault("start", problem);
      }
      this.#startProblem = problem;
    }
    // Even without a hook the peer should hear that this node lives and is in fault.
    if (secret.kind === "secret" && this.#link === undefined) {
      if (secret.warning !== undefined) log.warn({ reason: secret.warning }, "the secret is not safe");
      this.#startLink(secret.secret);
    }
    if (problem !== undefined) {
      this.#recheck = setTimeout(() => {
        this.#tryToStartLink();
      }, RECHECK_MS);
    }
  }

  #startLink(secret: string): void {
    const { pair, self, peer, clock, log } = this.#options;
    this.#link = new PeerLink({
      self,
      peer,
      paths: [{ self: self.address, peer: peer.address }],
      port: pair.port,
      secret,
      intervalMs: pair.advertisementIntervalMs,
      silenceMs: activeDownMs(self.priority, pair.advertisementIntervalMs),
      clock,
      log,
      events: {
        advertisement: (advertisement) => {
          this.#driver.input({ kind: "advertisement", advertisement });
        },
        dead: ({ everHeard }) => {
          this.#driver.input({ kind: "peer-dead", everHeard });
        },
        estranged: (problem) => {
          this.#driver.input({ kind: "peer-estranged", problem });
        },
        connected: () => {
          const { said } = this.#driver.state;
          if (said !== undefined) this.#link?.send(said);
        },
        disconnected: () => undefined,
        changes: () => undefined,
      },
    });
    this.#link.start();
  }

  #perform(effect: Exclude<Effect, { kind: "read-queue" }>): void {
    const { log } = this.#options;
    switch (effect.kind) {
      case "advertise":
        this.#link?.send(effect.advertisement);
        return;
      case "claim":
        void this.#claim(effect);
        return;
      case "renew":
        void this.#renew();
        return;
      case "announce":
        void this.#vips.announce();
        return;
      case "release":
        void this.#release();
        return;
      case "drain":
        this.#drain();
        return;
      case "switchover-done":
        for (const { since, settle } of this.#switchovers.splice(0)) {
          settle({ kind: "done", tookMs: Math.round(this.#options.clock() - since) });
        }
        return;
      case "switchover-refused":
        for (const { settle } of this.#switchovers.splice(0))
          settle({ kind: "refused", reason: effect.reason });
        return;
      case "log":
        log[effect.level](effect.subject, effect.event);
    }
  }

  async #claim({ epoch, handover, probe }: Extract<Effect, { kind: "claim" }>): Promise<void> {
    clearTimeout(this.#releaseRetry);
    this.#rememberEpoch(epoch);
    const result = await this.#vips.claim({ epoch, handover, probe });
    switch (result.kind) {
      case "superseded":
        return;
      case "failed":
        this.#driver.input({ kind: "claim-failed", epoch, reason: result.reason });
        return;
      case "done":
        // Not announced yet, so no client comes before the listeners are open.
        await this.#options.users.openVipListeners();
        if (this.#leavesToPeer(epoch)) return;
        this.#driver.input({ kind: "claimed", epoch, startedAt: result.startedAtMs });
    }
  }

  /**
   * A node that could not serve what it claims yields when the other one is there to serve it. When it is not,
   * some listeners are better than none.
   */
  #leavesToPeer(epoch: number): boolean {
    const problem = this.#options.users.listenerProblem();
    if (problem === undefined || this.#link?.status().connected !== true) return false;
    this.#driver.input({ kind: "claim-failed", epoch, reason: problem });
    return true;
  }

  async #renew(): Promise<void> {
    const result = await this.#vips.renew();
    switch (result.kind) {
      case "superseded":
        return;
      case "failed":
        this.#driver.input({ kind: "renew-failed", gone: result.failure === "gone", reason: result.reason });
        return;
      case "done":
        this.#driver.input({ kind: "renewed", startedAt: result.startedAtMs });
    }
  }

  async #release(retryMs: number = RELEASE_RETRY_MS.first): Promise<void> {
    clearTimeout(this.#drainTimer);
    clearTimeout(this.#releaseRetry);
    void this.#options.users.closeVipListeners({ graceMs: 0 });
    const result = await this.#vips.release();
    if (result.kind === "done") this.#driver.input({ kind: "released" });
    if (result.kind !== "failed" || this.#isClosed) return;
    this.#options.log.error({ reason: result.reason }, "release failed; the lease will end by itself");
    const laterMs = Math.min(2 * retryMs, RELEASE_RETRY_MS.atMost);
    this.#releaseRetry = setTimeout(() => void this.#release(laterMs), retryMs);
  }

  /**
   * The peer's announcement is under way: for half of the time that is left, clients may still come here
   * and are served; in the other half what is open ends.
   */
  #drain(): void {
    const { phase, stopping } = this.#driver.state;
    if (phase.kind !== "leaving") return;
    const leftMs = phase.until - this.#options.clock();
    const acceptMs = phase.handedOver ? leftMs / 2 : 0;
    this.#drainTimer = setTimeout(() => {
      void this.#endConnections({ graceMs: leftMs - acceptMs, stopping });
    }, acceptMs);
  }

  async #endConnections(options: { readonly graceMs: number; readonly stopping: boolean }): Promise<void> {
    const { users } = this.#options;
    if (options.stopping) await users.drainWorkers(options);
    else await users.closeVipListeners(options);
    // Connections to a virtual address through a listener on all addresses end when the address goes.
    if (options.stopping || users.usesOnlyVipListeners()) this.#driver.input({ kind: "drained" });
  }

  #note(state: State): void {
    this.#rememberEpoch(state.epoch);
    this.#compareConfigs(state);
    const role = roleOf(state);
    if (role !== this.#role) {
      this.#role = role;
      this.#since = wallTime();
    }
    if (state.phase.kind === "stopped") this.#options.onStopped();
  }

  /** Rule 11: files that differ are worth an alarm on both nodes, and never a change of roles. */
  #compareConfigs({ peer }: State): void {
    if (peer.kind !== "heard") return;
    const theirs = peer.said.configHash;
    const differ = theirs !== this.#configHash;
    if (differ === this.#configsDiffer) return;
    this.#configsDiffer = differ;
    const subject = { peer: this.#options.peer.name, ours: this.#configHash, theirs };
    if (differ) this.#options.log.warn(subject, "the two nodes run with different configurations");
    else this.#options.log.info(subject, "the two nodes run with the same configuration again");
  }

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

/** scripts/hooks/loopback keeps its state where the demo says. Other hooks get nothing of our environment. */
function demoEnv(): Record<string, string> {
  const { VIPAIR_DEMO_STATE: state } = process.env;
  return state === undefined ? {} : { VIPAIR_DEMO_STATE: state };
}

function peerRole(role: string): Role {
  if (role === "active" || role === "fault") return role;
  return "standby";
}
