// The processes of one node: started with scripts/vipair, found again by the pid that was written down, so
// that a later command of scripts/lab can kill what an earlier one started.

import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Status } from "../../src/protocol/status.ts";
import { adminStatus } from "../support/admin-status.ts";
import { waitUntil } from "../support/wait-until.ts";
import type { Machine, Network } from "./network.ts";

const LAUNCHER = join(import.meta.dirname, "../../scripts/vipair");
/** A killed process is gone when the kernel has cleaned up after it. */
const GONE_WITHIN_MS = 5000;

export interface NodeProcessesOptions {
  readonly node: Machine;
  readonly network: Network;
  /** Holds vipair.yaml, and gets the log, the pid and the runtime directory of the node. */
  readonly folder: string;
  /** Processes in the namespace that belong to the observer and not to the node. */
  readonly observers: () => ReadonlySet<number>;
}

export class NodeProcesses {
  readonly #options: NodeProcessesOptions;

  constructor(options: NodeProcessesOptions) {
    this.#options = options;
  }

  /** The node's runtime directory. */
  get runtimeFolder(): string {
    return join(this.#options.folder, this.#options.node);
  }

  /** Starts the control process. Everything it writes is added to the log. */
  start(): void {
    const { node, network, folder } = this.#options;
    const log = openSync(this.#file("log"), "a");
    const config = join(folder, "vipair.yaml");
    const argv = [LAUNCHER, "run", "--config", config, "--node", node, "--runtime-dir", this.runtimeFolder];
    const { pid } = network.spawn(node, argv, { stdio: ["ignore", log, log] });
    closeSync(log);
    writeFileSync(this.#file("pid"), String(pid));
  }

  /** undefined when it does not run. */
  controlPid(): number | undefined {
    const pid = Number(readOr(this.#file("pid"), "0"));
    // The runtime directory is in its command line: so a pid that the kernel has given away again is known.
    const words = readOr(`/proc/${String(pid)}/cmdline`, "").split("\0");
    return words.includes(this.runtimeFolder) || (words.join("") === "" && isLive(pid)) ? pid : undefined;
  }

  isRunning(): boolean {
    return this.controlPid() !== undefined;
  }

  /** Those that serve, and the spare one. */
  workerPids(): number[] {
    const control = String(this.controlPid());
    return readOr(`/proc/${control}/task/${control}/children`, "")
      .split(" ")
      .filter((pid) => pid !== "" && readOr(`/proc/${pid}/cmdline`, "").includes("/proxy/worker."))
      .map(Number);
  }

  /** Control process, workers, hooks: also a hook whose parent has gone. The namespace knows them all. */
  async allPids(): Promise<number[]> {
    const { network, node, observers } = this.#options;
    return (await network.pids(node)).filter((pid) => !observers().has(pid));
  }

  /** Whether it runs, and every process of the node is stopped. */
  async isFrozen(): Promise<boolean> {
    const pids = await this.allPids();
    return (
      this.isRunning() &&
      pids.every((pid) => /^State:\s+T/m.test(readOr(`/proc/${String(pid)}/status`, "State: T")))
    );
  }

  /** Resolves when the control process has ended. */
  async gone(): Promise<void> {
    await waitUntil(() => !this.isRunning(), {
      what: `${this.#options.node} to end`,
      withinMs: GONE_WITHIN_MS,
    });
  }

  /** Runs a vipair command against this node, on its machine. */
  async vipair(...args: readonly string[]): Promise<string> {
    const { network, node } = this.#options;
    return network.exec(node, [LAUNCHER, ...args, "--runtime-dir", this.runtimeFolder]);
  }

  /** Lines of everything its processes wrote since the lab is up. */
  log(): string[] {
    return readOr(this.#file("log"), "").split("\n");
  }

  /** undefined while it does not answer. */
  async status(): Promise<Status | undefined> {
    return adminStatus(this.runtimeFolder);
  }

  #file(ending: "log" | "pid"): string {
    return join(this.#options.folder, `${this.#options.node}.${ending}`);
  }
}

/**
 * Neither a zombie nor gone. In the middle of exec(), and the launcher script does it twice, a live process has no command
 * line for a moment.
 */
function isLive(pid: number): boolean {
  return /^State:\s+[RSDT]/m.test(readOr(`/proc/${String(pid)}/status`, ""));
}

/** Sends the signal to all that still live; resolves to the moment of it. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): number {
  const atMs = performance.now();
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // Ended by itself since the list was made.
    }
  }
  return atMs;
}

function readOr(file: string, otherwise: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return otherwise;
  }
}
