// Texts with variables, such as `https://${request.host}${request.uri}`: read when the file is read, so that a
// misspelt variable is a mistake at `vipair check` and not an odd header field later.

import { nearest } from "./nearest.ts";
import { invalid, ok, quote } from "./reading.ts";
import type { Reading } from "./reading.ts";
import { type Template, type TemplatePart, type Variable, VARIABLES } from "./route-config.ts";

const CHARACTERS_MAX = 2048;

/** What may stand between the variables. */
export interface LiteralKind {
  readonly allows: RegExp;
  /** "a redirect cannot have": completes the message. */
  readonly complaint: string;
}

/** A value of a header field: RFC 9110 5.5. */
export const FIELD_VALUE: LiteralKind = {
  allows: /^[\t -~]*$/,
  complaint: "a header field cannot have",
};
/** A part of a target: RFC 3986. */
export const TARGET_TEXT: LiteralKind = {
  allows: /^[!"$-~]*$/,
  complaint: "a URL cannot have; percent-encode them, such as %20 for a space",
};

/** The parts of a template: literal texts, which are never empty, and variables. */
export function readTemplate(text: string, literal: LiteralKind): Reading<Template> {
  if (text.length > CHARACTERS_MAX)
    return invalid(`${quote(text)} is longer than ${String(CHARACTERS_MAX)} characters. Use a shorter text.`);
  const parts: TemplatePart[] = [];
  let rest = text;
  while (rest !== "") {
    const start = rest.indexOf("${");
    const before = start === -1 ? rest : rest.slice(0, start);
    if (!literal.allows.test(before))
      return invalid(`${quote(text)} has characters that ${literal.complaint}.`);
    if (before !== "") parts.push(before);
    if (start === -1) break;
    const end = rest.indexOf("}", start);
    if (end === -1) return invalid(`${quote(text)} has a \${ without its }. Add it.`);
    const variable = rest.slice(start + 2, end);
    if (!isVariable(variable)) return invalid(unknownVariable(variable));
    parts.push({ variable });
    rest = rest.slice(end + 1);
  }
  return ok(parts);
}

function isVariable(text: string): text is Variable {
  return (VARIABLES as readonly string[]).includes(text);
}

function unknownVariable(written: string): string {
  const meant = nearest(written, VARIABLES);
  return `There is no variable \${${written}}. ${
    meant === undefined ? `There are ${VARIABLES.join(", ")}.` : `Did you mean \${${meant}}?`
  }`;
}
