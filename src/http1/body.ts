// Bodies on their way through: decoded from the framing they came in, framed again for where they go.
// Chunks are never passed on as they came (RFC 9112 7.1.1 extensions end here), so that what a
// recipient reads as a length was written by this file.
//
//   length:       bytes ──(remaining = 0)──> ended
//   until-close:  bytes ──(the connection closes: finishBody)──> ended
//   chunked:      size ──> data ──> data end ──> size …
//                 size 0 ──> trailer ──(empty line)──> ended
//   any other byte: fault

import { tokenEnd } from "./characters.ts";
import { type Field, parseFields } from "./fields.ts";
import type { BodyFraming } from "./framing.ts";
import { type HeadFault, fault } from "./scan.ts";

/** How the body is framed for the recipient. */
export type OutFraming = "none" | "length" | "chunked" | "until-close";

type Phase = "raw" | "length" | "size" | "data" | "data-end" | "trailer" | "ended";

/** One body in progress. Made by createBody, moved by transferBody. */
export interface Body {
  phase: Phase;
  readonly out: OutFraming;
  /** Lower case: trailer fields that do not go on. null: none. */
  readonly drops: ReadonlySet<string> | null;
  /** Bytes left of the length or of the current chunk. */
  remaining: number;
  /** A size or trailer line that has not ended yet, latin1. */
  line: string;
  /** Bytes of the size line or trailer section so far, with extensions. */
  lineBytes: number;
  /** Decoded so far. */
  bodyBytes: number;
}

/** Chunk extensions have no use here; this bounds what they may cost. */
const CHUNK_LINE_BYTES_MAX = 256;
const TRAILER_BYTES_MAX = 8192;
const TRAILER_FIELDS_MAX = 50;
/** Hex digits that always make a safe integer. */
const SIZE_DIGITS_MAX = 12;

const BAD_SIZE = fault(400, "a chunk size is invalid");
const BAD_CHUNK_END = fault(400, "a chunk does not end in CR LF");
const LONG_LINE = fault(400, "a chunk extension is too long");
const LATE_FRAMING = fault(400, "a trailer is about the framing or the connection");
const LONG_TRAILER = fault(431, "the trailer section is too large");

/**
 * `out` must be able to carry `framing`: a length only travels as a length or is chunked. `drops`: what is taken out of
 * the head is not let in by the trailers, which many servers merge with it.
 */
export function createBody(
  framing: BodyFraming,
  out: OutFraming,
  drops: ReadonlySet<string> | null = null,
): Body {
  const body: Body = { phase: "ended", out, drops, remaining: 0, line: "", lineBytes: 0, bodyBytes: 0 };
  switch (framing.kind) {
    case "none":
      break;
    case "length":
      body.remaining = framing.length;
      body.phase = framing.length === 0 ? "ended" : "length";
      break;
    case "chunked":
      body.phase = "size";
      break;
    case "until-close":
      body.phase = "raw";
      break;
  }
  return body;
}

export function hasEnded(body: Body): boolean {
  return body.phase === "ended";
}

/**
 * Decodes bytes from offset `start` and appends what the recipient shall get to `parts`, with the last
 * chunk and trailers when the body ends here. Returns the offset of the first byte that is not the
 * body's. Parts may be views of bytes.
 */
export function transferBody(body: Body, bytes: Buffer, start: number, parts: Buffer[]): number | HeadFault {
  if (body.phase === "raw") {
    appendData(body, bytes.subarray(start), parts);
    return bytes.length;
  }
  if (body.phase === "length") {
    const end = Math.min(bytes.length, start + body.remaining);
    if (end > start)
      appendData(body, start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), parts);
    body.remaining -= end - start;
    if (body.remaining === 0) body.phase = "ended";
    return end;
  }
  return transferChunks(body, bytes, start, parts);
}

/** The sender's connection closed. True when that is how this body ends; a cut body gives false. */
export function finishBody(body: Body, parts: Buffer[]): boolean {
  if (body.phase !== "raw") return body.phase === "ended";
  body.phase = "ended";
  if (body.out === "chunked") parts.push(Buffer.from("0\r\n\r\n", "latin1"));
  return true;
}

function transferChunks(body: Body, bytes: Buffer, start: number, parts: Buffer[]): number | HeadFault {
  // All chunks of one read leave as one chunk: fewer writes, and the sender's borders mean nothing.
  const data: Buffer[] = [];
  let trailer: string | null = null;
  let at = start;
  while (at < bytes.length && body.phase !== "ended") {
    if (body.phase === "data") {
      const end = Math.min(bytes.length, at + body.remaining);
      data.push(bytes.subarray(at, end));
      body.remaining -= end - at;
      at = end;
      if (body.remaining === 0) startLine(body, "data-end");
      continue;
    }
    const plainEnd = takePlainLine(body, bytes, at);
    if (plainEnd > at) {
      at = plainEnd;
      continue;
    }
    const lineEnd = takeLine(body, bytes, at);
    if (typeof lineEnd !== "number") return lineEnd;
    at = lineEnd;
    if (!body.line.endsWith("\n")) break;
    if (body.phase === "trailer") {
      if (!body.line.endsWith("\r\n")) return BAD_CHUNK_END;
      if (body.line !== "\r\n" && !body.line.endsWith("\r\n\r\n")) continue;
      // A backend that merges trailers and takes "_" for "-" would read X_Forwarded_For as ours.
      const fields = parseFields(body.line, 0, body.line.length - 2, TRAILER_FIELDS_MAX, "drop");
      if ("kind" in fields) return fields;
      if (fields.list.some(steersConnection)) return LATE_FRAMING;
      trailer = renderTrailer(fields.list, body.drops);
      body.phase = "ended";
      continue;
    }
    if (body.phase === "data-end") {
      if (body.line !== "\r\n") return BAD_CHUNK_END;
      startLine(body, "size");
      continue;
    }
    const size = chunkSize(body.line);
    if (size === null) return BAD_SIZE;
    body.remaining = size;
    startLine(body, size === 0 ? "trailer" : "data");
  }
  appendChunk(body, data, parts);
  if (trailer !== null && body.out === "chunked") parts.push(Buffer.from(`0\r\n${trailer}\r\n`, "latin1"));
  return at;
}

function startLine(body: Body, phase: Phase): void {
  body.phase = phase;
  body.line = "";
  body.lineBytes = 0;
}

/**
 * What nearly all lines between chunks are: a size without extensions, or the end of the data, whole in these bytes.
 * Returns the offset behind it; `start` when it is something else. Measured: a body of one-byte chunks, which an
 * attacker may send, cost 4.5 ms for each 64 KiB when each line became a text.
 */
function takePlainLine(body: Body, bytes: Buffer, start: number): number {
  if (body.lineBytes > 0 || body.phase === "trailer") return start;
  let size = 0;
  let at = start;
  if (body.phase === "size") {
    const last = Math.min(bytes.length, start + SIZE_DIGITS_MAX);
    for (; at < last; at += 1) {
      const digit = hexDigit(bytes[at] ?? 0);
      if (digit === -1) break;
      size = size * 16 + digit;
    }
    if (at === start) return start;
  }
  if (bytes[at] !== 13 || bytes[at + 1] !== 10) return start;
  body.remaining = size;
  if (body.phase === "data-end") body.phase = "size";
  else body.phase = size === 0 ? "trailer" : "data";
  return at + 2;
}

/**
 * Moves bytes up to the next LF into body.line; a trailer section is kept as one text of several lines.
 * Returns the offset behind what it took.
 */
function takeLine(body: Body, bytes: Buffer, start: number): number | HeadFault {
  const feed = bytes.indexOf(10, start);
  const end = feed === -1 ? bytes.length : feed + 1;
  body.lineBytes += end - start;
  if (body.phase === "trailer") {
    if (body.lineBytes > TRAILER_BYTES_MAX) return LONG_TRAILER;
  } else if (body.lineBytes > CHUNK_LINE_BYTES_MAX) {
    return LONG_LINE;
  }
  for (let i = start; i < end; i += 1) {
    const byte = bytes[i] ?? 0;
    if ((byte < 32 && byte !== 9 && byte !== 10 && byte !== 13) || byte === 127) return BAD_SIZE;
    // A CR that is not the last but one of its line is bare.
    if (byte === 13 && i + 1 < end && bytes[i + 1] !== 10) return BAD_SIZE;
  }
  // A CR at the end of the last piece must have been followed by this LF.
  if (body.line.endsWith("\r") && bytes[start] !== 10) return BAD_SIZE;
  body.line += bytes.toString("latin1", start, end);
  return end;
}

/** RFC 9112 7.1: hex digits, then CR LF or an extension. null: not a size line. */
function chunkSize(line: string): number | null {
  if (!line.endsWith("\r\n")) return null;
  let at = 0;
  let size = 0;
  for (; at < line.length; at += 1) {
    const digit = hexDigit(line.charCodeAt(at));
    if (digit === -1) break;
    size = size * 16 + digit;
  }
  if (at === 0 || at > SIZE_DIGITS_MAX) return null;
  return line.charCodeAt(at) === 13 || areExtensions(line, at) ? size : null;
}

/**
 * RFC 9112 7.1.1 without the white space that it calls bad: what nobody reads the other way. `start` is the
 * offset of the first semicolon; the line went through takeLine and ends in CR LF.
 */
function areExtensions(line: string, start: number): boolean {
  const end = line.length - 2;
  let at = start;
  while (at < end) {
    if (line.charCodeAt(at) !== 59) return false;
    const nameEnd = tokenEnd(line, at + 1);
    if (nameEnd === at + 1) return false;
    at = nameEnd;
    if (line.charCodeAt(at) !== 61) continue;
    const valueEnd = line.charCodeAt(at + 1) === 34 ? quotedEnd(line, at + 1, end) : tokenEnd(line, at + 1);
    if (valueEnd === at + 1) return false;
    at = valueEnd;
  }
  return true;
}

/** The offset behind the quoted-string that begins at `start`; `start` when it does not end. RFC 9110 5.6.4. */
function quotedEnd(line: string, start: number, end: number): number {
  for (let at = start + 1; at < end; at += 1) {
    const code = line.charCodeAt(at);
    if (code === 92) at += 1;
    else if (code === 34) return at + 1;
  }
  return start;
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

/** For a length, an until-close body or one chunk's worth of data. */
function appendData(body: Body, data: Buffer, parts: Buffer[]): void {
  if (data.length > 0) appendChunk(body, [data], parts);
}

function appendChunk(body: Body, data: readonly Buffer[], parts: Buffer[]): void {
  let size = 0;
  for (const piece of data) size += piece.length;
  if (size === 0) return;
  body.bodyBytes += size;
  if (body.out === "chunked") parts.push(Buffer.from(`${size.toString(16)}\r\n`, "latin1"));
  for (const piece of data) parts.push(piece);
  if (body.out === "chunked") parts.push(CHUNK_END);
}

const CHUNK_END = Buffer.from("\r\n", "latin1");

/**
 * RFC 9110 6.5.1: fields about routing, request control, credentials, response control and content may
 * not come late. What is not `ordinary` to a proxy is left out anyway.
 */
const FORBIDDEN_IN_TRAILER: ReadonlySet<string> = new Set([
  "age",
  "authorization",
  "cache-control",
  "content-encoding",
  "content-range",
  "content-type",
  "cookie",
  "date",
  "expires",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "location",
  "pragma",
  "proxy-authenticate",
  "proxy-authorization",
  "range",
  "retry-after",
  "set-cookie",
  "vary",
  "warning",
  "www-authenticate",
]);

/** What some parsers obey even in a trailer section, where it can only mean an attack. */
function steersConnection({ kind }: Field): boolean {
  return kind === "content-length" || kind === "transfer-encoding" || kind === "connection";
}

function renderTrailer(fields: readonly Field[], drops: ReadonlySet<string> | null): string {
  let text = "";
  for (const { name, value, kind } of fields) {
    if (kind !== "ordinary") continue;
    const lower = name.toLowerCase();
    if (FORBIDDEN_IN_TRAILER.has(lower) || drops?.has(lower) === true) continue;
    text += `${name}: ${value}\r\n`;
  }
  return text;
}
