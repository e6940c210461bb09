// What a route's match becomes: conditions that hold for a request or do not, compiled once for a configuration. Each
// can say what it wants and what the request has instead, for `vipair route`.

import { holdsBlock, parseAddressBlock } from "../config/address.ts";
import { compileRegex } from "../config/regex.ts";
import type { NamedMatch, PathMatch, RouteMatch, ValueMatch } from "../config/route-config.ts";
import { normalizePath } from "./path.ts";
import type { RequestFacts } from "./request-facts.ts";

export interface Condition {
  readonly holds: (facts: RequestFacts) => boolean;
  /** "path /v1 or below" */
  readonly wants: string;
  /** "the path is /v2" */
  readonly finds: (facts: RequestFacts) => string;
}

/** In the order of their cost. All of them must hold. */
export function compileMatch(match: RouteMatch): readonly Condition[] {
  const conditions: Condition[] = [];
  const { methods, hosts, paths, fields = [], cookies = [], query = [], clients, languages } = match;
  if (methods !== undefined) conditions.push(methodCondition(methods));
  if (hosts !== undefined) conditions.push(hostCondition(hosts));
  if (paths !== undefined) conditions.push(pathCondition(paths));
  if (clients !== undefined) conditions.push(clientCondition(clients));
  for (const wanted of fields)
    conditions.push(namedCondition("header", wanted, (facts) => facts.field(wanted.name)));
  for (const wanted of cookies)
    conditions.push(
      namedCondition("cookie", wanted, (facts) => {
        const value = facts.cookie(wanted.name);
        return value === undefined ? [] : [value];
      }),
    );
  for (const wanted of query)
    conditions.push(namedCondition("query parameter", wanted, (facts) => facts.parameters(wanted.name)));
  if (languages !== undefined) conditions.push(languageCondition(languages));
  return conditions;
}

/** Whether all of them do. */
export function allHold(conditions: readonly Condition[], facts: RequestFacts): boolean {
  for (const condition of conditions) {
    if (!condition.holds(facts)) return false;
  }
  return true;
}

function methodCondition(methods: readonly string[]): Condition {
  return {
    holds: ({ head }) => methods.includes(head.method),
    wants: `method ${anyOf(methods)}`,
    finds: ({ head }) => `the method is ${head.method}`,
  };
}

function hostCondition(hosts: readonly string[]): Condition {
  const matches = anyHolds(hosts.map(compileHost));
  return {
    holds: (facts) => matches(facts.host),
    wants: `host ${anyOf(hosts)}`,
    finds: ({ host }) => (host === "" ? "there is no host" : `the host is ${host}`),
  };
}

function compileHost(pattern: string): (host: string) => boolean {
  if (!pattern.startsWith("*.")) return (host) => host === pattern;
  const { length } = pattern;
  const ending = pattern.slice(1);
  return (host) => host.length >= length && host.endsWith(ending);
}

/** Nearly all routes name one host and one path: these are asked without a loop. */
function anyHolds(tests: readonly ((text: string) => boolean)[]): (text: string) => boolean {
  const [only] = tests;
  if (only !== undefined && tests.length === 1) return only;
  return (text) => tests.some((test) => test(text));
}

function pathCondition(paths: readonly PathMatch[]): Condition {
  const matches = anyHolds(paths.map(compilePathTest));
  return {
    holds: (facts) => matches(facts.path),
    wants: `path ${anyOf(paths.map(describePath))}`,
    finds: ({ path }) => `the path is ${path}`,
  };
}

function compilePathTest(match: PathMatch): (path: string) => boolean {
  const find = compilePath(match);
  return (path) => find(path) !== null;
}

/** Where in a path a match was found: from the character `start` up to `end`. */
export interface PathSpan {
  readonly start: number;
  readonly end: number;
}

/** Finds what a rewrite replaces; null: no match. */
export function compilePath({ kind, text }: PathMatch): (path: string) => PathSpan | null {
  switch (kind) {
    case "exact": {
      const exact = normalizePath(text);
      return (path) => (path === exact ? { start: 0, end: path.length } : null);
    }
    case "prefix": {
      const prefix = normalizePath(text).replace(/\/$/, "");
      return (path) => (isBelow(path, prefix) ? { start: 0, end: prefix.length } : null);
    }
    case "regex": {
      const regex = compileRegex(text);
      return (path) => {
        const matcher = regex.matcher(path);
        return matcher.find() ? { start: matcher.start(), end: matcher.end() } : null;
      };
    }
  }
}

/** "/v1" holds "/v1" and "/v1/x", not "/v10"; "" holds every path. */
function isBelow(path: string, prefix: string): boolean {
  if (path.length < prefix.length || !path.startsWith(prefix)) return false;
  return path[prefix.length] === "/" || (path.length === prefix.length && prefix !== "");
}

function describePath({ kind, text }: PathMatch): string {
  switch (kind) {
    case "exact":
      return `exactly ${text}`;
    case "prefix":
      return `${text} or below`;
    case "regex":
      return `like ${text}`;
  }
}

function clientCondition(clients: readonly string[]): Condition {
  const blocks = clients.flatMap((client) => parseAddressBlock(client) ?? []);
  return {
    holds: ({ client }) => client !== null && blocks.some((block) => holdsBlock(block, client)),
    wants: `client in ${anyOf(clients)}`,
    finds: ({ clientAddress }) => `the client is ${clientAddress}`,
  };
}

function namedCondition(
  noun: string,
  { name, value }: NamedMatch,
  valuesOf: (facts: RequestFacts) => readonly string[],
): Condition {
  return {
    holds: (facts) => valuesOf(facts).some((found) => matchesValue(value, found)),
    wants: `${noun} ${name}${describeValue(value)}`,
    finds: (facts) => {
      const [first] = valuesOf(facts);
      return first === undefined ? `there is no ${noun} ${name}` : `${noun} ${name} is ${first}`;
    },
  };
}

/** Whether a value is as a match wants it. */
export function matchesValue(wanted: ValueMatch, found: string): boolean {
  switch (wanted.kind) {
    case "present":
      return true;
    case "exact":
      return found === wanted.text;
    case "prefix":
      return found.startsWith(wanted.text);
  }
}

function describeValue(value: ValueMatch): string {
  switch (value.kind) {
    case "present":
      return "";
    case "exact":
      return `: ${value.text}`;
    case "prefix":
      return ` beginning with ${value.text}`;
  }
}

function languageCondition(languages: readonly string[]): Condition {
  return {
    holds: ({ language }) => language !== null && languages.includes(language),
    wants: `language ${anyOf(languages)}`,
    finds: ({ language }) =>
      language === null
        ? "the client names none of the languages here"
        : `the client's choice is ${language}`,
  };
}

function anyOf(things: readonly string[]): string {
  return things.join(" or ");
}
