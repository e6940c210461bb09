// What must be true between the values that make a pair: its nodes, its paths, its arbiter, its groups of
// virtual addresses and its tracked checks. A part of cross-checks.ts, whose rules hold here too.

import { readArbiterAddress, readCheckAddress, readInterfaceAddress, readIpAddress } from "./address.ts";
import { readCheckUrl } from "./http-values.ts";
import { formatPath } from "./mistake.ts";
import type { Mistake } from "./mistake.ts";
import { isNear, nearest } from "./nearest.ts";
import { FURTHER_PATHS_MAX, GROUPS_MAX, TRACK_DEFAULTS, TRACK_KEYS } from "./pair-schema.ts";
import { quote } from "./reading.ts";
import { checkTimeout, duplicates, isEmptyList, isMap } from "./spot.ts";
import type { Spot } from "./spot.ts";

/** Every contradiction in what makes a pair. */
export function checkPair(top: Spot): readonly Mistake[] {
  const pair = top.at("pair");
  return [
    ...checkVirtualAddresses(top),
    ...checkGroups(top),
    ...(isMap(pair.value)
      ? [
          ...checkNodes(top),
          ...checkSecret(pair),
          ...checkPaths(top),
          ...checkArbiter(top),
          ...checkTrack(top),
        ]
      : []),
  ];
}

/** An address at which a node is found, and stays. */
interface OwnAddress {
  readonly node: string;
  readonly spot: Spot;
  readonly address: string;
}

/** The addresses of the nodes on all paths, those of the nodes themselves first. */
export function ownAddressesOf(top: Spot): readonly OwnAddress[] {
  return [nodeAddresses(top), ...furtherPaths(top)].flat();
}

/** Where the virtual addresses stand, in groups or without. */
export function virtualAddressesOf(top: Spot): readonly Spot[] {
  return top
    .at("virtualAddresses")
    .items.flatMap((item) => (isGroup(item) ? item.at("addresses").items : [item]))
    .map((item) => item.at("address"));
}

function nodeAddresses(top: Spot): readonly OwnAddress[] {
  const nodes = top.at("pair").at("nodes").entries;
  return nodes.flatMap(([node, entry]) => ownAddress(node, entry.at("address")));
}

function furtherPaths(top: Spot): readonly (readonly OwnAddress[])[] {
  const paths = top.at("pair").at("paths").items;
  return paths.map(pathAddresses);
}

function pathAddresses(path: Spot): readonly OwnAddress[] {
  return path.entries.flatMap(([node, spot]) => ownAddress(node, spot));
}

function ownAddress(node: string, spot: Spot): readonly OwnAddress[] {
  const address = spot.read(readIpAddress);
  return address === undefined ? [] : [{ node, spot, address }];
}

function isGroup(item: Spot): boolean {
  return item.has("addresses") || (item.has("group") && !item.has("address"));
}

/** An address beside the groups. One that names a group has its mistake already. */
function isStray(item: Spot): boolean {
  return !isGroup(item) && !item.has("group") && (item.has("address") || item.has("interface"));
}

// ---------------------------------------------------------------- nodes, secret, paths, arbiter

function checkNodes(top: Spot): readonly Mistake[] {
  const nodes = top.at("pair").at("nodes");
  const count = nodes.entries.length;
  const found: Mistake[] = [];
  if (isMap(nodes.value) && (count === 0 || count > 2)) {
    found.push(
      nodes.mistake(
        `A pair has two nodes, or one until the second has joined; ${String(count)} stand here.`,
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
    ...checkFamily(nodeAddresses(top)),
  );
  if (!top.mentions("virtualAddresses") || isEmptyList(top.at("virtualAddresses").value)) {
    found.push(
      top
        .at("pair")
        .mistake(
          "A pair needs an address to move between its nodes. Add virtualAddresses, or remove pair: without both, one node balances alone.",
          "key",
        ),
    );
  }
  return found;
}

function checkSecret(pair: Spot): readonly Mistake[] {
  if (pair.has("secret") && pair.has("secretFile")) {
    return [pair.at("secretFile").mistake("There is a secret as well. Keep one of the two.", "key")];
  }
  if (pair.mentions("secret") || pair.mentions("secretFile")) return [];
  return [
    pair.mistake(
      "The pair has no secret. Add secretFile: FILE, or secret: TEXT, the same on both nodes.",
      "key",
    ),
  ];
}

function checkPaths(top: Spot): readonly Mistake[] {
  const seen = new Map(nodeAddresses(top).map((own) => [own.address, own.spot]));
  const virtual = virtualAddressSpots(top);
  const list = top.at("pair").at("paths");
  return [
    ...checkNumber(list, list.items.length, { max: FURTHER_PATHS_MAX, noun: "further paths" }),
    ...list.items.flatMap((path) => {
      const addresses = pathAddresses(path);
      const found = [
        ...checkNodeNames(top, path),
        ...checkCompleteness(top, path),
        ...checkFamily(addresses),
        ...checkRepetition(addresses, seen),
        ...addresses.flatMap(({ spot, address }) => checkStays(spot, virtual.get(address))),
      ];
      for (const { spot, address } of addresses) if (!seen.has(address)) seen.set(address, spot);
      return found;
    }),
  ];
}

function checkNumber(
  list: Spot,
  count: number,
  { max, noun, advice = "" }: { readonly max: number; readonly noun: string; readonly advice?: string },
): readonly Mistake[] {
  if (count <= max) return [];
  return [list.mistake(`${String(count)} ${noun} stand here. Use at most ${String(max)}${advice}.`, "key")];
}

function checkCompleteness(top: Spot, path: Spot): readonly Mistake[] {
  const nodes = nodesOf(top);
  const strangers = path.entries.map(([name]) => name).filter((name) => !nodes.includes(name));
  const isTooShort = path.entries.length < nodes.length;
  const missing = nodes
    .filter((node) => !path.has(node))
    // A misspelt node has its mistake already, but it is not two nodes.
    .filter((node) => isTooShort || !strangers.some((name) => isNear(name, node)));
  if (!isMap(path.value) || nodes.length !== 2 || missing.length === 0) return [];
  return [path.mistake(`There is no address for ${missing.join(" and ")}. A path has one for each node.`)];
}

/** `seen`: the addresses of the paths before this one. */
function checkRepetition(path: readonly OwnAddress[], seen: ReadonlyMap<string, Spot>): readonly Mistake[] {
  const fresh = path.filter(({ address }) => !seen.has(address));
  return [
    ...path.flatMap(({ spot, address }) => {
      const first = seen.get(address);
      if (first === undefined) return [];
      return [
        spot.mistake(
          `${quote(address)} is ${formatPath(first.path)} already. Each path has addresses of its own; those in pair.nodes are the first path.`,
        ),
      ];
    }),
    ...duplicates(
      fresh.map(({ spot }) => spot),
      (spot) => spot.read(readIpAddress),
      (address, first) => `${quote(address)} is ${first} too. Each node needs its own.`,
    ),
  ];
}

/** `moving`: the virtual address that is this one. */
function checkStays(spot: Spot, moving: Spot | undefined): readonly Mistake[] {
  if (moving === undefined) return [];
  return [
    spot.mistake(
      `${quote(spot.text ?? "")} moves between the nodes: it is ${formatPath(moving.path)}. Use an address that stays on its node.`,
    ),
  ];
}

/** No connection goes from an IPv4 address to an IPv6 one. */
function checkFamily(path: readonly OwnAddress[]): readonly Mistake[] {
  const [first, second] = path;
  if (path.length !== 2 || first === undefined || second === undefined) return [];
  if (familyOf(first.address) === familyOf(second.address)) return [];
  return [
    second.spot.mistake(
      `${quote(second.address)} is ${familyOf(second.address)}, and ${first.node} has an ${familyOf(first.address)} address here. Use the same kind for both nodes.`,
    ),
  ];
}

function familyOf(address: string): "IPv4" | "IPv6" {
  return address.includes(":") ? "IPv6" : "IPv4";
}

function checkArbiter(top: Spot): readonly Mistake[] {
  const spot = top.at("pair").at("arbiter").at("address");
  const address = spot.read(readArbiterAddress);
  if (address === undefined) return [];
  const own = ownAddressesOf(top).find((candidate) => candidate.address === address);
  const moving = virtualAddressSpots(top).get(address);
  const advice = "Use a third machine that both nodes reach, such as the router.";
  if (own !== undefined)
    return [spot.mistake(`${quote(address)} is an address of node ${own.node} itself. ${advice}`)];
  if (moving === undefined) return [];
  return [
    spot.mistake(`${quote(address)} moves between the nodes: it is ${formatPath(moving.path)}. ${advice}`),
  ];
}

// ---------------------------------------------------------------- virtual addresses and their groups

function checkVirtualAddresses(top: Spot): readonly Mistake[] {
  const list = top.at("virtualAddresses");
  const addresses = virtualAddressesOf(top);
  const found = [
    ...duplicates(
      addresses,
      (address) => address.read(readInterfaceAddress)?.address,
      (address, first) => `${quote(address)} is ${first} already. Remove one.`,
    ),
  ];
  const nodeOf = new Map(nodeAddresses(top).map(({ node, address }) => [address, node]));
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

function checkGroups(top: Spot): readonly Mistake[] {
  const list = top.at("virtualAddresses");
  const groups = list.items.filter(isGroup);
  const strays = groups.length === 0 ? [] : list.items.filter(isStray);
  return [
    ...checkNumber(list, groups.length, {
      max: GROUPS_MAX,
      noun: "groups",
      advice: "; a group may have many addresses",
    }),
    ...strays.map((stray) =>
      stray.mistake(
        "This address is in no group, and others are. Put it into one: { group: NAME, addresses: [{ address: …, interface: … }] }.",
      ),
    ),
    ...duplicates(
      groups.map((group) => group.at("group")),
      (name) => name.text,
      (name, earlier) =>
        `${quote(name)} is ${earlier} already. Use another name, or put the addresses into one group.`,
    ),
    ...groups.flatMap((group) => checkNodeNames(top, group.at("priorities"))),
  ];
}

/** Canonical address -> where it stands. */
function virtualAddressSpots(top: Spot): ReadonlyMap<string, Spot> {
  return new Map(
    virtualAddressesOf(top).flatMap((spot) => {
      const address = spot.read(readInterfaceAddress)?.address;
      return address === undefined ? [] : [[address, spot] as const];
    }),
  );
}

/** Keys that should be the names of the nodes. */
function checkNodeNames(top: Spot, map: Spot): readonly Mistake[] {
  const nodes = nodesOf(top);
  if (nodes.length === 0) return [];
  return map.entries.flatMap(([name, entry]) => {
    if (nodes.includes(name)) return [];
    // A name that stands here already was not meant a second time, and of two near ones neither is sure.
    const near = nodes.filter((node) => !map.has(node) && isNear(name, node));
    const advice = near.length === 1 ? `Did you mean ${quote(near.join(""))}?` : `Use ${nodes.join(" or ")}.`;
    return [entry.mistake(`There is no node ${quote(name)}. ${advice}`, "key")];
  });
}

function nodesOf(top: Spot): readonly string[] {
  return top
    .at("pair")
    .at("nodes")
    .entries.map(([name]) => name);
}

// ---------------------------------------------------------------- tracked checks

const CHECK_KINDS: readonly string[] = ["exec", "tcp", "http"];
const CHECK_EFFECTS: readonly string[] = ["weight", "fault"];

function checkTrack(top: Spot): readonly Mistake[] {
  const checks = top.at("pair").at("track").items;
  const virtual = virtualAddressSpots(top);
  return [
    ...duplicates(
      checks.map((check) => check.at("name")),
      (name) => name.text,
      (name, first) => `${quote(name)} is ${first} already. Use another name.`,
    ),
    ...checks.flatMap((check) => [
      ...(isMap(check.value) ? [...checkKind(check), ...checkEffect(check), ...checkLacks(check)] : []),
      ...checkTimeout(check, TRACK_DEFAULTS),
      ...checkTarget(check, virtual),
    ]),
  ];
}

function checkKind(check: Spot): readonly Mistake[] {
  const [first, ...others] = check.entries.filter(([key]) => CHECK_KINDS.includes(key));
  return others.map(([, other]) =>
    other.mistake(
      `There is ${first?.[0] ?? ""} as well. A check has one of them; write another check for this one.`,
      "key",
    ),
  );
}

function checkEffect(check: Spot): readonly Mistake[] {
  if (!check.has("weight") || check.at("fault").value !== true) return [];
  return [check.at("fault").mistake("There is a weight as well. Keep one of the two.", "key")];
}

function checkLacks(check: Spot): readonly Mistake[] {
  const lacks = [
    {
      keys: CHECK_KINDS,
      message: "Nothing is checked. Add exec: PROGRAM, tcp: ADDRESS:PORT, or http: URL.",
    },
    {
      keys: CHECK_EFFECTS,
      message: "The check has no effect. Add weight: 1 to 253, by which the priority falls, or fault: true.",
    },
  ].filter(({ keys }) => !keys.some((key) => check.mentions(key, TRACK_KEYS)));
  // A key that is like no other was meant for what is missing, and has its mistake: `script:`, say.
  const strangers = check.entries.filter(([key]) => nearest(key, TRACK_KEYS) === undefined);
  return lacks.slice(strangers.length).map(({ message }) => check.mistake(message));
}

/** Through a virtual address a standby would check the active node, and both would be ill at once. */
function checkTarget(check: Spot, virtual: ReadonlyMap<string, Spot>): readonly Mistake[] {
  return [
    { spot: check.at("tcp"), host: check.at("tcp").read(readCheckAddress)?.host },
    { spot: check.at("http"), host: check.at("http").read(readCheckUrl)?.host },
  ].flatMap(({ spot, host }) => {
    const moving = host === undefined ? undefined : virtual.get(host);
    if (moving === undefined) return [];
    return [
      spot.mistake(
        `${quote(host ?? "")} moves between the nodes: it is ${formatPath(moving.path)}. Each node checks itself; use 127.0.0.1, say.`,
      ),
    ];
  });
}
