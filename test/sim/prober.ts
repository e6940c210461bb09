// What asks the arbiter, for one life of a control process: a child process of it, so it goes on asking while
// its parent stands still, and the answers wait in the pipe until they are read. A question takes a round
// trip through the same switch that the peer is behind, and is lost as easily as any packet.

import type { Agenda, Planned } from "./agenda.ts";
import type { Network, NodeId } from "./network.ts";

export interface ProberOptions {
  readonly node: NodeId;
  readonly agenda: Agenda;
  readonly network: Network;
  readonly intervalMs: number;
  /** An answer is in the pipe. */
  readonly answered: () => void;
}

export class Prober {
  readonly #options: ProberOptions;
  #next: Planned | undefined;
  /** Frozen with its parent. */
  isFrozen = false;

  constructor(options: ProberOptions) {
    this.#options = options;
    const { agenda, network } = options;
    // Answers come a round trip after the questions, and nodes ask at different moments.
    this.#next = agenda.after(network.latencyMs() + network.latencyMs(), () => this.#ask());
  }

  end(): void {
    this.#options.agenda.cancel(this.#next);
  }

  #ask(): void {
    const { node, agenda, network, intervalMs, answered } = this.#options;
    // One event for question and answer: the next question follows an interval after this answer.
    this.#next = agenda.after(intervalMs, () => {
      const isAnswered = !this.isFrozen && network.reachesArbiter(node);
      if (isAnswered && !network.isLost() && !network.isLost()) answered();
      this.#ask();
    });
  }
}
