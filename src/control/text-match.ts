// Finds what a check expects in what a backend said, compiled once.

import type { TextMatch } from "../config/check-config.ts";
import { quote } from "../config/reading.ts";
import { compileRegex } from "../config/regex.ts";

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
      return { isIn: (said) => regex.test(said), verb: `match ${quote(match.regex)}` };
    }
  }
}
