// The parts of HTTP that appear in a configuration: what a route matches, what a health check asks and
// which status codes it takes for good.

import { canonicalAddress, isHostName, isIpAddress, readCheckAddress, readPort } from "./address.ts";
import { formatAddress } from "./config.ts";
import { cut, invalid, ok, quote } from "./reading.ts";
import type { Reading } from "./reading.ts";

export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

const PATH_CHARACTERS_MAX = 2048;
const HTTP_PORT = 80;

/** `api.example.lan`, `*.example.lan`, `[fd00::1]`: lower case, without a port. An IPv6 literal in its one form. */
export function readRouteHost(text: string): Reading<string> {
  if (text === "*") return invalid('"*" matches every host. Leave host out for that.');
  const name = text.startsWith("*.") ? text.slice(2) : text;
  if (isHostName(name)) return ok(text.toLowerCase());
  const address = canonicalAddress(text.replace(/^\[(.*:.*)\]$/, "$1"));
  if (address !== undefined) return ok(address.includes(":") ? `[${address}]` : address);
  if (/^[^:]+:\d+$/.test(name))
    return invalid(`${quote(text)} has a port. Write the host alone: it matches on every port.`);
  return invalid(`${quote(text)} is not a host. Use a name such as api.example.lan or *.example.lan.`);
}

/** A prefix on segment borders. */
export function readPathPrefix(text: string): Reading<string> {
  const path = readPath(text);
  if (path.kind === "invalid") return path;
  if (text.includes("?"))
    return invalid(`${quote(text)} has a query. A route matches the path before the "?".`);
  if (text.length > 1 && text.endsWith("/")) {
    const shorter = text.replace(/\/+$/, "");
    return invalid(
      `${quote(text)} ends in "/". Write "${shorter}": it matches "${shorter}" and everything below it.`,
    );
  }
  return path;
}

/** An RFC 9110 9.1 method in capitals. */
export function readMethod(text: string): Reading<string> {
  if (/^[A-Z][A-Z-]{0,31}$/.test(text)) return ok(text);
  const capitals = text.toUpperCase();
  if (/^[A-Z][A-Z-]{0,31}$/.test(capitals))
    return invalid(`${quote(text)} is not a method: methods are capitals. Use ${capitals}.`);
  return invalid(`${quote(text)} is not a method. Use one, such as GET or POST.`);
}

/** A path with or without a query, as it stands in a request line. */
export function readPath(text: string): Reading<string> {
  if (!text.startsWith("/")) return invalid(`${quote(text)} is not a path. Begin it with "/".`);
  if (text.length > PATH_CHARACTERS_MAX) {
    return invalid(
      `${quote(text)} is longer than ${String(PATH_CHARACTERS_MAX)} characters. Use a shorter path.`,
    );
  }
  // RFC 3986: what is not visible ASCII is percent-encoded; a fragment is never sent.
  if (!/^[!-~]+$/.test(text) || text.includes("#")) {
    return invalid(
      `${quote(text)} has characters that a path cannot have. Percent-encode them, such as %20 for a space.`,
    );
  }
  return ok(text);
}

/** What a Host field may say: a host, perhaps with a port. */
export function readHostField(text: string): Reading<string> {
  const parts = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(text);
  const host = (parts?.[1] ?? "").replace(/^\[(.*)\]$/, "$1");
  if (!isHostName(host) && !isIpAddress(host)) {
    return invalid(
      `${quote(text)} is not a host. Use a name such as www.example.lan, with a port if need be.`,
    );
  }
  const port = parts?.[2] === undefined ? undefined : readPort(parts[2]);
  return port?.kind === "invalid" ? port : ok(text);
}

/**
 * `http://127.0.0.1:8080/health`: what a tracked check asks for. Plain HTTP alone, since a check is about
 * this machine; no name and password, which would stand in logs. The host comes back without brackets too.
 */
export function readCheckUrl(text: string): Reading<{ readonly url: string; readonly host: string }> {
  const [, scheme, authority = "", rest = ""] = /^([a-z]+):\/\/([^/?#]*)([^]*)$/i.exec(text) ?? [];
  if (scheme === undefined)
    return invalid(`${quote(text)} is not a URL. Write one, such as http://127.0.0.1:8080/health.`);
  if (scheme.toLowerCase() !== "http")
    return invalid(`Only http:// is asked, not ${cut(scheme)}://. Use exec with a program that asks.`);
  if (authority.includes("@")) return invalid("A URL with a name and a password is not asked. Use exec.");
  const hasPort = !/^(\[[^\]]*\]|[^:]*)$/.test(authority);
  const target = readCheckAddress(
    hasPort ? authority : `${authority}:${String(HTTP_PORT)}`,
    "http://127.0.0.1:8080/health",
  );
  if (target.kind === "invalid") return target;
  const path = readPath(rest.startsWith("/") ? rest : `/${rest}`);
  if (path.kind === "invalid") return path;
  const { host, port } = target.value;
  const shown =
    port === HTTP_PORT ? formatAddress(host, port).replace(/:\d+$/, "") : formatAddress(host, port);
  return ok({ url: `http://${shown}${path.value}`, host });
}

/** `200`, `"200"`, `"200-399"`. */
export function readStatusRange(written: string | number): Reading<StatusRange> {
  const parts = /^(\d{3})(?:-(\d{3}))?$/.exec(String(written));
  const from = Number(parts?.[1]);
  const to = Number(parts?.[2] ?? from);
  // 1xx are not final, so a check never sees them.
  if (parts === null || from < 200 || to > 599 || from > to) {
    return invalid(
      `${typeof written === "number" ? String(written) : quote(written)} is not a status. Use 200 to 599, or a range such as "200-399".`,
    );
  }
  return ok({ from, to });
}
