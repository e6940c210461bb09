// Whether the two nodes run the same configuration (DESIGN section 5, rule 11). That they differ is worth an alarm on
// both and never a change of roles. That they agree is believed only when it has been so for a while: it ends
// orders about what neither configuration names.

import { CONFIGS_AGREE_MS } from "../election/timing.ts";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";

export interface ConfigAgreementOptions {
  /** The name of the other node, if this node's file has one. */
  readonly peer: () => string | undefined;
  /** Hash of the configuration that this node runs with. */
  readonly ours: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Once, when they have agreed for CONFIGS_AGREE_MS. */
  readonly onAgreed: () => void;
}

export class ConfigAgreement {
  readonly #options: ConfigAgreementOptions;
  #ours: string;
  /** As the peer said last, of whichever group: after a change of groups it may have none of ours. */
  #theirs: string | undefined;
  #differs = false;
  /** Since when the peer is in touch and says that it has the configuration that this node has. */
  #agreeSince: number | undefined;
  /** For so long that it is not an old word. */
  #hasAgreed = false;

  constructor(options: ConfigAgreementOptions) {
    this.#options = options;
    this.#ours = options.ours;
  }

  /** By what was compared last: a peer that has gone may have changed since. */
  get differs(): boolean {
    return this.#differs;
  }

  /** For long enough, and up to now. */
  get hasAgreed(): boolean {
    return this.#hasAgreed;
  }

  /** undefined: the peer has said nothing yet. */
  get matches(): boolean | undefined {
    return this.#theirs === undefined ? undefined : this.#theirs === this.#ours;
  }

  /** After a reload: nothing counts until the peer's next words are compared with it. */
  setOurs(ours: string): void {
    this.#ours = ours;
    this.forget();
  }

  /** What the peer says of its own. */
  hear(theirs: string): void {
    this.#theirs = theirs;
    const differs = theirs !== this.#ours;
    if (differs) this.forget();
    else this.#agree();
    if (differs === this.#differs) return;
    this.#differs = differs;
    const { peer, log } = this.#options;
    const subject = { peer: peer(), ours: this.#ours, theirs };
    if (differs) log.warn(subject, "the two nodes run with different configurations");
    else log.info(subject, "the two nodes run with the same configuration again");
  }

  /** The peer is out of touch: that the two have agreed is no news any more. */
  forget(): void {
    this.#agreeSince = undefined;
    this.#hasAgreed = false;
  }

  #agree(): void {
    const { clock, onAgreed } = this.#options;
    const now = clock();
    this.#agreeSince ??= now;
    if (this.#hasAgreed || now - this.#agreeSince < CONFIGS_AGREE_MS) return;
    this.#hasAgreed = true;
    onAgreed();
  }
}
