// What routes ask of a request: its host, path, query, cookies, language. Each is worked out when the first route
// asks for it, and once; a listener whose routes match everything never makes one.

import Negotiator from "negotiator";
import { type AddressBlock, canonicalAddress, parseAddressBlock } from "../config/address.ts";
import { readCookies } from "./cookie.ts";
import { normalizePath, pathOf, queryOf } from "./path.ts";

/** A request head as far as routes look at it. */
export interface RoutedHead {
  readonly method: string;
  /** As the request names it, in any case, with or without a port; "" when it names none. */
  readonly authority: string;
  /** With its query; "*" for a request about the whole server. */
  readonly target: string;
  readonly fields: { readonly list: readonly RoutedField[] };
}

interface RoutedField {
  readonly name: string;
  readonly value: string;
}

/** Who asks. */
export interface RoutedClient {
  /** IPv4 or IPv6 literal. Asked for when a route needs it, and once: it may have to be worked out. */
  readonly clientAddress: string;
}

interface Query {
  readonly all: URLSearchParams;
  /** The values of each name that a route asked for. */
  readonly asked: Map<string, readonly string[]>;
}

/**
 * To match a list of languages costs its length times the number of those that routes name, and anyone can send one of
 * 16 KB. People name a handful.
 */
const LANGUAGES_CHARS_MAX = 512;

const NO_VALUES: readonly string[] = [];

export class RequestFacts {
  readonly head: RoutedHead;
  readonly #asker: RoutedClient;
  readonly #languages: readonly string[];
  #clientAddress: string | undefined;
  #host: string | undefined;
  #path: string | undefined;
  #query: Query | null | undefined;
  #cookies: ReadonlyMap<string, string> | undefined;
  #language: string | null | undefined;
  #client: AddressBlock | null | undefined;

  /** `languages`: all that the listener's routes name, in their order. */
  constructor(head: RoutedHead, asker: RoutedClient, languages: readonly string[]) {
    this.head = head;
    this.#asker = asker;
    this.#languages = languages;
  }

  get clientAddress(): string {
    return (this.#clientAddress ??= this.#asker.clientAddress);
  }

  /** Lower case, without a port. */
  get host(): string {
    return (this.#host ??= hostOf(this.head.authority));
  }

  /** Without the query, in the form that routes are compared with. */
  get path(): string {
    return (this.#path ??= normalizePath(pathOf(this.head.target)));
  }

  /** All values of a parameter, decoded. Many routes ask for one name, and of that anyone can send thousands. */
  parameters(name: string): readonly string[] {
    const query = this.#readQuery();
    if (query === null) return NO_VALUES;
    const { all, asked } = query;
    let values = asked.get(name);
    if (values === undefined) asked.set(name, (values = all.getAll(name)));
    return values;
  }

  /** Each once. */
  get parameterNames(): Iterable<string> {
    const query = this.#readQuery();
    return query === null ? NO_VALUES : new Set(query.all.keys());
  }

  /** The value of a cookie: of several of that name the first, as servers take it (RFC 6265 5.4). */
  cookie(name: string): string | undefined {
    return this.#readCookies().get(name);
  }

  /** Each once. */
  get cookieNames(): Iterable<string> {
    return this.#readCookies().keys();
  }

  /** The values of a field, a value for each line. `name` in lower case. */
  field(name: string): readonly string[] {
    const values: string[] = [];
    for (const field of this.head.fields.list) {
      if (field.name.length === name.length && field.name.toLowerCase() === name) values.push(field.value);
    }
    return values;
  }

  /** Which of the listener's languages the client likes best (RFC 9110 12.5.4); null: it does not say, or none of them. */
  get language(): string | null {
    if (this.#language !== undefined) return this.#language;
    const fields = this.field("accept-language");
    return (this.#language = fields.length === 0 ? null : this.#choose(fields.join(",")));
  }

  get client(): AddressBlock | null {
    if (this.#client === undefined) this.#client = parseAddressBlock(this.clientAddress);
    return this.#client;
  }

  #readQuery(): Query | null {
    if (this.#query === undefined) {
      const query = queryOf(this.head.target);
      this.#query = query === "" ? null : { all: new URLSearchParams(query), asked: new Map() };
    }
    return this.#query;
  }

  #readCookies(): ReadonlyMap<string, string> {
    return (this.#cookies ??= readCookies(this.head.fields.list));
  }

  #choose(list: string): string | null {
    const accepted = shortList(list, LANGUAGES_CHARS_MAX);
    if (accepted === "") return null;
    return (
      new Negotiator({ headers: { "accept-language": accepted } }).language([...this.#languages]) ?? null
    );
  }
}

/** A list without the members that begin behind so many characters. */
function shortList(list: string, charsMax: number): string {
  return list.length <= charsMax ? list : list.slice(0, Math.max(0, list.lastIndexOf(",", charsMax)));
}

/** The host of an authority: lower case, without port, an IPv6 address as RFC 5952 writes it in brackets, without the root's dot. */
export function hostOf(authority: string): string {
  const colon = authority.lastIndexOf(":");
  const isPort = colon !== -1 && authority.indexOf("]", colon) === -1;
  const host = (isPort ? authority.slice(0, colon) : authority).toLowerCase();
  if (host.startsWith("[") && host.endsWith("]"))
    return `[${canonicalAddress(host.slice(1, -1)) ?? host.slice(1, -1)}]`;
  return host.endsWith(".") ? host.slice(0, -1) : host;
}
