// From the values of a file that kept to the schema to a RouteConfig.

import type { FieldChanges, NamedMatch, PathMatch, RewriteConfig, RouteAction } from "./route-config.ts";
import type { RouteConfig, RouteMatch, SplitAction, SplitKey, Template, ValueMatch } from "./route-config.ts";
import type { ConfigFile } from "./schema.ts";

type RouteFile = NonNullable<ConfigFile["listeners"][number]["routes"]>[number];
type MatchFile = RouteFile["match"];
type WantedFile = NonNullable<MatchFile["header"]>[string];
/** What `pool: NAME` of a listener is short for has no more than these. */
type ShortRoute = Pick<RouteFile, "match" | "pool"> & Partial<RouteFile>;

/** `index`: its place in the list, which names it when the file does not. */
export function toRoute(route: ShortRoute, index: number): RouteConfig {
  return {
    name: route.name ?? `routes[${String(index)}]`,
    match: toMatch(route.match),
    action: toAction(route),
    rewrite: route.rewrite === undefined ? null : toRewrite(route.rewrite),
    mirror: route.mirror ?? null,
  };
}

function toMatch(match: MatchFile): RouteMatch {
  const { host, path, method, header, query, cookie, client, language } = match;
  return {
    ...(host === undefined ? {} : { hosts: listed(host) }),
    ...(path === undefined ? {} : { paths: (Array.isArray(path) ? path : [path]).map(toPathMatch) }),
    ...(method === undefined ? {} : { methods: listed(method) }),
    ...(header === undefined ? {} : { fields: toNamed(header, (name) => name.toLowerCase()) }),
    ...(query === undefined ? {} : { query: toNamed(query, (name) => name) }),
    ...(cookie === undefined ? {} : { cookies: toNamed(cookie, (name) => name) }),
    ...(client === undefined ? {} : { clients: listed(client) }),
    ...(language === undefined ? {} : { languages: listed(language) }),
  };
}

function listed(value: string | readonly string[]): readonly string[] {
  return typeof value === "string" ? [value] : value;
}

/** The cross-checks made sure that a map has one of the three. */
function toPathMatch(
  path: string | { readonly prefix?: string; readonly exact?: string; readonly regex?: string },
): PathMatch {
  if (typeof path === "string") return { kind: "prefix", text: path };
  if (path.exact !== undefined) return { kind: "exact", text: path.exact };
  if (path.regex !== undefined) return { kind: "regex", text: path.regex };
  return { kind: "prefix", text: path.prefix ?? "/" };
}

function toNamed(
  wanted: Readonly<Record<string, WantedFile>>,
  canonical: (name: string) => string,
): readonly NamedMatch[] {
  return Object.entries(wanted).map(([name, value]) => ({
    name: canonical(name),
    value: toValueMatch(value),
  }));
}

function toValueMatch(wanted: WantedFile): ValueMatch {
  if (typeof wanted !== "string") return { kind: "prefix", text: wanted.prefix };
  return wanted === "*" ? { kind: "present" } : { kind: "exact", text: wanted };
}

/** The cross-checks made sure that exactly one of the four is there. */
function toAction({ pool = "", split, redirect, respond }: ShortRoute): RouteAction {
  if (split !== undefined) return toSplit(split);
  if (redirect !== undefined) return { kind: "redirect", ...redirect };
  if (respond === undefined) return { kind: "pool", pool };
  const { status, body = "", contentType } = respond;
  return { kind: "respond", status, body, contentType: body === "" ? null : contentType };
}

function toSplit({ pools, by, override }: NonNullable<RouteFile["split"]>): SplitAction {
  return {
    kind: "split",
    shares: Object.entries(pools).map(([pool, weight]) => ({ pool, weight })),
    by: toSplitKey(by),
    override:
      override === undefined
        ? null
        : { name: override.header.toLowerCase(), value: toValueMatch(override.value), pool: override.pool },
  };
}

function toSplitKey(by: NonNullable<RouteFile["split"]>["by"]): SplitKey {
  if (by === "client") return { kind: "client" };
  if (by.cookie !== undefined) return { kind: "cookie", name: by.cookie };
  return by.header === undefined ? { kind: "client" } : { kind: "header", name: by.header.toLowerCase() };
}

function toRewrite({ path, host, request, response }: NonNullable<RouteFile["rewrite"]>): RewriteConfig {
  return {
    path: path ?? null,
    host: host ?? null,
    request: toChanges(request),
    response: toChanges(response),
  };
}

function toChanges(changes: {
  readonly set: Readonly<Record<string, Template>>;
  readonly add: Readonly<Record<string, Template>>;
  readonly remove: readonly string[];
}): FieldChanges {
  return {
    remove: changes.remove.map((name) => name.toLowerCase()),
    set: toFields(changes.set),
    add: toFields(changes.add),
  };
}

function toFields(map: Readonly<Record<string, Template>>): FieldChanges["set"] {
  return Object.entries(map).map(([name, value]) => ({ name, value }));
}
