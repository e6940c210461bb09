// Which routes could match a request at all, by one look at its host or at the first segment of its path, so that a
// listener with many routes does not try them all for each request. It only ever leaves out routes that could not match;
// which one does is for their conditions to say (route.ts), in the order of the file.

import type { PathMatch, RouteMatch } from "../config/route-config.ts";
import { normalizePath } from "./path.ts";
import type { RequestFacts } from "./request-facts.ts";

export interface RouteIndex<R> {
  readonly by: "host" | "segment";
  /** In the order of the file. */
  readonly candidates: ReadonlyMap<string, readonly R[]>;
  /** For a host or segment that no route names. */
  readonly others: readonly R[];
}

/** With fewer routes that it could tell apart, trying them costs less. */
const KEYED_MIN = 8;
/** Places in all lists of candidates together: a route without a key stands in each of them. */
const PLACES_MAX = 1_000_000;

/** null: routes are tried one after the other. */
export function indexRoutes<R extends { readonly config: { readonly match: RouteMatch } }>(
  routes: readonly R[],
): RouteIndex<R> | null {
  const hosts = routes.map(({ config }) => exactHosts(config.match));
  const segments = routes.map(({ config }) => firstSegments(config.match));
  const isByHost = countKeyed(hosts) >= countKeyed(segments);
  const keys = isByHost ? hosts : segments;
  const names = new Set(keys.flatMap((some) => some ?? []));
  const keyed = countKeyed(keys);
  if (keyed < KEYED_MIN || names.size * (routes.length - keyed + 1) > PLACES_MAX) return null;
  const lists = new Map([...names].map((name): [string, R[]] => [name, []]));
  const others: R[] = [];
  for (const [index, route] of routes.entries()) {
    const some = keys[index] ?? null;
    if (some === null) others.push(route);
    for (const name of some === null ? names : new Set(some)) lists.get(name)?.push(route);
  }
  return { by: isByHost ? "host" : "segment", candidates: lists, others };
}

/** Every route that matches is among them. */
export function candidatesOf<R>(
  { by, candidates, others }: RouteIndex<R>,
  facts: RequestFacts,
): readonly R[] {
  return candidates.get(by === "host" ? facts.host : firstSegment(facts.path)) ?? others;
}

function countKeyed(keys: readonly (readonly string[] | null)[]): number {
  return keys.filter((some) => some !== null).length;
}

/** null: it may match any host. */
function exactHosts({ hosts }: RouteMatch): readonly string[] | null {
  return hosts === undefined || hosts.some((host) => host.startsWith("*.")) ? null : hosts;
}

/** null: it may match any path. */
function firstSegments({ paths }: RouteMatch): readonly string[] | null {
  const segments = paths?.map(segmentOf) ?? [null];
  return segments.every((segment) => segment !== null) ? segments : null;
}

function segmentOf({ kind, text }: PathMatch): string | null {
  if (kind === "regex") return null;
  const segment = firstSegment(normalizePath(text));
  return kind === "prefix" && segment === "" ? null : segment;
}

/** "v1" of "/v1/x". */
function firstSegment(path: string): string {
  const end = path.indexOf("/", 1);
  return end === -1 ? path.slice(1) : path.slice(1, end);
}
