// Cookies in the fields of a request (RFC 6265 4.2.1): read for routes, hashes and sticky clients, or left out on the
// way to a backend. In one place, so that all of them read the same.

/** A field of a request as far as cookies go. */
interface CookieField {
  readonly name: string;
  readonly value: string;
}

/** Looked at of one name: browsers send one for each path that was set. */
const VALUES_MAX = 4;

const NO_COOKIES: ReadonlyMap<string, string> = new Map();

/** The values of the cookies of that name that are not empty, at most the first four. */
export function cookieValues(fields: readonly CookieField[], name: string): readonly string[] {
  const values: string[] = [];
  for (const field of fields) {
    if (!isCookie(field)) continue;
    const { value } = field;
    for (let start = 0; start < value.length;) {
      const end = pairEnd(value, start);
      const read = valueOfPair(value, start, end, name);
      if (read !== null && read !== "") values.push(read);
      if (values.length === VALUES_MAX) return values;
      start = end + 1;
    }
  }
  return values;
}

/** All cookies by name, each with its value; of several of one name the first, as servers take it (RFC 6265 5.4). */
export function readCookies(fields: readonly CookieField[]): ReadonlyMap<string, string> {
  let cookies: Map<string, string> | null = null;
  for (const field of fields) {
    if (!isCookie(field)) continue;
    cookies ??= new Map();
    const { value } = field;
    let equals = -1;
    for (let start = 0; start < value.length;) {
      const end = pairEnd(value, start);
      // Looked for once, and not again for each pair that has none: anyone can send thousands of those.
      if (equals < start) equals = value.indexOf("=", start);
      if (equals === -1) break;
      if (equals < end) {
        const name = value.slice(skipSpace(value, start, equals), equals);
        if (!cookies.has(name)) cookies.set(name, valueBetween(value, equals + 1, end));
      }
      start = end + 1;
    }
  }
  return cookies ?? NO_COOKIES;
}

/** The fields without the cookies of that name; the same list when there are none. */
export function withoutCookie<F extends CookieField>(fields: readonly F[], name: string): readonly F[] {
  if (!fields.some((field) => isCookie(field) && field.value.includes(`${name}=`))) return fields;
  return fields.flatMap((field) => {
    if (!isCookie(field)) return [field];
    const value = pairsWithout(field.value, name);
    return value === "" ? [] : [{ ...field, value }];
  });
}

/** What is left keeps its spelling. */
function pairsWithout(value: string, name: string): string {
  let kept = "";
  for (let start = 0; start < value.length;) {
    const end = pairEnd(value, start);
    if (valueOfPair(value, start, end, name) === null) kept += value.slice(start, end + 1);
    start = end + 1;
  }
  return kept.trim().replace(/;$/, "");
}

function isCookie({ name }: CookieField): boolean {
  return name.length === 6 && name.toLowerCase() === "cookie";
}

function pairEnd(text: string, start: number): number {
  const end = text.indexOf(";", start);
  return end === -1 ? text.length : end;
}

/** The value of the pair NAME=VALUE between two places; null when it has another name. */
function valueOfPair(text: string, start: number, end: number, name: string): string | null {
  const at = skipSpace(text, start, end);
  if (!text.startsWith(name, at) || text[at + name.length] !== "=") return null;
  return valueBetween(text, at + name.length + 1, end);
}

/** Without the quotes that may stand around it. */
function valueBetween(text: string, start: number, end: number): string {
  const value = text.slice(start, end).trim();
  return value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}

function skipSpace(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && (text[at] === " " || text[at] === "\t")) at += 1;
  return at;
}
