// Paths in one form, so that a route cannot be walked around by another spelling of the same path.
//
//   as it came   /a//..//%61dmin/./x
//   resolved     /a//admin/x      RFC 3986 6.2.2: encoded unreserved characters decoded, `.` and `..` gone. An empty
//                                 segment is a segment. What had dot segments goes on like this: servers disagree on them.
//   compared     /a/admin/x       and slashes in a row are one, as many servers read them
//
// An encoded slash stays in all of them: it is data.

/** A target without its query. */
export function pathOf(target: string): string {
  const query = target.indexOf("?");
  return query === -1 ? target : target.slice(0, query);
}

/** Without the "?"; "" when there is none. */
export function queryOf(target: string): string {
  const query = target.indexOf("?");
  return query === -1 ? "" : target.slice(query + 1);
}

const UNRESERVED = /[A-Za-z0-9._~-]/;

/** Whether a path has dot segments, encoded ones too. It may say so of one that has none. */
function mayHaveDots(text: string): boolean {
  return text.includes("/.") || (text.includes("%") && /%2e/i.test(text));
}

/** What a target goes on as: the same text, unless its path has dot segments. With its query. */
export function resolveTarget(target: string): string {
  if (!mayHaveDots(target)) return target;
  const path = pathOf(target);
  const decoded = decodeUnreserved(path);
  const resolved = resolveDots(decoded);
  return resolved === decoded ? target : resolved + target.slice(path.length);
}

/** What routes compare. `path` is without a query and begins with "/", or is "*". */
export function normalizePath(path: string): string {
  // Nearly all paths are in that form; these searches are all that they cost.
  if (!path.includes("%") && !path.includes("/.") && !path.includes("//")) return path;
  return resolveDots(decodeUnreserved(path)).replaceAll(/\/{2,}/g, "/");
}

/** RFC 3986 5.2.4. */
function resolveDots(path: string): string {
  const segments = path.split("/");
  const kept: string[] = [];
  for (const segment of segments.slice(1)) {
    if (segment === "..") kept.pop();
    else if (segment !== ".") kept.push(segment);
  }
  const last = segments.at(-1);
  return `/${kept.join("/")}${(last === "." || last === "..") && kept.length > 0 ? "/" : ""}`;
}

function decodeUnreserved(path: string): string {
  return path.replaceAll(/%([0-9A-Fa-f]{2})/g, (encoded, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return UNRESERVED.test(character) ? character : encoded.toUpperCase();
  });
}

/** "v1" of "/v1/x". */
export function firstSegment(path: string): string {
  const end = path.indexOf("/", 1);
  return end === -1 ? path.slice(1) : path.slice(1, end);
}
