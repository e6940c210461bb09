// Keeps the wanted number of workers alive and every open listener bound in each of them. What is
// wanted (config, open listeners) lives here; a worker that dies is replaced, and the new
// one is brought to what is wanted. Neither the role nor the other workers notice. One spare process
// stands by, because a process that must first be started, on a small machine, is not back in 300 ms.
//
//   steady ──too many deaths in 10 s──> faulty (restarts wait longer and longer)
//      └────all workers up for 10 s──────┘

import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { formatAddress } from "../config/config.ts";
import type { WorkerStatus } from "../protocol/status.ts";
import type { HealthTable, WorkerConfig, WorkerCounters } from "../protocol/worker.ts";
import { compileCacheEnvironment } from "../system/compile-cache.ts";
import type { Clock } from "../system/clock.ts";
import { journalEnvironment, type Log } from "../system/log.ts";
import { probeAddress } from "./listening-sockets.ts";
import type { SocketAddress } from "./listening-sockets.ts";
import type { RowReport } from "./outliers.ts";
import { UNPRIVILEGED } from "../system/unprivileged.ts";
import { NO_COUNTERS, sumCounters, withoutGauges } from "./worker-counters.ts";
import { WorkerProcess } from "./worker-process.ts";
import type { BackendFailure, WorkerExit } from "./worker-process.ts";

/** This many deaths within the window are a fault of the node. */
const DEATHS_MAX = 5;
const DEATHS_WINDOW_MS = 10_000;
/** A node in fault is well again when all workers have been up for so long. */
const RECOVERY_MS = 10_000;
const RESTART_DELAY_MIN_MS = 500;
const RESTART_DELAY_MAX_MS = 30_000;
/** A listener that cannot be opened is tried again soon (an IPv6 address may be tentative), then each second. */
const REOPEN_DELAY_MIN_MS = 125;
const REOPEN_DELAY_MAX_MS = 1_000;
/** Workers close a listening socket as soon as they read the order; a busy one may take this long. */
const PORT_LEAVING_MS = 1_000;

export interface WorkersOptions {
  /** How many worker processes to keep. */
  readonly count: number;
  readonly log: Log;
  readonly clock: Clock;
  /** What is known of the backends now: a worker that starts later must not count from an old moment. */
  readonly readHealth: () => HealthTable;
  /** The worker's entry file; absent: the proxy's. */
  readonly entry?: string;
  /** A request failed on a backend: a hint for the health checker. */
  readonly onBackendFailure: (failure: BackendFailure) => void;
  /** Requests failed on a backend in a row. */
  readonly onFailureRow: (report: RowReport) => void;
  /** Workers die faster than is worth restarting at once; `reason` is for people. */
  readonly onFault: (reason: string) => void;
  /** All workers have been up for a while after a fault. */
  readonly onRecovered: () => void;
}

export type OpenResult = { readonly kind: "open" } | { readonly kind: "failed"; readonly problem: string };

/** One place in the team; workers come and go in it. */
interface Slot {
  /** Absent while the slot waits to restart, or when all stops. */
  worker: WorkerProcess | undefined;
  restartTimer: NodeJS.Timeout | undefined;
  restartDelayMs: number;
}

/** A listener that should be open, on the addresses of one place. */
interface WantedListener {
  readonly name: string;
  readonly key: string;
  readonly addresses: readonly SocketAddress[];
  /** Refuse to share the port with another process of the same user. */
  readonly exclusive: boolean;
  /** Its ports were free of strangers, and have been bound. */
  isOurs: boolean;
  problem: string | null;
  /** The look for strangers on its ports, while it lasts. */
  probe: Promise<string | null> | undefined;
  reopenTimer: NodeJS.Timeout | undefined;
  reopenDelayMs: number;
}

export class Workers {
  readonly #options: WorkersOptions;
  readonly #entry: string;
  readonly #slots: Slot[] = [];
  /** By listener and place. */
  readonly #listeners = new Map<string, WantedListener>();
  /** Ports of listeners that were closed, and until when their sockets may linger; milliseconds of the clock. */
  readonly #leftPorts = new Map<number, number>();
  readonly #started = Promise.withResolvers<void>();
  #config: WorkerConfig | undefined;
  #departed: WorkerCounters = NO_COUNTERS;
  #deaths: number[] = [];
  #faulty = false;
  #stopping = false;
  /** Started, without privileges and without work. */
  #spare: WorkerProcess | undefined;
  #spareTimer: NodeJS.Timeout | undefined;
  #recoveryTimer: NodeJS.Timeout | undefined;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#entry = options.entry ?? proxyWorkerEntry();
  }

  /** Forks the workers. Ends when all are ready, or with a fault when they cannot be kept alive. */
  async start(): Promise<void> {
    for (let place = 0; place < this.#options.count; place += 1) {
      const slot: Slot = { worker: undefined, restartTimer: undefined, restartDelayMs: RESTART_DELAY_MIN_MS };
      this.#slots.push(slot);
      this.#fill(slot);
    }
    await this.#started.promise;
  }

  /** Gives every worker, now and later, this configuration. Opening and closing listeners is the caller's. */
  configure(config: WorkerConfig): void {
    this.#config = config;
    const health = this.#options.readHealth();
    for (const worker of this.#readyWorkers()) worker.send({ kind: "configure", config, health });
  }

  /** Something has changed in the health of the backends. */
  tellHealth(): void {
    const health = this.#options.readHealth();
    for (const worker of this.#readyWorkers()) worker.send({ kind: "health", health });
  }

  /**
   * Opens a listener on all its addresses in all workers. Ends in `open` when every worker that is
   * ready listens. When it fails it is tried again each second until it is closed.
   *
   * `exclusive` (default true) refuses a port on which another process of the same user listens already,
   * as a second vipair on this machine or one that is still there from before. Listeners on virtual
   * addresses say false: in the demo both nodes share one loopback address, and a claim cannot wait.
   *
   * Addresses that come and go together are a `place` (a group of virtual addresses). A listener that is open
   * in a place must be closed there before it is opened on other addresses of that place.
   */
  async open(
    name: string,
    addresses: readonly SocketAddress[],
    { exclusive = true, place = "" }: { readonly exclusive?: boolean; readonly place?: string } = {},
  ): Promise<OpenResult> {
    const key = keyOf(name, place);
    const known = this.#listeners.get(key);
    if (known !== undefined && !isSameAddresses(known.addresses, addresses)) {
      throw new Error(`listener ${name} is open elsewhere; close it first`);
    }
    const listener: WantedListener = known ?? {
      name,
      key,
      addresses,
      exclusive,
      isOurs: false,
      problem: null,
      probe: undefined,
      reopenTimer: undefined,
      reopenDelayMs: REOPEN_DELAY_MIN_MS,
    };
    this.#listeners.set(key, listener);
    await this.#tryOpen(listener);
    return listener.problem === null ? { kind: "open" } : { kind: "failed", problem: listener.problem };
  }

  /**
   * Stops accepting on the listener at once, in one place. Ends when its last connection there has gone, at
   * the latest shortly after the grace. Nothing happens when it is not open.
   */
  async close(
    name: string,
    { graceMs, place = "" }: { readonly graceMs: number; readonly place?: string },
  ): Promise<void> {
    const key = keyOf(name, place);
    const listener = this.#listeners.get(key);
    if (listener === undefined) return;
    this.#listeners.delete(key);
    if (listener.isOurs) {
      const until = this.#options.clock() + PORT_LEAVING_MS;
      for (const { port } of listener.addresses) this.#leftPorts.set(port, until);
    }
    clearTimeout(listener.reopenTimer);
    const { addresses } = listener;
    await Promise.all(
      this.#readyWorkers().map(async (worker) => worker.closeListener(name, addresses, { graceMs })),
    );
  }

  /** Whether some worker accepts connections for the listener, and why not all do though they should. */
  listenerStatus(name: string): { readonly open: boolean; readonly problem: string | null } {
    const open = this.#readyWorkers().some((worker) => worker.isListening(name));
    const places = [...this.#listeners.values()].filter((listener) => listener.name === name);
    return { open, problem: places.find(({ problem }) => problem !== null)?.problem ?? null };
  }

  /** Why not all workers accept for the listener in that place though they should; null when they do or need not. */
  listenerProblem(name: string, { place }: { readonly place: string }): string | null {
    return this.#listeners.get(keyOf(name, place))?.problem ?? null;
  }

  status(): WorkerStatus[] {
    return this.#liveWorkers().map((worker) => ({
      pid: worker.pid,
      uptimeMs: Math.round(worker.uptimeMs),
      connections: worker.counters.connections,
    }));
  }

  /** Counters over all workers, dead ones included. One that does not answer in time counts with its last. */
  async report({ timeoutMs }: { readonly timeoutMs: number }): Promise<WorkerCounters> {
    await Promise.all(this.#liveWorkers().map(async (worker) => worker.report({ timeoutMs })));
    return sumCounters([this.#departed, ...this.#liveWorkers().map((worker) => worker.counters)]);
  }

  /** These addresses have gone from this machine for good: whoever is connected to them is cut. */
  cutAt(addresses: readonly string[]): void {
    for (const worker of this.#readyWorkers()) worker.send({ kind: "cut", addresses });
  }

  /** Lets requests in flight end. Ends when all workers have gone, at the latest shortly after the grace. */
  async drain({ graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#stop();
    await Promise.all(this.#liveWorkers().map(async (worker) => worker.drain({ graceMs })));
  }

  /** Kills all workers at once; nothing restarts them. */
  killAll(): void {
    this.#stop();
    for (const worker of this.#liveWorkers()) worker.kill("the node stops at once");
  }

  #stop(): void {
    this.#stopping = true;
    this.#spare?.kill("the node stops");
    clearTimeout(this.#spareTimer);
    clearTimeout(this.#recoveryTimer);
    for (const slot of this.#slots) clearTimeout(slot.restartTimer);
    for (const listener of this.#listeners.values()) clearTimeout(listener.reopenTimer);
    this.#started.resolve();
  }

  /** Gives the slot a worker: the spare when there is one, ready or nearly so, otherwise a new process. */
  #fill(slot: Slot): void {
    const spare = this.#spare;
    this.#spare = undefined;
    slot.worker = spare ?? this.#fork();
    if (slot.worker.isReady) this.#equip(slot.worker);
  }

  #fork(): WorkerProcess {
    const worker = new WorkerProcess({
      entry: this.#entry,
      env: workerEnvironment(),
      clock: this.#options.clock,
      urgent: this.#deaths.length > 0 && this.#readyWorkers().length === 0,
      onReady: () => {
        if (worker === this.#spare) this.#options.log.debug({ worker: worker.pid }, "spare worker ready");
        else this.#equip(worker);
      },
      onBackendFailure: this.#options.onBackendFailure,
      onFailureRow: this.#options.onFailureRow,
      onExit: (exit) => {
        this.#bury(worker, exit);
      },
    });
    return worker;
  }

  /** Brings a new worker to what is wanted. */
  #equip(worker: WorkerProcess): void {
    if (this.#config !== undefined) {
      worker.send({ kind: "configure", config: this.#config, health: this.#options.readHealth() });
    }
    const opened = [...this.#listeners.values()].map(async (listener) => this.#tryOpen(listener));
    if (this.#readyWorkers().length < this.#options.count) return;
    this.#started.resolve();
    void this.#keepSpareAfter(opened);
    if (!this.#faulty) return;
    this.#recoveryTimer = setTimeout(() => {
      this.#recover();
    }, RECOVERY_MS);
  }

  /** Service first: a fork costs the control process a few milliseconds. */
  async #keepSpareAfter(opened: readonly Promise<void>[]): Promise<void> {
    await Promise.all(opened);
    this.#keepSpare();
  }

  /** A process takes longer to start than clients should wait for a dead worker's successor. */
  #keepSpare(): void {
    if (this.#stopping || this.#faulty || this.#readyWorkers().length < this.#options.count) return;
    clearTimeout(this.#spareTimer);
    this.#spare ??= this.#fork();
  }

  #recover(): void {
    this.#faulty = false;
    this.#deaths = [];
    for (const slot of this.#slots) slot.restartDelayMs = RESTART_DELAY_MIN_MS;
    this.#options.log.info({ workers: this.#options.count }, "workers stay up again");
    this.#options.onRecovered();
    this.#keepSpare();
  }

  #bury(worker: WorkerProcess, { code, signal, cause }: WorkerExit): void {
    this.#departed = sumCounters([this.#departed, withoutGauges(worker.counters)]);
    const slot = this.#slots.find((candidate) => candidate.worker === worker);
    if (slot !== undefined) slot.worker = undefined;
    if (worker === this.#spare) this.#spare = undefined;
    if (this.#stopping) return;
    const uptimeMs = Math.round(worker.uptimeMs);
    const subject = { worker: worker.pid, code, signal, cause, uptimeMs };
    if (slot === undefined) {
      // Nobody was served by it, so it is no fault of the node.
      this.#options.log.warn(subject, "spare worker died");
      this.#spareTimer = setTimeout(() => {
        this.#keepSpare();
      }, RESTART_DELAY_MAX_MS);
      return;
    }
    this.#options.log.warn(subject, "worker died");
    clearTimeout(this.#recoveryTimer);
    this.#countDeath();
    if (!this.#faulty) {
      this.#fill(slot);
      return;
    }
    slot.restartTimer = setTimeout(() => {
      this.#fill(slot);
    }, slot.restartDelayMs);
    slot.restartDelayMs = Math.min(slot.restartDelayMs * 2, RESTART_DELAY_MAX_MS);
  }

  #countDeath(): void {
    const now = this.#options.clock();
    this.#deaths = this.#deaths.filter((death) => now - death < DEATHS_WINDOW_MS);
    this.#deaths.push(now);
    // All workers killed once, however many there are, is one mishap and not a crash loop.
    if (this.#faulty || this.#deaths.length < Math.max(DEATHS_MAX, this.#options.count + 1)) return;
    this.#faulty = true;
    const reason = `${String(this.#deaths.length)} workers died within ${String(DEATHS_WINDOW_MS / 1_000)} s`;
    this.#options.log.error({ deaths: this.#deaths.length }, reason);
    this.#started.resolve();
    this.#options.onFault(reason);
  }

  /** Brings the listener to all workers that are ready; one try. */
  async #tryOpen(listener: WantedListener): Promise<void> {
    clearTimeout(listener.reopenTimer);
    if (this.#readyWorkers().length === 0) {
      // The first worker to come gets it without a timer.
      this.#noteProblem(listener, "no worker is running yet");
      return;
    }
    const problem = (await this.#findStranger(listener)) ?? (await this.#openInWorkers(listener));
    if (this.#stopping || this.#listeners.get(listener.key) !== listener) return;
    if (problem !== null && !this.listenerStatus(listener.name).open) listener.isOurs = false;
    this.#noteProblem(listener, problem);
    if (problem !== null) this.#scheduleReopen(listener);
  }

  /** The problem when somebody else listens where this listener must be alone; one look at a time. */
  async #findStranger(listener: WantedListener): Promise<string | null> {
    if (!listener.exclusive || listener.isOurs) return null;
    const unknown = listener.addresses.filter(({ port }) => !this.#isOurPort(port));
    listener.probe ??= findProblem(unknown.map(probeAddress));
    const problem = await listener.probe;
    listener.probe = undefined;
    return problem;
  }

  /** On a port that we have, or had until just now, a probe would only find ourselves. */
  #isOurPort(port: number): boolean {
    const isOpen = [...this.#listeners.values()].some(
      ({ isOurs, addresses }) => isOurs && addresses.some((address) => address.port === port),
    );
    return isOpen || this.#options.clock() < (this.#leftPorts.get(port) ?? 0);
  }

  async #openInWorkers(listener: WantedListener): Promise<string | null> {
    if (this.#listeners.get(listener.key) !== listener) return null;
    // Set before the sockets exist: from here on a probe of a sibling on this port would meet them.
    listener.isOurs = true;
    return findProblem(
      this.#readyWorkers().flatMap((worker) =>
        listener.addresses.map(async (address) => {
          const problem = await worker.listen(listener.name, address);
          // A worker that died meanwhile has a successor, which is given the listener itself.
          return worker.isReady ? problem : null;
        }),
      ),
    );
  }

  #scheduleReopen(listener: WantedListener): void {
    clearTimeout(listener.reopenTimer);
    listener.reopenTimer = setTimeout(() => void this.#tryOpen(listener), listener.reopenDelayMs);
    listener.reopenDelayMs = Math.min(listener.reopenDelayMs * 2, REOPEN_DELAY_MAX_MS);
  }

  /** Keeps the problem for the status; logs it when it is news. */
  #noteProblem(listener: WantedListener, problem: string | null): void {
    if (problem === listener.problem) return;
    const subject = { listener: listener.name, addresses: listener.addresses.map(formatSocketAddress) };
    if (problem === null) {
      listener.reopenDelayMs = REOPEN_DELAY_MIN_MS;
      this.#options.log.info(subject, "listener is open after all");
    } else {
      this.#options.log.warn({ ...subject, problem }, "listener cannot be opened");
    }
    listener.problem = problem;
  }

  #liveWorkers(): WorkerProcess[] {
    return this.#slots.flatMap((slot) => slot.worker ?? []);
  }

  #readyWorkers(): WorkerProcess[] {
    return this.#liveWorkers().filter((worker) => worker.isReady);
  }
}

/** The built program is .js, a checkout runs .ts as it is: the worker's file ends like this one. */
function proxyWorkerEntry(): string {
  return fileURLToPath(new URL(`../proxy/worker${extname(import.meta.url)}`, import.meta.url));
}

/** Nothing of the control process's own environment, which may hold secrets. */
function workerEnvironment(): Record<string, string> {
  // One heap of the C library for all threads, of which one does nearly everything: 1 MB less.
  const inherited = { ...compileCacheEnvironment(), ...journalEnvironment(), MALLOC_ARENA_MAX: "1" };
  if (process.getuid?.() !== 0) return inherited;
  const { uid, gid } = UNPRIVILEGED;
  return { ...inherited, VIPAIR_WORKER_UID: String(uid), VIPAIR_WORKER_GID: String(gid) };
}

function keyOf(listener: string, place: string): string {
  return place === "" ? listener : `${listener}@${place}`;
}

async function findProblem(attempts: readonly Promise<string | null>[]): Promise<string | null> {
  const problems = await Promise.all(attempts);
  return problems.find((problem) => problem !== null) ?? null;
}

function formatSocketAddress({ host, port }: SocketAddress): string {
  return formatAddress(host, port);
}

function isSameAddresses(some: readonly SocketAddress[], others: readonly SocketAddress[]): boolean {
  return (
    some.length === others.length &&
    some.every(({ host, port }, place) => others[place]?.host === host && others[place].port === port)
  );
}
