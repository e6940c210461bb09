// What a rewrite makes of the heads that pass: another target, another Host, other fields. Everything that comes from
// a request went through the parser, so no variable can bring a line end into a head.

import type { FieldChanges, PathMatch, RewriteConfig, Template, Variable } from "../config/route-config.ts";
import { compilePath, type PathSpan } from "./conditions.ts";
import { pathOf, queryOf, resolveTarget } from "./path.ts";
import type { RequestFacts } from "./request-facts.ts";

/** What a template may name beside the request itself. */
export interface Surroundings {
  readonly scheme: "http" | "https";
  readonly listener: string;
  readonly route: string;
  readonly node: string;
  /** Made when a template names it. */
  readonly requestId: () => string;
}

export interface Rewrite {
  readonly target: (facts: RequestFacts, around: Surroundings) => string;
  /** null: as the client wrote it. */
  readonly host: (facts: RequestFacts, around: Surroundings) => string | null;
  readonly request: FieldRewrite | null;
  readonly response: FieldRewrite | null;
}

/** Where a request goes on to. */
export interface Place {
  /** Without dot segments; with its query. */
  readonly target: string;
  readonly authority: string;
}

/** Changes of header fields; null in a Rewrite when there are none. */
export interface FieldRewrite {
  /** Lower case: fields that do not go on. */
  readonly drops: ReadonlySet<string>;
  /** `Name: value` lines with their ends, to be written behind the others. */
  readonly lines: (facts: RequestFacts, around: Surroundings) => string;
}

export function compileRewrite(config: RewriteConfig, paths: readonly PathMatch[]): Rewrite {
  const { path, host } = config;
  const finders = paths.map(compilePath);
  return {
    target: (facts, around) =>
      path === null ? resolveTarget(facts.head.target) : newTarget(path, finders, facts, around),
    host: (facts, around) => (host === null ? null : render(host, facts, around)),
    request: compileChanges(config.request),
    response: compileChanges(config.response),
  };
}

/** With the rewrite of its route, if that has one. */
export function placeOf(rewrite: Rewrite | null, facts: RequestFacts, around: Surroundings): Place {
  const { target, authority } = facts.head;
  if (rewrite === null) return { target: resolveTarget(target), authority };
  // A host made of what an HTTP/1.0 client did not say would be none.
  return { target: rewrite.target(facts, around), authority: rewrite.host(facts, around) || authority };
}

function compileChanges({ remove, set, add }: FieldChanges): FieldRewrite | null {
  if (remove.length === 0 && set.length === 0 && add.length === 0) return null;
  const written = [...set, ...add];
  return {
    drops: new Set([...remove, ...set.map(({ name }) => name.toLowerCase())]),
    lines: (facts, around) => {
      let text = "";
      for (const { name, value } of written) text += `${name}: ${render(value, facts, around)}\r\n`;
      return text;
    },
  };
}

function newTarget(
  path: Template,
  finders: readonly ((path: string) => PathSpan | null)[],
  facts: RequestFacts,
  around: Surroundings,
): string {
  const { target } = facts.head;
  if (target === "*") return target;
  const old = facts.path;
  const span = firstSpan(finders, old);
  const begin = old.slice(0, span.start) + render(path, facts, around);
  const rest = old.slice(span.end);
  const joined = begin.endsWith("/") && rest.startsWith("/") ? begin + rest.slice(1) : begin + rest;
  const query = target.slice(pathOf(target).length);
  // "/v1../x" without its "/v1" would be a path that no route has seen.
  return resolveTarget(`${joined}${query}`);
}

function firstSpan(finders: readonly ((path: string) => PathSpan | null)[], path: string): PathSpan {
  for (const find of finders) {
    const span = find(path);
    if (span !== null) return span;
  }
  return { start: 0, end: 0 };
}

/** A template with its variables filled in. */
function render(template: Template, facts: RequestFacts, around: Surroundings): string {
  let text = "";
  for (const part of template)
    text += typeof part === "string" ? part : valueOf(part.variable, facts, around);
  return text;
}

/**
 * Where a redirect leads. A client can ask for `//evil.example`, which a browser would take for another host: where a
 * path comes first, it keeps one slash.
 */
export function renderLocation(template: Template, facts: RequestFacts, around: Surroundings): string {
  return render(template, facts, around).replace(/^\/[/\\]+/, "/");
}

/** It cannot be rendered for a request that names no host, as those of HTTP/1.0 may. */
export function namesHost(template: Template): boolean {
  return template.some((part) => typeof part !== "string" && part.variable === "request.host");
}

function valueOf(variable: Variable, facts: RequestFacts, around: Surroundings): string {
  const { head } = facts;
  switch (variable) {
    case "client.address":
      return facts.clientAddress;
    case "request.id":
      return around.requestId();
    case "request.method":
      return head.method;
    case "request.scheme":
      return around.scheme;
    case "request.host":
      return facts.host;
    case "request.path":
      return pathOf(resolveTarget(head.target));
    case "request.query":
      return queryOf(head.target);
    case "request.uri":
      return resolveTarget(head.target);
    case "listener.name":
      return around.listener;
    case "route.name":
      return around.route;
    case "node.name":
      return around.node;
  }
}
