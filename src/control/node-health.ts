// What this node's own condition says to its elections: facts that forbid to hold addresses (faults), and
// what makes the node the worse of the two (impairments). Interfaces, tracked checks, vitals and the arbiter
// are watched elsewhere; here they are put into one language, and each group is told the same.

import type { PairConfig, VirtualAddress } from "../config/config.ts";
import type { Input } from "../election/state.ts";
import { arbiterIntervalMs } from "../election/timing.ts";
import type { ArbiterStatus, CheckStatus } from "../protocol/status.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { Arbiter } from "./arbiter.ts";
import { InterfaceWatch } from "./interface-watch.ts";
import { TrackedChecks } from "./tracked-checks.ts";
import { Vitals } from "./vitals.ts";

/** No backend can be reached: whatever the priorities, a peer that reaches one is better. */
const NO_BACKEND_WEIGHT = 253;

export interface NodeHealthOptions {
  readonly pair: PairConfig;
  readonly virtualAddresses: readonly VirtualAddress[];
  /** Relative paths in the configuration start there. */
  readonly configDir: string;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** For every group. */
  readonly onInput: (input: Input) => void;
  /** A virtual address went from its interface, whoever removed it. */
  readonly onAddressGone: (gone: { readonly address: string; readonly interface: string }) => void;
}

export class NodeHealth {
  readonly #options: NodeHealthOptions;
  readonly #interfaces: InterfaceWatch;
  readonly #checks: TrackedChecks;
  readonly #vitals: Vitals;
  readonly #arbiter: Arbiter | undefined;

  constructor(options: NodeHealthOptions) {
    this.#options = options;
    const { pair, virtualAddresses, configDir, stateDir, clock, log, onInput } = options;
    this.#interfaces = new InterfaceWatch({
      addresses: virtualAddresses,
      log,
      onCarrier: (problem) => {
        this.#judge("interface", problem);
      },
      onAddressGone: options.onAddressGone,
    });
    this.#checks = new TrackedChecks({
      checks: pair.track,
      configDir,
      clock,
      random: Math.random,
      log,
      onChange: ({ name, failing, detail }) => {
        this.#noteCheck(name, failing ? detail : undefined);
      },
    });
    this.#vitals = new Vitals({
      config: pair.vitals,
      path: stateDir,
      log,
      onChange: ({ cause, problem, weight }) => {
        if (problem === undefined) onInput({ kind: "recovered", cause });
        else onInput({ kind: "impaired", cause, detail: problem, weight });
      },
    });
    this.#arbiter =
      pair.arbiter.kind === "none"
        ? undefined
        : new Arbiter({
            config: pair.arbiter,
            virtualAddresses,
            intervalMs: arbiterIntervalMs(pair.advertisementIntervalMs),
            log,
            clock,
            onAnswer: () => {
              onInput({ kind: "arbiter-answered" });
            },
          });
  }

  start(): void {
    this.#interfaces.start();
    this.#arbiter?.start();
    if (this.#arbiter?.status().address === null) this.#options.onInput({ kind: "arbiter-missing" });
    this.#checks.start();
    this.#vitals.start();
  }

  stop(): void {
    this.#interfaces.stop();
    this.#arbiter?.stop();
    this.#vitals.stop();
    this.#checks.stop();
  }

  /** `problem`: why no backend of any pool can be reached; undefined when one can. */
  noteBackends(problem: string | undefined): void {
    const cause = "backends";
    if (problem === undefined) this.#options.onInput({ kind: "recovered", cause });
    else this.#options.onInput({ kind: "impaired", cause, detail: problem, weight: NO_BACKEND_WEIGHT });
  }

  arbiterStatus(): ArbiterStatus | null {
    return this.#arbiter?.status() ?? null;
  }

  checkStatus(): readonly CheckStatus[] {
    return this.#checks.status();
  }

  #judge(cause: string, problem: string | undefined): void {
    if (problem === undefined) this.#options.onInput({ kind: "recovered", cause });
    else this.#options.onInput({ kind: "fault", cause, detail: problem });
  }

  #noteCheck(name: string, problem: string | undefined): void {
    const { onInput, pair } = this.#options;
    const cause = `check ${name}`;
    if (problem === undefined) return onInput({ kind: "recovered", cause });
    const effect = pair.track.find((check) => check.name === name)?.effect;
    if (effect?.kind === "weight") {
      return onInput({ kind: "impaired", cause, detail: problem, weight: effect.weight });
    }
    onInput({ kind: "fault", cause, detail: problem, soft: true });
  }
}
