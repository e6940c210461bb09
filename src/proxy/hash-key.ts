// What the hash policies hash of a request. docs/balancing.md tells what becomes of requests without it.

import type { BalanceConfig } from "../config/balance-config.ts";
import { cookieValues } from "../http1/cookie.ts";
import type { Field } from "../http1/fields.ts";
import type { RequestHead } from "../http1/request.ts";

interface HashedRequest {
  readonly head: Pick<RequestHead, "target" | "fields">;
  readonly clientAddress: string;
}

/** null: the request has nothing of the kind, or the policy does not hash. */
export function readHashKey(balance: BalanceConfig, { head, clientAddress }: HashedRequest): string | null {
  switch (balance.kind) {
    case "source-hash":
      return clientAddress;
    case "uri-hash": {
      // HAProxy's `balance uri`: up to the question mark, and `whole` for all of it.
      const end = balance.query ? -1 : head.target.indexOf("?");
      return end === -1 ? head.target : head.target.slice(0, end);
    }
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
