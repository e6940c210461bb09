// A configuration file as it may be shown: its secret is not in it any more. Also one that does not parse, and
// one whose secret stands in a comment: what is shown may end up in a ticket.

import { isAlias, isScalar, parseAllDocuments } from "yaml";

/** Shorter texts may stand elsewhere for another reason. */
const VALUE_LENGTH_MIN = 8;

export interface HiddenSecrets {
  /** To tell whether two files have the same; never to be shown. undefined: there is none. */
  readonly secret: string | undefined;
  /** The text with `mark` in place of its secret. */
  readonly hide: (mark: string) => string;
}

/** Never throws. */
export function findSecrets(text: string): HiddenSecrets {
  const [document] = parseAllDocuments(text, {
    prettyErrors: false,
    uniqueKeys: false,
    resolveKnownTags: false,
    logLevel: "silent",
  });
  const found = document?.getIn(["pair", "secret"], true);
  const node = isAlias(found) && document !== undefined ? found.resolve(document) : found;
  const isBroken = document === undefined || document.errors.length > 0;
  if (!isScalar(node)) return { secret: undefined, hide: (mark) => hideLines(text, { mark, isBroken }) };
  const secret = String(node.value);
  const [start, end] = node.range ?? [0, 0];
  const written = text.slice(start, end);
  return {
    secret,
    hide: (mark) => {
      // A block begins on the next line and ends with one.
      const shown = written.endsWith("\n") ? `${mark}\n` : mark;
      const without = text.slice(0, start) + shown + text.slice(end);
      const nowhere = secret.length < VALUE_LENGTH_MIN ? without : without.replaceAll(secret, () => mark);
      return hideLines(nowhere, { mark, isBroken });
    },
  };
}

/** What looks like a secret: in comments, and everywhere in a file of which nobody knows what is what. */
function hideLines(
  text: string,
  { mark, isBroken }: { readonly mark: string; readonly isBroken: boolean },
): string {
  const pattern = isBroken
    ? /^(?<before>.*\bsecret["']?\s*:[ \t]*)(?<value>\S.*)$/gm
    : /^(?<before>.*#.*\bsecret["']?\s*:[ \t]*)(?<value>\S.*)$/gm;
  return text.replaceAll(pattern, (line: string, before: string, value: string) =>
    value.startsWith(mark) ? line : `${before}${mark}`,
  );
}
