// The parts of a route as operators write them: header names and values to look for, languages, what a redirect or
// a fixed answer says.

import { readPath } from "./http-values.ts";
import { invalid, ok, quote } from "./reading.ts";
import type { Reading } from "./reading.ts";
import type { Template } from "./route-config.ts";
import { FIELD_VALUE, readTemplate, TARGET_TEXT } from "./template.ts";

const NAME_CHARACTERS_MAX = 256;
/** Answers of our own stay in memory, and each client is written its one whole. */
export const OWN_BODY_BYTES_MAX = 64 * 1024;
/** RFC 9110 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** RFC 5646 2.1, without its finer points. */
const LANGUAGE = /^[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*$/;
const VISIBLE_TEXT = /^[ -~\u0080-\u00ff]*$/;

/** Who frames the messages and names the hosts is the balancer: these are not for a rewrite. Each with the advice. */
const OWN_FIELDS: Readonly<Record<string, string>> = {
  host: "Use rewrite.host.",
  connection: "It belongs to each connection.",
  "content-length": "It is that of the body.",
  expect: "It is between client and backend.",
  forwarded: "vipair writes it; see trustedProxies.",
  "keep-alive": "It belongs to each connection.",
  "max-forwards": "vipair counts it down.",
  "proxy-connection": "It belongs to each connection.",
  te: "It belongs to each connection.",
  trailer: "It is that of the body.",
  "transfer-encoding": "It is that of the body.",
  upgrade: "It belongs to each connection.",
  "x-forwarded-for": "vipair writes it; see trustedProxies.",
  "x-forwarded-host": "vipair writes it; see trustedProxies.",
  "x-forwarded-proto": "vipair writes it; see trustedProxies.",
  "x-real-ip": "vipair writes it; see trustedProxies.",
};

/** The name of a header field or of a cookie. RFC 9110 5.1, RFC 6265 4.1.1. */
export function readToken(text: string): Reading<string> {
  if (TOKEN.test(text) && text.length <= NAME_CHARACTERS_MAX) return ok(text);
  return invalid(`${quote(text)} is not a name. Use letters, digits and hyphens.`);
}

/** The name of a header field that a route looks at. */
export function readMatchedField(text: string): Reading<string> {
  const name = readToken(text);
  if (name.kind === "ok" && text.toLowerCase() === "host")
    return invalid(`${quote(text)} need not be the host that is asked for (RFC 9112 3.2.2). Use match.host.`);
  return name;
}

/** The name of a header field that a rewrite may set or remove. */
export function readChangeableField(text: string): Reading<string> {
  const name = readToken(text);
  const own = OWN_FIELDS[text.toLowerCase()];
  if (name.kind === "ok" && own !== undefined) return invalid(`${quote(text)} is not for a rewrite. ${own}`);
  return name;
}

/** What a header field, a parameter or a cookie must be. */
export function readWanted(text: string): Reading<string> {
  if (!VISIBLE_TEXT.test(text)) return invalid(`${quote(text)} has control characters. No request has them.`);
  return ok(text);
}

export function readLanguage(text: string): Reading<string> {
  if (LANGUAGE.test(text)) return ok(text.toLowerCase());
  return invalid(`${quote(text)} is not a language. Use a tag, such as de or pt-BR.`);
}

/** A whole path: it matches that path alone. */
export function readExactPath(text: string): Reading<string> {
  const path = readPath(text);
  if (path.kind === "ok" && text.includes("?"))
    return invalid(`${quote(text)} has a query. A route matches the path before the "?".`);
  return path;
}

/** A URL or a path. */
export function readRedirect(text: string): Reading<Template> {
  const template = readTemplate(text, TARGET_TEXT);
  if (template.kind === "invalid") return template;
  if (
    /^https?:\/\/./i.test(text) ||
    /^\/(?!\/)/.test(text) ||
    text.startsWith("${request.uri}") ||
    text.startsWith("${request.path}")
  )
    return template;
  return invalid(
    `${quote(text)} leads nowhere. Begin it with https://, http:// or "/", such as https://\${request.host}\${request.uri}.`,
  );
}

/** What stands in place of the path that matched. */
export function readNewPath(text: string): Reading<Template> {
  if (!text.startsWith("/")) return invalid(`${quote(text)} is not a path. Begin it with "/".`);
  if (/[?#]/.test(text)) return invalid(`${quote(text)} is more than a path. The query goes on as it came.`);
  return readTemplate(text, TARGET_TEXT);
}

export function readNewHost(text: string): Reading<Template> {
  const template = readTemplate(text, { allows: /^[A-Za-z0-9.:[\]_-]*$/, complaint: "a host cannot have" });
  if (template.kind === "ok" && template.value.length === 0) return invalid('"" is not a host. Use a name.');
  return template;
}

export function readFieldValue(text: string): Reading<Template> {
  return readTemplate(text, FIELD_VALUE);
}

/** What an answer of our own says. */
export function readOwnBody(text: string): Reading<string> {
  // Characters are never more than bytes, so this is the looser of the two readings of the limit.
  return text.length > OWN_BODY_BYTES_MAX
    ? invalid("The text is longer than 64 KiB. Use a backend.")
    : ok(text);
}

/** `text/html; charset=utf-8`: RFC 9110 8.3.1. */
export function readMediaType(text: string): Reading<string> {
  if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:\s*;[ -~]*)?$/.test(text)) return ok(text);
  return invalid(`${quote(text)} is not a media type. Use one, such as text/html or application/json.`);
}
