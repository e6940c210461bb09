// One node of the demo: a real `vipair run` with a runtime directory of its own, what may befall it, and
// what it tells about itself. Its status comes over the admin socket, its events from its log.

import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { askAdmin } from "../../src/cli/admin-client.ts";
import type { AdminAnswer } from "../../src/cli/admin-client.ts";
import { ADMIN_PATHS } from "../../src/protocol/admin.ts";
import type { Status } from "../../src/protocol/status.ts";
import { type NodeName, ROOT } from "./layout.ts";
import { type Guard, ProcessGroup } from "./process-group.ts";

const STATUS_TIMEOUT_MS = 400;
const SWITCHOVER_TIMEOUT_MS = 10_000;
/** A status is news for so long; a node that answers nothing for longer is not counted as anything. */
const STATUS_FRESH_MS = 1000;
/** More than shutdownGrace in the demo's configuration. */
const STOP_GRACE_MS = 3000;
/** Requests per second are counted over this time. */
const RATE_WINDOW_MS = 1000;
const LOG_TAIL_LINES = 15;

/** `ended`: by itself, which never should happen. */
export type Condition = "off" | "running" | "frozen" | "killed" | "ended";

export class DemoNode {
  readonly name: NodeName;
  readonly priority: number;
  readonly #folder: string;
  readonly #guard: Guard;
  #process: ProcessGroup | undefined;
  #condition: Exclude<Condition, "ended"> = "off";
  #status: { readonly status: Status; readonly atMs: number } | undefined;
  #looking: Promise<void> | undefined;
  #rates: { readonly atMs: number; readonly requests: number }[] = [];
  #logOffset = 0;
  #logRest = "";

  constructor(options: {
    readonly name: NodeName;
    readonly priority: number;
    /** Of the whole demo; holds the configuration. */
    readonly folder: string;
    readonly guard: Guard;
  }) {
    this.name = options.name;
    this.priority = options.priority;
    this.#folder = options.folder;
    this.#guard = options.guard;
  }

  get condition(): Condition {
    return this.#condition === "running" && this.#process?.isRunning !== true ? "ended" : this.#condition;
  }

  /** How the process ended; undefined while it runs or before its start. */
  get end(): string | undefined {
    return this.#process?.end;
  }

  get pid(): number | undefined {
    return this.#process?.child.pid;
  }

  get logFile(): string {
    return join(this.#folder, `${this.name}.log`);
  }

  /** What it told within the last second; undefined when it told nothing. */
  get status(): Status | undefined {
    if (this.condition !== "running" || this.#status === undefined) return undefined;
    return performance.now() - this.#status.atMs < STATUS_FRESH_MS ? this.#status.status : undefined;
  }

  /** Answered by this node, over the last second. */
  get requestsPerSecond(): number {
    const [first] = this.#rates;
    const last = this.#rates.at(-1);
    if (first === undefined || last === undefined || last.atMs === first.atMs) return 0;
    return Math.max(0, ((last.requests - first.requests) * 1000) / (last.atMs - first.atMs));
  }

  /** Starts the control process; ends before it is ready. */
  start(): void {
    this.#forget();
    const log = openSync(this.logFile, "a", 0o600);
    const launcher = join(ROOT, "scripts/vipair");
    const config = join(this.#folder, "vipair.yaml");
    const argv = ["run", "--config", config, "--node", this.name, "--runtime-dir", this.#runtimeDir] as const;
    // A file, not a pipe: a demo that is suspended must not hold up a control process that logs.
    this.#process = new ProcessGroup(this.#guard, [launcher, ...argv], {
      stdio: ["ignore", log, log],
      // The hook's view of who holds the address; one for both nodes, as a network would be.
      env: { VIPAIR_DEMO_STATE: join(this.#folder, "network") },
    });
    closeSync(log);
    this.#condition = "running";
  }

  /** SIGKILL to the control process and its workers in one moment. */
  kill(): void {
    this.#process?.signal("SIGKILL");
    this.#condition = "killed";
    this.#forget();
  }

  /** Ends when nothing of a killed node is left. */
  async untilGone(): Promise<void> {
    await this.#process?.kill();
  }

  /** SIGSTOP to the control process and its workers: they are there and do nothing. */
  freeze(): void {
    this.#process?.signal("SIGSTOP");
    this.#condition = "frozen";
    this.#forget();
  }

  thaw(): void {
    this.#process?.signal("SIGCONT");
    this.#condition = "running";
  }

  async stop(): Promise<void> {
    await this.#process?.stop({ graceMs: this.condition === "running" ? STOP_GRACE_MS : 0 });
    this.#condition = "off";
  }

  async switchover(): Promise<AdminAnswer> {
    return this.#ask("POST", ADMIN_PATHS.switchover, SWITCHOVER_TIMEOUT_MS);
  }

  /** Brings `status` up to date; one look at a time. */
  async look(): Promise<void> {
    if (this.condition !== "running") return;
    this.#looking ??= this.#look();
    await this.#looking;
  }

  /** The log's lines since the last call. */
  newLogLines(): string[] {
    const lines = (this.#logRest + this.#readLog(this.#logOffset)).split("\n");
    this.#logRest = lines.pop() ?? "";
    return lines;
  }

  /** The end of the log, for when something went wrong. */
  logTail(): string[] {
    const { text } = readFrom(this.logFile, 0);
    return text.trimEnd().split("\n").slice(-LOG_TAIL_LINES);
  }

  get #runtimeDir(): string {
    return join(this.#folder, this.name);
  }

  async #look(): Promise<void> {
    const process = this.#process;
    const answer = await this.#ask("GET", ADMIN_PATHS.status, STATUS_TIMEOUT_MS);
    this.#looking = undefined;
    // What a process said that was killed meanwhile is no news of the present one.
    if (answer.kind !== "done" || process !== this.#process || this.condition !== "running") return;
    const status = answer.body as Status;
    const atMs = performance.now();
    this.#status = { status, atMs };
    this.#rates.push({ atMs, requests: status.requests });
    while ((this.#rates[1]?.atMs ?? atMs) <= atMs - RATE_WINDOW_MS) this.#rates.shift();
  }

  async #ask(
    method: "GET" | "POST",
    path: (typeof ADMIN_PATHS)[keyof typeof ADMIN_PATHS],
    timeoutMs: number,
  ): Promise<AdminAnswer> {
    return askAdmin({ runtimeDir: this.#runtimeDir, method, path, timeoutMs });
  }

  #forget(): void {
    this.#status = undefined;
    this.#rates = [];
  }

  #readLog(offset: number): string {
    const { text, bytes } = readFrom(this.logFile, offset);
    this.#logOffset += bytes;
    return text;
  }
}

function readFrom(file: string, offset: number): { readonly text: string; readonly bytes: number } {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch {
    // It does not exist before the first start.
    return { text: "", bytes: 0 };
  }
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for (;;) {
      const chunk = Buffer.alloc(65_536);
      const count = readSync(fd, chunk, 0, chunk.length, offset + bytes);
      if (count === 0) break;
      chunks.push(chunk.subarray(0, count));
      bytes += count;
    }
    return { text: Buffer.concat(chunks).toString(), bytes };
  } finally {
    closeSync(fd);
  }
}
