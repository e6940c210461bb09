// Which pool a request goes to. Routes are tried in order; the first whose match holds decides.

import type { RouteConfig, RouteMatch } from "../config/config.ts";

/** What a match can look at. */
export interface RouteRequest {
  /** As the request names it, in any case, with or without a port; "" when it names none. */
  readonly authority: string;
  /** With its query; "*" for a request about the whole server. */
  readonly target: string;
  readonly method: string;
}

/** The first route that matches; null when none does. */
export function findRoute(routes: readonly RouteConfig[], request: RouteRequest): RouteConfig | null {
  for (const route of routes) {
    if (matchesRoute(route.match, request)) return route;
  }
  return null;
}

export function matchesRoute(match: RouteMatch, request: RouteRequest): boolean {
  if (match.method !== undefined && match.method !== request.method) return false;
  if (match.path !== undefined && !matchesPath(match.path, request.target)) return false;
  return match.host === undefined || matchesHost(match.host, hostOf(request.authority));
}

/** The host of an authority: lower case, without port, brackets kept, without the root's dot. */
export function hostOf(authority: string): string {
  const colon = authority.lastIndexOf(":");
  const isPort = colon !== -1 && authority.indexOf("]", colon) === -1;
  const host = (isPort ? authority.slice(0, colon) : authority).toLowerCase();
  return host.endsWith(".") ? host.slice(0, -1) : host;
}

function matchesHost(pattern: string, host: string): boolean {
  if (!pattern.startsWith("*.")) return pattern === host;
  const suffix = pattern.slice(1);
  return host.length > suffix.length && host.endsWith(suffix);
}

/** A prefix on segment borders: "/v1" holds for "/v1", "/v1/x" and "/v1?q", not for "/v10". */
function matchesPath(prefix: string, target: string): boolean {
  if (!target.startsWith(prefix)) return false;
  if (prefix.endsWith("/") || target.length === prefix.length) return true;
  const next = target[prefix.length];
  return next === "/" || next === "?";
}
