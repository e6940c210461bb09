// What a route is after parsing: what a request must be to take it, what becomes of the request then, and what is
// changed in its head on the way. Everything here can be sent to a worker as it is.

export interface RouteConfig {
  /** As the file names it, or `routes[0]`: for `vipair route`, logs and `${route.name}`. */
  readonly name: string;
  readonly match: RouteMatch;
  readonly action: RouteAction;
  /** null: the request goes on as it came. */
  readonly rewrite: RewriteConfig | null;
  /** null: it goes nowhere else. */
  readonly mirror: MirrorConfig | null;
}

/** A second pool that gets copies, whose answers nobody gets. */
export interface MirrorConfig {
  readonly pool: string;
  /** Percent of the requests, by lot. */
  readonly share: number;
}

/** All that is there must hold; an empty match holds for every request. */
export interface RouteMatch {
  /** Lower case, without a port; a leading "*." stands for one or more labels. One of them must hold. */
  readonly hosts?: readonly string[];
  /** One of them must hold. */
  readonly paths?: readonly PathMatch[];
  /** One of them must hold. */
  readonly methods?: readonly string[];
  /** Header fields; names in lower case. All of them must hold. */
  readonly fields?: readonly NamedMatch[];
  /** Parameters of the query. All of them must hold. */
  readonly query?: readonly NamedMatch[];
  /** All of them must hold. */
  readonly cookies?: readonly NamedMatch[];
  /** Addresses and CIDR blocks. One of them must hold the client's address. */
  readonly clients?: readonly string[];
  /** Language tags, lower case. One of them must be the client's choice among all that the listener's routes name. */
  readonly languages?: readonly string[];
}

export type PathMatch =
  /** On segment borders: "/v1" holds for "/v1" and "/v1/x", not for "/v10". */
  | { readonly kind: "prefix"; readonly text: string }
  | { readonly kind: "exact"; readonly text: string }
  /** In RE2's syntax; holds when it is found anywhere in the path. */
  | { readonly kind: "regex"; readonly text: string };

export interface NamedMatch {
  readonly name: string;
  readonly value: ValueMatch;
}

export type ValueMatch =
  | { readonly kind: "present" }
  | { readonly kind: "exact"; readonly text: string }
  | { readonly kind: "prefix"; readonly text: string };

export type RouteAction =
  | { readonly kind: "pool"; readonly pool: string }
  | SplitAction
  | { readonly kind: "redirect"; readonly to: Template; readonly status: 301 | 302 | 303 | 307 | 308 }
  | {
      readonly kind: "respond";
      readonly status: number;
      readonly body: string;
      /** Of the body; null when there is none. */
      readonly contentType: string | null;
    };

/** Several pools, each with its share of the clients. */
export interface SplitAction {
  readonly kind: "split";
  /** At least one weight is above 0. */
  readonly shares: readonly { readonly pool: string; readonly weight: number }[];
  /** What makes a client the same client: requests that have it in common stay in one pool. */
  readonly by: SplitKey;
  /** Requests with this header field go to this pool, whatever their share. `name` in lower case. */
  readonly override: { readonly name: string; readonly value: ValueMatch; readonly pool: string } | null;
}

export type SplitKey =
  | { readonly kind: "client" }
  /** Without that cookie: by client. */
  | { readonly kind: "cookie"; readonly name: string }
  /** Without that field: by client. `name` in lower case. */
  | { readonly kind: "header"; readonly name: string };

/** What is changed in the heads. */
export interface RewriteConfig {
  /** In place of what the route's path matched; in front of the path when the route matches any. */
  readonly path: Template | null;
  /** In place of Host. */
  readonly host: Template | null;
  readonly request: FieldChanges;
  readonly response: FieldChanges;
}

/** First the removals, then set, then add. Names as they are written. */
export interface FieldChanges {
  /** Lower case. */
  readonly remove: readonly string[];
  /** In place of all fields of that name. */
  readonly set: readonly FieldTemplate[];
  /** Beside what is there. */
  readonly add: readonly FieldTemplate[];
}

export interface FieldTemplate {
  readonly name: string;
  readonly value: Template;
}

/** A text with variables: literal texts and variables in turn. */
export type Template = readonly TemplatePart[];

export type TemplatePart = string | { readonly variable: Variable };

/** What a template can name. */
export type Variable = (typeof VARIABLES)[number];

/** As written between `${` and `}`. */
export const VARIABLES = [
  "client.address",
  "request.id",
  "request.method",
  "request.scheme",
  "request.host",
  "request.path",
  "request.query",
  "request.uri",
  "listener.name",
  "route.name",
  "node.name",
] as const;
