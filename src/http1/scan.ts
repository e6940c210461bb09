// Finds the end of a head in bytes that arrive in any pieces, and refuses at the first byte that no
// head may contain. It remembers how far it came, so a head sent byte by byte costs each byte once.
//
//   line ──byte──> line
//   line ──CR──> CR seen ──LF──> line end ──CR LF──> complete
//   a CR without LF, an LF without CR, any other control character: fault (RFC 9112 2.2, 9110 5.5)

export interface HeadLimits {
  /** The whole head, with the empty line at its end. */
  readonly headBytesMax: number;
  /** The first line, without its end. */
  readonly lineBytesMax: number;
  readonly fieldsMax: number;
}

export const DEFAULT_HEAD_LIMITS: HeadLimits = { headBytesMax: 32_768, lineBytesMax: 8192, fieldsMax: 100 };

/** Why a head is refused: the status that says so to a client, and the words for people. */
export interface HeadFault {
  readonly kind: "invalid";
  readonly status: number;
  readonly reason: string;
}

/** How far a head was scanned. One per connection; `restartScan` before each message. */
export interface HeadScan {
  /** Bytes before this offset are good. */
  scanned: number;
  /** Offset of the first byte of the first line: empty lines before it are skipped. */
  lineStart: number;
  /** Offset of the CR that ends the first line; -1 until it came. */
  lineEnd: number;
  /** Offset of the line that is being scanned. */
  currentLine: number;
}

export function createScan(): HeadScan {
  return { scanned: 0, lineStart: 0, lineEnd: -1, currentLine: 0 };
}

export function restartScan(scan: HeadScan): void {
  scan.scanned = 0;
  scan.lineStart = 0;
  scan.lineEnd = -1;
  scan.currentLine = 0;
}

export function fault(status: number, reason: string): HeadFault {
  return { kind: "invalid", status, reason };
}

const BARE_LF = fault(400, "a line ends in LF without CR");
const BARE_CR = fault(400, "a CR is not followed by LF");
const CONTROL = fault(400, "a control character in the head");
const HEAD_TOO_LARGE = fault(431, "the head is too large");
const LINE_TOO_LONG = fault(414, "the first line is too long");

/**
 * Scans bytes, which start at the message's first byte and hold at least what the last call saw.
 * "complete": scan.scanned is the offset behind the empty line. RFC 9112 2.2 lets empty lines
 * before a request line be skipped; they count against headBytesMax.
 */
export function scanHead(
  scan: HeadScan,
  bytes: Uint8Array,
  limits: HeadLimits,
): "incomplete" | "complete" | HeadFault {
  const end = Math.min(bytes.length, limits.headBytesMax);
  let i = scan.scanned;
  for (; i < end; i += 1) {
    const byte = bytes[i] ?? 0;
    if (byte >= 32 && byte !== 127) continue;
    if (byte === 9) continue;
    if (byte === 10) return BARE_LF;
    if (byte !== 13) return CONTROL;
    if (i + 1 >= end) break;
    if (bytes[i + 1] !== 10) return BARE_CR;
    const isEmpty = i === scan.currentLine;
    if (scan.lineEnd === -1) {
      if (isEmpty) scan.lineStart = i + 2;
      else if (i - scan.lineStart > limits.lineBytesMax) return LINE_TOO_LONG;
      else scan.lineEnd = i;
    } else if (isEmpty) {
      scan.scanned = i + 2;
      return "complete";
    }
    scan.currentLine = i + 2;
    i += 1;
  }
  scan.scanned = i;
  if (scan.lineEnd === -1 && i - scan.lineStart > limits.lineBytesMax) return LINE_TOO_LONG;
  if (bytes.length >= limits.headBytesMax) return HEAD_TOO_LARGE;
  return "incomplete";
}
