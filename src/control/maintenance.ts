// Taking a node out of service and back (DESIGN section 5, rule 12): the order is stored first, replicated, and
// only then the node lets go. What the node then does is decided in election/; here is what the operator is told.

import type { ChangeValue } from "../election/changes.ts";
import type { Group } from "./group.ts";

export type ChangeOutcome =
  | { readonly kind: "done"; readonly replicated: boolean }
  | { readonly kind: "refused"; readonly reason: string };

export type EndOutcome =
  | { readonly kind: "done"; readonly replicated: boolean; readonly unstored: string | null }
  | { readonly kind: "refused"; readonly reason: string };

export type MaintenanceOutcome =
  | { readonly kind: "done"; readonly replicated: boolean; readonly pending: string | null }
  | { readonly kind: "refused"; readonly reason: string };

export type ResumeOutcome =
  | {
      readonly kind: "done";
      readonly ended: "maintenance" | "damping" | "nothing";
      readonly replicated: boolean;
      /** Why this node could not store that; null when it has, or had nothing to store. */
      readonly unstored: string | null;
    }
  | { readonly kind: "refused"; readonly reason: string };

export interface MaintenanceOptions {
  /** The name of this node. */
  readonly self: string;
  readonly groups: readonly Group[];
  readonly isSet: (key: string) => boolean;
  /** The peer's orders are known here as soon as it is in touch. */
  readonly isInTouch: () => boolean;
  readonly setChange: (key: string, value: ChangeValue) => Promise<ChangeOutcome>;
  /** Also when the disk takes nothing. */
  readonly endChange: (key: string) => Promise<EndOutcome>;
}

/** An order waits so long for the role to go; it goes later, too, but then the operator is told so. */
const WAIT_MS = 10_000;

/**
 * A node goes into maintenance as soon as its peer can take over (true), or at once, whatever becomes of the
 * service: the force travels with the order, as it may be given on the other node.
 */
const AT_ONCE = 2;

/** What the value of a node's maintenance key means to its elections. */
export function maintenanceOf(value: ChangeValue | undefined): {
  readonly on: boolean;
  readonly force: boolean;
} {
  return { on: value !== undefined && value !== false, force: value === AT_ONCE };
}

/** The run-time change that says whether a node is in maintenance. */
export function maintenanceKey(node: string): string {
  return `maintenance/${node}`;
}

/** Changes about a node that is in maintenance, or was. */
export function isAboutNode(key: string): boolean {
  return key.startsWith("maintenance/");
}

export class Maintenance {
  readonly #options: MaintenanceOptions;
  /** Orders that wait for the role to go. */
  readonly #waiting = new Set<() => void>();

  constructor(options: MaintenanceOptions) {
    this.#options = options;
  }

  /** After each step of an election: somebody may wait for what it changed. */
  noteStep(): void {
    for (const look of this.#waiting) look();
  }

  async begin({
    node,
    force,
  }: {
    readonly node: string;
    readonly force: boolean;
  }): Promise<MaintenanceOutcome> {
    const { self, groups, setChange } = this.#options;
    const isSelf = node === self;
    const objection = force ? undefined : this.#objectionTo(node);
    if (objection !== undefined) {
      return { kind: "refused", reason: `${objection}; --force takes ${node} out of service all the same` };
    }
    const set = await setChange(maintenanceKey(node), force ? AT_ONCE : true);
    if (set.kind === "refused") return set;
    const { replicated } = set;
    if (!isSelf && !replicated) return { kind: "done", replicated, pending: `${node} has not been told yet` };
    await this.#untilGone(isSelf ? "self" : "peer");
    const busy = groups.find((group) => group.isServedBy(isSelf ? "self" : "peer"));
    const why = isSelf ? busy?.status().reason : undefined;
    const pending = busy === undefined ? null : `still active: ${why ?? "nobody has taken over yet"}`;
    return { kind: "done", replicated, pending };
  }

  /** `wasDamped`: the resume has ended flap damping already. */
  async end({
    node,
    wasDamped,
  }: {
    readonly node: string;
    readonly wasDamped: boolean;
  }): Promise<ResumeOutcome> {
    const { isSet, isInTouch, endChange } = this.#options;
    if (!isSet(maintenanceKey(node))) {
      const ended = wasDamped ? "damping" : "nothing";
      return { kind: "done", ended, replicated: isInTouch(), unstored: null };
    }
    const outcome = await endChange(maintenanceKey(node));
    return outcome.kind === "refused" ? outcome : { ...outcome, ended: "maintenance" };
  }

  #objectionTo(node: string): string | undefined {
    const { self, groups, isSet } = this.#options;
    // What speaks against its own way out the other node knows, and waits.
    if (node !== self) {
      return isSet(maintenanceKey(self)) ? `${self} is in maintenance itself` : undefined;
    }
    for (const group of groups) {
      const objection = group.objectionToStandby();
      if (objection !== undefined) return objection;
    }
    return undefined;
  }

  /** Until no group is active there any more, or the operator has waited long enough. */
  async #untilGone(who: "self" | "peer"): Promise<void> {
    const hasGone = () => !this.#options.groups.some((group) => group.isServedBy(who));
    if (hasGone()) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      const look = () => {
        if (hasGone()) end();
      };
      const timer = setTimeout(end, WAIT_MS);
      this.#waiting.add(look);
    });
  }
}
