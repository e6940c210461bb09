// Ejection: which backend of a pool is left out, and for how long, because requests failed on it in a row. Workers
// count the rows (failure-row.ts); here is what follows from one that is full, for all workers at once. Envoy's outlier
// detection, with limits that Envoy leaves to the operator:
//
//             a row is full                          the time is up, or the checks that had
//   well ─────────────────────────────> ejected ──── failed are good again ─────────────────> well
//     │                                 base time × number of ejections, or a limit is broken
//     └── not: it would break a limit
//
// The limits hold at every moment, not only when somebody is ejected: never the last one that could serve, no more
// than so many of the pool, no panic that there would not be without ejections. So whatever changes the pool is
// followed by reconsider(). It lets those go that would be back first anyway.
// The number of ejections falls by one for each base time that the backend has been well.

import type { OutlierConfig } from "../config/passive-config.ts";
import type { BackendHealth } from "./backend-state.ts";
import type { RowKind } from "./failure-row.ts";
import { type PanicMember, isHealthy, isOffered, isPanic } from "./panic.ts";

/** A backend of the pool, with ejections and orders applied. */
export interface OutlierMember extends PanicMember {
  readonly name: string;
}

export interface Ejection {
  readonly sinceMs: number;
  readonly untilMs: number;
  /** The number of this ejection. */
  readonly count: number;
  readonly reason: string;
  /** Its checks have found it bad meanwhile: they see what is wrong with it, and will see the end of that. */
  readonly isSeenByChecks: boolean;
}

/** What is known of one backend; of one that was never ejected nothing is. */
export interface OutlierRecord {
  /** null: it is not ejected. */
  readonly ejection: Ejection | null;
  /** Ejections that count when it was ejected last. */
  readonly count: number;
  /** The end of its last ejection; of one that lasts, the latest. */
  readonly wellSinceMs: number;
}

/** By backend. */
export type OutlierState = ReadonlyMap<string, OutlierRecord>;

/** A row of failures that is full, as a worker tells of it. */
export interface FullRow {
  readonly kind: RowKind;
  readonly length: number;
  /** The last failure. */
  readonly reason: string;
}

export type Verdict =
  | { readonly kind: "ejected"; readonly state: OutlierState; readonly ejection: Ejection }
  /** It fails and must stay; `reason` completes "is not ejected:". */
  | { readonly kind: "spared"; readonly reason: string }
  /** It gets no requests as it is. */
  | { readonly kind: "out-already" };

export const NOBODY_EJECTED: OutlierState = new Map();

type Settings = Pick<OutlierConfig, "baseEjectionMs" | "maxEjectionMs" | "maxEjectionPercent">;

/** A whole pool as it is now. */
interface PoolNow {
  readonly settings: Settings;
  readonly members: readonly OutlierMember[];
  /** Percent. */
  readonly panicThreshold: number;
}

/** What follows for those that are ejected. */
export interface Ends {
  readonly state: OutlierState;
  /** `reason` completes "it is no longer ejected:". */
  readonly ended: readonly { readonly backend: string; readonly reason: string }[];
}

/** What follows from a full row of `backend`. */
export function judgeRow(
  state: OutlierState,
  { backend, row, nowMs }: { readonly backend: string; readonly row: FullRow; readonly nowMs: number },
  { settings, members, panicThreshold }: PoolNow,
): Verdict {
  const member = members.find(({ name }) => name === backend);
  const record = state.get(backend);
  if (member === undefined || !isHealthy(member.health) || !isOffered(member) || isEjected(state, backend))
    return { kind: "out-already" };
  const after = withHealth(members, [member], "ejected");
  const broken = findBrokenLimit({ settings, members: after, panicThreshold });
  if (broken !== null) return { kind: "spared", reason: broken.whySpared };
  const { baseEjectionMs: base, maxEjectionMs: max } = settings;
  // More would not make it longer, and would take long to fall.
  const count = Math.min(countNow(record, base, nowMs) + 1, Math.ceil(max / base));
  const ejection: Ejection = {
    sinceMs: nowMs,
    untilMs: nowMs + Math.min(base * count, max),
    count,
    reason: describeRow(row),
    isSeenByChecks: member.health === "suspect",
  };
  const next = new Map(state).set(backend, { ejection, count, wellSinceMs: ejection.untilMs });
  return { kind: "ejected", state: next, ejection };
}

export function isEjected(state: OutlierState, backend: string): boolean {
  return ejectionOf(state, backend) !== null;
}

/** null: it is not ejected. */
export function ejectionOf(state: OutlierState, backend: string): Ejection | null {
  return state.get(backend)?.ejection ?? null;
}

/** Ends ejections, those that end soonest first, until no limit is broken any more. To be called after every change. */
export function reconsider(state: OutlierState, nowMs: number, pool: PoolNow): Ends {
  let next = state;
  let { members } = pool;
  const ended: Ends["ended"][number][] = [];
  for (;;) {
    const broken = findBrokenLimit({ ...pool, members });
    const first = broken === null ? undefined : soonest(next, broken.by);
    if (broken === null || first === undefined) return { state: next, ended };
    next = release(next, first.name, nowMs);
    members = withHealth(members, [first], "up");
    ended.push({ backend: first.name, reason: broken.whyReleased });
  }
}

/** One of the limits, broken by some of the ejected backends. */
interface BrokenLimit {
  /** Any of these would help. */
  readonly by: readonly OutlierMember[];
  readonly whySpared: string;
  readonly whyReleased: string;
}

function findBrokenLimit({ settings, members, panicThreshold }: PoolNow): BrokenLimit | null {
  const offered = members.filter(isOffered);
  const ejected = offered.filter(({ health }) => health === "ejected");
  if (ejected.length === 0) return null;
  if (!offered.some(({ health }) => isHealthy(health))) {
    return {
      by: ejected,
      whySpared: "no other one could serve",
      whyReleased: "no other one can serve any more",
    };
  }
  const most = Math.floor((offered.length * settings.maxEjectionPercent) / 100);
  if (ejected.length > most) {
    const all = String(offered.length);
    return {
      by: ejected,
      whySpared: `${String(ejected.length - 1)} of ${all} are ejected, as many as maxEjectionPercent allows`,
      whyReleased: `${String(ejected.length)} of ${all} were ejected, more than maxEjectionPercent allows`,
    };
  }
  if (!isPanic(members, panicThreshold) || isPanic(withHealth(members, ejected, "up"), panicThreshold))
    return null;
  return {
    // There is panic though somebody is healthy, so it is no backup.
    by: ejected.filter(({ isBackup }) => !isBackup),
    whySpared: "the pool would panic, and use those that are down",
    whyReleased: "the pool would panic without it, and use those that are down",
  };
}

function withHealth(
  members: readonly OutlierMember[],
  changed: readonly OutlierMember[],
  health: BackendHealth,
): readonly OutlierMember[] {
  return members.map((one) => (changed.includes(one) ? { ...one, health } : one));
}

/** Of several that end at once, the first in the file. */
function soonest(state: OutlierState, ejected: readonly OutlierMember[]): OutlierMember | undefined {
  const untilMs = ({ name }: OutlierMember) => ejectionOf(state, name)?.untilMs ?? Infinity;
  return ejected.toSorted((a, b) => untilMs(a) - untilMs(b))[0];
}

function countNow(record: OutlierRecord | undefined, baseMs: number, nowMs: number): number {
  if (record === undefined) return 0;
  const fallen = Math.floor((nowMs - record.wellSinceMs) / baseMs);
  return Math.max(0, record.count - Math.max(0, fallen));
}

function describeRow({ kind, length, reason }: FullRow): string {
  const what = kind === "5xx" ? "responses with status 500 or above" : "requests without a response";
  return `${String(length)} ${what} in a row, the last one: ${reason}`;
}

/** Ends the ejections whose time is up. `ended`: whose. */
export function endEjections(state: OutlierState, nowMs: number): Ends {
  const ended = [...state].flatMap(([name, { ejection }]) =>
    ejection !== null && ejection.untilMs <= nowMs ? [name] : [],
  );
  return {
    state: ended.reduce((before, name) => release(before, name, nowMs), state),
    ended: ended.map((backend) => ({ backend, reason: "its time is up" })),
  };
}

/**
 * The checks have looked. One that failed during an ejection and that is good now saw what was wrong, so the ejection
 * ends; checks that were good all the time do not see it, and time decides.
 */
export function noteChecks(
  state: OutlierState,
  checked: (backend: string) => BackendHealth,
  nowMs: number,
): Ends {
  let next = state;
  const ended: Ends["ended"][number][] = [];
  for (const [name, { ejection }] of state) {
    if (ejection === null) continue;
    const health = checked(name);
    if (health === "up" && ejection.isSeenByChecks) {
      next = release(next, name, nowMs);
      ended.push({ backend: name, reason: "its checks, which had failed, are good again" });
    } else if ((health === "suspect" || health === "down") && !ejection.isSeenByChecks) {
      next = replace(next, name, (record) => ({
        ...record,
        ejection: { ...ejection, isSeenByChecks: true },
      }));
    }
  }
  return { state: next, ended };
}

/** Keeps what is known of the backends that `keep` names, and forgets the others. */
export function keepRecords(state: OutlierState, keep: (backend: string) => boolean): OutlierState {
  return new Map([...state].filter(([name]) => keep(name)));
}

/** When endEjections has something to do; Infinity: never. */
export function nextEndMs(state: OutlierState): number {
  return Math.min(Infinity, ...[...state.values()].map(({ ejection }) => ejection?.untilMs ?? Infinity));
}

function release(state: OutlierState, name: string, nowMs: number): OutlierState {
  return replace(state, name, ({ count, wellSinceMs }) => ({
    ejection: null,
    count,
    wellSinceMs: Math.min(wellSinceMs, nowMs),
  }));
}

function replace(
  state: OutlierState,
  name: string,
  change: (record: OutlierRecord) => OutlierRecord,
): OutlierState {
  const record = state.get(name);
  return record === undefined ? state : new Map(state).set(name, change(record));
}
