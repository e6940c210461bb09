// Finds what a check expects in what a backend said, compiled once.

import type { TextMatch } from "../config/check-config.ts";
import { quote } from "../config/reading.ts";
import { compileRegex } from "../config/regex.ts";

/**
 * Looked at with a regular expression. With the most steps that one may have, the worst text of this length takes some
 * hundredths of a second, in which this process does nothing else.
 */
const REGEX_CHARACTERS_MAX = 8192;

export interface CompiledMatch {
  readonly isIn: (said: string) => boolean;
  /** Completes "what was said does not …". */
  readonly verb: string;
}

export function compileMatch(match: TextMatch): CompiledMatch {
  switch (match.kind) {
    case "text":
      return { isIn: (said) => said.includes(match.text), verb: `contain ${quote(match.text)}` };
    case "regex": {
      const regex = compileRegex(match.regex);
      // Not its test(): that builds automata, which the worst texts make thirty times slower than this.
      const isIn = (said: string) => regex.matcher(said.slice(0, REGEX_CHARACTERS_MAX)).find();
      return { isIn, verb: `match ${quote(match.regex)}` };
    }
  }
}
