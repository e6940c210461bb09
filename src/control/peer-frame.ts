// The text of one message on the peer link, both ways, without a socket. Two counts keep advertisements in
// order: `n` shows that nothing on this connection was lost, repeated or reordered; `boot` and `seq` order
// them across connections and across restarts of the peer, because the same advertisement travels over every
// connection and a queue may be read late. Run-time changes need neither: they carry their own order.

import { parseAdvertisement } from "../election/advertisement.ts";
import type { Advertisement } from "../election/advertisement.ts";
import { KEY_LENGTH_MAX, parseChanges } from "../election/changes.ts";
import type { Change } from "../election/changes.ts";

/**
 * 2: several groups, run-time changes. 3: the addresses of a group. 4: the sender's own times. 5: configuration files,
 * and exchanges about them.
 */
export const PROTOCOL_VERSION = 5;

/** An advertisement is about 300 bytes, and changes are cut to fit; more than this is no frame. */
export const FRAME_BYTES_MAX = 4096;

/** The list of changes in one frame, as JSON: what is around it fits into the rest. */
export const FRAME_CHANGES_BYTES_MAX = FRAME_BYTES_MAX - 512;

/** One text of an exchange. A configuration file is 1 MiB at most, and JSON writes some characters as two. */
export const EXCHANGE_BYTES_MAX = 4 * 1024 * 1024;

/** What of such a text is in one frame: base64 makes four of three bytes, and what is around it fits into the rest. */
export const EXCHANGE_PART_BYTES_MAX = 2400;

/** Keys that are counted for in one frame. */
const COUNTS_MAX = 4;

/** Addresses of one group that are told, so that they fit into a frame. */
const ADDRESSES_MAX = 64;
/** An IPv6 literal; canonical, so that equal addresses are equal texts. */
const ADDRESS_LENGTH_MAX = 45;

export interface AdvertisementMessage {
  readonly kind: "advertisement";
  /** Counts what one life of the sender advertised; the same advertisement has the same number everywhere. */
  readonly seq: number;
  readonly advertisement: Advertisement;
  /** The virtual addresses of its group, the first ADDRESSES_MAX of them. */
  readonly addresses: readonly string[];
  /** How many groups the sender has. */
  readonly groups: number;
}

export type ChangesMessage =
  /** Run-time changes; the receiver names `id` when it has stored them. */
  | {
      readonly kind: "changes";
      readonly id: number;
      readonly changes: readonly Change[];
      /** Instead of storing them first: count for these keys, with the changes in effect (peer-counts.ts). */
      readonly count?: readonly string[];
    }
  | { readonly kind: "changes-stored"; readonly id: number; readonly counts?: readonly number[] };

/** A question to the peer and its answer, pulled part by part (peer-exchange.ts). `id`: the asker's. */
export type ExchangeMessage = { readonly kind: "exchange"; readonly id: number } & (
  | { readonly step: "ask"; readonly bytes: number }
  | { readonly step: "answered"; readonly bytes: number }
  | {
      readonly step: "pull";
      readonly of: "question" | "answer";
      readonly offset: number;
      /** Grows with each pull of one text: the same pull comes over every connection. */
      readonly turn: number;
    }
  | {
      readonly step: "part";
      readonly of: "question" | "answer";
      readonly offset: number;
      /** Base64. */
      readonly data: string;
    }
  | { readonly step: "done" }
);

/** Which configuration file the sender has read last. */
export interface ConfigFileMessage {
  readonly kind: "config-file";
  /** SHA-256 of its text in hex. */
  readonly digest: string;
}

/** About the configuration. */
export type ConfigMessage = ExchangeMessage | ConfigFileMessage;

/** Beside advertisements, and no hurry. */
export type OperatorMessage = ChangesMessage | ConfigMessage;

export type Message = AdvertisementMessage | OperatorMessage;

export interface Frame {
  /** 1 for the first frame of a connection, then one more each. */
  readonly n: number;
  /** Names one life of the sending process; differs after each start. */
  readonly boot: string;
  /** The sending node. */
  readonly node: string;
  readonly message: Message;
}

export type DecodedFrame =
  | { readonly kind: "frame"; readonly frame: Frame }
  | { readonly kind: "other-version"; readonly version: number }
  | { readonly kind: "invalid"; readonly reason: string };

/**
 * JSON, one object: `{ v, n, boot, node, kind: "advertisement", seq, groups, addresses, ...advertisement }`,
 * `{ v, n, boot, node, kind: "changes", id, changes, count? }`,
 * `{ v, n, boot, node, kind: "changes-stored", id, counts? }`,
 * `{ v, n, boot, node, kind: "config-file", digest }`,
 * `{ v, n, boot, node, kind: "exchange", id, step, bytes? of? offset? turn? data? }`.
 */
export function encodeFrame({ n, boot, node, message }: Frame): string {
  const head = { v: PROTOCOL_VERSION, n, boot, node };
  if (message.kind !== "advertisement") return JSON.stringify({ ...head, ...message });
  const { kind, seq, groups, advertisement } = message;
  const addresses = message.addresses.slice(0, ADDRESSES_MAX);
  return JSON.stringify({ ...head, kind, seq, groups, addresses, ...advertisement });
}

/** Fields that are not known are ignored, so that one can be added without a new version. */
export function decodeFrame(text: string): DecodedFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return invalid("not JSON");
  }
  if (typeof value !== "object" || value === null) return invalid("not an object");
  const fields: Partial<Record<string, unknown>> = { ...value };
  const { v, n, boot, node } = fields;
  if (!isCount(v)) return invalid("no protocol version");
  // Before anything else: what another version means by the other fields is unknown.
  if (v !== PROTOCOL_VERSION) return { kind: "other-version", version: v };
  if (!isCount(n)) return invalid("no counter");
  if (!isShortText(boot)) return invalid("no boot");
  if (!isShortText(node)) return invalid("no node");
  const message = decodeMessage(fields);
  return typeof message === "string"
    ? invalid(message)
    : { kind: "frame", frame: { n, boot, node, message } };
}

/** A Message, or why it is none. */
function decodeMessage(fields: Partial<Record<string, unknown>>): Message | string {
  const { kind, seq, id, groups, addresses } = fields;
  switch (kind) {
    case "advertisement": {
      if (!isCount(seq)) return "no counter";
      if (!isCount(groups) || !isAddresses(addresses)) return "no groups or addresses";
      const advertisement = parseAdvertisement(fields);
      return advertisement === undefined
        ? "not an advertisement"
        : { kind, seq, groups, addresses, advertisement };
    }
    case "changes": {
      if (!isCount(id)) return "no counter";
      const changes = parseChanges(fields["changes"]);
      if (changes === undefined) return "not run-time changes";
      const { count } = fields;
      if (count === undefined) return { kind, id, changes };
      return isCountedKeys(count) ? { kind, id, changes, count } : "no keys to count for";
    }
    case "changes-stored": {
      if (!isCount(id)) return "no counter";
      const { counts } = fields;
      if (counts === undefined) return { kind, id };
      return isCounts(counts) ? { kind, id, counts } : "not counts";
    }
    case "config-file": {
      const { digest } = fields;
      return typeof digest === "string" && /^[0-9a-f]{64}$/.test(digest) ? { kind, digest } : "not a digest";
    }
    case "exchange": {
      if (!isCount(id)) return "no counter";
      const exchange = decodeExchange(fields);
      return exchange === undefined ? "not an exchange" : { kind, id, ...exchange };
    }
    default:
      return "unknown kind";
  }
}

type Exchange<T = ExchangeMessage> = T extends unknown ? Omit<T, "kind" | "id"> : never;

function decodeExchange(fields: Partial<Record<string, unknown>>): Exchange | undefined {
  const { step, of, bytes, offset, turn, data } = fields;
  switch (step) {
    case "ask":
    case "answered":
      return isCount(bytes) && bytes <= EXCHANGE_BYTES_MAX ? { step, bytes } : undefined;
    case "done":
      return { step };
    case "pull":
    case "part": {
      if (of !== "question" && of !== "answer") return undefined;
      if (typeof offset !== "number" || !Number.isSafeInteger(offset)) return undefined;
      if (offset < 0 || offset >= EXCHANGE_BYTES_MAX) return undefined;
      if (step === "pull") return isCount(turn) ? { step, of, offset, turn } : undefined;
      return isPart(data) ? { step, of, offset, data } : undefined;
    }
    default:
      return undefined;
  }
}

function isPart(value: unknown): value is string {
  return (
    typeof value === "string" &&
    value.length > 0 &&
    value.length <= (EXCHANGE_PART_BYTES_MAX / 3) * 4 &&
    value.length % 4 === 0 &&
    /^[A-Za-z0-9+/]+={0,2}$/.test(value)
  );
}

function invalid(reason: string): DecodedFrame {
  return { kind: "invalid", reason };
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 1;
}

function isCountedKeys(value: unknown): value is readonly string[] {
  if (!Array.isArray(value) || value.length > COUNTS_MAX) return false;
  return value.every((key) => typeof key === "string" && key.length <= KEY_LENGTH_MAX);
}

function isCounts(value: unknown): value is readonly number[] {
  if (!Array.isArray(value) || value.length > COUNTS_MAX) return false;
  return value.every((count) => Number.isSafeInteger(count) && count >= 0);
}

function isAddresses(value: unknown): value is readonly string[] {
  if (!Array.isArray(value) || value.length > ADDRESSES_MAX) return false;
  return value.every((address) => typeof address === "string" && address.length <= ADDRESS_LENGTH_MAX);
}

function isShortText(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= 64;
}
