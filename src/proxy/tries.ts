// What a request has behind it when a try of it has failed: whom it shall not meet again, how often it was sent, whether it
// counts as a retry, and the answer that nobody wanted. Apart from the exchange because hardly a request has any: this is
// made with the first failure.
//
//   place in the retry budget:  none ──begin──> open ──the whole request is there──> taken ──end──> none
//                                 └──────begin, and it is there already──────────────^
//
// A client that sends its body slowly keeps nobody else from being sent again: no backend works on its request yet.

import { createBody, hasEnded, transferBody } from "../http1/body.ts";
import type { ResponseHead } from "../http1/response.ts";
import type { Backend } from "./backend.ts";
import type { Retries } from "./retries.ts";

/** Of one request. Each of them may cost the time of `timeouts.connect`; HAProxy tries 4 (`retries`), nginx all there are. */
const CONNECTS_MAX = 16;
/** Of an answer that may be wanted after all. */
const BODY_BYTES_MAX = 64 * 1024;

/** An answer with a status that is tried again. */
export interface Declined {
  readonly head: ResponseHead;
  /** Its body, framed as it came; null: it had not come whole, or is too long to be kept. */
  readonly body: Buffer | null;
  readonly backend: string;
}

/** `behind` its head that much has come; it is lent. */
export function declineAnswer(head: ResponseHead, behind: Buffer, backend: string): Declined {
  const body = createBody(head.framing, "until-close");
  const end = transferBody(body, behind, 0, []);
  const isWhole = typeof end === "number" && hasEnded(body) && end <= BODY_BYTES_MAX;
  return { head, body: isWhole ? Buffer.from(behind.subarray(0, end)) : null, backend };
}

export class Tries {
  /** See PoolRequest. */
  readonly tried: Backend[] = [];
  /** The last one. */
  declined: Declined | null = null;
  /** Of those tried, whom nobody could connect to. */
  private readonly unreachable: Backend[] = [];
  private readonly retries: Retries;
  /** Connects that failed do not count: nobody has got the request. */
  private sendings = 1;
  private place: "none" | "open" | "taken" = "none";

  constructor(retries: Retries) {
    this.retries = retries;
  }

  /** It had the request. */
  noteSent(backend: Backend): void {
    this.tried.push(backend);
  }

  noteUnreachable(backend: Backend): void {
    this.tried.push(backend);
    this.unreachable.push(backend);
  }

  /** Another connect may be tried. */
  get mayConnect(): boolean {
    return this.unreachable.length < CONNECTS_MAX;
  }

  /** Those that had the request may have it again. False: nobody had it. */
  forgive(): boolean {
    if (this.tried.length === this.unreachable.length) return false;
    this.tried.length = 0;
    this.tried.push(...this.unreachable);
    return true;
  }

  get maySend(): boolean {
    return this.sendings < this.retries.settings.attempts;
  }

  /**
   * The request is about to be sent once more. False: the budget is spent. `active`: requests of the pool, this one
   * included; `isWhole`: nothing of its body is missing.
   */
  begin({ active, isWhole }: { readonly active: number; readonly isWhole: boolean }): boolean {
    if (!this.retries.mayBegin(active)) return false;
    this.sendings += 1;
    this.place = "open";
    if (isWhole) this.noteWhole();
    return true;
  }

  /** Nothing of its body is missing any more. */
  noteWhole(): void {
    if (this.place !== "open") return;
    this.place = "taken";
    this.retries.take();
  }

  /** It has its answer, or a backend has failed it again. */
  end(): void {
    if (this.place === "taken") this.retries.giveBack();
    this.place = "none";
  }
}
