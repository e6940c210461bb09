// One request as one line of JSON. A line is ASCII without control characters, whatever a client or a backend
// sent, and no longer than a pipe takes in one piece (4096 bytes). Written out by hand: with JSON.stringify a
// line took five times as long.

import type { AccessRecord } from "./access-record.ts";

/** Characters of what comes from outside; the rest is cut, and "..." stands for it. */
const TARGET_MAX = 1024;
const HOST_MAX = 255;
const METHOD_MAX = 32;
const REASON_MAX = 100;

/** Anything but printable ASCII, and what JSON gives a meaning. */
const UNSAFE = /[^ !#-[\]-~]/u;
const UNSAFE_ALL = /[^ !#-[\]-~]/gu;

/** A text as it stands in a line, with quotes. */
export function quoted(text: string): string {
  return `"${escaped(text, HOST_MAX)}"`;
}

/** What a line needs beside its record. */
export interface LineFrame {
  readonly id: string;
  /** Moments on the clock of the record, plus this, are milliseconds since 1970. */
  readonly wallOffsetMs: number;
  /** On the clock of the record. */
  readonly endedAt: number;
  /** Fields that stand on every line, with a comma in front: `,"node":"pi-a"`. */
  readonly suffix: string;
}

export function renderLine(record: AccessRecord, { id, wallOffsetMs, endedAt, suffix }: LineFrame): string {
  const { startedAt, headAt, connectedAt, respondedAt, attempts, end, reason } = record;
  return (
    `{"time":"${renderTime(Math.floor(startedAt + wallOffsetMs))}","id":"${id}"` +
    `,"client":"${record.client}","listener":"${record.listener}"${renderBackend(record)}${renderRequest(record)}` +
    `,"status":${record.status === 0 ? "null" : String(record.status)}` +
    `,"bytesIn":${String(record.bytesIn)},"bytesOut":${String(record.bytesOut)}` +
    `,"headMs":${renderSpan(headAt - startedAt)},"connectMs":${renderSpan(connectedAt - headAt)}` +
    `,"responseMs":${renderSpan(respondedAt - connectedAt)},"totalMs":${renderSpan(endedAt - startedAt)}` +
    `,"retries":${String(Math.max(0, attempts - 1))},"end":"${end ?? "ok"}"` +
    (reason === "" ? suffix : `,"reason":"${escaped(reason, REASON_MAX)}"${suffix}`)
  );
}

/** Pools and backends are named with what needs no escaping, or by their addresses. */
function renderBackend({ pool, backend }: AccessRecord): string {
  if (pool === "") return ',"pool":null,"backend":null';
  return backend === "" ? `,"pool":"${pool}","backend":null` : `,"pool":"${pool}","backend":"${backend}"`;
}

function renderRequest({ head, requestLine }: AccessRecord): string {
  if (head === null) {
    const nothing = ',"method":null,"target":null,"host":null,"protocol":null';
    return requestLine === "" ? nothing : `${nothing},"requestLine":"${escaped(requestLine, TARGET_MAX)}"`;
  }
  // Methods are tokens and hosts are hosts: nothing in them needs escaping.
  return (
    `,"method":"${cut(head.method, METHOD_MAX)}","target":"${escaped(head.target, TARGET_MAX)}"` +
    `,"host":"${cut(head.authority, HOST_MAX)}","protocol":"${head.minor === 1 ? "HTTP/1.1" : "HTTP/1.0"}"`
  );
}

/** As in a JSON string. A byte above 0x7E stands as `\u00XX`. */
function escaped(text: string, lengthMax: number): string {
  const part = cut(text, lengthMax);
  return UNSAFE.test(part) ? part.replaceAll(UNSAFE_ALL, escapeOne) : part;
}

function escapeOne(character: string): string {
  if (character === '"' || character === "\\") return `\\${character}`;
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function cut(text: string, lengthMax: number): string {
  return text.length > lengthMax ? `${text.slice(0, lengthMax)}...` : text;
}

/** Milliseconds with one digit behind the point; null for what did not happen. */
function renderSpan(ms: number): string {
  if (!(ms >= 0)) return "null";
  const tenths = Math.floor(ms * 10);
  return `${String(Math.floor(tenths / 10))}.${String(tenths % 10)}`;
}

/** The second that was rendered last: most lines are of the same one. */
const second = { at: -1, text: "" };

/** ISO 8601 with milliseconds, UTC. `ms` since 1970. */
function renderTime(ms: number): string {
  const at = Math.floor(ms / 1000);
  if (at !== second.at) {
    second.at = at;
    second.text = new Date(at * 1000).toISOString().slice(0, -4);
  }
  const rest = ms - at * 1000;
  return `${second.text}${rest < 10 ? "00" : rest < 100 ? "0" : ""}${String(rest)}Z`;
}
