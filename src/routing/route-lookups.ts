// The ways to look routes up by what a request has: one class for each kind of condition. Apart from route-index.ts, which
// decides by what each route is found. A lookup may try routes that do not match, and never passes by one that does.

import { type AddressBlock, holdsBlock, parseAddressBlock } from "../config/address.ts";
import { RegexSet } from "../config/regex.ts";
import { allHold, type Condition } from "./conditions.ts";
import { firstSegment } from "./path.ts";
import type { RequestFacts } from "./request-facts.ts";

export interface NumberedRoute {
  /** Its place in the file. */
  readonly number: number;
  readonly conditions: readonly Condition[];
}

/** What a request must have for a route to match. */
export interface Key {
  /** A host, method, first segment, language, block of addresses, expression; or the name of what has a value. */
  readonly name: string;
  /** null: any. */
  readonly value: string | null;
}

export interface Placed {
  readonly key: Key;
  readonly route: NumberedRoute;
}

export interface Lookup {
  /** The lowest number of its routes. */
  readonly first: number;
  /** The number of the first of its routes that matches, if that is below `before`; else `before`. */
  firstMatch(facts: RequestFacts, before: number): number;
}

export type LookupKind =
  "segment" | "host" | "method" | "field" | "cookie" | "query" | "client" | "language" | "expression";

export const LOOKUPS: Readonly<Record<LookupKind, (placed: readonly Placed[]) => Lookup>> = {
  segment: (placed) => new RoutesByText(placed, ({ path }) => firstSegment(path)),
  host: (placed) => new RoutesByHost(placed),
  method: (placed) => new RoutesByText(placed, ({ head }) => head.method),
  field: (placed) => new RoutesByField(placed),
  cookie: (placed) =>
    new RoutesByNamed(placed, {
      names: ({ cookieNames }) => cookieNames,
      values: (facts, name) => {
        const value = facts.cookie(name);
        return value === undefined ? NO_VALUES : [value];
      },
    }),
  query: (placed) =>
    new RoutesByNamed(placed, {
      names: ({ parameterNames }) => parameterNames,
      values: (facts, name) => facts.parameters(name),
    }),
  client: (placed) => new RoutesByClient(placed),
  language: (placed) => new RoutesByText(placed, ({ language }) => language),
  expression: (placed) => new RoutesByExpression(placed),
};

/** In the order of the file. */
type Routes = readonly NumberedRoute[];

const NO_VALUES: readonly string[] = [];

function firstAmong(routes: Routes | undefined, facts: RequestFacts, before: number): number {
  if (routes === undefined) return before;
  for (const { number, conditions } of routes) {
    if (number >= before) break;
    if (allHold(conditions, facts)) return number;
  }
  return before;
}

function lowestOf(placed: readonly Placed[]): number {
  return placed[0]?.route.number ?? 0;
}

/** The routes of each text. */
function gather(
  placed: readonly Placed[],
  textOf: (key: Key) => string = ({ name }) => name,
): ReadonlyMap<string, Routes> {
  const gathered = Map.groupBy(placed, ({ key }) => textOf(key));
  return new Map([...gathered].map(([text, some]) => [text, some.map(({ route }) => route)]));
}

/** Those that no key leads to: each is tried. */
export class UnkeyedRoutes implements Lookup {
  readonly first: number;
  readonly #routes: Routes;

  constructor(routes: Routes) {
    this.first = routes[0]?.number ?? 0;
    this.#routes = routes;
  }

  firstMatch(facts: RequestFacts, before: number): number {
    return firstAmong(this.#routes, facts, before);
  }
}

/** By something of which each request has one, or none. */
class RoutesByText implements Lookup {
  readonly first: number;
  readonly #routes: ReadonlyMap<string, Routes>;
  readonly #textOf: (facts: RequestFacts) => string | null;

  constructor(placed: readonly Placed[], textOf: (facts: RequestFacts) => string | null) {
    this.first = lowestOf(placed);
    this.#routes = gather(placed);
    this.#textOf = textOf;
  }

  firstMatch(facts: RequestFacts, before: number): number {
    const text = this.#textOf(facts);
    return text === null ? before : firstAmong(this.#routes.get(text), facts, before);
  }
}

/** By the whole host, or by its end where the route has a wildcard. */
class RoutesByHost implements Lookup {
  readonly first: number;
  readonly #exact: ReadonlyMap<string, Routes>;
  /** By ".example.lan". */
  readonly #endings: ReadonlyMap<string, Routes>;
  /** Of the endings, each once: a host is cut no more often than that, whatever labels it has. */
  readonly #lengths: readonly number[];

  constructor(placed: readonly Placed[]) {
    const isWildcard = ({ key }: Placed) => key.name.startsWith("*.");
    this.first = lowestOf(placed);
    this.#exact = gather(placed.filter((each) => !isWildcard(each)));
    this.#endings = gather(placed.filter(isWildcard), ({ name }) => name.slice(1));
    this.#lengths = [...new Set([...this.#endings.keys()].map(({ length }) => length))];
  }

  firstMatch(facts: RequestFacts, before: number): number {
    const { host } = facts;
    let found = firstAmong(this.#exact.get(host), facts, before);
    for (const length of this.#lengths) {
      const start = host.length - length;
      if (start > 0 && host[start] === ".")
        found = firstAmong(this.#endings.get(host.slice(start)), facts, found);
    }
    return found;
  }
}

/** The routes that want a thing of one name. */
interface Wanting {
  /** With whatever value. */
  readonly any: Routes;
  readonly exact: ReadonlyMap<string, Routes>;
}

function gatherNamed(placed: readonly Placed[]): ReadonlyMap<string, Wanting> {
  return new Map(
    [...Map.groupBy(placed, ({ key }) => key.name)].map(([name, ofName]) => {
      const any = ofName.filter(({ key }) => key.value === null).map(({ route }) => route);
      const exact = ofName.filter(({ key }) => key.value !== null);
      return [name, { any, exact: gather(exact, ({ value }) => value ?? "") }];
    }),
  );
}

/** `values`: all that the request has of the name. Anyone can send thousands, so no route is tried for each of them. */
function firstWanting(
  wanting: Wanting,
  values: readonly string[],
  facts: RequestFacts,
  before: number,
): number {
  if (values.length === 0) return before;
  let found = firstAmong(wanting.any, facts, before);
  if (wanting.exact.size === 0) return found;
  for (const value of values.length === 1 ? values : new Set(values))
    found = firstAmong(wanting.exact.get(value), facts, found);
  return found;
}

/** By a field of the head: other fields than those that routes ask for are passed by, however many routes there are. */
class RoutesByField implements Lookup {
  readonly first: number;
  readonly #wanting: ReadonlyMap<string, Wanting>;
  /** Of the names. */
  readonly #lengths: ReadonlySet<number>;

  constructor(placed: readonly Placed[]) {
    this.first = lowestOf(placed);
    this.#wanting = gatherNamed(placed);
    this.#lengths = new Set([...this.#wanting.keys()].map(({ length }) => length));
  }

  firstMatch(facts: RequestFacts, before: number): number {
    let found = before;
    let seen: Set<string> | undefined;
    for (const field of facts.head.fields.list) {
      if (!this.#lengths.has(field.name.length)) continue;
      const name = field.name.toLowerCase();
      const wanting = this.#wanting.get(name);
      if (wanting === undefined || seen?.has(name) === true) continue;
      seen ??= new Set();
      seen.add(name);
      found = firstWanting(wanting, facts.field(name), facts, found);
    }
    return found;
  }
}

/** What a request has by name, whatever the routes ask for. */
interface Named {
  /** Each once. */
  readonly names: (facts: RequestFacts) => Iterable<string>;
  readonly values: (facts: RequestFacts, name: string) => readonly string[];
}

/** By a cookie or a parameter of the query: those of the request are gone through, as it rarely has many. */
class RoutesByNamed implements Lookup {
  readonly first: number;
  readonly #wanting: ReadonlyMap<string, Wanting>;
  readonly #named: Named;

  constructor(placed: readonly Placed[], named: Named) {
    this.first = lowestOf(placed);
    this.#wanting = gatherNamed(placed);
    this.#named = named;
  }

  firstMatch(facts: RequestFacts, before: number): number {
    let found = before;
    for (const name of this.#named.names(facts)) {
      const wanting = this.#wanting.get(name);
      if (wanting !== undefined) found = firstWanting(wanting, this.#named.values(facts, name), facts, found);
    }
    return found;
  }
}

/** Clients come again: which routes are for them is remembered of so many. */
const CLIENTS_MAX = 1000;

/** By the block that the client's address is in. */
class RoutesByClient implements Lookup {
  readonly first: number;
  readonly #blocks: readonly { readonly block: AddressBlock; readonly route: NumberedRoute }[];
  readonly #known = new Map<string, Routes>();

  constructor(placed: readonly Placed[]) {
    this.first = lowestOf(placed);
    this.#blocks = placed.flatMap(({ key, route }) => {
      const block = parseAddressBlock(key.name);
      return block === null ? [] : [{ block, route }];
    });
  }

  firstMatch(facts: RequestFacts, before: number): number {
    const { clientAddress } = facts;
    let routes = this.#known.get(clientAddress);
    if (routes === undefined) {
      routes = this.#routesFor(facts.client);
      if (this.#known.size === CLIENTS_MAX) this.#known.clear();
      this.#known.set(clientAddress, routes);
    }
    return firstAmong(routes, facts, before);
  }

  #routesFor(client: AddressBlock | null): Routes {
    if (client === null) return [];
    const routes = this.#blocks.filter(({ block }) => holdsBlock(block, client)).map(({ route }) => route);
    return [...new Set(routes)];
  }
}

/** By regular expressions of the path, all of which are looked for in one go. */
class RoutesByExpression implements Lookup {
  readonly first: number;
  readonly #set: RegexSet;
  /** In the order of the set. */
  readonly #routes: readonly Routes[];

  constructor(placed: readonly Placed[]) {
    const gathered = gather(placed);
    this.first = lowestOf(placed);
    this.#set = new RegexSet([...gathered.keys()]);
    this.#routes = [...gathered.values()];
  }

  firstMatch(facts: RequestFacts, before: number): number {
    let found = before;
    for (const place of this.#set.matching(facts.path)) found = firstAmong(this.#routes[place], facts, found);
    return found;
  }
}
