// The pair, its backends and a client that never stops asking, and what can be done to them. Each act
// says what it did, waits until the pair is as it should be again, and tells what the client saw meanwhile.

import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { OpenLoopClient, type OpenLoopReport } from "../../src/cli/open-loop-client.ts";
import { untrustedReason } from "../../src/system/trusted-file.ts";
import { configOf, type Layout, NODES, planLayout, ROOT, VIRTUAL_ADDRESS } from "./layout.ts";
import { DemoNode } from "./node.ts";
import { Guard, ProcessGroup } from "./process-group.ts";

/** The request loop: a new connection with one GET so often, each with its own timeout. */
export const REQUEST_EVERY_MS = 5;
const REQUEST_TIMEOUT_MS = 400;
/** Within this time the pair must be whole after anything that is done to it. */
const RECOVERY_MS = 8000;
const START_MS = 15_000;
const BACKEND_START_MS = 5000;
/** After recovery, until the slowest request that began before has been counted. */
const SETTLE_MS = REQUEST_TIMEOUT_MS + 100;
const LOOK_EVERY_MS = 25;
/** An admin socket's path has at most 107 bytes: "/pi-a/admin.sock" goes on top of the folder's. */
const FOLDER_LENGTH_MAX = 80;

/** What became of one act. */
export interface Account {
  /** "pi-a killed (SIGKILL)" */
  readonly act: string;
  /** How long the request loop was without good answers; 0 when it never was. */
  readonly outageMs: number;
  /** Most that this act may cost; null: no limit of its own. */
  readonly outageMsMax: number | null;
  /** How long the request loop itself was held up: no outage of the pair. */
  readonly heldUpMs: number;
  readonly failed: number;
  readonly requests: number;
  /** Who is active afterwards. */
  readonly active: string | null;
  /** Further facts, as sentences. */
  readonly remarks: readonly string[];
  /** What is not as it should be; empty: recovered. */
  readonly problems: readonly string[];
}

interface SampleBackend {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  process: ProcessGroup | undefined;
}

/** One sentence about what is missing, or null when nothing is. */
type Expectation = () => string | null;

export class Stage {
  readonly layout: Layout;
  readonly folder: string;
  readonly nodes: readonly DemoNode[];
  readonly backends: readonly SampleBackend[];
  readonly client: OpenLoopClient;
  readonly #guard: Guard;
  #marks = 0;
  #clientRuns = false;
  #isClosed = false;

  private constructor(layout: Layout) {
    this.layout = layout;
    this.folder = makeFolder();
    this.#guard = new Guard(this.folder);
    this.nodes = NODES.map(
      ({ name, priority }) => new DemoNode({ name, priority, folder: this.folder, guard: this.#guard }),
    );
    this.backends = layout.backends.map((place) => ({ ...place, process: undefined }));
    this.client = new OpenLoopClient({
      host: VIRTUAL_ADDRESS,
      port: layout.listenPort,
      intervalMs: REQUEST_EVERY_MS,
      timeoutMs: REQUEST_TIMEOUT_MS,
    });
    const config = configOf(layout, { hook: placeHook(this.folder) });
    writeFileSync(join(this.folder, "vipair.yaml"), config, { mode: 0o600 });
  }

  /** Makes the folder; starts nothing yet. */
  static async create(): Promise<Stage> {
    return new Stage(await planLayout());
  }

  /** The request loop runs. */
  get isOpen(): boolean {
    return this.#clientRuns;
  }

  /** The node that says that it is active, when exactly one does. */
  get active(): DemoNode | undefined {
    const active = this.nodes.filter(({ status }) => status?.role === "active");
    return active.length === 1 ? active[0] : undefined;
  }

  /** One active, and a standby that could take over at this moment. */
  get isWhole(): boolean {
    return this.nodes.every(({ condition }) => condition === "running") && this.#pairIsWhole() === null;
  }

  /** Starts everything. Ends when the pair is whole and answers, or throws with the reason why it is not. */
  async open(): Promise<void> {
    await Promise.all(this.backends.map((backend) => this.#startBackend(backend)));
    for (const node of this.nodes) this.#startNode(node);
    const problem = await this.#untilAll([this.#pairIsWhole, this.#backendsAreUp], START_MS);
    if (problem !== null) throw new Error(problem);
    this.client.start();
    this.#clientRuns = true;
    // The first second belongs to nobody's account: connections and code are cold.
    await sleep(SETTLE_MS);
  }

  async look(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.look()));
  }

  // ------------------------------------------------------------ acts

  /** The other node takes over because the connections to the killed one closed. */
  async killActive(): Promise<Account> {
    const { active, other } = this.#roles();
    const account = await this.#account({
      act: `${active.name} killed (SIGKILL to all its processes)`,
      outageMsMax: 300,
      perform: () => {
        active.kill();
      },
      expect: [this.#isActive(other)],
    });
    await active.untilGone();
    return account;
  }

  /** A killed node comes back, as standby: nothing moves twice. */
  async returnNode(node: DemoNode): Promise<Account> {
    const active = this.active;
    return this.#account({
      act: `${node.name} returned`,
      outageMsMax: null,
      perform: async () => {
        await node.untilGone();
        this.#startNode(node);
      },
      expect: [this.#pairIsWhole, ...(active === undefined ? [] : [this.#isActive(active)])],
    });
  }

  async switchOver(): Promise<Account> {
    const { active, other } = this.#roles();
    const remarks: string[] = [];
    return this.#account({
      act: `switchover from ${active.name} to ${other.name}`,
      outageMsMax: null,
      perform: async () => {
        const answer = await active.switchover();
        if (answer.kind === "done") {
          const { tookMs } = answer.body as { readonly tookMs: number };
          remarks.push(`the order was carried out in ${String(Math.round(tookMs))} ms`);
        } else remarks.push(`the order was refused: ${answer.problem}`);
      },
      expect: [this.#isActive(other), this.#pairIsWhole],
      remarks,
    });
  }

  /** Nobody answers for the frozen one and its connections stay open: only its silence tells. */
  async freezeActive(): Promise<Account> {
    const { active, other } = this.#roles();
    return this.#account({
      act: `${active.name} frozen (SIGSTOP to all its processes)`,
      outageMsMax: null,
      perform: () => {
        active.freeze();
      },
      expect: [this.#isActive(other)],
    });
  }

  async thaw(node: DemoNode): Promise<Account> {
    const active = this.active;
    return this.#account({
      act: `${node.name} thawed (SIGCONT)`,
      outageMsMax: null,
      perform: () => {
        node.thaw();
      },
      expect: [this.#pairIsWhole, ...(active === undefined ? [] : [this.#isActive(active)])],
    });
  }

  async loseBackend(backend: SampleBackend): Promise<Account> {
    return this.#account({
      act: `backend ${backend.name} killed (SIGKILL)`,
      outageMsMax: 300,
      perform: async () => {
        await backend.process?.kill();
        backend.process = undefined;
      },
      expect: [this.#pairIsWhole, this.#isBackendOut(backend)],
    });
  }

  async returnBackend(backend: SampleBackend): Promise<Account> {
    return this.#account({
      act: `backend ${backend.name} returned`,
      outageMsMax: null,
      perform: () => this.#startBackend(backend),
      expect: [this.#pairIsWhole, this.#backendsAreUp],
    });
  }

  // ------------------------------------------------------------ the end

  /** Ends everything that was started and removes the folder. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#clientRuns) await this.client.stop();
    // The active last: it would hand over to a standby that is still there.
    const { active } = this;
    await Promise.all(this.nodes.filter((node) => node !== active).map((node) => node.stop()));
    await active?.stop();
    await Promise.all(this.backends.map(async (backend) => backend.process?.kill()));
    await this.#guard.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  // ------------------------------------------------------------ inside

  async #account({
    act,
    outageMsMax,
    perform,
    expect,
    remarks = [],
  }: {
    readonly act: string;
    readonly outageMsMax: number | null;
    readonly perform: () => void | Promise<void>;
    readonly expect: readonly Expectation[];
    readonly remarks?: readonly string[];
  }): Promise<Account> {
    const label = `act ${String((this.#marks += 1))}`;
    this.client.mark(label);
    await perform();
    const missing = await this.#untilAll(expect, RECOVERY_MS);
    await sleep(SETTLE_MS);
    // Once more: what was right for a moment only does not count.
    const later = missing ?? (await this.#untilAll(expect, 0));
    const report = this.client.outageSince(label);
    return {
      act,
      outageMs: Math.round(report.longestOutageMs),
      outageMsMax,
      heldUpMs: report.stalledMs,
      failed: report.failed,
      requests: report.total,
      active: this.active?.name ?? null,
      remarks,
      problems: [...(later === null ? [] : [later]), ...trafficProblems(report, outageMsMax)],
    };
  }

  /** What is still missing when the time is up; null as soon as nothing is. */
  async #untilAll(expectations: readonly Expectation[], withinMs: number): Promise<string | null> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      await this.look();
      const missing = expectations.map((expectation) => expectation()).find((problem) => problem !== null);
      if (missing === undefined) return null;
      if (this.#isClosed || performance.now() >= deadline) return missing;
      await sleep(LOOK_EVERY_MS);
    }
  }

  #roles(): { readonly active: DemoNode; readonly other: DemoNode } {
    const active = this.active;
    const other = this.nodes.find((node) => node !== active);
    if (active === undefined || other === undefined) throw new Error("there is not exactly one active node");
    return { active, other };
  }

  #startNode(node: DemoNode): void {
    if (!this.#isClosed) node.start();
  }

  async #startBackend(backend: SampleBackend): Promise<void> {
    if (this.#isClosed) return;
    const script = join(import.meta.dirname, "backend.ts");
    const argv = [process.execPath, script, backend.name, backend.host, String(backend.port)] as const;
    const started = new ProcessGroup(this.#guard, [...argv], { stdio: ["pipe", "pipe", "inherit"] });
    backend.process = started;
    if (started.child.stdout === null) throw new Error("stdout is a pipe");
    await once(started.child.stdout, "data", { signal: AbortSignal.timeout(BACKEND_START_MS) });
  }

  readonly #pairIsWhole: Expectation = () => {
    for (const node of this.nodes) {
      if (node.condition === "ended") return `${node.name} ended by itself (${node.end ?? "?"})`;
    }
    const running = this.nodes.filter(({ condition }) => condition === "running");
    const roles = running.map(describeRole).join(", ");
    const count = (role: string) => running.filter(({ status }) => status?.role === role).length;
    if (count("active") !== 1 || count("standby") !== running.length - 1) {
      return `instead of one active and a standby: ${roles}`;
    }
    return running.length === 1 ? null : notReady(running);
  };

  #isActive(node: DemoNode): Expectation {
    return () => (this.active === node ? this.#pairIsWhole() : `${node.name} is not the one active node`);
  }

  readonly #backendsAreUp: Expectation = () => {
    const states = this.nodes.flatMap(({ name, status }) =>
      (status?.pools ?? []).flatMap(({ backends }) =>
        backends.map((backend) => ({ ...backend, seenBy: name })),
      ),
    );
    const bad = states.find(({ state }) => state !== "up");
    return bad === undefined ? null : `${bad.seenBy} sees ${bad.name} as ${bad.state}`;
  };

  #isBackendOut({ name }: SampleBackend): Expectation {
    return () => {
      const pools = this.active?.status?.pools ?? [];
      const backend = pools.flatMap(({ backends }) => backends).find((candidate) => candidate.name === name);
      return backend?.state === "down" ? null : `${name} is still ${backend?.state ?? "unknown"}`;
    };
  }
}

/** Two nodes with the right roles are a pair when they hear each other and wait for nothing. */
function notReady(nodes: readonly DemoNode[]): string | null {
  for (const node of nodes) {
    const { name, status } = node;
    if (status?.peer?.connected !== true) return `${name} does not hear its peer`;
    if (status.reason !== null) return describeRole(node);
  }
  return null;
}

/** "pi-a is fault (start: the hook ... does not exist)" */
function describeRole({ name, status }: DemoNode): string {
  if (status === undefined) return `${name} is silent`;
  return `${name} is ${status.role}${status.reason === null ? "" : ` (${status.reason})`}`;
}

function trafficProblems(report: OpenLoopReport, outageMsMax: number | null): string[] {
  const problems: string[] = [];
  const good = report.outcomes.ok ?? 0;
  if (good === 0) problems.push("no request was answered");
  if (report.outages.some(({ ended }) => !ended)) problems.push("the virtual address does not answer");
  if (outageMsMax !== null && report.longestOutageMs > outageMsMax + report.stalledMs) {
    problems.push(`the outage is longer than ${String(outageMsMax)} ms`);
  }
  return problems;
}

/** Ends in the hook's path. Run as root, vipair refuses one in a checkout of somebody else: then it is a copy. */
function placeHook(folder: string): string {
  const hook = join(ROOT, "scripts/hooks/loopback");
  if (untrustedReason(hook) === undefined) return hook;
  const copy = join(folder, "hook");
  // Written, not copied: a copy would keep its owner.
  writeFileSync(copy, readFileSync(hook), { mode: 0o700 });
  return copy;
}

function makeFolder(): string {
  const parent = tmpdir().length > FOLDER_LENGTH_MAX - 20 ? "/tmp" : tmpdir();
  return mkdtempSync(join(parent, "vipair-demo-"));
}
