// Response heads of backends: bytes -> ResponseHead, or the reason why they are not to be believed.
// The status in a fault is the one of the request parser; whoever judges a response answers 502.

import { isDigits } from "./characters.ts";
import { type Fields, listMembers, parseFields } from "./fields.ts";
import { type BodyFraming, responseFraming } from "./framing.ts";
import { type HeadFault, type HeadLimits, type HeadScan, fault, scanHead } from "./scan.ts";

export interface ResponseHead {
  readonly status: number;
  /** May be empty. */
  readonly reasonPhrase: string;
  readonly minor: 0 | 1;
  readonly fields: Fields;
  readonly framing: BodyFraming;
  /** The backend would keep the connection. RFC 9112 9.3. */
  readonly isPersistent: boolean;
  /** `Keep-Alive: timeout=N` in milliseconds; null when the backend did not say. */
  readonly keepAliveTimeoutMs: number | null;
}

export type ResponseParse =
  | { readonly kind: "incomplete" }
  | HeadFault
  /** The body starts at offset `end`. */
  | { readonly kind: "head"; readonly head: ResponseHead; readonly end: number };

const INCOMPLETE = { kind: "incomplete" } as const;
const BAD_STATUS_LINE = fault(400, "the status line is invalid");
const LAST_INTERIM = fault(400, "an interim response that nothing may follow");
const LEADING_LINE = fault(400, "an empty line before the status line");

/**
 * Parses the response head at the start of bytes, like parseRequestHead. `method` is the request's:
 * the answer to HEAD has no body.
 */
export function parseResponseHead(
  bytes: Buffer,
  scan: HeadScan,
  limits: HeadLimits,
  method: string,
): ResponseParse {
  const hadLine = scan.lineEnd !== -1;
  const scanned = scanHead(scan, bytes, limits);
  if (scan.lineStart > 0) return LEADING_LINE;
  if (scanned === "incomplete") {
    // What is no response is known at once: who speaks another protocol may never end its "head".
    if (scan.lineEnd === -1) return beginsStatusLine(bytes) ? INCOMPLETE : BAD_STATUS_LINE;
    if (!hadLine && statusOf(bytes.toString("latin1", 0, scan.lineEnd)) === null) return BAD_STATUS_LINE;
    return INCOMPLETE;
  }
  if (scanned !== "complete") return scanned;
  const text = bytes.toString("latin1", 0, scan.scanned);
  const line = text.slice(0, scan.lineEnd);
  const status = statusOf(line);
  if (status === null) return BAD_STATUS_LINE;
  const minor = line.charCodeAt(7) === 49 ? 1 : 0;
  const fields = parseFields(text, scan.lineEnd + 2, text.length - 2, limits.fieldsMax, "pass");
  if ("kind" in fields) return fields;
  const isBodiless = method === "HEAD" || status < 200 || status === 204 || status === 304;
  const framing = responseFraming(fields, minor, isBodiless);
  if (framing.kind === "invalid") return framing;
  const { connection } = fields;
  // RFC 9110 15.2: HTTP/1.0 has no interim responses, and nothing could follow one that closes.
  if (status < 200 && status !== 101 && (minor === 0 || connection.close)) return LAST_INTERIM;
  const head: ResponseHead = {
    status,
    reasonPhrase: line.slice(13),
    minor,
    fields,
    framing,
    isPersistent:
      framing.kind !== "until-close" && !connection.close && (minor === 1 || connection.keepAlive),
    keepAliveTimeoutMs: fields.keepAlive === null ? null : keepAliveTimeoutMs(fields.keepAlive),
  };
  return { kind: "head", head, end: scan.scanned };
}

const VERSION = Buffer.from("HTTP/1.", "latin1");

function beginsStatusLine(bytes: Buffer): boolean {
  const length = Math.min(bytes.length, VERSION.length);
  return bytes.compare(VERSION, 0, length, 0, length) === 0;
}

/**
 * True when a 101 switches to what was asked for: RFC 9110 7.8. Anything else has no meaning that both
 * sides share. `asked` is the Upgrade field that was sent; null when there was none.
 */
export function isSwitchTo(head: ResponseHead, asked: string | null): boolean {
  if (asked === null || head.fields.upgrade === null) return false;
  const offered = listMembers(asked.toLowerCase());
  const chosen = listMembers(head.fields.upgrade.toLowerCase());
  return chosen.length > 0 && chosen.every((protocol) => offered.includes(protocol));
}

/** RFC 9112 4. The space before an empty reason phrase may be missing: many servers leave it out. */
function statusOf(line: string): number | null {
  if (!line.startsWith("HTTP/1.1 ") && !line.startsWith("HTTP/1.0 ")) return null;
  if (!isDigits(line, 9, 12) || (line.length > 12 && line[12] !== " ")) return null;
  const status = Number(line.slice(9, 12));
  return line.length >= 12 && status >= 100 ? status : null;
}

function keepAliveTimeoutMs(value: string): number | null {
  for (const member of listMembers(value)) {
    const lower = member.toLowerCase();
    if (lower.startsWith("timeout=") && isDigits(lower, 8) && lower.length <= 16) {
      return Number(lower.slice(8)) * 1000;
    }
  }
  return null;
}
