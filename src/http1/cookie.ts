// Cookies in the fields of a request (RFC 6265 4.2.1): one of them read, or left out on the way to a backend.

import type { Field } from "./fields.ts";

/** Looked at of one name: browsers send one for each path that was set. */
const VALUES_MAX = 4;

/** The values of the cookies of that name that are not empty, at most the first four. */
export function cookieValues(fields: readonly Field[], name: string): readonly string[] {
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

/** The fields without the cookies of that name; the same list when there are none. */
export function withoutCookie(fields: readonly Field[], name: string): readonly Field[] {
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

function isCookie({ name }: Field): boolean {
  return name.length === 6 && name.toLowerCase() === "cookie";
}

function pairEnd(text: string, start: number): number {
  const end = text.indexOf(";", start);
  return end === -1 ? text.length : end;
}

/** The value of the pair NAME=VALUE between two places; null when it has another name. */
function valueOfPair(text: string, start: number, end: number, name: string): string | null {
  let at = start;
  while (at < end && isSpace(text, at)) at += 1;
  if (!text.startsWith(name, at) || text[at + name.length] !== "=") return null;
  const value = text.slice(at + name.length + 1, end).trim();
  return value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}

function isSpace(text: string, at: number): boolean {
  return text[at] === " " || text[at] === "\t";
}
