// The answers to an OPTIONS or TRACE that may not be passed on any more: RFC 9110 7.6.2 makes the hop at which
// Max-Forwards has run out its final recipient.

import type { RequestHead } from "../http1/request.ts";
import type { OwnContent } from "./own-response.ts";

/** RFC 9110 9.3.8: what is likely to be sensitive is not shown; scripts of a page could read it here. */
const UNSHOWN: ReadonlySet<string> = new Set(["authorization", "cookie", "proxy-authorization"]);

/** What this hop says to it. */
export function finalContent(head: RequestHead): OwnContent {
  return head.method === "TRACE"
    ? { status: 200, contentType: "message/http", body: renderEcho(head), lines: "" }
    : { status: 200, contentType: null, body: "", lines: "" };
}

/** The request as this hop has read it. */
function renderEcho(head: RequestHead): string {
  let text = `TRACE ${head.target} HTTP/1.${String(head.minor)}\r\n`;
  for (const { name, value } of head.fields.list) {
    if (!UNSHOWN.has(name.toLowerCase())) text += `${name}: ${value}\r\n`;
  }
  return `${text}\r\n`;
}
