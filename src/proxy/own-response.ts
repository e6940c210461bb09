// The answers that a worker gives itself: fixed ones and redirects as configured, and errors. These say what the
// operator has written for their status, or short plain words; nothing of the request and of what is behind vipair.

import { reasonPhrase } from "../http1/reason-phrase.ts";
import type { ErrorPage } from "../protocol/worker.ts";

export interface OwnContent {
  readonly status: number;
  /** null: no such field, for answers without a body. */
  readonly contentType: string | null;
  /** A character for each byte. */
  readonly body: string;
  /** Further field lines with their ends. */
  readonly lines: string;
}

/** How an answer goes to its client. */
export interface OwnDelivery {
  readonly staysOpen: boolean;
  /** HTTP/1.0 clients are told that the connection stays open. */
  readonly minor: 0 | 1;
  /** The answer to HEAD has no body. */
  readonly isHead: boolean;
}

/** Seconds after which asking again makes sense: about one health check interval. */
const RETRY_AFTER_S = 1;

/** By status or class, as configured; null: none. The bodies have a character for each byte. */
export type OwnPages = ReadonlyMap<string, ErrorPage> | null;

/** The pages of a listener, ready to be sent. */
export function preparePages(pages: ReadonlyMap<string, ErrorPage>): OwnPages {
  return new Map([...pages].map(([key, page]) => [key, { ...page, body: byteString(page.body) }]));
}

/** What a client is told when its request could not be answered. */
export function errorContent(status: number, pages: OwnPages): OwnContent {
  const retry = status === 503 || status === 429 ? `Retry-After: ${String(RETRY_AFTER_S)}\r\n` : "";
  const name = String(status);
  const page = pages?.get(name) ?? pages?.get(`${name.charAt(0)}xx`);
  return {
    status,
    contentType: page?.contentType ?? "text/plain; charset=utf-8",
    body: page?.body ?? `${name} ${reasonPhrase(status)}\n`,
    lines: `Cache-Control: no-store\r\n${retry}`,
  };
}

/** A text as its UTF-8 bytes, a character for each. */
export function byteString(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** A whole response, latin1. */
export function renderOwnResponse(content: OwnContent, { staysOpen, minor, isHead }: OwnDelivery): string {
  const { status, contentType, body, lines } = content;
  const connection = staysOpen ? (minor === 0 ? "Connection: keep-alive\r\n" : "") : "Connection: close\r\n";
  const type = contentType === null ? "" : `Content-Type: ${contentType}\r\n`;
  // RFC 9110 8.6: none in 204; in 304 it would be the length of a body that is not here.
  const length = status === 204 || status === 304 ? "" : `Content-Length: ${String(body.length)}\r\n`;
  const head =
    `HTTP/1.1 ${String(status)} ${reasonPhrase(status)}\r\nDate: ${new Date().toUTCString()}\r\n` +
    `${type}${length}${lines}${connection}\r\n`;
  return isHead || length === "" ? head : head + body;
}
