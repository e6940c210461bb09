// What a listener makes of a request head before anything is sent: the pool that answers it, with the changes of its
// heads, or an answer that needs no backend.

import type { HeadEdit, RequestEdit, Sender } from "../http1/forward.ts";
import type { RequestHead } from "../http1/request.ts";
import type { MirrorConfig, RouteAction } from "../config/route-config.ts";
import { resolveTarget } from "../routing/path.ts";
import type { RequestFacts } from "../routing/request-facts.ts";
import {
  type FieldRewrite,
  namesHost,
  placeOf,
  renderLocation,
  type Rewrite,
  type Surroundings,
} from "../routing/rewrite.ts";
import { factsOf, findRoute, type Route } from "../routing/route.ts";
import { poolOf } from "../routing/split.ts";
import type { Listener } from "./listener.ts";
import { byteString, errorContent, type OwnContent } from "./own-response.ts";

export type Dispatch =
  PoolDispatch | { readonly kind: "answer"; readonly content: OwnContent } | { readonly kind: "not-found" };

export interface PoolDispatch {
  readonly kind: "pool";
  readonly pool: string;
  readonly edits: HeadEdits | null;
  /** null: the request goes nowhere else. */
  readonly mirror: MirrorConfig | null;
}

/** Changes of the heads of one exchange. */
export interface HeadEdits {
  readonly request: RequestEdit;
  /** null: none. */
  readonly response: HeadEdit | null;
}

const NOT_FOUND = { kind: "not-found" } as const;
const NO_DROPS: ReadonlySet<string> = new Set();

/** Who asks. */
interface Asker {
  readonly sender: Sender;
  readonly clientAddress: string;
  readonly node: string;
  /** The id of this request, which is made when a template names it. */
  requestId(): string;
}

/** What becomes of the request. */
export function dispatch(listener: Listener, head: RequestHead, asker: Asker): Dispatch {
  const facts = factsOf(listener.table, head, asker);
  const route = findRoute(listener.table, facts);
  if (route === null) return NOT_FOUND;
  const { rewrite } = route;
  const { action, name, mirror } = route.config;
  switch (action.kind) {
    case "pool":
    case "split":
      return {
        kind: "pool",
        pool: poolOf(action, facts),
        edits: rewrite === null ? plainEdits(head) : editsOf(rewrite, facts, surround(listener, name, asker)),
        mirror,
      };
    case "redirect":
      if (facts.host === "" && namesHost(action.to))
        return { kind: "answer", content: errorContent(400, listener.errorPages) };
      return { kind: "answer", content: contentOf(action, route, facts, surround(listener, name, asker)) };
    case "respond":
      return { kind: "answer", content: contentOf(action, route, facts, surround(listener, name, asker)) };
  }
}

function surround(listener: Listener, route: string, asker: Asker): Surroundings {
  return {
    scheme: asker.sender.scheme,
    listener: listener.name,
    route,
    node: asker.node,
    requestId: () => asker.requestId(),
  };
}

/** Without a rewrite: what the routes compared is what the backend gets, where servers would read it differently. */
function plainEdits({ target, authority }: Pick<RequestHead, "target" | "authority">): HeadEdits | null {
  const resolved = resolveTarget(target);
  if (resolved === target) return null;
  return { request: { target: resolved, authority, drops: NO_DROPS, lines: "" }, response: null };
}

function editsOf(rewrite: Rewrite, facts: RequestFacts, around: Surroundings): HeadEdits {
  const { drops, lines } = editOf(rewrite.request, facts, around) ?? { drops: NO_DROPS, lines: "" };
  return {
    request: { ...placeOf(rewrite, facts, around), drops, lines },
    response: editOf(rewrite.response, facts, around),
  };
}

function editOf(rewrite: FieldRewrite | null, facts: RequestFacts, around: Surroundings): HeadEdit | null {
  return rewrite === null ? null : { drops: rewrite.drops, lines: rewrite.lines(facts, around) };
}

function contentOf(
  action: Extract<RouteAction, { readonly kind: "redirect" | "respond" }>,
  { rewrite }: Route,
  facts: RequestFacts,
  around: Surroundings,
): OwnContent {
  const lines = rewrite?.response?.lines(facts, around) ?? "";
  switch (action.kind) {
    case "redirect":
      return {
        status: action.status,
        contentType: null,
        body: "",
        lines: `Location: ${renderLocation(action.to, facts, around)}\r\n${lines}`,
      };
    case "respond":
      return { status: action.status, contentType: action.contentType, body: byteString(action.body), lines };
  }
}
