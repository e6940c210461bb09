// The name of one request, for logs and for whoever it is passed on to: the one that a trusted proxy gave it, or
// one of our own that no other worker, node or start of vipair gives. It need not be secret, so it is a
// counter behind a random prefix, and made only when somebody asks for it.

import { randomBytes } from "node:crypto";
import type { Sender } from "../http1/forward.ts";
import type { RequestHead } from "../http1/request.ts";

/** 48 bits: among ten thousand starts of workers, two alike are less likely than 1 in 5 million. */
const PREFIX_BYTES = 6;

/** Ids of one worker. */
export class RequestIds {
  private readonly prefix = `${randomBytes(PREFIX_BYTES).toString("hex")}-`;
  private count = 0;

  next(): string {
    this.count += 1;
    return this.prefix + String(this.count);
  }
}

/** What others may call a request: nothing that needs escaping in a log or a field. */
const ID = /^[\w.:/+=@~-]{1,128}$/u;

/** The id of a request: what a trusted sender's X-Request-Id says, else a new one. */
export function requestId(head: RequestHead | null, sender: Sender, ids: RequestIds): string {
  if (head === null || !sender.isTrusted) return ids.next();
  const given = head.fields.list.find(
    ({ name }) => name.length === 12 && name.toLowerCase() === "x-request-id",
  );
  return given !== undefined && ID.test(given.value) ? given.value : ids.next();
}
