// The answers to an OPTIONS or TRACE that may not be passed on any more: RFC 9110 7.6.2 makes the hop at which
// Max-Forwards has run out its final recipient.

import type { RequestHead } from "../http1/request.ts";

/** RFC 9110 9.3.8: what is likely to be sensitive is not shown; scripts of a page could read it here. */
const UNSHOWN: ReadonlySet<string> = new Set(["authorization", "cookie", "proxy-authorization"]);

/** A whole response, latin1. `staysOpen`: this hop will read another request from the connection. */
export function renderFinalAnswer(head: RequestHead, staysOpen: boolean): string {
  const connection = staysOpen
    ? head.minor === 0
      ? "Connection: keep-alive\r\n"
      : ""
    : "Connection: close\r\n";
  const isTrace = head.method === "TRACE";
  const body = isTrace ? renderEcho(head) : "";
  const type = isTrace ? "Content-Type: message/http\r\n" : "";
  return (
    `HTTP/1.1 200 OK\r\nDate: ${new Date().toUTCString()}\r\n${type}` +
    `Content-Length: ${String(body.length)}\r\n${connection}\r\n${body}`
  );
}

/** The request as this hop has read it. */
function renderEcho(head: RequestHead): string {
  let text = `TRACE ${head.target} HTTP/1.${String(head.minor)}\r\n`;
  for (const { name, value } of head.fields.list) {
    if (!UNSHOWN.has(name.toLowerCase())) text += `${name}: ${value}\r\n`;
  }
  return `${text}\r\n`;
}
