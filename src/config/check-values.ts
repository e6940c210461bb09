// The texts of checks: bytes to send and to expect, header fields of a health page, the name of a certificate.

import { isHostName, isIpAddress } from "./address.ts";
import { readMethod } from "./http-values.ts";
import { invalid, ok, quote } from "./reading.ts";
import type { Reading } from "./reading.ts";

/** What a check sends is one packet at the most, and what it expects is no longer than that. */
const BYTES_MAX = 1024;

/** Four characters are a byte at the most. */
const WRITTEN_MAX = 4 * BYTES_MAX;

const ESCAPES: Readonly<Record<string, string>> = { r: "\r", n: "\n", t: "\t", "0": "\0", "\\": "\\" };

/**
 * Bytes as a text of characters U+0000 to U+00FF. Characters stand for their UTF-8; `\r`, `\n`, `\t`, `\0`, `\\` and
 * `\x1f` for what they do in most languages.
 */
export function readBytes(text: string): Reading<string> {
  if (text.length > WRITTEN_MAX) return tooLong(text);
  let bytes = "";
  for (const [part] of text.matchAll(/\\x[0-9A-Fa-f]{2}|\\[^x]|\\|[^\\]+/g)) {
    if (!part.startsWith("\\")) bytes += String.fromCharCode(...new TextEncoder().encode(part));
    else if (part.length === 4) bytes += String.fromCharCode(Number.parseInt(part.slice(2), 16));
    else {
      const meant = Object.hasOwn(ESCAPES, part.slice(1)) ? ESCAPES[part.slice(1)] : undefined;
      if (meant === undefined) {
        return invalid(
          `${quote(text)} has a backslash that begins nothing. Write \\r, \\n, \\t, \\0, \\x1f for a byte, or \\\\ for a backslash.`,
        );
      }
      bytes += meant;
    }
    if (bytes.length > BYTES_MAX) return tooLong(text);
  }
  return bytes === "" ? invalid('"" is nothing. Leave it out.') : ok(bytes);
}

function tooLong(text: string): Reading<string> {
  return invalid(`${quote(text)} is longer than ${String(BYTES_MAX)} bytes. Use a shorter text.`);
}

/** A part of a page: what is looked for in a body. */
export function readBodyText(text: string): Reading<string> {
  if (text === "") return invalid('"" is in every body. Leave it out.');
  return text.length > BYTES_MAX ? tooLong(text) : ok(text);
}

/** RFC 9110 5.1: a token; comes back in lower case. */
export function readFieldName(text: string): Reading<string> {
  if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/.test(text)) return ok(text.toLowerCase());
  return invalid(`${quote(text)} is not the name of a header field. Use one, such as x-ready.`);
}

/** The whole value of a field, or `*` for any, which is null. */
export function readExpectedField(text: string): Reading<string | null> {
  if (text === "*") return ok(null);
  // RFC 9110 5.5: visible characters with spaces between them.
  if (/^(?:[!-~\u0080-\u00ff](?:[\t -~\u0080-\u00ff]*[!-~\u0080-\u00ff])?)?$/.test(text)) return ok(text);
  return invalid(
    `${quote(text)} cannot be the value of a header field. Leave spaces around it and controls out.`,
  );
}

/** A method that is answered as others are. */
export function readCheckMethod(text: string): Reading<string> {
  return text === "CONNECT" ? invalid(`${quote(text)} asks for no page. Use GET, say.`) : readMethod(text);
}

/** What a certificate is made out to: a host name. */
export function readServerName(text: string): Reading<string> {
  if (isHostName(text) && !isIpAddress(text)) return ok(text.toLowerCase());
  return invalid(
    `${quote(text)} is not a host name. Use the one in the certificate, such as www.example.lan.`,
  );
}
