// What became of a piece of text that an operator wrote: its meaning, or what is wrong with it and what
// to write instead. Every reader of a value (durations, sizes, addresses) answers with a Reading.

export type Reading<T> =
  | { readonly kind: "ok"; readonly value: T }
  /** A sentence or two for the operator. */
  | { readonly kind: "invalid"; readonly problem: string };

export function ok<T>(value: T): Reading<T> {
  return { kind: "ok", value };
}

export function invalid(problem: string): { readonly kind: "invalid"; readonly problem: string } {
  return { kind: "invalid", problem };
}

const QUOTED_CHARACTERS_MAX = 60;

/** The operator's text for a message: in quotes, control characters escaped, long text cut. */
export function quote(text: string): string {
  return JSON.stringify(cut(text));
}

/** The operator's text as a part of advice: long text cut. */
export function cut(text: string): string {
  return text.length > QUOTED_CHARACTERS_MAX ? `${text.slice(0, QUOTED_CHARACTERS_MAX)}…` : text;
}
