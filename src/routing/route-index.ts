// Which routes could match a request at all, so that a listener with many routes does not try them all for each one.
// A route is found by one of its conditions: that which it shares with the fewest other routes. The ways to look (by host,
// by the first segment of the path, by a field, ...) are in route-lookups.ts. They only ever leave out routes that cannot
// match; which one does is for their conditions to say, in the order of the file.

import type { NamedMatch, PathMatch, RouteMatch } from "../config/route-config.ts";
import type { Condition } from "./conditions.ts";
import { firstSegment, normalizePath } from "./path.ts";
import type { RequestFacts } from "./request-facts.ts";
import {
  type Key,
  type Lookup,
  type LookupKind,
  LOOKUPS,
  type NumberedRoute,
  type Placed,
  UnkeyedRoutes,
} from "./route-lookups.ts";

interface Indexable {
  readonly config: { readonly match: RouteMatch };
  readonly conditions: readonly Condition[];
}

/** A condition by which a route can be found: it matches no request that has none of the keys. */
interface Handle {
  readonly kind: LookupKind;
  readonly keys: readonly Key[];
}

export class RouteIndex {
  readonly #lookups: readonly Lookup[];
  readonly #count: number;

  /** `routes` in the order of the file. */
  constructor(routes: readonly Indexable[]) {
    const handles = routes.map(({ config }) => handlesOf(config.match));
    const uses = countUses(handles.flat());
    const keyed = new Map<LookupKind, Placed[]>();
    const unkeyed: NumberedRoute[] = [];
    for (const [number, { conditions }] of routes.entries()) {
      const route = { number, conditions };
      const handle = leastUsed(handles[number] ?? [], uses);
      if (handle === null) {
        unkeyed.push(route);
        continue;
      }
      const placed = keyed.get(handle.kind) ?? [];
      placed.push(...handle.keys.map((key) => ({ key, route })));
      keyed.set(handle.kind, placed);
    }
    this.#lookups = [
      ...KINDS.flatMap((kind): Lookup[] => {
        const placed = keyed.get(kind);
        return placed === undefined ? [] : [LOOKUPS[kind](placed)];
      }),
      ...(unkeyed.length === 0 ? [] : [new UnkeyedRoutes(unkeyed)]),
    ];
    this.#count = routes.length;
  }

  /** The place of the first route that matches; the number of routes when none does. */
  find(facts: RequestFacts): number {
    let found = this.#count;
    for (const lookup of this.#lookups) {
      if (lookup.first < found) found = lookup.firstMatch(facts, found);
    }
    return found;
  }
}

/** Those that cost least come first: once a route is found, what is behind it is not looked up. */
const KINDS: readonly LookupKind[] = [
  "segment",
  "host",
  "method",
  "field",
  "cookie",
  "query",
  "client",
  "language",
  "expression",
];

function handlesOf(match: RouteMatch): readonly Handle[] {
  const { methods, hosts, paths, clients, languages } = match;
  const handles = [
    handleOf("segment", paths?.map(firstSegmentOf)),
    handleOf("host", hosts),
    handleOf("method", methods),
    ...namedHandles("field", match.fields),
    ...namedHandles("cookie", match.cookies),
    ...namedHandles("query", match.query),
    handleOf("client", clients),
    handleOf("language", languages),
    handleOf(
      "expression",
      paths?.map(({ kind, text }) => (kind === "regex" ? text : null)),
    ),
  ];
  return handles.filter((each) => each !== null);
}

/** null: the route says nothing of that kind, or something that cannot be looked up. */
function handleOf(kind: LookupKind, names: readonly (string | null)[] | undefined): Handle | null {
  const keys = [...new Set(names)].flatMap((name) => (name === null ? [] : [{ name, value: null }]));
  return names === undefined || names.includes(null) ? null : { kind, keys };
}

/** All of them must hold: the route can be found by each. */
function namedHandles(kind: LookupKind, named: readonly NamedMatch[] = []): readonly Handle[] {
  return named.map(({ name, value }) => ({
    kind,
    keys: [{ name, value: value.kind === "exact" ? value.text : null }],
  }));
}

/** null: it may be any. */
function firstSegmentOf({ kind, text }: PathMatch): string | null {
  if (kind === "regex") return null;
  const segment = firstSegment(normalizePath(text));
  return kind === "prefix" && segment === "" ? null : segment;
}

/** By key: how many routes could be found by it. */
function countUses(handles: readonly Handle[]): ReadonlyMap<string, number> {
  const uses = new Map<string, number>();
  for (const { kind, keys } of handles) {
    for (const key of keys) {
      const id = idOf(kind, key);
      uses.set(id, (uses.get(id) ?? 0) + 1);
    }
  }
  return uses;
}

function idOf(kind: LookupKind, key: Key): string {
  return JSON.stringify([kind, key.name, key.value]);
}

/** Of several that are equal the one that costs least. */
function leastUsed(handles: readonly Handle[], uses: ReadonlyMap<string, number>): Handle | null {
  let least: { readonly handle: Handle; readonly count: number } | null = null;
  for (const each of handles) {
    const count = Math.max(...each.keys.map((key) => uses.get(idOf(each.kind, key)) ?? 0));
    if (least === null || count < least.count) least = { handle: each, count };
  }
  return least?.handle ?? null;
}
