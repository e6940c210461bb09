// One worker as the control process sees it: a child process, the channel to it, and the listening
// sockets it was given. It reports its own end once and is never reused; Workers decides what follows.
//
//   starting ──ready──> serving ──drain──> draining
//       └───────────────────┴── exit ──────────┴────> gone

import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { Server, Socket } from "node:net";
import type { FromWorker, ToWorker, WorkerCounters } from "../protocol/worker.ts";
import type { Clock } from "../system/clock.ts";
import { formatAddress } from "../config/config.ts";
import { asOrdinary } from "../system/scheduling.ts";
import { bindListeningSocket } from "./listening-sockets.ts";
import type { SocketAddress } from "./listening-sockets.ts";
import type { RowReport } from "./outliers.ts";
import { NO_COUNTERS } from "./worker-counters.ts";
import { parseFromWorker } from "./worker-messages.ts";

/** A worker that has not answered `ready` or `listening` by then hangs; it is killed. */
const ANSWER_TIMEOUT_MS = 5_000;
/**
 * So often it is looked whether a worker that serves has said something; one that has not is asked for its counters. After so many looks in a row
 * without a word it hangs, and with it every client whom the kernel gives to it. Looks are counted, not time: a control process that was
 * held up itself blames nobody.
 */
const LOOK_MS = 1_000;
const SILENT_LOOKS_MAX = 5;
/** What a worker may take beyond a grace period to finish its own cutting of connections. */
const GRACE_MARGIN_MS = 500;

export interface BackendFailure {
  readonly pool: string;
  readonly backend: string;
  readonly reason: string;
}

/** How a worker ended, in words for the log. */
export interface WorkerExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** Why the control process killed it or could not start it; null when it ended by itself. */
  readonly cause: string | null;
}

export interface WorkerProcessOptions {
  /** Path of the worker's entry file. */
  readonly entry: string;
  /** The whole environment of the worker: it inherits nothing, so that it holds no secrets. */
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** Nobody serves until it does: it starts before everything else that wants to run. */
  readonly urgent?: boolean;
  readonly onReady: () => void;
  readonly onBackendFailure: (failure: BackendFailure) => void;
  readonly onFailureRow: (report: RowReport) => void;
  readonly onExit: (exit: WorkerExit) => void;
}

export class WorkerProcess {
  readonly #options: WorkerProcessOptions;
  readonly #child: ChildProcess;
  readonly #startedMs: number;
  readonly #exited = Promise.withResolvers<void>();
  /** Who waits for which answer: `listening`, `closed` by socket, `report`. True: it came; false: the worker is gone. */
  readonly #answers = new Map<string, PromiseWithResolvers<boolean>>();
  /** Sockets by listener and address; each promise ends in the problem, or null when the worker listens. */
  readonly #sockets = new Map<string, OpenSocket>();
  #readyTimer: NodeJS.Timeout | undefined;
  readonly #lookTimer: NodeJS.Timeout;
  /** Looks since the last message from it. */
  #silentLooks = 0;
  #ready = false;
  #gone = false;
  #killCause: string | null = null;
  #counters: WorkerCounters = NO_COUNTERS;
  #socketCount = 0;

  constructor(options: WorkerProcessOptions) {
    this.#options = options;
    this.#startedMs = options.clock();
    // A start takes longer than the traffic of other workers should wait; see dropPrivileges for the rest.
    const [execPath, ...execArgv] =
      options.urgent === true ? [process.execPath] : asOrdinary(process.execPath, []);
    const child = fork(options.entry, [], {
      execPath,
      execArgv,
      serialization: "advanced",
      env: { ...options.env },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#child = child;
    child.on("message", (message) => this.#receive(message));
    child.once("exit", (code, signal) => this.#finish({ code, signal, cause: this.#killCause }));
    child.on("error", (error) => {
      // Also emitted when a message cannot be sent; then the exit follows. Without a pid nothing ever started.
      if (child.pid === undefined) this.#finish({ code: null, signal: null, cause: error.message });
    });
    this.#readyTimer = setTimeout(() => this.kill("it was not ready in time"), ANSWER_TIMEOUT_MS);
    this.#lookTimer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** -1 when the process could not be started at all. */
  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Its privileges are dropped and it reads messages. */
  get isReady(): boolean {
    return this.#ready && !this.#gone;
  }

  get uptimeMs(): number {
    return this.#options.clock() - this.#startedMs;
  }

  /** As of its last report. */
  get counters(): WorkerCounters {
    return this.#counters;
  }

  /** Ends when the process is gone. */
  get exited(): Promise<void> {
    return this.#exited.promise;
  }

  /** Sends a message; to a worker that is about to be gone it is lost, and its exit says so. */
  send(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message, ignoreError);
  }

  /** True while the worker accepts connections for the listener on some address. */
  isListening(listener: string): boolean {
    return [...this.#sockets.values()].some((socket) => socket.listener === listener && socket.listening);
  }

  /**
   * Binds a socket for the listener and hands it over. Ends in null when the worker listens, otherwise
   * in the problem. A second call for the same listener and address joins the first.
   */
  async listen(listener: string, address: SocketAddress): Promise<string | null> {
    const key = socketKey(listener, address);
    const known = this.#sockets.get(key);
    if (known !== undefined) return known.opening;
    this.#socketCount += 1;
    const socketId = `${key} #${String(this.#socketCount)}`;
    const socket: OpenSocket = {
      socketId,
      listener,
      listening: false,
      opening: this.#handOver({ listener, socketId, address }),
    };
    this.#sockets.set(key, socket);
    const problem = await socket.opening;
    if (problem === null) socket.listening = true;
    else if (this.#sockets.get(key) === socket) this.#sockets.delete(key);
    return problem;
  }

  /**
   * Closes the listener on these addresses. Ends when the last connection that came there has gone, at the latest
   * shortly after the grace.
   */
  async closeListener(
    listener: string,
    addresses: readonly SocketAddress[],
    { graceMs }: { readonly graceMs: number },
  ): Promise<void> {
    const keys = new Set(addresses.map((address) => socketKey(listener, address)));
    const sockets = [...this.#sockets].filter(([key]) => keys.has(key));
    await Promise.all(
      sockets.map(async ([key, socket]) => {
        // At once, so that the listener can be opened again while this one still drains.
        this.#sockets.delete(key);
        if ((await socket.opening) !== null) return;
        const closed = this.#answer(`closed ${socket.socketId}`, graceMs + GRACE_MARGIN_MS);
        this.send({ kind: "close", socketId: socket.socketId, graceMs });
        await closed;
      }),
    );
  }

  /** Asks for counters now. Ends when they came, the time is up, or the worker is gone. */
  async report({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    if (!this.isReady) return;
    const reported = this.#answer("report", timeoutMs);
    this.send({ kind: "report" });
    await reported;
  }

  /** Ends when the process is gone, which takes at most the grace and a moment more. */
  async drain({ graceMs }: { readonly graceMs: number }): Promise<void> {
    // One that is not ready has no connections, and reads no messages yet.
    if (!this.#ready) this.kill("the node stops");
    this.send({ kind: "drain", graceMs });
    const straggler = setTimeout(() => this.kill("it did not drain in time"), graceMs + GRACE_MARGIN_MS);
    await this.exited;
    clearTimeout(straggler);
  }

  /** SIGKILL; `cause` goes to the log with its exit. */
  kill(cause: string): void {
    if (this.#gone) return;
    this.#killCause = cause;
    this.#child.kill("SIGKILL");
  }

  async #handOver({
    listener,
    socketId,
    address,
  }: {
    listener: string;
    socketId: string;
    address: SocketAddress;
  }): Promise<string | null> {
    const bound = await bindListeningSocket(address, (connection) => {
      this.#giveConnection(listener, connection);
    });
    if (bound.kind === "failed") return bound.problem;
    const listening = this.#answer(`listening ${socketId}`, ANSWER_TIMEOUT_MS);
    this.#giveServer({ kind: "listen", listener, socketId }, bound.server);
    const answered = await listening;
    bound.server.close();
    if (answered) return null;
    this.kill("it did not take a listening socket in time");
    return "the worker ended before it listened";
  }

  #look(): void {
    if (!this.isReady) return;
    if (this.#silentLooks >= SILENT_LOOKS_MAX) {
      const seconds = (LOOK_MS * SILENT_LOOKS_MAX) / 1000;
      this.kill(`it has given no sign of life for ${String(seconds)} s`);
      return;
    }
    // One that has something to do reports by itself.
    if (this.#silentLooks > 0) this.send({ kind: "report" });
    this.#silentLooks += 1;
  }

  #giveServer(message: ToWorker, server: Server): void {
    if (this.#child.connected) this.#child.send(message, server, {}, ignoreError);
  }

  /** What the control process accepted before it let go of the socket belongs to the worker. */
  #giveConnection(listener: string, connection: Socket): void {
    connection.on("error", () => connection.destroy());
    if (!this.#child.connected) {
      connection.destroy();
      return;
    }
    const message: ToWorker = { kind: "connection", listener };
    this.#child.send(message, connection, {}, (error) => {
      if (error !== null) connection.destroy();
    });
  }

  /** True when the answer came; false when the time is up or the worker is gone. */
  async #answer(name: string, timeoutMs: number): Promise<boolean> {
    if (this.#gone) return false;
    const answer = this.#answers.get(name) ?? Promise.withResolvers<boolean>();
    this.#answers.set(name, answer);
    const timer = setTimeout(() => this.#settle(name, false), timeoutMs);
    const came = await answer.promise;
    clearTimeout(timer);
    return came;
  }

  #settle(name: string, came: boolean): void {
    this.#answers.get(name)?.resolve(came);
    this.#answers.delete(name);
  }

  #receive(raw: unknown): void {
    this.#silentLooks = 0;
    const message = parseFromWorker(raw);
    if (message === undefined) {
      this.kill("it sent a message that no worker sends");
      return;
    }
    this.#handle(message);
  }

  #handle(message: FromWorker): void {
    switch (message.kind) {
      case "ready":
        clearTimeout(this.#readyTimer);
        this.#ready = true;
        this.#options.onReady();
        return;
      case "listening":
      case "closed":
        this.#settle(`${message.kind} ${message.socketId}`, true);
        return;
      case "report":
        this.#counters = message.counters;
        this.#settle("report", true);
        return;
      case "backend-failure":
        this.#options.onBackendFailure(message);
        return;
      case "failure-row":
        this.#options.onFailureRow(message);
        return;
    }
  }

  #finish(exit: WorkerExit): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#readyTimer);
    clearInterval(this.#lookTimer);
    for (const name of this.#answers.keys()) this.#settle(name, false);
    this.#exited.resolve();
    this.#options.onExit(exit);
  }
}

interface OpenSocket {
  readonly listener: string;
  readonly socketId: string;
  /** Ends in null when the worker listens, otherwise in the problem. */
  readonly opening: Promise<string | null>;
  listening: boolean;
}

function socketKey(listener: string, { host, port }: SocketAddress): string {
  return `${listener} ${formatAddress(host, port)}`;
}

/** A message that cannot be delivered: the worker's exit is the event that matters, and it follows. */
function ignoreError(): void {}
