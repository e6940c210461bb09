// Request heads: bytes -> RequestHead, or the reason why not (DESIGN section 7).

import { isAuthority, isDigits, isTarget, isToken } from "./characters.ts";
import { type Fields, type Underscores, parseFields } from "./fields.ts";
import { type BodyFraming, requestFraming } from "./framing.ts";
import {
  DEFAULT_HEAD_LIMITS,
  type HeadFault,
  type HeadLimits,
  type HeadScan,
  fault,
  scanHead,
} from "./scan.ts";

/** What a request head may hold. */
export interface RequestRules extends HeadLimits {
  readonly underscores: Underscores;
  readonly allowsTrace: boolean;
}

export const DEFAULT_REQUEST_RULES: RequestRules = {
  ...DEFAULT_HEAD_LIMITS,
  underscores: "drop",
  allowsTrace: false,
};

export interface RequestHead {
  readonly method: string;
  /** Origin-form ("/path?query") or "*"; absolute-form is taken apart. */
  readonly target: string;
  /** Of the absolute-form target, else of Host; "" when an HTTP/1.0 client named none. */
  readonly authority: string;
  readonly minor: 0 | 1;
  readonly fields: Fields;
  readonly framing: BodyFraming;
  /** The client would keep the connection. RFC 9112 9.3. */
  readonly isPersistent: boolean;
  readonly expectsContinue: boolean;
  /**
   * How often an OPTIONS or TRACE may still be passed on; 0: this hop is its final recipient. null: as often as it
   * takes. RFC 9110 7.6.2.
   */
  readonly maxForwards: number | null;
  /** The protocols that the client asks to switch to; null when it does not, or not in a way to be passed on. */
  readonly upgrade: string | null;
}

export type RequestParse =
  | { readonly kind: "incomplete" }
  | HeadFault
  /** The body starts at offset `end`. */
  | { readonly kind: "head"; readonly head: RequestHead; readonly end: number };

const INCOMPLETE = { kind: "incomplete" } as const;

const BAD_LINE = fault(400, "the request line is not METHOD SP TARGET SP VERSION");
const BAD_METHOD = fault(400, "the method is not a token");
const BAD_TARGET = fault(400, "the request target is invalid");
const BAD_VERSION = fault(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
const REFUSED_METHOD = fault(501, "this method is not supported");
const NO_HOST = fault(400, "there is no Host field");
const MANY_HOSTS = fault(400, "there is more than one Host field");
const BAD_HOST = fault(400, "the Host field is invalid");
/** RFC 9110 9.3.8. */
const TRACE_WITH_BODY = fault(400, "TRACE with a body");
const BAD_MAX_FORWARDS = fault(400, "Max-Forwards is not one number");
const BAD_EXPECTATION = fault(417, "the expectation is unknown");

/** RFC 9110 7.6.2: the most that this hop passes on. */
const FORWARDS_MAX = 1_000_000;

interface RequestLine {
  readonly kind: "line";
  readonly method: string;
  readonly target: string;
  /** Of the absolute form. */
  readonly authority: string | null;
  readonly minor: 0 | 1;
}

/**
 * Parses the request head at the start of bytes. Call again with more bytes and the same scan while
 * it is incomplete; the result does not depend on how the bytes were split.
 */
export function parseRequestHead(bytes: Buffer, scan: HeadScan, rules: RequestRules): RequestParse {
  const hadLine = scan.lineEnd !== -1;
  const scanned = scanHead(scan, bytes, rules);
  if (scanned !== "complete") {
    // The first line is judged as soon as it is there: HTTP/0.9 clients never send another one.
    if (!hadLine && scan.lineEnd !== -1) {
      const line = parseRequestLine(bytes.toString("latin1", scan.lineStart, scan.lineEnd), rules);
      if (line.kind === "invalid") return line;
    }
    return scanned === "incomplete" ? INCOMPLETE : scanned;
  }
  const text = bytes.toString("latin1", scan.lineStart, scan.scanned);
  const lineLength = scan.lineEnd - scan.lineStart;
  const line = parseRequestLine(text.slice(0, lineLength), rules);
  if (line.kind === "invalid") return line;
  const fields = parseFields(text, lineLength + 2, text.length - 2, rules.fieldsMax, rules.underscores);
  if ("kind" in fields) return fields;
  const head = assembleHead(line, fields);
  if ("kind" in head) return head;
  return { kind: "head", head, end: scan.scanned };
}

/** RFC 9112 3. One space each; anything else is refused, not repaired. */
function parseRequestLine(line: string, rules: RequestRules): RequestLine | HeadFault {
  const methodEnd = line.indexOf(" ");
  const targetEnd = line.lastIndexOf(" ");
  if (methodEnd === -1 || targetEnd === methodEnd) return BAD_LINE;
  const method = line.slice(0, methodEnd);
  const target = line.slice(methodEnd + 1, targetEnd);
  if (!isToken(method)) return BAD_METHOD;
  if (!isTarget(target)) return BAD_TARGET;
  const version = line.slice(targetEnd + 1);
  if (version !== "HTTP/1.1" && version !== "HTTP/1.0") return versionFault(version);
  // A tunnel to anywhere is not what a balancer gives, and TRACE shows fields that clients may not see.
  if (method === "CONNECT" || (method === "TRACE" && !rules.allowsTrace)) return REFUSED_METHOD;
  const minor = version === "HTTP/1.1" ? 1 : 0;
  if (target.charCodeAt(0) === 47) return { kind: "line", method, target, authority: null, minor };
  if (target === "*") {
    return method === "OPTIONS" ? { kind: "line", method, target, authority: null, minor } : BAD_TARGET;
  }
  return parseAbsoluteForm(method, target, minor);
}

/** A version of the right shape is one we do not speak; anything else is no version. */
function versionFault(version: string): HeadFault {
  const isVersion =
    version.length === 8 &&
    version.startsWith("HTTP/") &&
    isDigits(version, 5, 6) &&
    version[6] === "." &&
    isDigits(version, 7, 8);
  return isVersion ? BAD_VERSION : BAD_LINE;
}

/** RFC 9112 3.2.2: the target's authority wins over Host. */
function parseAbsoluteForm(method: string, target: string, minor: 0 | 1): RequestLine | HeadFault {
  const lower = target.slice(0, 8).toLowerCase();
  const start = lower.startsWith("http://") ? 7 : lower === "https://" ? 8 : 0;
  if (start === 0) return BAD_TARGET;
  let end = start;
  while (end < target.length && target[end] !== "/" && target[end] !== "?") end += 1;
  const authority = target.slice(start, end);
  if (!isAuthority(authority)) return BAD_TARGET;
  const rest = target.slice(end);
  // RFC 9112 3.2.4: OPTIONS for a whole server has no path in absolute form and "*" in ours.
  const origin = rest === "" && method === "OPTIONS" ? "*" : rest.startsWith("/") ? rest : `/${rest}`;
  return { kind: "line", method, target: origin, authority, minor };
}

function assembleHead(line: RequestLine, fields: Fields): RequestHead | HeadFault {
  const { minor } = line;
  const [host] = fields.hosts;
  if (fields.hosts.length > 1) return MANY_HOSTS;
  if (host === undefined && minor === 1) return NO_HOST;
  if (host !== undefined && !isAuthority(host)) return BAD_HOST;
  const framing = requestFraming(fields, minor);
  if (framing.kind === "invalid") return framing;
  if (line.method === "TRACE" && framing.kind !== "none") return TRACE_WITH_BODY;
  const { connection } = fields;
  // RFC 9110 10.1.1: a server must ignore the expectation of an HTTP/1.0 client.
  const expectsContinue = minor === 1 && fields.expect !== null && framing.kind !== "none";
  if (fields.expect !== null && minor === 1 && fields.expect.toLowerCase() !== "100-continue") {
    return BAD_EXPECTATION;
  }
  const maxForwards = isLimitable(line.method) ? findMaxForwards(fields) : null;
  if (Number.isNaN(maxForwards)) return BAD_MAX_FORWARDS;
  return {
    method: line.method,
    target: line.target,
    authority: line.authority ?? host ?? "",
    minor,
    fields,
    framing,
    isPersistent: minor === 1 ? !connection.close : connection.keepAlive && !connection.close,
    expectsContinue,
    maxForwards,
    upgrade: askedUpgrade(fields, minor, framing),
  };
}

function isLimitable(method: string): boolean {
  return method === "OPTIONS" || method === "TRACE";
}

/** null when there is none, NaN when it is not one number. */
function findMaxForwards(fields: Fields): number | null {
  let found: number | null = null;
  for (const { kind, value } of fields.list) {
    if (kind !== "max-forwards") continue;
    if (found !== null || !isDigits(value)) return Number.NaN;
    found = Math.min(Number(value), FORWARDS_MAX);
  }
  return found;
}

/**
 * RFC 9110 7.8 lets a server ignore Upgrade: done for HTTP/1.0, for requests with a body (an empty one is none),
 * and for h2c, whose tunnel would carry requests past every rule of this proxy.
 */
function askedUpgrade(fields: Fields, minor: 0 | 1, framing: BodyFraming): string | null {
  if (fields.upgrade === null || !fields.connection.upgrade) return null;
  if (minor === 0) return null;
  if (framing.kind !== "none" && !(framing.kind === "length" && framing.length === 0)) return null;
  return fields.upgrade.toLowerCase().includes("h2c") ? null : fields.upgrade;
}

/** RFC 9110 9.2.2: sending it twice means no more than sending it once. */
export function isIdempotent(method: string): boolean {
  switch (method) {
    case "GET":
    case "HEAD":
    case "OPTIONS":
    case "PUT":
    case "DELETE":
      return true;
    default:
      return false;
  }
}
