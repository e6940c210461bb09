// Which bytes may stand where, as tables: one look-up per character on the hot path.

/** RFC 9110 5.6.2: tchar. The underscore has a bit of its own for nameClass. */
const TOKEN = tableOf("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
TOKEN[95] = 3;

/** RFC 3986 3.2.2: reg-name and IP-literal, without the brackets' structure, which isHost checks. */
const HOST = tableOf("!$%&'()*+,-.;=_~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

const HEX = tableOf("0123456789ABCDEFabcdef");

function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (let i = 0; i < characters.length; i += 1) table[characters.charCodeAt(i)] = 1;
  return table;
}

function allIn(table: Uint8Array, text: string, start: number, end: number): boolean {
  for (let i = start; i < end; i += 1) {
    const code = text.charCodeAt(i);
    if (code > 255 || table[code] === 0) return false;
  }
  return true;
}

/** True for a token of at least one character in text[start, end). RFC 9110 5.6.2. */
export function isToken(text: string, start = 0, end = text.length): boolean {
  return end > start && allIn(TOKEN, text, start, end);
}

/** Of a field name in text[start, end): 0 is no token, 1 a plain token, 3 a token with an underscore. */
export function nameClass(text: string, start: number, end: number): number {
  let seen = 0;
  for (let i = start; i < end; i += 1) {
    const kind = TOKEN[text.charCodeAt(i)] ?? 0;
    if (kind === 0) return 0;
    seen |= kind;
  }
  return seen;
}

/** The offset behind the token that begins at `start`; `start` when there is none. */
export function tokenEnd(text: string, start: number): number {
  let at = start;
  while (at < text.length && (TOKEN[text.charCodeAt(at)] ?? 0) !== 0) at += 1;
  return at;
}

/** True for one or more decimal digits and nothing else. */
export function isDigits(text: string, start = 0, end = text.length): boolean {
  if (end <= start) return false;
  for (let i = start; i < end; i += 1) {
    const code = text.charCodeAt(i);
    if (code < 48 || code > 57) return false;
  }
  return true;
}

/**
 * True for `uri-host [ ":" port ]` with a host that is not empty: RFC 9110 7.2, RFC 3986 3.2.2.
 * A user name in front (`user@host`) is not a host.
 */
export function isAuthority(text: string): boolean {
  let hostEnd: number;
  if (text.charCodeAt(0) === 91) {
    hostEnd = text.indexOf("]") + 1;
    if (hostEnd < 4 || !isIpv6Shape(text, 1, hostEnd - 1)) return false;
  } else {
    const colon = text.indexOf(":");
    hostEnd = colon === -1 ? text.length : colon;
    if (hostEnd === 0 || !allIn(HOST, text, 0, hostEnd)) return false;
  }
  if (hostEnd === text.length) return true;
  if (text.charCodeAt(hostEnd) !== 58) return false;
  if (hostEnd + 1 === text.length) return true;
  return (
    text.length - hostEnd <= 6 && isDigits(text, hostEnd + 1) && Number(text.slice(hostEnd + 1)) <= 65_535
  );
}

/** Only the alphabet: whether the groups make an address does not matter to a balancer. */
function isIpv6Shape(text: string, start: number, end: number): boolean {
  for (let i = start; i < end; i += 1) {
    const code = text.charCodeAt(i);
    if (code !== 58 && code !== 46 && (code > 255 || HEX[code] === 0)) return false;
  }
  return true;
}

/**
 * True when every character is printable ASCII but "#", and none of the path a backslash, which some servers read
 * as a slash (RFC 3986 allows neither): what a request target may hold.
 */
export function isTarget(text: string): boolean {
  let isPath = true;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code <= 32 || code >= 127 || code === 35 || (code === 92 && isPath)) return false;
    if (code === 63) isPath = false;
  }
  return text.length > 0;
}
