// What must be true between the values of listeners, their routes and the rest of the file. Part of
// cross-checks.ts.

import { readBind } from "./address.ts";
import { formatAddress } from "./config.ts";
import { type Mistake, UNDERSCORES_STAY_OUT } from "./mistake.ts";
import { ownAddressesOf } from "./pair-checks.ts";
import { PAIR_DEFAULTS } from "./pair-schema.ts";
import { quote } from "./reading.ts";
import { checkReference, checkRoute } from "./route-checks.ts";
import { duplicates, isEmptyList, isMap, type Spot } from "./spot.ts";

/** Names and ports that must differ, pools that must exist, routes that nobody reaches. */
export function checkListeners(top: Spot): readonly Mistake[] {
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

/** The peer link listens on the node's own addresses, and two cannot have one port there. */
function checkPeerPort(top: Spot, spot: Spot): readonly Mistake[] {
  const pair = top.at("pair");
  const bind = spot.read(readBind);
  if (!isMap(pair.value) || bind?.kind !== "address") return [];
  const peerPort = pair.has("port") ? pair.at("port").value : PAIR_DEFAULTS.peerPort;
  if (bind.port !== peerPort) return [];
  const taken = ownAddressesOf(top).map(({ address }) => address);
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
  found.push(...checkReference(top.at("pools"), listener.at("pool")));
  found.push(...routes.items.flatMap((route) => checkRoute(top.at("pools"), route)));
  if (listener.at("underscoreHeaders").value !== "pass")
    found.push(...routes.items.flatMap(checkUnderscores));
  found.push(
    ...duplicates(
      routes.items.map((route) => route.at("name")),
      (name) => name.text,
      (name, first) => `${quote(name)} is ${first} already. Use another name.`,
    ),
  );
  const catchAll = routes.items.findIndex(matchesEverything);
  const unreachable = catchAll === -1 ? undefined : routes.items[catchAll + 1];
  if (unreachable !== undefined) {
    found.push(
      unreachable.mistake(
        `No request gets here: routes[${String(catchAll)}] above matches all of them. Give it a match, or put it last.`,
      ),
    );
  }
  found.push(
    ...duplicates(
      routes.items.filter((route) => !matchesEverything(route)).map((route) => route.at("match")),
      (match) => (isMap(match.value) ? JSON.stringify(match.value) : undefined),
      (_, first) => `No request gets here: it matches what ${first} matches. Merge the two, or remove one.`,
    ),
  );
  return found;
}

/** What a route decides by, in fields that the listener keeps out. */
function checkUnderscores(route: Spot): readonly Mistake[] {
  const named = route
    .at("match")
    .at("header")
    .entries.filter(([name]) => name.includes("_"));
  const split = route.at("split");
  const values = [split.at("by").at("header"), split.at("override").at("header")];
  return [
    ...named.map(([, field]) => field.mistake(UNDERSCORES_STAY_OUT, "key")),
    ...values
      .filter(({ text }) => text?.includes("_") === true)
      .map((field) => field.mistake(UNDERSCORES_STAY_OUT)),
  ];
}

function matchesEverything(route: Spot): boolean {
  if (!route.has("match")) return isMap(route.value);
  const match = route.at("match");
  return isMap(match.value) && match.entries.length === 0;
}

function canonicalBind(spot: Spot): string | undefined {
  const bind = spot.read(readBind);
  if (bind === undefined) return undefined;
  return bind.kind === "vip" ? `vip:${String(bind.port)}` : formatAddress(bind.host, bind.port);
}
