// One node's half of one group's election, and everything that it moves: effects go out to the peer link,
// the hooks and the listeners on virtual addresses; what becomes of them comes back as inputs. Who is active is
// decided in election/, not here. What all groups share (peer link, arbiter, the node's health) is in pair.ts.

import type { GroupConfig, NodeConfig, PairConfig, VirtualAddress } from "../config/config.ts";
import type { Advertisement, PeerRole } from "../election/advertisement.ts";
import { reasonOf, roleOf } from "../election/role.ts";
import type { Effect, Input, Maintenance, Settings, State } from "../election/state.ts";
import { impairmentOf, impairmentsOf, priorityOf } from "../election/turn.ts";
import type { GroupStatus, Role } from "../protocol/status.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { Moment } from "../system/moment.ts";
import { ElectionDriver, type ReloadedSettings } from "./driver.ts";
import type { RoleChange } from "./notifier.ts";
import type { GroupWords, OwnGroup } from "./peer-groups.ts";
import { Vip, Vips } from "./vip.ts";

/** What a group needs of the rest of the node when its addresses come or go. */
export interface AddressUsers {
  /** Opens the listeners on the virtual addresses of the group; the addresses are on the interfaces. */
  openVipListeners(group: string): Promise<void>;
  /** Why clients of the group would not be served though they should be; undefined when its listeners are open. */
  listenerProblem(group: string): string | undefined;
  /** Ends when their last connection has gone, at the latest after the grace. */
  closeVipListeners(group: string, options: { readonly graceMs: number }): Promise<void>;
  /** The node is stopping: ends when every connection of the node has gone, at the latest after the grace. */
  drainWorkers(options: { readonly graceMs: number }): Promise<void>;
  /** Whether all client connections come in through listeners on virtual addresses. */
  usesOnlyVipListeners(): boolean;
}

export interface GroupOptions {
  readonly config: GroupConfig;
  readonly virtualAddresses: readonly VirtualAddress[];
  readonly pair: PairConfig;
  readonly self: NodeConfig;
  /** Undefined: the pair has no second node yet. */
  readonly peer: () => NodeConfig | undefined;
  readonly settings: Settings;
  /** Absolute path of the hook program. */
  readonly hook: string;
  /** The newest claim that an earlier life of this node knew of. */
  readonly epoch: number;
  readonly maintenance: Maintenance;
  readonly users: AddressUsers;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: GroupEvents;
}

export interface GroupEvents {
  advertise(advertisement: Advertisement): void;
  isConnected(): boolean;
  /** Before a claim: the epoch must survive this process. */
  remember(epoch: number): void;
  /** After each step. */
  stepped(group: Group): void;
  /** Also once at the start. */
  roleChanged(change: RoleChange): void;
}

export type SwitchoverOutcome =
  { readonly kind: "done"; readonly tookMs: number } | { readonly kind: "refused"; readonly reason: string };

/** A peer that says so would take the address, or has it still; one in fault may have just failed at the same listener. */
const COULD_SERVE = {
  active: true,
  claiming: true,
  "awaiting-lease": true,
  standby: true,
  listening: true,
  leaving: false,
  maintenance: false,
  fault: false,
  stopped: false,
} satisfies Record<PeerRole, boolean>;

/** Taking such a node out of service takes the service out. */
const SERVES_OR_WILL: ReadonlySet<State["phase"]["kind"]> = new Set([
  "active",
  "claiming",
  "announcing",
  "awaiting-lease",
]);

/** On the way to the first role, or to another one. */
const UNDECIDED: ReadonlySet<State["phase"]["kind"]> = new Set([
  "listening",
  "awaiting-lease",
  "announcing",
  "claiming",
]);

/** With a claim hook as slow as it may be this fits into an offer. Workers take milliseconds. */
const LISTEN_WAIT_MS = 900;

/** A release that failed is tried again, less and less often; the kernel's lease ends it in any case. */
const RELEASE_RETRY_MS = { first: 250, atMost: 30_000 } as const;

export class Group implements OwnGroup {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly #options: GroupOptions;
  readonly #log: Log;
  readonly #driver: ElectionDriver;
  readonly #vips: Vips;
  readonly #switchovers: { readonly since: number; readonly settle: (outcome: SwitchoverOutcome) => void }[] =
    [];
  #drainTimer: NodeJS.Timeout | undefined;
  #releaseRetry: NodeJS.Timeout | undefined;
  #isClosed = false;
  #role: Role = "standby";
  #since: Moment;
  /** In what the peer's groups differ from this one, while it is in touch. */
  #difference: string | undefined;

  constructor(options: GroupOptions) {
    this.#options = options;
    const { config, virtualAddresses, pair, settings, self, peer, clock, log, hook } = options;
    this.name = config.name;
    this.#since = new Moment(clock);
    this.addresses = virtualAddresses.map(({ address }) => address);
    this.#log = log;
    this.#vips = new Vips(
      virtualAddresses.map(
        (address) =>
          new Vip({ address, self, peer, hook, hookEnv: demoEnv(), leaseMs: pair.leaseMs, clock, log }),
      ),
      clock,
    );
    this.#driver = new ElectionDriver({
      settings,
      memory: { epoch: options.epoch, maintenance: options.maintenance },
      clock,
      perform: (effect) => {
        this.#perform(effect);
      },
      onState: (state) => {
        this.#note(state);
      },
    });
  }

  get state(): State {
    return this.#driver.state;
  }

  get isStopped(): boolean {
    return this.#driver.state.phase.kind === "stopped";
  }

  /** Whether it has heard enough to know its role, and has it. */
  get hasRole(): boolean {
    return !UNDECIDED.has(this.#driver.state.phase.kind);
  }

  /** Its election does nothing any more; see the driver. */
  get isOverdue(): boolean {
    return this.#driver.isOverdue;
  }

  /** Rule 8: what an earlier life left on the interfaces goes first, before this node can do anything else. */
  removeLeftovers(): void {
    void this.#vips.release();
  }

  start(): void {
    this.#driver.start();
    this.#tellRole({ previous: null });
  }

  input(input: Input): void {
    this.#driver.input(input);
  }

  /** What the peer says about this group. */
  hear({ said, difference }: GroupWords): void {
    if (difference !== this.#difference) {
      this.#difference = difference;
      if (difference !== undefined)
        this.#log.warn({ reason: difference }, "the two nodes have different groups");
    }
    this.#driver.input({ kind: "advertisement", advertisement: said });
  }

  /** What a reload may change. */
  adopt(changes: ReloadedSettings): void {
    this.#driver.adopt(changes);
  }

  /** Makes the other node active, whichever is active now. */
  switchover({ force }: { readonly force: boolean }): Promise<SwitchoverOutcome> {
    return new Promise((settle) => {
      this.#switchovers.push({ since: this.#options.clock(), settle });
      this.#driver.input({ kind: "switchover", force });
    });
  }

  /** An address went from an interface; this group is concerned when it holds that address right now. */
  noteAddressGone({
    address,
    interface: name,
  }: {
    readonly address: string;
    readonly interface: string;
  }): void {
    const isOurs = this.#vips.all.some(
      (vip) => vip.address.address === address && vip.address.interface === name && vip.isHeld(),
    );
    if (isOurs) {
      this.#driver.input({ kind: "address-gone", reason: `${address} was removed from ${name}` });
    }
  }

  /** There is no time for a release: the hook that runs is killed, and the lease ends what it left. */
  kill(): void {
    this.#vips.abandon();
  }

  close(): void {
    this.#isClosed = true;
    this.#vips.abandon();
    this.#driver.stop();
    clearTimeout(this.#drainTimer);
    clearTimeout(this.#releaseRetry);
  }

  status(): GroupStatus {
    const { settings, state } = this.#driver;
    const { clock } = this.#options;
    const now = clock();
    const words = state.peer.kind === "heard" ? state.peer.said : undefined;
    return {
      name: this.name,
      role: this.#role,
      reason: this.#reason(),
      epoch: state.epoch,
      since: this.#since.format(),
      priority: settings.priority,
      effectivePriority: priorityOf({ settings, state, now }),
      impairments: impairmentsOf({ settings, state, now }).map(({ cause, detail, weight }) => ({
        cause,
        detail,
        weight,
      })),
      damped: state.dampedUntil !== undefined,
      // What a lost peer said last would mislead: it may be anything by now.
      peerRole: words === undefined || !this.#options.events.isConnected() ? "unknown" : peerRole(words.role),
      virtualAddresses: this.#vips.all.map((vip) => ({
        address: vip.address.address,
        interface: vip.address.interface,
        held: vip.isHeld(),
      })),
    };
  }

  /** Whether that node is active in this group, as far as this one knows. */
  isServedBy(who: "self" | "peer"): boolean {
    if (who === "self") return this.#role === "active";
    const { peer } = this.#driver.state;
    return peer.kind === "heard" && peer.said.role === "active" && this.#options.events.isConnected();
  }

  /** Why this node should not go into maintenance now; undefined when nothing speaks against it. */
  objectionToStandby(): string | undefined {
    const { settings, state } = this.#driver;
    const { clock } = this.#options;
    const peer = this.#options.peer();
    const { phase } = state;
    const words =
      this.#options.events.isConnected() && state.peer.kind === "heard" ? state.peer.said : undefined;
    if (peer === undefined) return SERVES_OR_WILL.has(phase.kind) ? "there is no second node yet" : undefined;
    if (words?.role === "maintenance") return `${peer.name} is in maintenance, too`;
    if (!SERVES_OR_WILL.has(phase.kind)) return undefined;
    if (words === undefined) return `${peer.name} is not in touch`;
    if (this.#difference !== undefined) return this.#difference;
    if (!words.ready) return `${peer.name} is not ready: it is ${words.role}`;
    if (words.impairment > impairmentOf({ settings, state, now: clock() }))
      return `${peer.name} is worse off than this node`;
    return undefined;
  }

  #reason(): string | null {
    const { settings, state } = this.#driver;
    return reasonOf(settings, state, this.#options.clock()) ?? this.#differenceNow() ?? null;
  }

  #differenceNow(): string | undefined {
    return this.#options.events.isConnected() ? this.#difference : undefined;
  }

  #perform(effect: Exclude<Effect, { kind: "read-queue" }>): void {
    switch (effect.kind) {
      case "advertise":
        this.#options.events.advertise(effect.advertisement);
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
        for (const { settle } of this.#switchovers.splice(0)) {
          settle({ kind: "refused", reason: this.#differenceNow() ?? effect.reason });
        }
        return;
      case "log":
        this.#log[effect.level](effect.subject, effect.event);
    }
  }

  async #claim({ epoch, handover, probe }: Extract<Effect, { kind: "claim" }>): Promise<void> {
    clearTimeout(this.#releaseRetry);
    this.#options.events.remember(epoch);
    const result = await this.#vips.claim({ epoch, handover, probe });
    switch (result.kind) {
      case "superseded":
        return;
      case "failed":
        this.#driver.input({ kind: "claim-failed", epoch, reason: result.reason });
        return;
      case "done":
        // Not announced yet, so no client comes before the listeners are open.
        const areOpen = await this.#openListeners();
        if (this.#leavesToPeer(epoch, { areOpen })) return;
        this.#driver.input({ kind: "claimed", epoch, startedAt: result.startedAtMs });
    }
  }

  /** False: a worker hangs. Whoever offered the role waits no longer than that, and other workers may be well. */
  async #openListeners(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<boolean>((settle) => {
      timer = setTimeout(() => settle(false), LISTEN_WAIT_MS);
    });
    const opened = this.#options.users.openVipListeners(this.name).then(() => true);
    const areOpen = await Promise.race([opened, patience]);
    clearTimeout(timer);
    return areOpen;
  }

  /**
   * A node that could not open all listeners on what it claims yields when the other one is there to serve it. When
   * it is not, some listeners are better than none.
   */
  #leavesToPeer(epoch: number, { areOpen }: { readonly areOpen: boolean }): boolean {
    const known = this.#options.users.listenerProblem(this.name);
    const problem = known ?? (areOpen ? undefined : "the workers do not open the listeners in time");
    const { peer } = this.#driver.state;
    const couldServe =
      this.#options.events.isConnected() && peer.kind === "heard" && COULD_SERVE[peer.said.role];
    if (problem === undefined || !couldServe) return false;
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
    void this.#options.users.closeVipListeners(this.name, { graceMs: 0 });
    const result = await this.#vips.release();
    if (result.kind === "done") this.#driver.input({ kind: "released" });
    if (result.kind !== "failed" || this.#isClosed) return;
    this.#log.error({ reason: result.reason }, "release failed; the lease will end by itself");
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
    else await users.closeVipListeners(this.name, options);
    // Connections to a virtual address through a listener on all addresses end when the address goes.
    if (options.stopping || users.usesOnlyVipListeners()) this.#driver.input({ kind: "drained" });
  }

  #tellRole({ previous }: { readonly previous: Role | null }): void {
    this.#options.events.roleChanged({
      group: this.name,
      role: this.#role,
      previous,
      epoch: this.#driver.state.epoch,
      reason: this.#reason(),
    });
  }

  #note(state: State): void {
    const role = roleOf(state);
    const previous = this.#role;
    if (role !== previous) {
      this.#role = role;
      this.#since = new Moment(this.#options.clock);
      this.#tellRole({ previous });
    }
    this.#options.events.stepped(this);
  }
}

/** scripts/hooks/loopback keeps its state where the demo says. Other hooks get nothing of our environment. */
function demoEnv(): Record<string, string> {
  const { VIPAIR_DEMO_STATE: state } = process.env;
  return state === undefined ? {} : { VIPAIR_DEMO_STATE: state };
}

function peerRole(role: PeerRole): Role | "unknown" {
  // It ends, or does not have the group.
  if (role === "stopped") return "unknown";
  if (role === "active" || role === "fault") return role;
  return "standby";
}
