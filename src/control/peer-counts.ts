// Asks the peer how many connections it has to a backend for which something is ordered, and answers the same
// question. The question travels as run-time changes with a list of keys to count for, and the answer as their
// confirmation with the counts. So it carries the orders that it is about, which take effect before anything is counted;
// and a peer of an earlier release, which knows neither list, confirms and does not count.

import type { Change } from "../election/changes.ts";
import type { PeerConnections } from "../protocol/admin.ts";
import type { ChangesMessage } from "./peer-frame.ts";

/** Above the ids of changes that wait to be stored, which count from 1. */
const FIRST_ID = 2 ** 40;

/** The peer asks its workers first. */
const ANSWER_MS = 1500;

/** Of the peer, at once; what is beyond it will be asked again. */
const QUESTIONS_MAX = 8;

export interface PeerCountsOptions {
  /** Its name. */
  readonly peer: () => string;
  readonly isInTouch: () => boolean;
  readonly find: (key: string) => Change | undefined;
  /** Sends once to the peer, if there is a connection. */
  readonly send: (message: ChangesMessage) => void;
  /** Connections of this node to what each key is about, now. */
  readonly count: (keys: readonly string[]) => Promise<readonly number[]>;
}

export class PeerCounts {
  readonly #options: PeerCountsOptions;
  #lastId = FIRST_ID;
  readonly #asked = new Map<number, (count: PeerConnections) => void>();
  readonly #answering = new Set<number>();

  constructor(options: PeerCountsOptions) {
    this.#options = options;
  }

  /** With the change of that key in effect on the peer. Settles within two seconds. */
  ask(key: string): Promise<PeerConnections> {
    const { isInTouch, find, send } = this.#options;
    if (!isInTouch()) return Promise.resolve(this.#unknown("it is not in touch"));
    this.#lastId += 1;
    const id = this.#lastId;
    const order = find(key);
    return new Promise((resolve) => {
      const settle = (count: PeerConnections): void => {
        clearTimeout(limit);
        this.#asked.delete(id);
        resolve(count);
      };
      const limit = setTimeout(() => {
        settle(this.#unknown("it does not answer"));
      }, ANSWER_MS);
      this.#asked.set(id, settle);
      send({ kind: "changes", id, changes: order === undefined ? [] : [order], count: [key] });
    });
  }

  /** After the changes of the message have taken effect. */
  receive(message: ChangesMessage): void {
    if (message.kind === "changes") {
      if (message.count !== undefined) void this.#answer(message.id, message.count);
      return;
    }
    const [connections] = message.counts ?? [];
    this.#asked.get(message.id)?.(
      connections === undefined
        ? this.#unknown("its release does not count them")
        : { node: this.#options.peer(), connections, problem: null },
    );
  }

  /** Whoever asked gets no answer any more. */
  close(): void {
    for (const settle of this.#asked.values()) settle(this.#unknown("this node stops"));
  }

  #unknown(problem: string): PeerConnections {
    return { node: this.#options.peer(), connections: null, problem };
  }

  async #answer(id: number, keys: readonly string[]): Promise<void> {
    // The same question comes over every path.
    if (this.#answering.has(id) || this.#answering.size >= QUESTIONS_MAX) return;
    this.#answering.add(id);
    try {
      const counts = await this.#options.count(keys);
      this.#options.send({ kind: "changes-stored", id, counts });
    } finally {
      this.#answering.delete(id);
    }
  }
}
