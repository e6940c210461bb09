// The answers that a worker gives itself: short, plain, and without a word about what is behind it.

export interface ErrorPage {
  readonly status: number;
  readonly staysOpen: boolean;
  /** HTTP/1.0 clients are told that the connection stays open. */
  readonly minor: 0 | 1;
  /** The answer to HEAD has no body. */
  readonly isHead: boolean;
}

const PHRASES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  404: "Not Found",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  417: "Expectation Failed",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
};

/** Seconds after which asking again makes sense: about one health check interval. */
const RETRY_AFTER_S = 1;

/** A whole response, latin1. */
export function renderErrorPage(page: ErrorPage): string {
  const phrase = PHRASES[page.status] ?? "Error";
  const body = `${String(page.status)} ${phrase}\n`;
  const connection = page.staysOpen
    ? page.minor === 0
      ? "Connection: keep-alive\r\n"
      : ""
    : "Connection: close\r\n";
  const retry = page.status === 503 || page.status === 429 ? `Retry-After: ${String(RETRY_AFTER_S)}\r\n` : "";
  const head =
    `HTTP/1.1 ${String(page.status)} ${phrase}\r\nDate: ${new Date().toUTCString()}\r\n` +
    `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${String(body.length)}\r\n` +
    `Cache-Control: no-store\r\n${retry}${connection}\r\n`;
  return page.isHead ? head : head + body;
}
