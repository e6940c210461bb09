// What a head becomes when it is passed on: hop-by-hop fields end here (RFC 9110 7.6.1), the fields
// that tell a backend who asked are written by this hop, and the framing fields are this hop's own.

import { type OutFraming } from "./body.ts";
import type { Field, FieldKind } from "./fields.ts";
import type { RequestHead } from "./request.ts";
import type { ResponseHead } from "./response.ts";

/** Who asked, and whether what they say of others is believed. */
export interface Sender {
  /** IPv4 or IPv6 literal. */
  readonly address: string;
  /** The sender is a proxy of ours: its forwarded fields are kept and extended. */
  readonly isTrusted: boolean;
  readonly scheme: "http" | "https";
}

/** What is changed in the fields of a head that passes. */
export interface HeadEdit {
  /** Lower case: ordinary fields that do not go on. */
  readonly drops: ReadonlySet<string>;
  /** Whole lines with their ends, written behind the others. Whoever makes them answers for what is in them. */
  readonly lines: string;
}

/** What is changed in a request's head. */
export interface RequestEdit extends HeadEdit {
  readonly target: string;
  /** For Host. The forwarded fields tell what the client said. */
  readonly authority: string;
}

/** The request head as the backend shall get it, with the empty line at its end. Always HTTP/1.1. Not for maxForwards 0. */
export function renderRequestHead(
  head: RequestHead,
  sender: Sender,
  edit: RequestEdit | null = null,
): string {
  const { fields } = head;
  const { nominated } = fields.connection;
  const { target, authority } = edit ?? head;
  let text = `${head.method} ${target} HTTP/1.1\r\nHost: ${authority}\r\n`;
  for (const field of fields.list) {
    if (field.kind === "ordinary" || passesToBackend(field.kind, head)) {
      if (edit?.drops.has(field.name.toLowerCase()) === true) continue;
      if (nominated.length === 0 || !isNominated(field, nominated))
        text += `${field.name}: ${field.value}\r\n`;
    }
  }
  if (head.maxForwards !== null) text += `Max-Forwards: ${String(head.maxForwards - 1)}\r\n`;
  text += forwardedFields(head, sender);
  if (edit !== null) text += edit.lines;
  switch (head.framing.kind) {
    case "none":
      // RFC 9110 8.6: a sender that declared an empty body keeps saying so.
      if (fields.contentLengths.length > 0) text += "Content-Length: 0\r\n";
      break;
    case "length":
      text += `Content-Length: ${String(head.framing.length)}\r\n`;
      break;
    case "chunked":
      text += "Transfer-Encoding: chunked\r\n";
      break;
    case "until-close":
      break;
  }
  if (head.upgrade !== null) text += `Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n`;
  return `${text}\r\n`;
}

/** Of the kinds that mean something here. */
function passesToBackend(kind: FieldKind, head: RequestHead): boolean {
  if (kind === "expect") return head.expectsContinue;
  return kind === "trailer" || (kind === "max-forwards" && head.maxForwards === null);
}

/** X-Forwarded-*, X-Real-IP and Forwarded (RFC 7239). */
function forwardedFields(head: RequestHead, sender: Sender): string {
  const { address, scheme } = sender;
  const node = address.includes(":") ? `"[${address}]"` : address;
  const host = head.authority === "" ? "" : `;host="${head.authority}"`;
  const element = `for=${node}${host};proto=${scheme}`;
  if (!sender.isTrusted) {
    const hostLine = head.authority === "" ? "" : `X-Forwarded-Host: ${head.authority}\r\n`;
    return (
      `X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: ${scheme}\r\n${hostLine}` +
      `X-Real-IP: ${address}\r\nForwarded: ${element}\r\n`
    );
  }
  const { list } = head.fields;
  const told = (kind: FieldKind): string => valueOf(list, kind);
  const chain = told("x-forwarded-for");
  const hostToTell = told("x-forwarded-host") || head.authority;
  const elements = told("forwarded");
  return (
    `X-Forwarded-For: ${chain === "" ? address : `${chain}, ${address}`}\r\n` +
    `X-Forwarded-Proto: ${told("x-forwarded-proto") || scheme}\r\n` +
    (hostToTell === "" ? "" : `X-Forwarded-Host: ${hostToTell}\r\n`) +
    `X-Real-IP: ${told("x-real-ip") || address}\r\n` +
    `Forwarded: ${elements === "" ? element : `${elements}, ${element}`}\r\n`
  );
}

/** All lines of a kind as one list; "" when there is none. */
function valueOf(list: readonly Field[], kind: FieldKind): string {
  let value = "";
  for (const field of list) {
    if (field.kind === kind && field.value !== "")
      value = value === "" ? field.value : `${value}, ${field.value}`;
  }
  return value;
}

function isNominated(field: Field, nominated: readonly string[]): boolean {
  return nominated.includes(field.name.toLowerCase());
}

/** To whom a response goes. */
export interface Recipient {
  readonly minor: 0 | 1;
  /** This hop will read another request from the connection. */
  readonly staysOpen: boolean;
}

/**
 * How a response's body goes to a client. HTTP/1.0 knows no chunks; to HTTP/1.1 a body that ended with
 * the backend's connection is chunked, so that the client's connection lives and a cut shows.
 */
export function responseOutFraming(head: ResponseHead, clientMinor: 0 | 1): OutFraming {
  switch (head.framing.kind) {
    case "none":
      return "none";
    case "length":
      return "length";
    case "chunked":
    case "until-close":
      return clientMinor === 1 ? "chunked" : "until-close";
  }
}

/** The final response head as the client shall get it, with the empty line at its end. */
export function renderResponseHead(
  head: ResponseHead,
  out: OutFraming,
  recipient: Recipient,
  edit: HeadEdit | null = null,
): string {
  let text = statusLine(head) + passedFields(head, edit);
  // RFC 9110 8.6: in answers to HEAD and in 304 the length is told of a body that does not come; not in 204.
  const [length] = head.fields.contentLengths;
  if (length !== undefined && head.status !== 204) text += `Content-Length: ${length}\r\n`;
  if (out === "chunked") text += "Transfer-Encoding: chunked\r\n";
  if (!recipient.staysOpen) text += "Connection: close\r\n";
  else if (recipient.minor === 0) text += "Connection: keep-alive\r\n";
  return `${text}\r\n`;
}

/** A 1xx head other than 101. */
export function renderInterimHead(head: ResponseHead): string {
  return `${statusLine(head)}${passedFields(head, null)}\r\n`;
}

/** The backend's 101: what follows belongs to the tunnel. */
export function renderSwitchHead(head: ResponseHead, edit: HeadEdit | null = null): string {
  const upgrade = head.fields.upgrade === null ? "" : `Upgrade: ${head.fields.upgrade}\r\n`;
  return `${statusLine(head)}${passedFields(head, edit)}Connection: Upgrade\r\n${upgrade}\r\n`;
}

function statusLine(head: ResponseHead): string {
  return `HTTP/1.1 ${String(head.status)} ${head.reasonPhrase}\r\n`;
}

function passedFields(head: ResponseHead, edit: HeadEdit | null): string {
  const { nominated } = head.fields.connection;
  let text = "";
  for (const field of head.fields.list) {
    if (!passesToClient(field.kind) || edit?.drops.has(field.name.toLowerCase()) === true) continue;
    if (nominated.length === 0 || !isNominated(field, nominated)) text += `${field.name}: ${field.value}\r\n`;
  }
  return edit === null ? text : text + edit.lines;
}

function passesToClient(kind: FieldKind): boolean {
  switch (kind) {
    case "connection":
    case "content-length":
    case "hop-by-hop":
    case "keep-alive":
    case "transfer-encoding":
    case "upgrade":
      return false;
    case "ordinary":
    case "expect":
    case "forwarded":
    case "host":
    case "max-forwards":
    case "trailer":
    case "x-forwarded-for":
    case "x-forwarded-host":
    case "x-forwarded-proto":
    case "x-real-ip":
      return true;
  }
}
