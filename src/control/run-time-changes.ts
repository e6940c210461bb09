// What operators change while the pair runs, on this node's disk and on the peer's. A change is stored before
// it counts, told to the peer, and acknowledged to the operator when the peer has stored it too, so that it
// survives the end of either machine. election/changes.ts says which change wins; here is when it is written,
// and what the peer still has to be told:
//
//   set(), link connected ──▶ unsent ──▶ in flight ──▶ confirmed
//                               ▲            │
//                               └────────────┘ not confirmed in time
//
// What an order was about may be gone from the configuration. Such an order is taken back, which is a change like
// any other; what is taken back and known to both nodes is forgotten.
//
// Only a few frames are in flight, so that a large table never stands in the way of an advertisement.

import type { Change, ChangeTable, ChangeValue } from "../election/changes.ts";
import {
  compareChanges,
  forgetChanges,
  KEYS_MAX,
  mergeChanges,
  setChange,
  takeBack,
} from "../election/changes.ts";
import type { Log } from "../system/log.ts";
import { FRAME_CHANGES_BYTES_MAX } from "./peer-frame.ts";
import type { ChangesMessage } from "./peer-frame.ts";
import { ChangesFile } from "./state-file.ts";

/** So long an operator waits for the peer to confirm. */
const CONFIRM_MS = 2000;

/** What the peer has not confirmed is sent again after this: the path that carried it may be gone. */
const RESEND_MS = 800;

/** What counts and is not on the disk is tried again after this. */
const STORE_AGAIN_MS = 2000;

/** Frames that the peer has not confirmed. */
const IN_FLIGHT_MAX = 4;

/** Frames of the peer that wait for our disk; what is beyond it will send again. */
const UNCONFIRMED_MAX = 4 * IN_FLIGHT_MAX;

/** Operators' changes that wait for our disk. */
const SETS_MAX = 64;

export interface RunTimeChangesOptions {
  readonly node: string;
  /** Made when it is missing. Must outlive a power cut: not below /run. */
  readonly stateDir: string;
  /** The newest claim that this node knows of. */
  readonly epoch: () => number;
  readonly log: Log;
  /** Sends once to the peer, if there is a connection. */
  readonly send: (message: ChangesMessage) => void;
  /** What takes effect from now on, whichever node it comes from: one change per key, stored if it is ours. */
  readonly onChange: (news: readonly Change[]) => void;
  /** The peer is in touch, and neither configuration names what the key is about. */
  readonly isObsolete: (key: string) => boolean;
}

interface Waiter {
  readonly change: Change;
  readonly settle: (replicated: boolean) => void;
}

export class RunTimeChanges {
  readonly #options: RunTimeChangesOptions;
  readonly #file: ChangesFile;
  #table: ChangeTable;
  #problem: string | null = null;
  /** Memory holds what the file does not. */
  #isDirty = false;

  /** Writes go one after the other. */
  #writing: Promise<unknown> = Promise.resolve();
  #waitingSets = 0;
  #isStoreQueued = false;
  #storeAgain: NodeJS.Timeout | undefined;

  #isConnected = false;
  #isClosed = false;
  #lastId = 0;
  /** By key, the most urgent first. */
  #unsent = new Map<string, Change>();
  readonly #inFlight = new Map<number, readonly Change[]>();
  #resend: NodeJS.Timeout | undefined;
  readonly #waiters = new Set<Waiter>();
  /** What the peer has on its disk, as far as is known since the link is connected; by key. */
  readonly #shared = new Map<string, Change>();
  /** Frames of the peer whose changes are in memory. */
  readonly #unconfirmed = new Set<number>();

  /** Reads what was stored; a damaged file is logged, kept aside, and taken for an empty one. */
  constructor(options: RunTimeChangesOptions) {
    this.#options = options;
    this.#file = new ChangesFile(options.stateDir);
    const stored = this.#file.read();
    if (stored.kind === "damaged") {
      const { reason, keptAs, keys } = stored;
      options.log.error(
        { file: this.#file.path, reason, keptAs, lost: keys },
        "run-time changes were lost on this node: its file is damaged; the peer's will come back from it",
      );
    }
    if (this.#file.isLostAtReboot()) {
      options.log.warn(
        { stateDir: options.stateDir },
        "orders such as maintenance will not survive a reboot: name a --state-dir on a disk",
      );
    }
    this.#table = mergeChanges(new Map(), stored.kind === "changes" ? stored.changes : []).table;
  }

  get(key: string): ChangeValue | undefined {
    return this.#table.get(key)?.value;
  }

  /** With who set it. */
  find(key: string): Change | undefined {
    return this.#table.get(key);
  }

  entries(): readonly Change[] {
    return [...this.#table.values()];
  }

  /** Why changes count here but are not stored, for people; null when they are. */
  problem(): string | null {
    return this.#problem;
  }

  /**
   * Stores the change, then lets it take effect (onChange), then tells the peer. Settles when the peer has
   * stored it too, or with `replicated: false` when there is no peer or it does not say so within 2 s; it will
   * then be told when it returns. Rejects with a reason for people when this node could not store it, and
   * nothing has changed.
   */
  async set(key: string, value: ChangeValue): Promise<{ readonly replicated: boolean }> {
    const { replicated } = await this.#set(key, value, { evenUnstored: false });
    return { replicated };
  }

  /**
   * As set() to false, but for a disk that takes nothing: what was ordered can always be ended (rule 12). `unstored`: why
   * this node could not store that, so that the order may be back after a restart; null when it has.
   */
  end(key: string): Promise<{ readonly replicated: boolean; readonly unstored: string | null }> {
    return this.#set(key, false, { evenUnstored: true });
  }

  /** The pair is in touch: the peer is told everything, as nobody knows what it missed. */
  linkConnected(): void {
    this.#isConnected = true;
    this.#inFlight.clear();
    this.#unsent = new Map(this.#table);
    this.#sendMore();
  }

  linkDisconnected(): void {
    this.#isConnected = false;
    this.#shared.clear();
    this.#inFlight.clear();
    this.#unsent.clear();
    clearTimeout(this.#resend);
    for (const { settle } of this.#waiters) settle(false);
  }

  receive(message: ChangesMessage): void {
    if (this.#isClosed) return;
    switch (message.kind) {
      case "changes":
        this.#take(message.changes);
        // Who asks for counts gets those (peer-counts.ts): what came with them is told again until it is stored.
        if (message.count === undefined && this.#unconfirmed.size < UNCONFIRMED_MAX)
          this.#unconfirmed.add(message.id);
        this.#queueStore();
        return;
      case "changes-stored":
        this.#noteConfirmed(message.id);
        return;
    }
  }

  /** For the moment at which a key may have become obsolete. */
  tidy(): void {
    if (this.#isClosed) return;
    if (this.#obsoleteOrders().length > 0) void this.#inTurn(() => this.#takeBack());
    this.#forget();
  }

  /** Sends nothing more. Settles when nothing is being written. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#storeAgain);
    this.linkDisconnected();
    await this.#writing;
  }

  async #set(
    key: string,
    value: ChangeValue,
    options: { readonly evenUnstored: boolean },
  ): Promise<{ readonly replicated: boolean; readonly unstored: string | null }> {
    if (this.#waitingSets >= SETS_MAX) throw new Error("too many changes at once: try again");
    this.#waitingSets += 1;
    try {
      const { change, unstored } = await this.#inTurn(() => this.#setHere(key, value, options));
      return { replicated: await this.#replicate(change), unstored };
    } finally {
      this.#waitingSets -= 1;
    }
  }

  async #setHere(
    key: string,
    value: ChangeValue,
    { evenUnstored }: { readonly evenUnstored: boolean },
  ): Promise<{ readonly change: Change; readonly unstored: string | null }> {
    const { node, epoch, onChange } = this.#options;
    if (this.#table.size >= KEYS_MAX) this.#forget();
    const outcome = setChange(this.#table, { key, value, epoch: epoch(), node });
    if (outcome.kind === "refused") throw new Error(outcome.reason);
    const { change } = outcome;
    let unstored: string | null = null;
    try {
      await this.#store(outcome.table);
    } catch (error) {
      if (!evenUnstored) throw error;
      unstored = this.#noteUnstored(error);
    }
    // Meanwhile the peer may have told something.
    const { table, news } = mergeChanges(this.#table, [change]);
    this.#table = table;
    if (news.length > 0) onChange(news);
    return { change, unstored };
  }

  #obsoleteOrders(): readonly Change[] {
    return this.entries().filter(({ key, value }) => value !== false && this.#options.isObsolete(key));
  }

  async #takeBack(): Promise<void> {
    const { onChange, log } = this.#options;
    const back = this.#obsoleteOrders().map(takeBack);
    if (back.length === 0) return;
    const keys = back.map(({ key }) => key);
    try {
      await this.#store(mergeChanges(this.#table, back).table);
    } catch (error) {
      log.warn(
        { keys, reason: String(error) },
        "orders that are about nothing any more could not be taken back",
      );
      return;
    }
    const { table, news } = mergeChanges(this.#table, back);
    this.#table = table;
    log.info({ keys }, "orders are taken back: the configurations do not name what they are about");
    onChange(news);
    if (!this.#isConnected) return;
    for (const change of news) this.#unsent.set(change.key, change);
    this.#sendMore();
  }

  /** That nothing is ordered needs no entry, once nobody has an older order for the same. */
  #forget(): void {
    const isFull = this.#table.size >= KEYS_MAX;
    const table = forgetChanges(this.#table, (change) => {
      if (change.value !== false || this.#shared.get(change.key) !== change) return false;
      return isFull || this.#options.isObsolete(change.key);
    });
    if (table === this.#table) return;
    this.#table = table;
    this.#isDirty = true;
    this.#queueStore();
  }

  /** What the peer tells counts at once: it is stored there. */
  #take(changes: readonly Change[]): void {
    const { table, news } = mergeChanges(this.#table, changes);
    if (news.length === 0) return;
    this.#table = table;
    this.#isDirty = true;
    for (const change of news) this.#shared.set(change.key, change);
    this.#options.onChange(news);
    this.tidy();
  }

  #queueStore(): void {
    if (this.#isStoreQueued) return;
    this.#isStoreQueued = true;
    void this.#inTurn(() => this.#storeReceived());
  }

  async #storeReceived(): Promise<void> {
    this.#isStoreQueued = false;
    const ids = [...this.#unconfirmed];
    this.#unconfirmed.clear();
    try {
      if (this.#isDirty) await this.#store(this.#table);
    } catch (error) {
      // Not confirmed, so the peer tells it again.
      this.#noteUnstored(error);
      return;
    }
    if (this.#isClosed) return;
    for (const id of ids) this.#options.send({ kind: "changes-stored", id });
  }

  async #store(table: ChangeTable): Promise<void> {
    this.#isDirty = false;
    try {
      await this.#file.write(table.values());
      this.#noteProblem(null);
    } catch (error) {
      this.#isDirty = true;
      throw error;
    }
  }

  /** For people: why memory holds what the disk does not. It is tried again. */
  #noteUnstored(error: unknown): string {
    const reason = error instanceof Error ? error.message : String(error);
    this.#noteProblem(reason);
    clearTimeout(this.#storeAgain);
    if (!this.#isClosed) this.#storeAgain = setTimeout(() => this.#queueStore(), STORE_AGAIN_MS);
    return reason;
  }

  #noteProblem(problem: string | null): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    const { log } = this.#options;
    if (problem === null) log.info({ file: this.#file.path }, "run-time changes are stored again");
    else log.error({ reason: problem }, "run-time changes count here, but are not stored");
  }

  #replicate(change: Change): Promise<boolean> {
    if (!this.#isConnected) return Promise.resolve(false);
    return new Promise((resolve) => {
      const limit = setTimeout(() => waiter.settle(false), CONFIRM_MS);
      const waiter: Waiter = {
        change,
        settle: (replicated) => {
          clearTimeout(limit);
          this.#waiters.delete(waiter);
          resolve(replicated);
        },
      };
      this.#waiters.add(waiter);
      this.#unsent.delete(change.key);
      // Somebody waits for this one.
      this.#unsent = new Map([[change.key, change], ...this.#unsent]);
      this.#sendMore();
    });
  }

  #sendMore(): void {
    while (this.#unsent.size > 0 && this.#inFlight.size < IN_FLIGHT_MAX) {
      const changes = takeFrame(this.#unsent);
      this.#lastId += 1;
      this.#inFlight.set(this.#lastId, changes);
      this.#options.send({ kind: "changes", id: this.#lastId, changes });
    }
    clearTimeout(this.#resend);
    if (this.#inFlight.size > 0) this.#resend = setTimeout(() => this.#sendAgain(), RESEND_MS);
  }

  #sendAgain(): void {
    for (const change of [...this.#inFlight.values()].flat()) {
      if (!this.#unsent.has(change.key)) this.#unsent.set(change.key, change);
    }
    this.#inFlight.clear();
    this.#sendMore();
  }

  #noteConfirmed(id: number): void {
    const changes = this.#inFlight.get(id);
    // The same confirmation came over another connection, or the frame was sent again since.
    if (changes === undefined) return;
    this.#inFlight.delete(id);
    for (const told of changes) this.#shared.set(told.key, told);
    for (const waiter of this.#waiters) {
      const { change } = waiter;
      const isKnown = changes.some((told) => told.key === change.key && compareChanges(told, change) >= 0);
      if (isKnown) waiter.settle(true);
    }
    this.#forget();
    this.#sendMore();
  }

  #inTurn<T>(write: () => Promise<T>): Promise<T> {
    const done = this.#writing.then(write);
    this.#writing = done.catch(() => undefined);
    return done;
  }
}

/** Removes from `unsent` what fits into one frame: at least one change, as the longest one fits. */
function takeFrame(unsent: Map<string, Change>): readonly Change[] {
  const changes: Change[] = [];
  let bytes = "[]".length;
  for (const [key, change] of unsent) {
    bytes += Buffer.byteLength(JSON.stringify(change)) + ",".length;
    if (bytes > FRAME_CHANGES_BYTES_MAX) break;
    changes.push(change);
    unsent.delete(key);
  }
  return changes;
}
