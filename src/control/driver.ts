// Drives the election: step, store, perform, wake at the deadline. It decides nothing; it only knows how
// this process may be late. Effects are performed one after the other; whatever they cause comes back as
// an input, never as a call into the middle of a step.

import type { Effect, Input, Settings, State } from "../election/state.ts";
import { type Memory, nextDeadline, start, step } from "../election/step.ts";
import type { Clock } from "../system/clock.ts";

export interface ElectionDriverOptions {
  readonly settings: Settings;
  readonly memory: Memory;
  readonly clock: Clock;
  /** Performs one effect, without waiting for it; `read-queue` is the driver's own. */
  readonly perform: (effect: Exclude<Effect, { kind: "read-queue" }>) => void;
  /** After each step that changed something. */
  readonly onState: (state: State) => void;
}

/** What a reload may change; all else belongs to the life of a process. */
export type ReloadedSettings = Partial<
  Pick<Settings, "configHash" | "stopGraceMs" | "peer" | "peerPriority">
>;

/** setTimeout() takes no longer delays; a later deadline is met by waking and sleeping again. */
const SLEEP_MS_MAX = 60_000;

/** A deadline that is so long past is not merely met late. */
const OVERDUE_MS = 2_000;

/** libuv reads sockets between timers and immediates, so one round of it empties what had arrived; the
 *  second round is for what TLS or the WebSocket layer passed on in a later turn. */
const QUEUE_ROUNDS = 2;

export class ElectionDriver {
  readonly #options: ElectionDriverOptions;
  readonly #inputs: Input[] = [];
  #settings: Settings;
  #state: State;
  #hasStarted = false;
  #isStepping = false;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ElectionDriverOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#state = start(options.settings, options.clock(), options.memory).state;
  }

  /** As of the last reload. */
  get settings(): Settings {
    return this.#settings;
  }

  get state(): State {
    return this.#state;
  }

  /** What was due has not been done for so long that it will not be done any more, although this process runs. */
  get isOverdue(): boolean {
    if (!this.#hasStarted || this.#isStopped) return false;
    return this.#options.clock() - nextDeadline(this.#settings, this.#state) > OVERDUE_MS;
  }

  /**
   * After a reload: the peer is told at once, before it hears of any order that the new configuration allows, and
   * nothing else changes.
   */
  adopt(changes: ReloadedSettings): void {
    this.#settings = { ...this.#settings, ...changes };
    if (this.#hasStarted) this.input({ kind: "deadline" });
  }

  /**
   * Listens and ticks from now on: nothing could be heard before, so that time does not count. What was
   * learnt of this node itself does.
   */
  start(): void {
    const { faults, impairments, arbiter, maintenance, stopping } = this.#state;
    const { state, effects } = start(this.#settings, this.#options.clock(), this.#options.memory);
    this.#state = { ...state, faults, impairments, arbiter, maintenance, stopping };
    for (const effect of effects) this.#perform(effect);
    this.#hasStarted = true;
    this.input({ kind: "deadline" });
  }

  input(input: Input): void {
    // A hook that was still running at the stop must not wind up the clock again.
    if (this.#isStopped) return;
    this.#inputs.push(input);
    if (this.#isStepping) return;
    this.#isStepping = true;
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) this.#step(next);
    this.#isStepping = false;
    this.#sleep();
  }

  /** For good: later inputs are ignored. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #step(input: Input): void {
    const { state, effects } = step(this.#settings, this.#state, input, this.#options.clock());
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
    this.#options.onState(state);
  }

  #perform(effect: Effect): void {
    if (effect.kind === "read-queue") this.#readQueue(QUEUE_ROUNDS);
    else this.#options.perform(effect);
  }

  #readQueue(rounds: number): void {
    setImmediate(() => {
      if (rounds > 1) this.#readQueue(rounds - 1);
      else this.input({ kind: "queue-read" });
    });
  }

  #sleep(): void {
    clearTimeout(this.#timer);
    const deadline = nextDeadline(this.#settings, this.#state);
    if (deadline === Infinity) return;
    const delayMs = Math.min(Math.max(deadline - this.#options.clock(), 0), SLEEP_MS_MAX);
    this.#timer = setTimeout(() => {
      // setTimeout() counts whole milliseconds and may fire a fraction too early: then sleep again.
      if (this.#options.clock() < deadline) this.#sleep();
      else this.input({ kind: "deadline" });
    }, Math.ceil(delayMs));
  }
}
