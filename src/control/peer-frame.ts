// The text of one message on the peer link, both ways, without a socket. A frame carries an
// advertisement and two counts: `n` shows that nothing on this connection was lost, repeated or
// reordered; `boot` and `seq` order advertisements across connections and across restarts of the peer,
// because the same advertisement travels over every connection and a queue may be read late.

import { parseAdvertisement } from "../election/advertisement.ts";
import type { Advertisement } from "../election/advertisement.ts";

export const PROTOCOL_VERSION = 1;

/** A frame is about 250 bytes; more than this is no frame. */
export const FRAME_BYTES_MAX = 4096;

export interface Frame {
  /** 1 for the first frame of a connection, then one more each. */
  readonly n: number;
  /** Names one life of the sending process; differs after each start. */
  readonly boot: string;
  /** Counts the advertisements of one life; the same one has the same number on every connection. */
  readonly seq: number;
  readonly advertisement: Advertisement;
}

export type DecodedFrame =
  | { readonly kind: "frame"; readonly frame: Frame }
  | { readonly kind: "other-version"; readonly version: number }
  | { readonly kind: "invalid"; readonly reason: string };

/** JSON, one object: `{ v, n, kind: "advertisement", boot, seq, ...advertisement }`. */
export function encodeFrame({ n, boot, seq, advertisement }: Frame): string {
  return JSON.stringify({ v: PROTOCOL_VERSION, n, kind: "advertisement", boot, seq, ...advertisement });
}

/** Fields that are not known are ignored, so that one can be added without a new version. */
export function decodeFrame(text: string): DecodedFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "invalid", reason: "not JSON" };
  }
  if (typeof value !== "object" || value === null) return { kind: "invalid", reason: "not an object" };
  const { v, n, kind, boot, seq }: Partial<Record<string, unknown>> = { ...value };
  if (!isCount(v)) return { kind: "invalid", reason: "no protocol version" };
  // Before anything else: what another version means by the other fields is unknown.
  if (v !== PROTOCOL_VERSION) return { kind: "other-version", version: v };
  if (!isCount(n) || !isCount(seq)) return { kind: "invalid", reason: "no counter" };
  if (typeof boot !== "string" || boot.length === 0 || boot.length > 64) {
    return { kind: "invalid", reason: "no boot" };
  }
  if (kind !== "advertisement") return { kind: "invalid", reason: "unknown kind" };
  const advertisement = parseAdvertisement(value);
  if (advertisement === undefined) return { kind: "invalid", reason: "not an advertisement" };
  return { kind: "frame", frame: { n, boot, seq, advertisement } };
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 1;
}
