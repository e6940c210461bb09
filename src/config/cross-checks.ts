// What must be true between the values of a configuration: names that refer, names and addresses that
// must differ, keys that need or exclude each other. The checks look at the values as they were
// written, wrong ones among them, and say nothing where something is missing or malformed: the
// schema has reported that already.

import { readBackendAddress, readBind, readInterfaceAddress, readIpAddress } from "./address.ts";
import { formatAddress } from "./config.ts";
import { formatPath } from "./mistake.ts";
import type { Mistake, Path } from "./mistake.ts";
import { isNear, nearest } from "./nearest.ts";
import { formatDuration, readDuration } from "./quantity.ts";
import { quote } from "./reading.ts";
import type { Reading } from "./reading.ts";
import { PAIR_DEFAULTS } from "./pair-schema.ts";
import { DEFAULTS } from "./schema.ts";

/** Every contradiction between values of the file. */
export function crossCheck(file: unknown): readonly Mistake[] {
  const top = new Spot(file, []);
  return [...checkPair(top), ...checkVirtualAddresses(top), ...checkListeners(top), ...checkPools(top)];
}

/** A value as it was written, and its path. Asking it for what it does not have is allowed. */
class Spot {
  readonly value: unknown;
  readonly path: Path;

  constructor(value: unknown, path: Path) {
    this.value = value;
    this.path = path;
  }

  at(key: string): Spot {
    const inside = isMap(this.value) && Object.hasOwn(this.value, key) ? this.value[key] : undefined;
    return new Spot(inside, [...this.path, key]);
  }

  has(key: string): boolean {
    return isMap(this.value) && Object.hasOwn(this.value, key);
  }

  /** The key or a misspelling of it is there: the schema has a word to say about that, and one is enough. */
  mentions(key: string): boolean {
    return this.has(key) || this.entries.some(([name]) => isNear(name, key));
  }

  get text(): string | undefined {
    return typeof this.value === "string" ? this.value : undefined;
  }

  get items(): readonly Spot[] {
    if (!Array.isArray(this.value)) return [];
    return this.value.map((item: unknown, index) => new Spot(item, [...this.path, index]));
  }

  get entries(): readonly (readonly [string, Spot])[] {
    return isMap(this.value) ? Object.keys(this.value).map((key) => [key, this.at(key)]) : [];
  }

  /** The text read into a T; undefined when it is not a text or not a T. */
  read<T>(reader: (text: string) => Reading<T>): T | undefined {
    const reading = this.text === undefined ? undefined : reader(this.text);
    return reading?.kind === "ok" ? reading.value : undefined;
  }

  mistake(message: string, at: Mistake["at"] = "value"): Mistake {
    return { path: this.path, at, message };
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkPair(top: Spot): readonly Mistake[] {
  const pair = top.at("pair");
  if (!isMap(pair.value)) return [];
  const found: Mistake[] = [];
  const nodes = pair.at("nodes");
  const count = nodes.entries.length;
  if (isMap(nodes.value) && count !== 2) {
    found.push(
      nodes.mistake(
        `A pair has exactly two nodes; ${count === 1 ? "1 stands" : `${String(count)} stand`} here.`,
        "key",
      ),
    );
  }
  found.push(
    ...duplicates(
      nodes.entries.map(([, node]) => node.at("address")),
      (address) => address.read(readIpAddress),
      (address, first) => `${quote(address)} is the address of ${first} too. Each node needs its own.`,
    ),
  );
  if (pair.has("secret") && pair.has("secretFile")) {
    found.push(pair.at("secretFile").mistake("There is a secret as well. Keep one of the two.", "key"));
  } else if (!pair.mentions("secret") && !pair.mentions("secretFile")) {
    found.push(
      pair.mistake(
        "The pair has no secret. Add secretFile: FILE, or secret: TEXT, the same on both nodes.",
        "key",
      ),
    );
  }
  if (!top.mentions("virtualAddresses") || isEmptyList(top.at("virtualAddresses").value)) {
    found.push(
      pair.mistake(
        "A pair needs an address to move between its nodes. Add virtualAddresses, or remove pair: without both, one node balances alone.",
        "key",
      ),
    );
  }
  return found;
}

function checkVirtualAddresses(top: Spot): readonly Mistake[] {
  const list = top.at("virtualAddresses");
  const addresses = list.items.map((item) => item.at("address"));
  const found = [
    ...duplicates(
      addresses,
      (address) => address.read(readInterfaceAddress)?.address,
      (address, first) => `${quote(address)} is ${first} already. Remove one.`,
    ),
  ];
  const nodeOf = new Map(
    top
      .at("pair")
      .at("nodes")
      .entries.map(([name, node]) => [node.at("address").read(readIpAddress), name]),
  );
  for (const address of addresses) {
    const canonical = address.read(readInterfaceAddress)?.address;
    const node = canonical === undefined ? undefined : nodeOf.get(canonical);
    if (node !== undefined) {
      found.push(
        address.mistake(
          `${quote(canonical ?? "")} is the own address of node ${node}. Use one that no machine has.`,
        ),
      );
    }
  }
  if (list.items.length > 0 && !top.mentions("pair")) {
    found.push(
      list.mistake(
        "Virtual addresses need a pair to move between. Add pair, or remove virtualAddresses: without both, one node balances alone.",
        "key",
      ),
    );
  }
  return found;
}

function checkListeners(top: Spot): readonly Mistake[] {
  const listeners = top.at("listeners").items;
  const hasVirtualAddresses =
    top.mentions("virtualAddresses") && !isEmptyList(top.at("virtualAddresses").value);
  const found = [
    ...duplicates(
      listeners.map((listener) => listener.at("name")),
      (name) => name.text,
      (name, first) => `${quote(name)} is ${first} already. Use another name.`,
    ),
    ...duplicates(
      listeners.map((listener) => listener.at("bind")),
      (bind) => canonicalBind(bind),
      (bind, first) =>
        `${quote(bind)} is ${first} already. Use another port, or put the routes into one listener.`,
    ),
  ];
  for (const listener of listeners) {
    const bind = listener.at("bind");
    if (bind.read(readBind)?.kind === "vip" && !hasVirtualAddresses) {
      found.push(
        bind.mistake(
          "There is no virtual address to listen on. Add virtualAddresses and pair, or use 0.0.0.0.",
        ),
      );
    }
    found.push(...checkPeerPort(top, bind));
    if (isMap(listener.value)) found.push(...checkRoutes(top, listener));
  }
  return found;
}

/** The peer link listens on the node's own address, and two cannot have one port there. */
function checkPeerPort(top: Spot, spot: Spot): readonly Mistake[] {
  const pair = top.at("pair");
  const bind = spot.read(readBind);
  if (!isMap(pair.value) || bind?.kind !== "address") return [];
  const peerPort = pair.has("port") ? pair.at("port").value : PAIR_DEFAULTS.peerPort;
  if (bind.port !== peerPort) return [];
  const taken = pair.at("nodes").entries.map(([, node]) => node.at("address").read(readIpAddress));
  if (!["0.0.0.0", "::", ...taken].includes(bind.host)) return [];
  return [
    spot.mistake(
      `Port ${String(bind.port)} is the port of the peer link. Use another one, or set pair.port.`,
    ),
  ];
}

function checkRoutes(top: Spot, listener: Spot): readonly Mistake[] {
  const found: Mistake[] = [];
  const routes = listener.at("routes");
  if (listener.has("pool") && listener.has("routes")) {
    found.push(listener.at("pool").mistake("There are routes as well. Keep one of the two.", "key"));
  } else if (!listener.mentions("pool") && !listener.mentions("routes")) {
    found.push(listener.mistake("The listener leads nowhere. Add pool: NAME, or routes.", "key"));
  }
  for (const target of [listener.at("pool"), ...routes.items.map((route) => route.at("pool"))]) {
    found.push(...checkReference(top.at("pools"), target));
  }
  const catchAll = routes.items.findIndex(matchesEverything);
  const unreachable = catchAll === -1 ? undefined : routes.items[catchAll + 1];
  if (unreachable !== undefined) {
    found.push(
      unreachable.mistake(
        `No request gets here: routes[${String(catchAll)}] above matches all of them. Give it a match, or put it last.`,
      ),
    );
  }
  return found;
}

function checkReference(pools: Spot, target: Spot): readonly Mistake[] {
  const name = target.text;
  if (name === undefined || !isMap(pools.value) || pools.has(name)) return [];
  const known = Object.keys(pools.value);
  const meant = nearest(name, known);
  const advice =
    meant === undefined ? `Add it to pools, or use ${known.join(", ")}.` : `Did you mean ${quote(meant)}?`;
  return [target.mistake(`There is no pool ${quote(name)}. ${advice}`)];
}

function matchesEverything(route: Spot): boolean {
  if (!route.has("match")) return isMap(route.value);
  const match = route.at("match");
  return isMap(match.value) && match.entries.length === 0;
}

function checkPools(top: Spot): readonly Mistake[] {
  const own = ownAddresses(top);
  return top.at("pools").entries.flatMap(([, pool]) => {
    const backends = pool.at("backends").items;
    const found = [
      ...backends.flatMap((backend) => {
        const spot = addressOf(backend);
        const address = spot.read(readBackendAddress);
        if (address === undefined || !own.has(formatAddress(address.host, address.port))) return [];
        return [
          spot.mistake(
            "This is the pair's own listener: requests would go round for ever. Use a backend's address.",
          ),
        ];
      }),
      ...duplicates(
        backends.map((backend) => (backend.has("name") ? backend.at("name") : backend)),
        backendName,
        (name, first) => `${quote(name)} is ${first} already. Remove one, or give it another name.`,
      ),
    ];
    const health = pool.at("health");
    const given = health.has("timeout") ? health.at("timeout") : health.at("interval");
    const intervalMs = durationOr(health.at("interval"), DEFAULTS.checkInterval);
    const timeoutMs = durationOr(health.at("timeout"), DEFAULTS.checkTimeout);
    if (intervalMs !== undefined && timeoutMs !== undefined && timeoutMs > intervalMs) {
      const message = `The timeout (${formatDuration(timeoutMs)}) is longer than the interval (${formatDuration(intervalMs)}). Lower the timeout, or check less often.`;
      found.push(given.mistake(message));
    }
    return found;
  });
}

function durationOr(spot: Spot, otherwise: string): number | undefined {
  return (spot.value === undefined ? new Spot(otherwise, []) : spot).read(readDuration);
}

/** A backend is its address, or a map with one. */
function addressOf(backend: Spot): Spot {
  return isMap(backend.value) ? backend.at("address") : backend;
}

/** Where requests to a virtual address reach a listener. */
function ownAddresses(top: Spot): ReadonlySet<string> {
  const binds = top.at("listeners").items.map((listener) => listener.at("bind").read(readBind));
  const hosts = top
    .at("virtualAddresses")
    .items.map((item) => item.at("address").read(readInterfaceAddress)?.address);
  return new Set(
    hosts.flatMap((host) =>
      binds.flatMap((bind) => {
        if (host === undefined || bind === undefined) return [];
        const listens =
          bind.kind === "vip" || bind.host === host || bind.host === (host.includes(":") ? "::" : "0.0.0.0");
        return listens ? [formatAddress(host, bind.port)] : [];
      }),
    ),
  );
}

/** Its name as given, or the address that names it. */
function backendName(spot: Spot): string | undefined {
  if (spot.path.at(-1) === "name") return spot.text;
  const address = addressOf(spot).read(readBackendAddress);
  return address === undefined ? undefined : formatAddress(address.host, address.port);
}

function canonicalBind(spot: Spot): string | undefined {
  const bind = spot.read(readBind);
  if (bind === undefined) return undefined;
  return bind.kind === "vip" ? `vip:${String(bind.port)}` : formatAddress(bind.host, bind.port);
}

/** A mistake for every spot whose key an earlier one has; `first` is where, as a path. */
function duplicates(
  spots: readonly Spot[],
  keyOf: (spot: Spot) => string | undefined,
  describe: (key: string, first: string) => string,
): readonly Mistake[] {
  const firsts = new Map<string, Spot>();
  return spots.flatMap((spot) => {
    const key = keyOf(spot);
    if (key === undefined) return [];
    const first = firsts.get(key);
    if (first !== undefined) return [spot.mistake(describe(key, formatPath(first.path)))];
    firsts.set(key, spot);
    return [];
  });
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}
