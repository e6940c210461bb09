// Where a body ends: RFC 9112 6.3, read strictly. Every doubt about a length is an attack until proven
// otherwise, because the next hop may read it the other way.

import { isDigits } from "./characters.ts";
import { type Fields, listMembers } from "./fields.ts";
import { type HeadFault, fault } from "./scan.ts";

export type BodyFraming =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly length: number }
  | { readonly kind: "chunked" }
  /** Responses only: the body ends with the connection. */
  | { readonly kind: "until-close" };

const NO_BODY: BodyFraming = { kind: "none" };
const CHUNKED: BodyFraming = { kind: "chunked" };
const UNTIL_CLOSE: BodyFraming = { kind: "until-close" };

const BOTH = fault(400, "Content-Length together with Transfer-Encoding");
const CODING_IN_1_0 = fault(400, "Transfer-Encoding in HTTP/1.0");
const NOT_CHUNKED_LAST = fault(400, "Transfer-Encoding does not end in chunked, or has empty members");
const CHUNKED_TWICE = fault(400, "chunked is applied twice");
const UNKNOWN_CODING = fault(501, "an unknown transfer coding");
const BAD_LENGTH = fault(400, "Content-Length is not one number");

/** Digits that always make a safe integer. */
const LENGTH_DIGITS_MAX = 15;

/** RFC 9112 6.3 for requests: without Content-Length and Transfer-Encoding there is no body. */
export function requestFraming(fields: Fields, minor: 0 | 1): BodyFraming | HeadFault {
  const declared = declaredFraming(fields, minor);
  return declared ?? NO_BODY;
}

/**
 * RFC 9112 6.3 for responses. `isBodiless`: the answer to HEAD, 1xx, 204 and 304, which have no body
 * whatever their fields say.
 */
export function responseFraming(fields: Fields, minor: 0 | 1, isBodiless: boolean): BodyFraming | HeadFault {
  const declared = declaredFraming(fields, minor);
  if (declared !== null && declared.kind === "invalid") return declared;
  if (isBodiless) return NO_BODY;
  return declared ?? UNTIL_CLOSE;
}

/** What the fields declare; null when they declare nothing. */
function declaredFraming(fields: Fields, minor: 0 | 1): BodyFraming | HeadFault | null {
  if (fields.transferEncoding !== null) {
    if (fields.contentLengths.length > 0) return BOTH;
    if (minor === 0) return CODING_IN_1_0;
    return codedFraming(fields.transferEncoding);
  }
  if (fields.contentLengths.length === 0) return null;
  return lengthFraming(fields.contentLengths);
}

function codedFraming(transferEncoding: string): BodyFraming | HeadFault {
  // The plain word alone: a list with empty members is read in more than one way.
  if (transferEncoding.length === 7 && transferEncoding.toLowerCase() === "chunked") return CHUNKED;
  const codings = listMembers(transferEncoding);
  const last = codings.at(-1);
  if (last === undefined || last.toLowerCase() !== "chunked" || codings.length === 1) return NOT_CHUNKED_LAST;
  const isRepeated = codings.slice(0, -1).some((coding) => coding.toLowerCase() === "chunked");
  return isRepeated ? CHUNKED_TWICE : UNKNOWN_CODING;
}

/** Equal duplicates are refused too: no honest sender makes them. */
function lengthFraming(lengths: readonly string[]): BodyFraming | HeadFault {
  const [length] = lengths;
  if (length === undefined || lengths.length > 1) return BAD_LENGTH;
  if (!isDigits(length) || length.length > LENGTH_DIGITS_MAX) return BAD_LENGTH;
  return { kind: "length", length: Number(length) };
}
