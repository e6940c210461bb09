// What systemd is told of this node as long as it runs: that it is ready, that it lives, and its status in a line. Twice a second the node is looked at; a
// change is told at once, and the rest with the signs of life. They stop when the event loop does, because nothing then looks, and when an election is
// overdue although the loop turns.
//
//   not ready ──listeners, peer link, first role; 30 s at most──> ready ──stop()──> stopping
//
// The targets of the role follow in the same turn, apart from the election and its hooks.

import type { Role } from "../protocol/status.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import type { ServiceManager } from "../system/service-manager.ts";

const LOOK_MS = 500;
/** A status says how long ago the peer was heard, so it does not keep. */
const STATUS_MS = 5_000;
/** Several signs of life fit into the time without one after which the process is ended. */
const SIGNS_PER_WATCHDOG = 4;
/** Whoever waits for the start waits no longer. A node that cannot do all that it should is still better than one that is started again and again. */
const READY_MS_MAX = 30_000;

/** A node as it is now. */
export interface ServiceState {
  /** For people. */
  readonly line: string;
  /** Another one is another state, worth being told at once. */
  readonly key: string;
  /** Listeners are bound, the peer link listens, the role is decided. */
  readonly isReady: boolean;
  /** Elections do what they should when they should. */
  readonly isTurning: boolean;
  /** null: there is none. */
  readonly role: Role | null;
}

export interface ServiceReportOptions {
  readonly manager: ServiceManager;
  /** Looks at the node; cheap. */
  readonly look: () => ServiceState;
  /** Of the machine, while the node is ready. */
  readonly follow: (role: Role | null) => void;
  readonly clock: Clock;
  readonly log: Log;
}

export class ServiceReport {
  readonly #options: ServiceReportOptions;
  readonly #startedAtMs: number;
  readonly #signMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isReady = false;
  #isStopping = false;
  #key: string | undefined;
  #toldAtMs = -Infinity;
  #hasComplained = false;

  constructor(options: ServiceReportOptions) {
    this.#options = options;
    const { clock, manager } = options;
    this.#startedAtMs = clock();
    this.#signMs = Math.min(STATUS_MS, (manager.watchdogMs ?? Infinity) / SIGNS_PER_WATCHDOG);
  }

  start(): void {
    this.#look();
    this.#timer = setInterval(() => {
      this.#look();
    }, LOOK_MS);
  }

  /** The node ends within that time; it is looked at until close(). */
  stop({ withinMs }: { readonly withinMs: number }): void {
    this.#isStopping = true;
    this.#tell({ stopping: true, extendTimeoutMs: withinMs });
    this.#look();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { look, follow, clock } = this.#options;
    const { line, key, isReady, isTurning, role } = look();
    const now = clock();
    const isNews = key !== this.#key || (!this.#isReady && isReady);
    this.#isReady ||= isReady || now - this.#startedAtMs >= READY_MS_MAX;
    // A node that hands over on its way out is no standby.
    follow(this.#isReady && !(this.#isStopping && role === "standby") ? role : null);
    if (!isTurning || (!isNews && now - this.#toldAtMs < this.#signMs)) return;
    const isTold = this.#tell({
      ...(this.#isReady && !this.#isStopping ? { ready: true } : {}),
      watchdog: true,
      status: this.#isStopping ? `stopping: ${line}` : this.#isReady ? line : `starting: ${line}`,
    });
    if (!isTold) return;
    this.#key = key;
    this.#toldAtMs = now;
  }

  #tell(message: Parameters<ServiceManager["tell"]>[0]): boolean {
    const { manager, log } = this.#options;
    const problem = manager.tell(message);
    if (problem !== undefined && !this.#hasComplained) {
      log.warn({ reason: problem }, "systemd could not be told how this node is");
    }
    this.#hasComplained = problem !== undefined;
    return problem === undefined;
  }
}
