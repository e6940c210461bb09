// What becomes of a request: routes are tried in order, and the first whose match holds decides. They are compiled
// once for a configuration.

import type { RouteConfig } from "../config/route-config.ts";
import { allHold, compileMatch, type Condition } from "./conditions.ts";
import { RequestFacts, type RoutedClient, type RoutedHead } from "./request-facts.ts";
import { RouteIndex } from "./route-index.ts";
import { compileRewrite, type Rewrite } from "./rewrite.ts";

export interface Route {
  readonly config: RouteConfig;
  readonly conditions: readonly Condition[];
  /** null: the request goes on as it came. */
  readonly rewrite: Rewrite | null;
}

/** The routes of a listener. */
export interface RouteTable {
  readonly routes: readonly Route[];
  /** null: they are too few. */
  readonly index: RouteIndex | null;
  /** All that the routes name, lower case: what a client's choice is made among. */
  readonly languages: readonly string[];
}

/** With fewer routes, trying them costs less than to look one up. */
const INDEXED_MIN = 8;

export function compileRoutes(configs: readonly RouteConfig[]): RouteTable {
  const routes = configs.map((config) => ({
    config,
    conditions: compileMatch(config.match),
    rewrite: config.rewrite === null ? null : compileRewrite(config.rewrite, config.match.paths ?? []),
  }));
  return {
    routes,
    index: routes.length < INDEXED_MIN ? null : new RouteIndex(routes),
    languages: [...new Set(configs.flatMap(({ match }) => match.languages ?? []))],
  };
}

/** The facts of a request for the routes of this table. */
export function factsOf(table: RouteTable, head: RoutedHead, asker: RoutedClient): RequestFacts {
  return new RequestFacts(head, asker, table.languages);
}

/** The first route that matches; null when none does. */
export function findRoute({ routes, index }: RouteTable, facts: RequestFacts): Route | null {
  if (index !== null) return routes[index.find(facts)] ?? null;
  for (const route of routes) {
    if (allHold(route.conditions, facts)) return route;
  }
  return null;
}

/** Why a route was taken or not. */
export interface RouteVerdict {
  readonly route: Route;
  /** null: the route matches. */
  readonly missed: { readonly wants: string; readonly finds: string } | null;
}

/** The routes up to the one that decides, each with the first condition that does not hold. */
export function explainRoute({ routes }: RouteTable, facts: RequestFacts): readonly RouteVerdict[] {
  const verdicts: RouteVerdict[] = [];
  for (const route of routes) {
    const condition = route.conditions.find(({ holds }) => !holds(facts));
    const missed = condition === undefined ? null : { wants: condition.wants, finds: condition.finds(facts) };
    verdicts.push({ route, missed });
    if (missed === null) break;
  }
  return verdicts;
}
