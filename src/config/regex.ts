// The one door for regular expressions that operators write. They are RE2's, run in time linear in the text, so that
// no request and no answer of a backend can stall a worker; what RE2 does not have (look-around, references back)
// is refused when the file is read.

import { RE2JS, RE2Set } from "re2js";
import { invalid, ok, quote } from "./reading.ts";
import type { Reading } from "./reading.ts";

/** Longer ones are slow to compile, and no one reads them. */
const CHARACTERS_MAX = 1000;
/**
 * Of the compiled expression (Envoy: re2.max_program_size). In the worst case each character of a text meets all of
 * them: some tenths of a second for a path of 8 KiB.
 */
const STEPS_MAX = 1024;

/** An expression that compileRegex takes. */
export function readRegex(text: string): Reading<string> {
  if (text === "") return invalid('"" matches everything. Leave the expression out for that.');
  if (text.length > CHARACTERS_MAX) {
    return invalid(`${quote(text)} is longer than ${String(CHARACTERS_MAX)} characters. Use a shorter one.`);
  }
  try {
    const steps = RE2JS.compile(text).programSize();
    if (steps <= STEPS_MAX) return ok(text);
    return invalid(
      `${quote(text)} repeats too much: it makes ${String(steps)} steps, where ${String(STEPS_MAX)} are allowed. Use smaller numbers, or + and *.`,
    );
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace("error parsing regexp: ", "") : "";
    return invalid(
      `${quote(text)} is not a regular expression in the syntax of RE2, which has no look-around and no references back: ${reason}.`,
    );
  }
}

/** Compiled. `text` went through readRegex; otherwise this may throw. */
export function compileRegex(text: string): RE2JS {
  return RE2JS.compile(text);
}

/**
 * Of the automaton of a set, in bytes. What does not fit is forgotten and made again, which costs a thousand times what
 * it costs to look it up.
 */
const SET_MEMORY_MAX = 1 << 20;
/** Of all sets of one RegexSet. */
const MEMORY_MAX = 64 * SET_MEMORY_MAX;

/**
 * Expressions that are looked for together: one pass over a text for some dozens of them. As many make a set as have the
 * steps of the largest expression that is allowed: the states of an automaton grow with them, and those of a thousand
 * expressions do not fit into its memory.
 */
export class RegexSet {
  readonly #sets: readonly { readonly set: RE2Set; readonly first: number }[];

  /** `texts` went through readRegex. */
  constructor(texts: readonly string[]) {
    const groups = groupBySteps(texts);
    const memory = Math.floor(Math.min(SET_MEMORY_MAX, MEMORY_MAX / groups.length));
    let first = 0;
    this.#sets = groups.map((group) => {
      const set = new RE2Set(RE2Set.UNANCHORED, 0, memory);
      for (const text of group) set.add(text);
      set.compile();
      first += group.length;
      return { set, first: first - group.length };
    });
  }

  /** The places in `texts` of those that are found in `text`, in ascending order. */
  matching(text: string): readonly number[] {
    const found: number[] = [];
    for (const { set, first } of this.#sets) {
      for (const place of set.match(text)) found.push(first + place);
    }
    return found;
  }
}

/** In their order. */
function groupBySteps(texts: readonly string[]): readonly (readonly string[])[] {
  const groups: string[][] = [];
  let room = 0;
  for (const text of texts) {
    const steps = RE2JS.compile(text).programSize();
    const group = groups.at(-1);
    if (group !== undefined && steps <= room) {
      group.push(text);
      room -= steps;
    } else {
      groups.push([text]);
      room = STEPS_MAX - steps;
    }
  }
  return groups;
}
