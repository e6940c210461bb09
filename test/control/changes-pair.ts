// The run-time changes of both nodes of a pair, each with a state directory of its own, and a wire between them that a test
// can cut or make lossy.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { ChangesMessage } from "../../src/control/peer-frame.ts";
import { RunTimeChanges } from "../../src/control/run-time-changes.ts";
import { ChangesFile } from "../../src/control/state-file.ts";
import type { Change, ChangeValue } from "../../src/election/changes.ts";
import { KEY_LENGTH_MAX, KEYS_MAX, NODE_LENGTH_MAX } from "../../src/election/changes.ts";

export type Name = "a" | "b";

export interface Holder {
  readonly name: Name;
  readonly stateDir: string;
  readonly news: Change[];
  readonly errors: { readonly subject: object; readonly event: string }[];
  readonly warnings: { readonly subject: object; readonly event: string }[];
  changes: RunTimeChanges;
}

export function openFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "vipair-changes-"));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  return folder;
}

interface HolderOptions {
  readonly stateDir: string;
  readonly epoch?: () => number;
  readonly send?: (message: ChangesMessage) => void;
  readonly onChange?: (news: readonly Change[]) => void;
  readonly isObsolete?: (key: string) => boolean;
}

export function holderOf(t: TestContext, name: Name, options: HolderOptions): Holder {
  const { stateDir, epoch = () => 1, send = () => undefined, onChange = () => undefined } = options;
  const { isObsolete = () => false } = options;
  const news: Change[] = [];
  const errors: Holder["errors"] = [];
  const warnings: Holder["warnings"] = [];
  const changes = new RunTimeChanges({
    node: name,
    stateDir,
    epoch,
    isObsolete,
    log: {
      debug() {},
      info() {},
      warn: (subject, event) => warnings.push({ subject, event }),
      error: (subject, event) => errors.push({ subject, event }),
    },
    send,
    onChange: (told) => {
      news.push(...told);
      onChange(told);
    },
  });
  t.after(() => changes.close());
  return { name, stateDir, news, errors, warnings, changes };
}

/** Two nodes and a wire between them that can be cut, and that can lose what a test chooses. */
export class Wire {
  readonly a: Holder;
  readonly b: Holder;
  isUp = false;
  isLost: (message: ChangesMessage) => boolean = () => false;
  /** What neither configuration names any more. */
  isObsolete: (key: string) => boolean = () => false;
  readonly sent: ChangesMessage[] = [];
  readonly #t: TestContext;

  constructor(t: TestContext, change: { readonly a?: Partial<HolderOptions> } = {}) {
    this.#t = t;
    this.a = this.#hold("a", { stateDir: openFolder(t), ...change.a });
    this.b = this.#hold("b", { stateDir: openFolder(t) });
  }

  connect(): void {
    this.isUp = true;
    this.a.changes.linkConnected();
    this.b.changes.linkConnected();
  }

  cut(): void {
    this.isUp = false;
    this.a.changes.linkDisconnected();
    this.b.changes.linkDisconnected();
  }

  /** The process ends and another one starts with what is on the disk. */
  async restart(name: Name): Promise<void> {
    this.cut();
    const holder = this[name];
    await holder.changes.close();
    holder.changes = this.#hold(name, { stateDir: holder.stateDir }).changes;
  }

  isSettled(): boolean {
    const [a, b] = [this.a, this.b].map(({ changes }) => JSON.stringify(sorted(changes.entries())));
    return a === b;
  }

  #hold(name: Name, options: HolderOptions): Holder {
    const send = (message: ChangesMessage): void => {
      this.sent.push(message);
      if (!this.isUp || this.isLost(message)) return;
      setImmediate(() => {
        if (this.isUp) this[name === "a" ? "b" : "a"].changes.receive(message);
      });
    };
    const isObsolete = (key: string) => this.isObsolete(key);
    return holderOf(this.#t, name, { send, isObsolete, ...options });
  }
}

export function sorted(changes: readonly Change[]): readonly Change[] {
  return changes.toSorted((x, y) => (x.key < y.key ? -1 : 1));
}

export function stored({ stateDir }: Holder, key: string): ChangeValue | undefined {
  const read = new ChangesFile(stateDir).read();
  assert.ok(read.kind === "changes");
  return read.changes.find((change) => change.key === key)?.value;
}

/** A state directory with all the changes but one that a node can make, as long as they can be. */
export async function openFullFolder(t: TestContext): Promise<string> {
  const stateDir = openFolder(t);
  const changes = Array.from({ length: KEYS_MAX - 1 }, (_, index): Change => {
    const number = String(index).padStart(4, "0");
    const key = number + "€".repeat(KEY_LENGTH_MAX - number.length);
    return { key, value: index / 7, epoch: 1, counter: index + 1, node: "€".repeat(NODE_LENGTH_MAX) };
  });
  await new ChangesFile(stateDir).write(changes);
  return stateDir;
}
