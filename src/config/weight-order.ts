// A weight as an operator orders it at run time, apart from the file: a number, a share of what the file says, or
// what the file says.

import { invalid, ok, quote } from "./reading.ts";
import type { Reading } from "./reading.ts";

/** As in HAProxy. */
export const WEIGHT_MAX = 256;

export type OrderedWeight =
  | { readonly kind: "absolute"; readonly weight: number }
  /** Of the weight in the file. */
  | { readonly kind: "percent"; readonly percent: number }
  | { readonly kind: "reset" };

/** `10`, `50%`, `reset`: as HAProxy's `set weight`, and a word for its `100%`. */
export function readWeightOrder(text: string): Reading<OrderedWeight> {
  if (text === "reset") return ok({ kind: "reset" });
  const [, digits = "", percent] = /^(\d{1,6})(%?)$/.exec(text) ?? [];
  const value = Number(digits);
  if (digits !== "" && percent === "%") return ok({ kind: "percent", percent: value });
  if (digits !== "" && value <= WEIGHT_MAX) return ok({ kind: "absolute", weight: value });
  return invalid(`${quote(text)} is not a weight. Write 0 to ${String(WEIGHT_MAX)}, 50% or reset`);
}
