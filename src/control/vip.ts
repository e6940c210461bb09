// Holds a virtual address through its hook: which hook runs now, which intent comes next, and how long
// the kernel will keep the address. It decides nothing about roles; it does what the election asked for
// and tells how that went. Hooks of one address never overlap, and the newest intent wins: a release
// must not wait for a claim that hangs.
//
//   claim, release    kill at once what runs and drop what waits
//   renew             takes the turn of an announce or status; waits for what else runs
//   announce, status  wait; one whose turn a renewal took runs again after it, for what is left of its time
//
// So a lease is never set later than one hook after the election asked for it (two when a claim asks the network first:
// a renewal follows it): by then the node may have handed the address over. An action that waits already is not queued
// a second time: the older one is dropped (`superseded`).

import type { NodeConfig, VirtualAddress } from "../config/config.ts";
import { LEASE_TRUST } from "../election/timing.ts";
import type { Clock } from "../system/clock.ts";
import { explainRun, lastLine, programProblem } from "../system/exec.ts";
import type { Run, RunResult } from "../system/exec.ts";
import { launch } from "../system/launcher.ts";
import type { Log } from "../system/log.ts";

/** What the hook is called with; docs/glossary.md. */
export type VipAction = "claim" | "renew" | "release" | "announce" | "status";

/** No hook may take longer, whatever it does. */
const HOOK_TIMEOUT_MS = 2000;

/** For so long a claim asks the network whether somebody has the address, when nobody answers. */
const ASKING_MS = 1000;

/** Exit codes that scripts/hooks/vip gives a meaning to. */
const EXIT_NOT_HELD = 1;
const EXIT_TAKEN = 3;
const EXIT_GONE = 4;

/** Which waiting action goes first: lower before higher. A lease cannot wait, an announcement can. */
const RANK = { claim: 0, release: 0, renew: 1, announce: 2, status: 2 } satisfies Record<VipAction, number>;

/** `gone`: not on the interface any more. `taken`: somebody else on the network answers for it. */
export type HookFailure = "gone" | "taken" | "not-held" | "timeout" | "unusable" | "error";

export type HookResult =
  /** The lease, when the action sets one, counts from startedAtMs. Both are moments of the clock given. */
  | {
      readonly kind: "done";
      readonly startedAtMs: number;
      readonly finishedAtMs: number;
      /** By the clock of the process that started the hook, so without the time for which its end was not read. */
      readonly ranMs: number;
      readonly stdout: string;
      /** Not empty: it was done, but not all went as it should. */
      readonly stderr: string;
    }
  | {
      readonly kind: "failed";
      readonly failure: HookFailure;
      /** A sentence for the log, with the end of the hook's stderr. */
      readonly reason: string;
      readonly startedAtMs: number;
      readonly finishedAtMs: number;
    }
  /** A newer intent took its place; what the address is now is that one's business. */
  | { readonly kind: "superseded" };

export interface ClaimOptions {
  readonly epoch: number;
  /** Planned switchover: the peer still holds the address and its connections; send it their packets. */
  readonly handover: boolean;
  /** Make sure first that nobody answers for the address. */
  readonly probe: boolean;
}

export interface VipOptions {
  readonly address: VirtualAddress;
  readonly self: NodeConfig;
  /** Undefined: the pair has no second node yet. */
  readonly peer: () => NodeConfig | undefined;
  /** Absolute path of the hook program. */
  readonly hook: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Added to the hook's environment (the demo's state directory). */
  readonly hookEnv?: Readonly<Record<string, string>>;
}

interface Intent {
  readonly action: VipAction;
  readonly env: Readonly<Record<string, string>>;
  readonly settle: (result: HookResult) => void;
  /** It has run before, for so long, and a renewal took its turn. */
  readonly ranMs: number;
}

interface Running {
  readonly intent: Intent;
  readonly handle: Run;
  /** Killed for a renewal, and to be done again after it. */
  yields: boolean;
}

/** One virtual address and its hook. */
export class Vip {
  readonly address: VirtualAddress;
  readonly #options: VipOptions;
  #running: Running | undefined;
  /** At most one of each action, oldest first. */
  #waiting: Intent[] = [];
  #epoch = 0;
  /** Grows with each claim and release: a claim goes on only while it is the newest wish. */
  #wish = 0;
  /** When the kernel removes the address unless it is renewed; undefined: not held as far as we know. */
  #leaseEndsAtMs: number | undefined;

  constructor(options: VipOptions) {
    this.#options = options;
    this.address = options.address;
  }

  /** Whether the address is on the interface as far as the hooks that ran here have told. */
  isHeld(): boolean {
    return this.#leaseEndsAtMs !== undefined && this.#options.clock() < this.#leaseEndsAtMs;
  }

  /** Adds the address with its lease, or sets the lease anew when it is there already. */
  async claim({ epoch, handover, probe }: ClaimOptions): Promise<HookResult> {
    this.#epoch = epoch;
    const wish = ++this.#wish;
    const claimed = await this.#order("claim", {
      ...(handover ? { VIPAIR_HANDOVER: "1" } : {}),
      ...(probe ? { VIPAIR_PROBE: "1" } : {}),
    });
    if (!probe || claimed.kind !== "done") return claimed;
    if (wish !== this.#wish) return { kind: "superseded" };
    // Nobody answers for as long as a second, and the lease begins after that: nobody but a renewal tells when. Unless
    // this process stood still since then: then it may have ended (rule 4), and whoever counts from the start lets go.
    const { clock, leaseMs } = this.#options;
    const setAtMs = claimed.startedAtMs + Math.min(claimed.ranMs, ASKING_MS);
    return clock() - setAtMs < LEASE_TRUST * leaseMs ? this.renew() : claimed;
  }

  /** Extends the lease; never brings the address back: that fails with `gone`. */
  renew(): Promise<HookResult> {
    return this.#order("renew", {});
  }

  /** Removes the address; that it is not there is success. */
  release(): Promise<HookResult> {
    this.#wish += 1;
    return this.#order("release", {});
  }

  /** Tells the network where the address is. */
  announce(): Promise<HookResult> {
    return this.#order("announce", {});
  }

  /** Asks the hook whether the address is on the interface: `done`, or `failed` with `not-held`. */
  status(): Promise<HookResult> {
    return this.#order("status", {});
  }

  /** The process is ending: kills the hook that runs, drops what waits. The lease ends what is left. */
  abandon(): void {
    this.#wish += 1;
    for (const intent of this.#waiting.splice(0)) intent.settle({ kind: "superseded" });
    this.#kill({ yields: false });
  }

  #order(action: VipAction, env: Readonly<Record<string, string>>): Promise<HookResult> {
    return new Promise((resolve) => {
      this.#makeWay(action);
      this.#queue({ action, env, settle: resolve, ranMs: 0 });
      this.#startNext();
    });
  }

  #makeWay(action: VipAction): void {
    const changesHolding = action === "claim" || action === "release";
    const dropped = changesHolding ? this.#waiting : this.#waiting.filter((other) => other.action === action);
    this.#waiting = this.#waiting.filter((other) => !dropped.includes(other));
    for (const intent of dropped) intent.settle({ kind: "superseded" });

    if (changesHolding) this.#kill({ yields: false });
    else if (action === "renew" && this.#running !== undefined) {
      if (RANK[this.#running.intent.action] > RANK.renew) this.#kill({ yields: true });
    }
  }

  #kill({ yields }: { readonly yields: boolean }): void {
    if (this.#running === undefined) return;
    this.#running.yields = yields;
    this.#running.handle.abort();
  }

  #queue(intent: Intent): void {
    this.#waiting.push(intent);
    this.#waiting.sort((a, b) => RANK[a.action] - RANK[b.action]);
  }

  #startNext(): void {
    if (this.#running !== undefined) return;
    const intent = this.#waiting.shift();
    if (intent === undefined) return;
    const startedAtMs = this.#options.clock();
    const { hook, leaseMs } = this.#options;
    // DESIGN section 5, rule 14, each time: a hook that was good at the start may have become anybody's.
    const problem = hookProblem(hook);
    const handle =
      problem === undefined
        ? launch(hook, [intent.action], {
            env: { ...this.#environment(), ...intent.env },
            timeoutMs: Math.max(1, hookTimeoutMs(intent.action, leaseMs) - intent.ranMs),
            urgent: true,
          })
        : notStarted(problem);
    this.#running = { intent, handle, yields: false };
    void this.#finish(this.#running, startedAtMs);
  }

  async #finish(running: Running, startedAtMs: number): Promise<void> {
    const { intent, handle } = running;
    const result = await handle.result;
    this.#running = undefined;
    const isAskedAgain = this.#waiting.some(({ action }) => action === intent.action);
    if (result.kind === "aborted" && running.yields && !isAskedAgain) {
      this.#queue({ ...intent, ranMs: intent.ranMs + result.durationMs });
      this.#startNext();
      return;
    }
    const finishedAtMs = this.#options.clock();
    const outcome = this.#judge(intent.action, result, { startedAtMs, finishedAtMs });
    this.#noteLease(intent.action, outcome);
    intent.settle(outcome);
    this.#startNext();
  }

  #environment(): Record<string, string> {
    const { address, self, leaseMs, hookEnv } = this.#options;
    const peer = this.#options.peer();
    return {
      ...hookEnv,
      VIPAIR_ADDRESS: address.address,
      VIPAIR_PREFIX_LENGTH: String(address.prefixLength),
      VIPAIR_INTERFACE: address.interface,
      VIPAIR_LEASE_SECONDS: String(Math.round(leaseMs / 1000)),
      VIPAIR_EPOCH: String(this.#epoch),
      VIPAIR_NODE: self.name,
      VIPAIR_PEER: peer?.name ?? "",
      VIPAIR_PEER_ADDRESS: peer?.address ?? "",
    };
  }

  #judge(
    action: VipAction,
    result: RunResult,
    times: { readonly startedAtMs: number; readonly finishedAtMs: number },
  ): HookResult {
    if (result.kind === "aborted") return { kind: "superseded" };
    if (result.kind === "exit" && result.code === 0) {
      const stderr = lastLine(result.stderr);
      const subject = { ...this.#subject(action), tookMs: Math.round(result.durationMs) };
      if (stderr === "") this.#options.log.debug(subject, "hook done");
      else this.#options.log.warn({ ...subject, stderr }, "hook done, with a complaint");
      return { kind: "done", ...times, ranMs: result.durationMs, stdout: result.stdout.trim(), stderr };
    }
    const { failure, reason } = explainFailure(action, result);
    if (failure !== "not-held") {
      this.#options.log.warn({ ...this.#subject(action), failure, reason }, "hook failed");
    }
    return { kind: "failed", failure, reason, ...times };
  }

  #noteLease(action: VipAction, outcome: HookResult): void {
    if (outcome.kind === "done") {
      if (action === "claim" || action === "renew") {
        this.#leaseEndsAtMs = outcome.startedAtMs + this.#options.leaseMs;
      } else if (action === "release") {
        this.#leaseEndsAtMs = undefined;
      }
    } else if (outcome.kind === "failed" && (outcome.failure === "gone" || outcome.failure === "not-held")) {
      this.#leaseEndsAtMs = undefined;
    }
  }

  #subject(action: VipAction): object {
    return { address: this.address.address, interface: this.address.interface, action };
  }
}

/** What became of an operation on all addresses of the node. */
export type VipsResult =
  /** The lease of all of them counts from the earliest start. */
  | { readonly kind: "done"; readonly startedAtMs: number; readonly finishedAtMs: number }
  | { readonly kind: "failed"; readonly failure: HookFailure; readonly reason: string }
  | { readonly kind: "superseded" };

/** Every virtual address of a node; they move together. */
export class Vips {
  readonly all: readonly Vip[];
  /** Grows with each claim and release: a failed claim cleans up only while it is the newest wish. */
  #generation = 0;
  readonly #clock: Clock;

  constructor(all: readonly Vip[], clock: Clock) {
    this.all = all;
    this.#clock = clock;
  }

  /** Claims all of them at the same time. One that fails yields all: they are released before this settles. */
  async claim(options: ClaimOptions): Promise<VipsResult> {
    const generation = ++this.#generation;
    const result = await this.#each((vip) => vip.claim(options));
    if (result.kind === "failed" && generation === this.#generation) await this.release();
    return result;
  }

  renew(): Promise<VipsResult> {
    return this.#each((vip) => vip.renew());
  }

  release(): Promise<VipsResult> {
    this.#generation += 1;
    return this.#each((vip) => vip.release());
  }

  announce(): Promise<VipsResult> {
    return this.#each((vip) => vip.announce());
  }

  abandon(): void {
    for (const vip of this.all) vip.abandon();
  }

  async #each(operate: (vip: Vip) => Promise<HookResult>): Promise<VipsResult> {
    const orderedAtMs = this.#clock();
    const results = await Promise.all(
      this.all.map(async (vip) => ({ address: vip.address.address, result: await operate(vip) })),
    );
    const failures: { failure: HookFailure; reason: string }[] = [];
    const starts: number[] = [];
    let finishedAtMs = orderedAtMs;
    let hasSuperseded = false;
    for (const { address, result } of results) {
      switch (result.kind) {
        case "done":
          starts.push(result.startedAtMs);
          finishedAtMs = Math.max(finishedAtMs, result.finishedAtMs);
          break;
        case "failed":
          failures.push({ failure: result.failure, reason: `${address}: ${result.reason}` });
          break;
        case "superseded":
          hasSuperseded = true;
          break;
      }
    }
    const [first] = failures;
    if (first !== undefined) {
      return {
        kind: "failed",
        // An address that is merely gone can be claimed again; any other failure is worse.
        failure: failures.find(({ failure }) => failure !== "gone")?.failure ?? first.failure,
        reason: failures.map(({ reason }) => reason).join("; "),
      };
    }
    if (hasSuperseded) return { kind: "superseded" };
    return {
      kind: "done",
      startedAtMs: starts.length === 0 ? orderedAtMs : Math.min(...starts),
      finishedAtMs,
    };
  }
}

function notStarted(reason: string): Run {
  return { result: Promise.resolve({ kind: "failed-to-start", reason }), abort: () => undefined };
}

/** Why this hook cannot run, or must not, in a sentence; undefined when it can. */
export function hookProblem(hook: string): string | undefined {
  const problem = programProblem(hook);
  return problem === undefined ? undefined : `the hook ${problem}`;
}

/** A renewal that hangs must leave room for another within the lease; an announcement must not keep one waiting. */
function hookTimeoutMs(action: VipAction, leaseMs: number): number {
  if (action === "renew") return Math.min(HOOK_TIMEOUT_MS, leaseMs / 2);
  if (action === "announce" || action === "status") return Math.min(HOOK_TIMEOUT_MS, leaseMs / 4);
  return HOOK_TIMEOUT_MS;
}

function explainFailure(
  action: VipAction,
  result: Exclude<RunResult, { readonly kind: "aborted" }>,
): { readonly failure: HookFailure; readonly reason: string } {
  if (result.kind === "failed-to-start") return { failure: "unusable", reason: result.reason };
  const reason = `${action} hook: ${explainRun(result)}`;
  if (result.kind === "timeout") return { failure: "timeout", reason };
  if (result.kind === "signal") return { failure: "error", reason };
  if (action === "claim" && result.code === EXIT_TAKEN) return { failure: "taken", reason };
  if (action === "renew" && result.code === EXIT_GONE) return { failure: "gone", reason };
  if (action === "status" && result.code === EXIT_NOT_HELD) return { failure: "not-held", reason };
  return { failure: "error", reason };
}
