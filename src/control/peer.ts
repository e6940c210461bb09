// The other node, as this one knows it: the link to it, whether it runs with the same configuration, and what it is
// asked. What it says goes to the elections of the groups that it is about; what operators changed there goes to
// the run-time changes. Who is active is decided per group, in group.ts.

import type { Config, NodeConfig, PairConfig } from "../config/config.ts";
import type { Advertisement } from "../election/advertisement.ts";
import type { Change } from "../election/changes.ts";
import type { Input } from "../election/state.ts";
import { activeDownMs } from "../election/timing.ts";
import type { PeerConnections } from "../protocol/admin.ts";
import type { GroupStatus, PeerStatus } from "../protocol/status.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { ConfigAgreement } from "./config-agreement.ts";
import type { Group } from "./group.ts";
import { PeerCounts } from "./peer-counts.ts";
import type { ChangesMessage, ConfigMessage, OperatorMessage } from "./peer-frame.ts";
import { type PeerGroups, wordsAbout } from "./peer-groups.ts";
import { type PathEnds, PeerLink } from "./peer-link.ts";

export interface PeerOptions {
  readonly config: Config;
  readonly pair: PairConfig;
  readonly self: NodeConfig;
  /** Undefined: the pair has no second node yet. */
  readonly peer: NodeConfig | undefined;
  readonly configHash: string;
  readonly groups: () => readonly Group[];
  readonly clock: Clock;
  readonly log: Log;
  readonly findChange: (key: string) => Change | undefined;
  /** Connections of this node to the backends that these changes are about. */
  readonly countConnections: (keys: readonly string[]) => Promise<readonly number[]>;
  readonly events: PeerEvents;
}

export interface PeerEvents {
  /** What is known of the peer, for every group. */
  input(input: Input): void;
  connected(): void;
  disconnected(): void;
  /** Run-time changes, or their confirmation. */
  changes(message: ChangesMessage): void;
  /** About the configuration files. */
  config(message: ConfigMessage): void;
  /** The configurations have been the same for a while. */
  agreed(): void;
}

export class Peer {
  readonly #options: PeerOptions;
  readonly #configs: ConfigAgreement;
  readonly #counts: PeerCounts;
  #link: PeerLink | undefined;
  #pair: PairConfig;
  #node: NodeConfig | undefined;

  constructor(options: PeerOptions) {
    this.#options = options;
    const { clock, log, events } = options;
    this.#pair = options.pair;
    this.#node = options.peer;
    this.#configs = new ConfigAgreement({
      peer: () => this.#node?.name,
      ours: options.configHash,
      clock,
      log,
      onAgreed: () => {
        events.agreed();
      },
    });
    this.#counts = new PeerCounts({
      peer: () => this.#node?.name ?? "",
      isInTouch: () => this.isConnected,
      find: options.findChange,
      send: (message) => {
        this.tell(message);
      },
      count: options.countConnections,
    });
  }

  /** The other node; undefined: the pair has no second node yet. */
  get node(): NodeConfig | undefined {
    return this.#node;
  }

  get isConnected(): boolean {
    return this.#link?.status().connected ?? false;
  }

  /** Why it cannot be asked anything, in words that follow its name; undefined when it can. */
  get obstacle(): string | undefined {
    const link = this.#link?.status();
    if (link?.connected === true) return undefined;
    const { problem = null } = link ?? {};
    return problem === null ? "is not in touch" : `is not in touch (${problem})`;
  }

  /** Whether it can dial this node. */
  get isListening(): boolean {
    return this.#link?.isListening ?? false;
  }

  /** For long enough that it is no old word. */
  get hasAgreed(): boolean {
    return this.#configs.hasAgreed;
  }

  /** Of the configuration that this node runs with, after a reload. */
  setConfigHash(configHash: string): void {
    this.#configs.setOurs(configHash);
  }

  /** The second node has come: the link to it starts now, and nothing else changes. `pair` has both. */
  meet(pair: PairConfig, peer: NodeConfig): void {
    this.#pair = pair;
    this.#node = peer;
    this.#link?.meet(peer, this.#paths());
  }

  /** Listens and dials. Once. */
  start(secret: string): void {
    const { self, clock, log, config, groups, events } = this.#options;
    const pair = this.#pair;
    const priorities = config.groups.map(({ priorities: byNode }) => byNode[self.name] ?? self.priority);
    this.#link = new PeerLink({
      self,
      peer: this.#node,
      groups: groups(),
      paths: this.#paths(),
      port: pair.port,
      secret,
      intervalMs: pair.advertisementIntervalMs,
      silenceMs: activeDownMs(Math.min(...priorities), pair.advertisementIntervalMs),
      clock,
      log,
      events: {
        advertisement: (advertisement, peerGroups) => {
          this.#configs.hear(advertisement.configHash);
          this.#passOn(advertisement, peerGroups);
        },
        changes: (message) => {
          events.changes(message);
          this.#counts.receive(message);
        },
        config: (message) => {
          // A node that our file does not name has no say in it.
          if (this.#node !== undefined) events.config(message);
        },
        dead: ({ everHeard }) => {
          events.input({ kind: "peer-dead", everHeard });
        },
        estranged: (problem) => {
          events.input({ kind: "peer-estranged", problem });
        },
        connected: () => {
          events.connected();
        },
        disconnected: () => {
          this.#configs.forget();
          events.disconnected();
        },
      },
    });
    this.#link.start();
  }

  send(advertisement: Advertisement): void {
    this.#link?.send(advertisement);
  }

  /** Once, on every connection that is not behind with its advertisements. */
  tell(message: OperatorMessage): void {
    this.#link?.tell(message);
  }

  /**
   * How many connections the peer has to the backend that the change is about, with that change in effect there;
   * undefined without a second node.
   */
  countConnections(key: string): Promise<PeerConnections> | undefined {
    return this.#node === undefined ? undefined : this.#counts.ask(key);
  }

  /** null: the pair has no second node yet. */
  status(groups: readonly GroupStatus[]): Omit<PeerStatus, "newerFile"> | null {
    if (this.#node === undefined) return null;
    const link = this.#link?.status();
    const roles = groups.map(({ peerRole }) => peerRole);
    return {
      node: this.#node.name,
      role: roles.find((role) => role === "active") ?? roles[0] ?? "unknown",
      connected: link?.connected ?? false,
      lastHeardMs: link?.lastHeardMs ?? null,
      configMatches: this.#configs.matches ?? null,
      problem: link?.problem ?? null,
      paths: (link?.paths ?? []).map((path) => ({ ...path, peer: path.peer ?? "" })),
    };
  }

  /** Says goodbye and closes everything. */
  async close(): Promise<void> {
    this.#counts.close();
    await this.#link?.stop();
  }

  #paths(): readonly PathEnds[] {
    const { self } = this.#options;
    const peer = this.#node;
    return this.#pair.paths.map(({ addresses }) => ({
      self: addresses[self.name] ?? self.address,
      peer: peer && (addresses[peer.name] ?? peer.address),
    }));
  }

  /** To the groups that it is about: with the same configuration that is the one of its name. */
  #passOn(heard: Advertisement, peerGroups: PeerGroups | undefined): void {
    for (const group of this.#options.groups()) {
      if (!this.#configs.differs) {
        if (group.name === heard.group) group.hear({ said: heard, difference: undefined });
      } else if (peerGroups !== undefined) {
        const words = wordsAbout(group, { heard, groups: peerGroups });
        if (words !== undefined) group.hear(words);
      }
    }
  }
}
