// Field lines of a head or a trailer section: parsed strictly, and sorted by what a proxy has to know
// of them. Names keep the sender's spelling, values lose the white space around them.

import { isToken, nameClass } from "./characters.ts";
import { type HeadFault, fault } from "./scan.ts";

/** What a field is to a proxy; everything it need not understand is `ordinary`. */
export type FieldKind =
  | "ordinary"
  | "connection"
  | "content-length"
  | "expect"
  | "forwarded"
  | "hop-by-hop"
  | "host"
  | "keep-alive"
  | "max-forwards"
  | "trailer"
  | "transfer-encoding"
  | "upgrade"
  | "x-forwarded-for"
  | "x-forwarded-host"
  | "x-forwarded-proto"
  | "x-real-ip";

export interface Field {
  readonly name: string;
  readonly value: string;
  readonly kind: FieldKind;
}

/** The fields of one section, with the ones that steer the connection set apart. */
export interface Fields {
  readonly list: readonly Field[];
  readonly hosts: readonly string[];
  /** As sent; two lines are two entries. */
  readonly contentLengths: readonly string[];
  /** All lines joined with ", "; null when there is none. Likewise below. */
  readonly transferEncoding: string | null;
  readonly expect: string | null;
  readonly upgrade: string | null;
  readonly keepAlive: string | null;
  readonly connection: ConnectionOptions;
}

/** RFC 9110 7.6.1. */
export interface ConnectionOptions {
  readonly close: boolean;
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
  /** Lower-case names of fields that end at this hop. */
  readonly nominated: readonly string[];
}

/** What becomes of fields with an underscore in their name, which some recipients take for a hyphen. */
export type Underscores = "drop" | "pass" | "refuse";

const NO_OPTIONS: ConnectionOptions = { close: false, keepAlive: false, upgrade: false, nominated: [] };
/** What nearly every message says, ready made: to parse it took half a microsecond of each head. */
const CLOSE: ConnectionOptions = { ...NO_OPTIONS, close: true };
const KEEP_ALIVE: ConnectionOptions = { ...NO_OPTIONS, keepAlive: true };
const NONE: readonly string[] = [];

const OBS_FOLD = fault(400, "a field line is folded");
const NO_COLON = fault(400, "a field line has no colon");
const BAD_NAME = fault(400, "a field name is not a token");
const UNDERSCORE = fault(400, "a field name has an underscore");
/** Honest white space, but parsers differ on whether chunked is still chunked with it. */
const TAB_IN_CODING = fault(400, "a tab in Transfer-Encoding");
/** More than any honest sender has; each costs a comparison with each field. */
const CONNECTION_OPTIONS_MAX = 50;
const BAD_CONNECTION = fault(400, "the Connection field is not a list of tokens, or too long");
const TOO_MANY = fault(431, "too many fields");

/**
 * Parses the field lines in text[start, end), each ended by CR LF; text went through scanHead, so it
 * has no stray control characters. RFC 9112 5: no space before the colon, no folding.
 */
export function parseFields(
  text: string,
  start: number,
  end: number,
  fieldsMax: number,
  underscores: Underscores,
): Fields | HeadFault {
  const list: Field[] = [];
  let hosts = NONE;
  let contentLengths = NONE;
  let transferEncoding: string | null = null;
  let expect: string | null = null;
  let upgrade: string | null = null;
  let keepAlive: string | null = null;
  let connection: string | null = null;
  let at = start;
  while (at < end) {
    const lineEnd = text.indexOf("\r\n", at);
    const first = text.charCodeAt(at);
    if (first === 32 || first === 9) return OBS_FOLD;
    const colon = text.indexOf(":", at);
    if (colon === -1 || colon > lineEnd) return NO_COLON;
    const nameKind = nameClass(text, at, colon);
    if (nameKind === 0) return BAD_NAME;
    if (nameKind !== 1 && underscores !== "pass") {
      if (underscores === "refuse") return UNDERSCORE;
      at = lineEnd + 2;
      continue;
    }
    if (list.length >= fieldsMax) return TOO_MANY;
    const name = text.slice(at, colon);
    const value = trimmed(text, colon + 1, lineEnd);
    const kind = kindOf(name);
    list.push({ name, value, kind });
    switch (kind) {
      case "host":
        hosts = [...hosts, value];
        break;
      case "content-length":
        contentLengths = [...contentLengths, value];
        break;
      case "transfer-encoding":
        if (text.slice(colon, lineEnd).includes("\t")) return TAB_IN_CODING;
        transferEncoding = joined(transferEncoding, value);
        break;
      case "expect":
        expect = joined(expect, value);
        break;
      case "upgrade":
        upgrade = joined(upgrade, value);
        break;
      case "keep-alive":
        keepAlive = joined(keepAlive, value);
        break;
      case "connection":
        connection = joined(connection, value);
        break;
      case "ordinary":
      case "forwarded":
      case "hop-by-hop":
      case "max-forwards":
      case "trailer":
      case "x-forwarded-for":
      case "x-forwarded-host":
      case "x-forwarded-proto":
      case "x-real-ip":
        break;
    }
    at = lineEnd + 2;
  }
  const options = connection === null ? NO_OPTIONS : parseConnection(connection);
  if (options === null) return BAD_CONNECTION;
  return {
    list,
    hosts,
    contentLengths,
    transferEncoding,
    expect,
    upgrade,
    keepAlive,
    connection: options,
  };
}

/** Sorted by length first, so that most names are decided by one comparison of numbers. */
function kindOf(name: string): FieldKind {
  switch (name.length) {
    case 2:
      return name.toLowerCase() === "te" ? "hop-by-hop" : "ordinary";
    case 4:
      return name.toLowerCase() === "host" ? "host" : "ordinary";
    case 6:
      return name.toLowerCase() === "expect" ? "expect" : "ordinary";
    case 7: {
      const lower = name.toLowerCase();
      return lower === "upgrade" || lower === "trailer" ? lower : "ordinary";
    }
    case 9: {
      const lower = name.toLowerCase();
      return lower === "x-real-ip" || lower === "forwarded" ? lower : "ordinary";
    }
    case 10: {
      const lower = name.toLowerCase();
      return lower === "connection" || lower === "keep-alive" ? lower : "ordinary";
    }
    case 12:
      // Content-Type is as long, and in every other message: one comparison tells them apart.
      return (name.charCodeAt(0) | 32) === 109 && name.toLowerCase() === "max-forwards"
        ? "max-forwards"
        : "ordinary";
    case 14: {
      const lower = name.toLowerCase();
      if (lower === "http2-settings") return "hop-by-hop";
      return lower === "content-length" ? lower : "ordinary";
    }
    case 15:
      return name.toLowerCase() === "x-forwarded-for" ? "x-forwarded-for" : "ordinary";
    case 16: {
      const lower = name.toLowerCase();
      if (lower === "proxy-connection") return "hop-by-hop";
      return lower === "x-forwarded-host" ? lower : "ordinary";
    }
    case 17: {
      const lower = name.toLowerCase();
      return lower === "transfer-encoding" || lower === "x-forwarded-proto" ? lower : "ordinary";
    }
    default:
      return "ordinary";
  }
}

/** RFC 9110 5.6.3: optional white space is SP and HTAB, nothing else. */
function trimmed(text: string, start: number, end: number): string {
  let from = start;
  let to = end;
  while (from < to && isBlank(text.charCodeAt(from))) from += 1;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function joined(list: string | null, value: string): string {
  return list === null ? value : `${list}, ${value}`;
}

/** The members of a comma-separated list, trimmed; empty members are left out (RFC 9110 5.6.1.2). */
export function listMembers(value: string): string[] {
  const members: string[] = [];
  for (const member of value.split(",")) {
    const text = trimmed(member, 0, member.length);
    if (text !== "") members.push(text);
  }
  return members;
}

/** null: something in it is no token, or there is too much of it. */
function parseConnection(value: string): ConnectionOptions | null {
  if (value === "keep-alive") return KEEP_ALIVE;
  if (value === "close") return CLOSE;
  const nominated: string[] = [];
  let close = false;
  let keepAlive = false;
  let upgrade = false;
  for (const member of listMembers(value)) {
    if (!isToken(member) || nominated.length >= CONNECTION_OPTIONS_MAX) return null;
    const option = member.toLowerCase();
    if (option === "close") close = true;
    else if (option === "keep-alive") keepAlive = true;
    else if (option === "upgrade") upgrade = true;
    else nominated.push(option);
  }
  return { close, keepAlive, upgrade, nominated };
}
