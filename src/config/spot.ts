// What cross-checks are written with: a look at a value as the operator wrote it, which never fails, and
// the contradictions that occur in more than one place of a file.

import { formatPath } from "./mistake.ts";
import type { Mistake, Path } from "./mistake.ts";
import { isNear } from "./nearest.ts";
import { formatDuration, readDuration } from "./quantity.ts";
import type { Reading } from "./reading.ts";

/** A value as it was written, and its path. Asking it for what it does not have is allowed. */
export class Spot {
  readonly value: unknown;
  readonly path: Path;

  constructor(value: unknown, path: Path) {
    this.value = value;
    this.path = path;
  }

  at(key: string): Spot {
    const inside = isMap(this.value) && Object.hasOwn(this.value, key) ? this.value[key] : undefined;
    return new Spot(inside, [...this.path, key]);
  }

  has(key: string): boolean {
    return isMap(this.value) && Object.hasOwn(this.value, key);
  }

  /**
   * The key or a misspelling of it is there: the schema has a word to say about that, and one is enough.
   * `known`: keys that may stand here, and that are themselves however much they look like the one.
   */
  mentions(key: string, known: readonly string[] = []): boolean {
    return this.has(key) || this.entries.some(([name]) => !known.includes(name) && isNear(name, key));
  }

  get text(): string | undefined {
    return typeof this.value === "string" ? this.value : undefined;
  }

  get items(): readonly Spot[] {
    if (!Array.isArray(this.value)) return [];
    return this.value.map((item: unknown, index) => new Spot(item, [...this.path, index]));
  }

  get entries(): readonly (readonly [string, Spot])[] {
    return isMap(this.value) ? Object.keys(this.value).map((key) => [key, this.at(key)]) : [];
  }

  /** The text read into a T; undefined when it is not a text or not a T. */
  read<T>(reader: (text: string) => Reading<T>): T | undefined {
    const reading = this.text === undefined ? undefined : reader(this.text);
    return reading?.kind === "ok" ? reading.value : undefined;
  }

  mistake(message: string, at: Mistake["at"] = "value"): Mistake {
    return { path: this.path, at, message };
  }
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A mistake for every spot whose key an earlier one has; `first` is where, as a path. */
export function duplicates(
  spots: readonly Spot[],
  keyOf: (spot: Spot) => string | undefined,
  describe: (key: string, first: string) => string,
): readonly Mistake[] {
  const firsts = new Map<string, Spot>();
  return spots.flatMap((spot) => {
    const key = keyOf(spot);
    if (key === undefined) return [];
    const first = firsts.get(key);
    if (first !== undefined) return [spot.mistake(describe(key, formatPath(first.path)))];
    firsts.set(key, spot);
    return [];
  });
}

export function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** A check that is given more time than there is between two of them; the defaults are written durations. */
export function checkTimeout(
  check: Spot,
  defaults: { readonly interval: string; readonly timeout: string },
): readonly Mistake[] {
  const given = check.has("timeout") ? check.at("timeout") : check.at("interval");
  const intervalMs = durationOr(check.at("interval"), defaults.interval);
  const timeoutMs = durationOr(check.at("timeout"), defaults.timeout);
  if (intervalMs === undefined || timeoutMs === undefined || timeoutMs <= intervalMs) return [];
  return [
    given.mistake(
      `The timeout (${formatDuration(timeoutMs)}) is longer than the interval (${formatDuration(intervalMs)}). Lower the timeout, or check less often.`,
    ),
  ];
}

function durationOr(spot: Spot, otherwise: string): number | undefined {
  return (spot.value === undefined ? new Spot(otherwise, []) : spot).read(readDuration);
}
