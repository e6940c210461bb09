// What a health page in JSON says about its backend, by the operator's rules: it is in order, in order but degraded, or
// not in order, and why. The language of the rules is config/expression.ts.
//
// A rule has three answers (Kleene's logic): a comparison with a field that is missing, or that has no such
// comparison, is neither true nor false. Only a rule that is true counts, so what a page does not say never speaks
// for or against a backend by accident: `not (disk > 90)` is not true either where there is no `disk`.

import { printable } from "./printable.ts";
import type { Expression, Field, Operand, Operator } from "../config/expression.ts";

export interface JsonRules {
  /** Absent: whatever is not unhealthy is in order. */
  readonly healthy?: Expression;
  readonly unhealthy?: Expression;
  readonly degraded?: Expression;
}

export type JsonVerdict =
  | { readonly kind: "bad"; readonly reason: string }
  | {
      readonly kind: "good";
      /** Why it is degraded; null when it is not. */
      readonly degraded: string | null;
      /** What a rule asked for that the page did not say; null when it said all. */
      readonly doubt: string | null;
    };

/** `unhealthy` decides before `healthy`. `page` is what JSON.parse made of the body. */
export function judgePage(rules: JsonRules, page: unknown): JsonVerdict {
  const unhealthy = rules.unhealthy === undefined ? undefined : judge(rules.unhealthy, page);
  if (unhealthy?.truth === true) return { kind: "bad", reason: `unhealthy: ${unhealthy.because}` };
  const healthy = rules.healthy === undefined ? undefined : judge(rules.healthy, page);
  if (healthy !== undefined && healthy.truth !== true)
    return { kind: "bad", reason: `not healthy: ${healthy.because}` };
  const degraded = rules.degraded === undefined ? undefined : judge(rules.degraded, page);
  const doubts = [
    ...(unhealthy?.truth === null ? [`unhealthy: ${unhealthy.because}`] : []),
    ...(degraded?.truth === null ? [`degraded: ${degraded.because}`] : []),
  ];
  return {
    kind: "good",
    degraded: degraded?.truth === true ? degraded.because : null,
    doubt: doubts.length === 0 ? null : doubts.join("; "),
  };
}

/** `truth` null: neither true nor false. `because` says what decided, such as `cpu_usage is 95`. */
interface Judgement {
  readonly truth: boolean | null;
  readonly because: string;
}

function judge(expression: Expression, page: unknown): Judgement {
  switch (expression.kind) {
    case "and":
      return judgeAll(expression.parts, page, false);
    case "or":
      return judgeAll(expression.parts, page, true);
    case "not": {
      const { truth, because } = judge(expression.part, page);
      return { truth: truth === null ? null : !truth, because };
    }
    case "field": {
      const value = lookUp(expression.field, page);
      return typeof value === "boolean"
        ? { truth: value, because: describe(expression.field, value) }
        : unclear(expression.field, value, "true or false");
    }
    case "compare":
      return compare(expression, page);
  }
}

/** One part that is `decisive` decides; without one an unclear part leaves the whole unclear. */
function judgeAll(parts: readonly Expression[], page: unknown, decisive: boolean): Judgement {
  const judgements = parts.map((part) => judge(part, page));
  const one =
    judgements.find(({ truth }) => truth === decisive) ?? judgements.find(({ truth }) => truth === null);
  return (
    one ?? { truth: !decisive, because: [...new Set(judgements.map(({ because }) => because))].join(", ") }
  );
}

function compare(
  { operator, left, right }: Extract<Expression, { readonly kind: "compare" }>,
  page: unknown,
): Judgement {
  const sides = [left, right] as const;
  const values = [valueOf(left, page), valueOf(right, page)] as const;
  const expected = expectedOf(operator);
  for (const index of [0, 1] as const) {
    const side = sides[index];
    const value = values[index];
    // The right side of `contains` is looked for, whatever it is.
    const isFit = value !== undefined && ((operator === "contains" && index === 1) || expected.fits(value));
    if (!isFit && side.kind === "field") return unclear(side.field, value, expected.noun);
  }
  const because = sides
    .flatMap((side, index) => (side.kind === "field" ? [describe(side.field, values[index])] : []))
    .join(", ");
  return { truth: holds(operator, values[0], values[1]), because };
}

function expectedOf(operator: Operator): {
  readonly noun: string;
  readonly fits: (value: unknown) => boolean;
} {
  switch (operator) {
    case "==":
    case "!=":
      return { noun: "there", fits: () => true };
    case "contains":
      return { noun: "a text or a list", fits: (value) => typeof value === "string" || Array.isArray(value) };
    case "<":
    case "<=":
    case ">":
    case ">=":
      return { noun: "a number", fits: (value) => typeof value === "number" };
  }
}

/** No conversions: "95" is no number, 1 is not true. */
function holds(operator: Operator, left: unknown, right: unknown): boolean {
  switch (operator) {
    case "==":
      return left === right;
    case "!=":
      return left !== right;
    case "contains":
      if (Array.isArray(left)) return left.includes(right);
      return typeof left === "string" && typeof right === "string" && left.includes(right);
    case "<":
      return Number(left) < Number(right);
    case "<=":
      return Number(left) <= Number(right);
    case ">":
      return Number(left) > Number(right);
    case ">=":
      return Number(left) >= Number(right);
  }
}

function valueOf(operand: Operand, page: unknown): unknown {
  return operand.kind === "constant" ? operand.value : lookUp(operand.field, page);
}

/** undefined where the page has no such field. Own keys of maps and positions of lists, nothing inherited. */
function lookUp({ path }: Field, page: unknown): unknown {
  let value = page;
  for (const part of path) {
    if (Array.isArray(value)) value = typeof part === "number" ? value[part] : undefined;
    else if (isMap(value) && typeof part === "string" && Object.hasOwn(value, part)) value = value[part];
    else return undefined;
  }
  return value;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function unclear(field: Field, value: unknown, noun: string): Judgement {
  const because =
    value === undefined ? `${field.text} is missing` : `${describe(field, value)}, which is not ${noun}`;
  return { truth: null, because };
}

const SHOWN_CHARACTERS_MAX = 60;

/** A page says what it likes: only so much of it goes into logs and status. */
function describe({ text }: Field, value: unknown): string {
  if (value === undefined) return `${text} is missing`;
  if (Array.isArray(value)) return `${text} is a list`;
  if (isMap(value)) return `${text} is a map`;
  const shown = JSON.stringify(typeof value === "string" ? value.slice(0, SHOWN_CHARACTERS_MAX) : value);
  return `${text} is ${printable(shown)}${typeof value === "string" && value.length > SHOWN_CHARACTERS_MAX ? "…" : ""}`;
}
