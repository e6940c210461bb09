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

/** Of the automaton of a set, in bytes. What does not fit is forgotten and made again. */
const SET_MEMORY_MAX = 1 << 20;

/** Expressions that are looked for together: one pass over a text, whatever their number. */
export class RegexSet {
  readonly #set = new RE2Set(RE2Set.UNANCHORED, 0, SET_MEMORY_MAX);

  /** `texts` went through readRegex. */
  constructor(texts: readonly string[]) {
    for (const text of texts) this.#set.add(text);
    this.#set.compile();
  }

  /** The places in `texts` of those that are found in `text`, in ascending order. */
  matching(text: string): readonly number[] {
    return this.#set.match(text);
  }
}
