// The cookie by which a client comes back to the backend that it had. It is a sealed note of the balancer to itself,
// the same on both nodes:
//
//   base64url( tag of the backend, 8 bytes | expiry in seconds since 1970, 4 bytes, 0: none | seal, 16 bytes )
//
// Tag and seal are beginnings of HMAC-SHA256, with the key that the control process made, over what they are for and the
// pool's name. So a cookie shows neither name nor address, serves in one pool alone, and cannot be made or changed
// by anyone else. Whatever is not exactly such a note is as good as no cookie.

import { createHmac, timingSafeEqual } from "node:crypto";
import type { StickyConfig } from "../config/balance-config.ts";
import { cookieValues, withoutCookie } from "../routing/cookie.ts";
import type { Sender } from "../http1/forward.ts";
import type { RequestHead } from "../http1/request.ts";
import type { ResponseHead } from "../http1/response.ts";
import { wallSeconds } from "../system/clock.ts";

const TAG_BYTES = 8;
const EXPIRY_BYTES = 4;
const SEAL_BYTES = 16;
const NOTE_BYTES = TAG_BYTES + EXPIRY_BYTES;
const COOKIE_CHARACTERS = Math.ceil(((NOTE_BYTES + SEAL_BYTES) * 4) / 3);
/** What the clocks of the two nodes may differ. */
const CLOCK_SLACK_S = 60;

/** What a client's cookie says. */
export interface Bond {
  /** The name of the backend; it is configured. */
  readonly backend: string;
  /** The cookie need not be renewed yet. */
  readonly isFresh: boolean;
}

/** Whose answer it is, and to whom. */
interface Answer {
  readonly backend: string;
  readonly bond: Bond | null;
  /** Of the request. */
  readonly head: Pick<RequestHead, "fields">;
  readonly sender: Sender;
}

export class Sticky {
  readonly config: StickyConfig;
  private readonly pool: string;
  private readonly key: Uint8Array;
  /** tag -> backend, and back. */
  private readonly backends = new Map<string, string>();
  private readonly tags = new Map<string, Buffer>();

  constructor(options: {
    readonly config: StickyConfig;
    readonly pool: string;
    readonly backends: readonly string[];
    readonly key: Uint8Array;
  }) {
    this.config = options.config;
    this.pool = options.pool;
    this.key = options.key;
    for (const name of options.backends) {
      const tag = this.sign("backend", name).subarray(0, TAG_BYTES);
      this.backends.set(tag.toString("latin1"), name);
      this.tags.set(name, tag);
    }
  }

  /** The backend that a request's cookie names; null: no cookie, or none that is ours, whole and of this time. */
  read({ fields }: Pick<RequestHead, "fields">): Bond | null {
    for (const value of cookieValues(fields.list, this.config.cookie)) {
      const bond = this.open(value);
      if (bond !== null) return bond;
    }
    return null;
  }

  /** The head as the backend gets it: the cookie is no business of the application's. */
  hide(head: RequestHead): RequestHead {
    const list = withoutCookie(head.fields.list, this.config.cookie);
    return list === head.fields.list ? head : { ...head, fields: { ...head.fields, list } };
  }

  /**
   * The response head with a cookie for the backend that sent it, unless the client has a fresh one. A failing
   * backend binds nobody.
   */
  bind(head: ResponseHead, answer: Answer): ResponseHead {
    const { backend, bond } = answer;
    if ((bond?.backend === backend && bond.isFresh) || head.status >= 500) return head;
    const tag = this.tags.get(backend);
    if (tag === undefined) return head;
    const field = { name: "Set-Cookie", value: this.setCookie(tag, answer), kind: "ordinary" } as const;
    return { ...head, fields: { ...head.fields, list: [...head.fields.list, field] } };
  }

  private setCookie(tag: Buffer, answer: Answer): string {
    const { cookie, ttlMs, path, secure, httpOnly, sameSite } = this.config;
    const isSecure = secure === "always" || (secure === "auto" && cameOverHttps(answer));
    const attributes = [
      `${cookie}=${this.close(tag)}`,
      `Path=${path}`,
      ...(ttlMs === null ? [] : [`Max-Age=${String(Math.floor(ttlMs / 1000))}`]),
      ...(isSecure ? ["Secure"] : []),
      ...(httpOnly ? ["HttpOnly"] : []),
      `SameSite=${SAME_SITE[sameSite]}`,
    ];
    return attributes.join("; ");
  }

  private close(tag: Buffer): string {
    const note = Buffer.alloc(NOTE_BYTES);
    tag.copy(note);
    const { ttlMs } = this.config;
    note.writeUInt32BE(ttlMs === null ? 0 : wallSeconds() + Math.floor(ttlMs / 1000), TAG_BYTES);
    return Buffer.concat([note, this.seal(note)]).toString("base64url");
  }

  private open(value: string): Bond | null {
    if (value.length !== COOKIE_CHARACTERS) return null;
    const bytes = Buffer.from(value, "base64url");
    if (bytes.length !== NOTE_BYTES + SEAL_BYTES) return null;
    const note = bytes.subarray(0, NOTE_BYTES);
    if (!timingSafeEqual(bytes.subarray(NOTE_BYTES), this.seal(note))) return null;
    const backend = this.backends.get(note.toString("latin1", 0, TAG_BYTES));
    if (backend === undefined) return null;
    const expiry = note.readUInt32BE(TAG_BYTES);
    const leftS = expiry - wallSeconds();
    if (expiry !== 0 && leftS <= 0) return null;
    return { backend, isFresh: this.isFresh(expiry, leftS) };
  }

  /** Renewed when half of its time has passed, so that who keeps coming keeps the backend, and few responses carry it. */
  private isFresh(expiry: number, leftS: number): boolean {
    const { ttlMs } = this.config;
    if (ttlMs === null) return expiry === 0;
    const ttlS = ttlMs / 1000;
    return expiry !== 0 && leftS > ttlS / 2 && leftS <= ttlS + CLOCK_SLACK_S;
  }

  private seal(note: Buffer): Buffer {
    return this.sign("seal", note).subarray(0, SEAL_BYTES);
  }

  private sign(purpose: "backend" | "seal", about: string | Buffer): Buffer {
    return createHmac("sha256", this.key).update(`${purpose}\0${this.pool}\0`).update(about).digest();
  }
}

const SAME_SITE = { lax: "Lax", strict: "Strict", none: "None" } as const;

function cameOverHttps({ head, sender }: Answer): boolean {
  if (sender.scheme === "https" || !sender.isTrusted) return sender.scheme === "https";
  return head.fields.list.some(
    ({ kind, value }) => kind === "x-forwarded-proto" && value.toLowerCase() === "https",
  );
}
