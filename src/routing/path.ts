// Paths in one form, so that a route cannot be walked around by another spelling of the same path. RFC 3986 6.2.2:
// percent-encoded unreserved characters are decoded, `.` and `..` are resolved; and slashes in a row are one, since
// most servers read them so. An encoded slash stays: it is data.

const UNRESERVED = /[A-Za-z0-9._~-]/;

/** `path` is without a query and begins with "/", or is "*". */
export function normalizePath(path: string): string {
  // Nearly all paths are in that form; these searches are all that they cost.
  if (!path.includes("%") && !path.includes("/.") && !path.includes("//")) return path;
  const segments: string[] = [];
  let isOpen = false;
  for (const segment of decodeUnreserved(path).slice(1).split("/")) {
    isOpen = segment === "" || segment === "." || segment === "..";
    if (segment === "..") segments.pop();
    else if (!isOpen) segments.push(segment);
  }
  const joined = `/${segments.join("/")}`;
  return isOpen && joined !== "/" ? `${joined}/` : joined;
}

function decodeUnreserved(path: string): string {
  return path.replaceAll(/%([0-9A-Fa-f]{2})/g, (encoded, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return UNRESERVED.test(character) ? character : encoded.toUpperCase();
  });
}
