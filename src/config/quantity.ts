// Durations and sizes as people write them: a whole number and a unit. A number without a unit is
// refused, because seconds and milliseconds look alike and the wrong guess shows only in a failover.

import { invalid, ok, quote } from "./reading.ts";
import type { Reading } from "./reading.ts";

interface Unit {
  readonly name: string;
  readonly factor: number;
}

// Largest first: formatting takes the first unit that divides the value.
const DURATION_UNITS: readonly Unit[] = [
  { name: "h", factor: 3_600_000 },
  { name: "m", factor: 60_000 },
  { name: "s", factor: 1000 },
  { name: "ms", factor: 1 },
];
const SIZE_UNITS: readonly Unit[] = [
  { name: "TiB", factor: 1024 ** 4 },
  { name: "GiB", factor: 1024 ** 3 },
  { name: "MiB", factor: 1024 ** 2 },
  { name: "KiB", factor: 1024 },
  { name: "B", factor: 1 },
];

/** JSON Schema patterns, for editors. */
export const DURATION_PATTERN = "^[0-9]+(ms|s|m|h)$";
export const SIZE_PATTERN = "^[0-9]+(B|KiB|MiB|GiB|TiB)$";

/** `200ms`, `5s`, `1m`, `1h` in milliseconds. */
export function readDuration(text: string): Reading<number> {
  return readQuantity(
    text,
    DURATION_UNITS,
    "a duration. Write a whole number and a unit: 200ms, 5s, 1m or 1h.",
  );
}

/** `512B`, `16KiB`, `1MiB`, `2GiB`, `1TiB` in bytes. */
export function readSize(text: string): Reading<number> {
  return readQuantity(
    text,
    SIZE_UNITS,
    "a size. Write a whole number and a unit: 512B, 16KiB, 1MiB or 2GiB.",
  );
}

/** A whole number of milliseconds in the largest unit that needs no fraction: 90000 is `90s`. */
export function formatDuration(ms: number): string {
  return formatQuantity(ms, DURATION_UNITS);
}

/** A whole number of bytes in the largest unit that needs no fraction: 16384 is `16KiB`. */
export function formatSize(bytes: number): string {
  return formatQuantity(bytes, SIZE_UNITS);
}

function readQuantity(text: string, units: readonly Unit[], notOne: string): Reading<number> {
  const parts = /^(\d+)([A-Za-z]+)$/.exec(text);
  const unit = units.find(({ name }) => name === parts?.[2]);
  if (parts === null || unit === undefined) return invalid(`${quote(text)} is not ${notOne}`);
  return ok(Number(parts[1]) * unit.factor);
}

function formatQuantity(value: number, units: readonly Unit[]): string {
  const unit = units.find(({ factor }) => value !== 0 && value % factor === 0) ?? units.at(-1);
  return unit === undefined ? String(value) : `${String(value / unit.factor)}${unit.name}`;
}
