// What becomes of a request: routes are tried in order, and the first whose match holds decides. They are compiled
// once for a configuration.

import type { RouteConfig } from "../config/route-config.ts";
import { compileMatch, type Condition } from "./conditions.ts";
import { RequestFacts, type RoutedClient, type RoutedHead } from "./request-facts.ts";
import { candidatesOf, indexRoutes, type RouteIndex } from "./route-index.ts";
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
  /** null: they are too few, or cannot be told apart beforehand. */
  readonly index: RouteIndex<Route> | null;
  /** All that the routes name, lower case: what a client's choice is made among. */
  readonly languages: readonly string[];
}

export function compileRoutes(configs: readonly RouteConfig[]): RouteTable {
  const routes = configs.map((config) => ({
    config,
    conditions: compileMatch(config.match),
    rewrite: config.rewrite === null ? null : compileRewrite(config.rewrite, config.match.paths ?? []),
  }));
  return {
    routes,
    index: indexRoutes(routes),
    languages: [...new Set(configs.flatMap(({ match }) => match.languages ?? []))],
  };
}

/** The facts of a request for the routes of this table. */
export function factsOf(table: RouteTable, head: RoutedHead, asker: RoutedClient): RequestFacts {
  return new RequestFacts(head, asker, table.languages);
}

/** The first route that matches; null when none does. */
export function findRoute({ routes, index }: RouteTable, facts: RequestFacts): Route | null {
  for (const route of index === null ? routes : candidatesOf(index, facts)) {
    if (allHold(route.conditions, facts)) return route;
  }
  return null;
}

function allHold(conditions: readonly Condition[], facts: RequestFacts): boolean {
  for (const condition of conditions) {
    if (!condition.holds(facts)) return false;
  }
  return true;
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
