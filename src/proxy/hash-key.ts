// What the hash policies hash of a request. docs/balancing.md tells what becomes of requests without it.

import type { BalanceConfig } from "../config/balance-config.ts";
import { cookieValues } from "../routing/cookie.ts";
import type { Field } from "../http1/fields.ts";
import type { RequestHead } from "../http1/request.ts";
import { pathOf } from "../routing/path.ts";

interface HashedRequest {
  readonly head: Pick<RequestHead, "target" | "fields">;
  /** Worked out each time it is asked for. */
  readonly clientAddress: string;
}

/** null: the request has nothing of the kind, or the policy does not hash. */
export function readHashKey(balance: BalanceConfig, request: HashedRequest): string | null {
  const { head } = request;
  switch (balance.kind) {
    case "source-hash":
      return request.clientAddress;
    case "uri-hash":
      // HAProxy's `balance uri`: up to the question mark, and `whole` for all of it.
      return balance.query ? head.target : pathOf(head.target);
    case "header-hash":
      return fieldValue(head.fields.list, balance.header);
    case "cookie-hash":
      return cookieValues(head.fields.list, balance.cookie)[0] ?? null;
    case "round-robin":
    case "least-connections":
    case "least-response-time":
    case "random":
    case "first":
      return null;
  }
}

/** The first value of a field that is not empty. `name` in lower case. */
function fieldValue(fields: readonly Field[], name: string): string | null {
  const field = fields.find(
    (one) => one.name.length === name.length && one.value !== "" && one.name.toLowerCase() === name,
  );
  return field?.value ?? null;
}
