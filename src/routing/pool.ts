// What a worker knows of a pool when it chooses a backend: who belongs to it, who may serve, with what weight
// now, and whose turn it is.
//
//   configuration, states, time ──arrange──> tiers ──chooseBackend──> the policy's choice in the first tier
//                                                                     in which the caller accepts one
//
// The tiers are: backends that are up, suspect ones, backups that are up, suspect backups; when all of these are empty, those that
// are ejected. Health and "already tried" never reach the policy.

import type { BalanceConfig } from "../config/balance-config.ts";
import type { PoolConfig } from "../config/config.ts";
import { ASSUMED_UP, type BackendHealth, type BackendState, weightNow } from "./backend-state.ts";
import { type MaglevTable, buildTable, sortByName } from "./maglev.ts";
import { isPanic } from "./panic.ts";
import { type Asker, type Moment, chooseEntry } from "./policies.ts";
import { type BackendLoad, createLoad } from "./response-time.ts";
import { type Entry, type Places, type Tier, createTier } from "./tier.ts";

/** health[backend]; a backend that is not named is up. */
export type PoolHealth = Readonly<Record<string, BackendState>>;

/** One backend of a pool. `weight` and `share` are what they are now: they grow while it starts slowly. */
export interface Candidate extends Entry {
  /** Its place in the configuration. */
  readonly index: number;
  readonly isBackup: boolean;
  readonly configuredWeight: number;
  readonly health: BackendHealth;
  /** The configured one, or what an operator ordered if that is more. */
  readonly fullWeight: number;
  /** What it gets when it does not start slowly. */
  readonly settledWeight: number;
  /** On the clock of Moment; -Infinity: it has been well all the time. */
  readonly recoveredAtMs: number;
  weight: number;
  share: number;
  /** Of round-robin, as of when its tier was made; its tier knows better. */
  credit: number;
}

/** Replaced when the configuration or a state changes; what is in it moves with every choice, and with time. */
export interface PoolState {
  readonly balance: BalanceConfig;
  readonly slowStartMs: number;
  /** Percent; 0: never. */
  readonly panicThreshold: number;
  /** In the order of the configuration. */
  readonly candidates: readonly Candidate[];
  /** Too few are healthy: all are used as if they were. */
  readonly isPanicking: boolean;
  tiers: readonly Tier<Candidate>[];
  /** When the weights of those that start slowly will have grown. */
  rearrangeAtMs: number;
  /** The hash tables in use; kept by what they are made of. */
  tables: readonly KnownTable[];
}

interface KnownTable {
  /** Names and weights. */
  readonly of: string;
  readonly table: MaglevTable;
}

type PoolSettings = Pick<PoolConfig, "balance" | "slowStartMs" | "panicThreshold">;

/** Weights are counted in hundredths, so that a ramp has steps and sums are exact. */
const WEIGHT_UNITS = 100;
/** Where slow start begins. */
const RAMP_START = 0.1;
const RAMP_STEP_MS_MIN = 50;
/** Of the backends and of the backups, and one of each that may come back. */
const TABLES_MAX = 4;

/**
 * The state for a configuration; `previous` lends what it knows of backends of the same name. `loads`: those of the
 * configuration's backends in their order, always the same object for the same backend.
 */
export function configurePool(
  config: PoolSettings & Pick<PoolConfig, "backends">,
  health: PoolHealth,
  options: {
    readonly previous: PoolState | null;
    readonly nowMs: number;
    readonly loads: readonly BackendLoad[];
  },
): PoolState {
  const { previous, nowMs, loads } = options;
  if (previous !== null) keepCredits(previous);
  const credits = new Map((previous?.candidates ?? []).map(({ name, credit }) => [name, credit]));
  const candidates = config.backends.map(({ name, weight, isBackup }, index) => {
    const credit = credits.get(name) ?? 0;
    const load = loads[index] ?? createLoad();
    const entry = { name, index, isBackup, configuredWeight: weight, load, credit };
    return createCandidate(entry, stateOf(health, name), nowMs);
  });
  return createPool(config, candidates, { tables: previous?.tables ?? [], nowMs });
}

/** The same pool with other health. */
export function updateHealth(pool: PoolState, health: PoolHealth, nowMs: number): PoolState {
  keepCredits(pool);
  const candidates = pool.candidates.map((candidate) =>
    createCandidate(candidate, stateOf(health, candidate.name), nowMs),
  );
  return createPool(pool, candidates, { tables: pool.tables, nowMs });
}

/** Own properties only: a backend may be called "constructor". */
function stateOf(health: PoolHealth, name: string): BackendState {
  return (Object.hasOwn(health, name) ? health[name] : undefined) ?? ASSUMED_UP;
}

function createCandidate(
  {
    name,
    index,
    isBackup,
    configuredWeight,
    load,
    credit,
  }: Pick<Candidate, "name" | "index" | "isBackup" | "configuredWeight" | "load" | "credit">,
  state: BackendState,
  nowMs: number,
): Candidate {
  const { health, weight = configuredWeight, recoveredAgoMs } = state;
  const settled = weightNow(state, configuredWeight);
  return {
    name,
    index,
    isBackup,
    configuredWeight,
    load,
    credit,
    health,
    fullWeight: Math.max(configuredWeight, weight, settled),
    settledWeight: settled,
    recoveredAtMs: recoveredAgoMs === undefined ? -Infinity : nowMs - recoveredAgoMs,
    weight: 0,
    share: 0,
  };
}

function createPool(
  { balance, slowStartMs, panicThreshold }: PoolSettings,
  candidates: readonly Candidate[],
  { tables, nowMs }: { readonly tables: readonly KnownTable[]; readonly nowMs: number },
): PoolState {
  const pool = {
    balance,
    slowStartMs,
    panicThreshold,
    candidates,
    isPanicking: isPanic(candidates, panicThreshold),
    tiers: [],
    rearrangeAtMs: Infinity,
    tables,
  };
  arrange(pool, nowMs);
  return pool;
}

// ── who may serve ────────────────────────────────────────────────────────────────────────────────

/** The number of the tier that a candidate belongs to; null: it gets nothing. */
function rankOf({ health, isBackup }: Candidate, isPanicking: boolean): number | null {
  const first = isBackup ? 2 : 0;
  switch (health) {
    case "up":
      return first;
    case "suspect":
      return isPanicking ? first : first + 1;
    case "down":
    case "ejected":
      return isPanicking ? first : null;
    case "drain":
    case "maintenance":
      return null;
  }
}

/** Weights as of now, and the tiers that follow from them. */
function arrange(pool: PoolState, nowMs: number): void {
  const ranks: Candidate[][] = [[], [], [], []];
  let isRamping = false;
  for (const candidate of pool.candidates) {
    const ramp = rampShare(nowMs - candidate.recoveredAtMs, pool.slowStartMs);
    if (ramp < 1) isRamping = true;
    const { fullWeight, settledWeight } = candidate;
    candidate.weight = settledWeight === 0 ? 0 : Math.max(1, Math.round(settledWeight * ramp * WEIGHT_UNITS));
    candidate.share = fullWeight === 0 ? 0 : (settledWeight * ramp) / fullWeight;
    const rank = candidate.weight === 0 ? null : rankOf(candidate, pool.isPanicking);
    if (rank !== null) ranks[rank]?.push(candidate);
  }
  // The control process ends ejections when nobody else is left, but may hear of an agent's weight first. Until it has told, a
  // guess that a backend is bad is no reason to refuse all.
  if (ranks.every((entries) => entries.length === 0)) {
    const ejected = pool.candidates.filter(({ health, weight }) => health === "ejected" && weight > 0);
    ranks.push(
      ejected.filter(({ isBackup }) => !isBackup),
      ejected.filter(({ isBackup }) => isBackup),
    );
  }
  pool.tiers = ranks
    .filter((entries) => entries.length > 0)
    .map((entries) =>
      createTier(
        pool.balance,
        entries,
        entries.map(({ credit }) => credit),
      ),
    );
  const stepMs = Math.max(RAMP_STEP_MS_MIN, pool.slowStartMs / WEIGHT_UNITS);
  pool.rearrangeAtMs = isRamping ? nowMs + stepMs : Infinity;
}

/** Linear from 10 % to all of it, as HAProxy's `slowstart`. */
function rampShare(recoveredAgoMs: number, slowStartMs: number): number {
  if (recoveredAgoMs >= slowStartMs) return 1;
  return RAMP_START + (1 - RAMP_START) * (Math.max(0, recoveredAgoMs) / slowStartMs);
}

/** Before the tiers are made anew. */
function keepCredits({ tiers }: PoolState): void {
  for (const { entries, credits } of tiers) {
    for (const [i, entry] of entries.entries()) entry.credit = credits[i] ?? 0;
  }
}

// ── the choice ───────────────────────────────────────────────────────────────────────────────────

/**
 * The backend for a request: the policy's choice in the first tier in which the asker accepts one. Never one that
 * the asker refuses, that is down, drained, or has weight 0. null: nobody is left.
 */
export function chooseBackend(pool: PoolState, asker: Asker<Candidate>, moment: Moment): Candidate | null {
  if (moment.nowMs >= pool.rearrangeAtMs) {
    keepCredits(pool);
    arrange(pool, moment.nowMs);
  }
  for (const tier of pool.tiers) {
    if (tier.places === null && tier.entries.length > 1 && isHash(pool.balance)) {
      tier.places = createPlaces(pool, tier);
    }
    const chosen = chooseEntry(pool.balance, tier, asker, moment);
    if (chosen !== null) return chosen;
  }
  return null;
}

/**
 * The candidate of that name for a client that had it before: also with weight 0, which means no new clients. null:
 * it is not there, may not serve, or the asker refuses it.
 */
export function chooseNamed(pool: PoolState, name: string, asker: Asker<Candidate>): Candidate | null {
  const candidate = pool.candidates.find((one) => one.name === name);
  if (candidate === undefined || rankOf(candidate, pool.isPanicking) === null) return null;
  return asker.accepts(candidate) ? candidate : null;
}

/** Whether it is a backup while others serve: it helps its clients out, and keeps none of them. */
export function isIdleBackup({ candidates, tiers }: PoolState, name: string): boolean {
  const isBackup = candidates.some((one) => one.name === name && one.isBackup);
  return isBackup && tiers.some(({ entries }) => entries[0]?.isBackup === false);
}

function isHash({ kind }: BalanceConfig): boolean {
  return kind === "source-hash" || kind === "uri-hash" || kind === "header-hash" || kind === "cookie-hash";
}

// ── hash tables ──────────────────────────────────────────────────────────────────────────────────

/** Of all that are backups, or are none, like those of the tier: a table does not change with health. */
function createPlaces(pool: PoolState, tier: Tier<Candidate>): Places<Candidate> {
  const isBackup = tier.entries[0]?.isBackup ?? false;
  const members = pool.candidates.filter((one) => one.isBackup === isBackup && one.fullWeight > 0);
  const sorted = sortByName(members);
  const entries = sorted.map((candidate) => (tier.entries.includes(candidate) ? candidate : null));
  return { table: tableOf(pool, sorted), entries };
}

/**
 * Built when it is needed first, and again when names or full weights change. A weight that falls at run time is a
 * share of the places that the backend has: no table changes because an agent reports its load.
 */
function tableOf(pool: PoolState, sorted: readonly Candidate[]): MaglevTable {
  const members = sorted.map(({ name, fullWeight: weight }) => ({ name, weight }));
  const of = JSON.stringify(members);
  const known = pool.tables.find((table) => table.of === of) ?? { of, table: buildTable(members) };
  pool.tables = [known, ...pool.tables.filter((table) => table !== known)].slice(0, TABLES_MAX);
  return known.table;
}
