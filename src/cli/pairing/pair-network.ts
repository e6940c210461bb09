// Where a virtual address belongs on this machine, and whether it can: interface, prefix length, the node's own address and
// the gateway, from what the machine has and the few things that an operator may have said. Decides only; nothing
// is asked of the network here.

import { BlockList } from "node:net";
import {
  readInterfaceAddress,
  readInterfaceName,
  readIpAddress,
  readVirtualAddress,
} from "../../config/address.ts";
import { noSuch } from "../../config/nearest.ts";
import type { MachineInterface, MachineNetwork, OwnAddress } from "./machine-network.ts";

export interface NetworkWishes {
  /** `192.168.1.50`, or with the prefix length of its network. */
  readonly vip: string;
  readonly interface?: string | undefined;
  /** The node's own one. */
  readonly address?: string | undefined;
}

export interface PairNetwork {
  readonly kind: "network";
  /** In canonical form. */
  readonly vip: string;
  readonly prefixLength: number;
  readonly interface: string;
  /** Nobody else can be there. */
  readonly isLoopback: boolean;
  /** The node's own address. */
  readonly address: string;
  /** On that interface, of the family of the address; null when there is none. */
  readonly gateway: string | null;
}

export type ChosenNetwork =
  | PairNetwork
  | { readonly kind: "problem"; readonly problem: string }
  /** Several interfaces would do. */
  | { readonly kind: "ambiguous"; readonly interfaces: readonly string[] };

/** `ours`: virtual addresses that this machine may hold because it runs as a node already. */
export function choosePairNetwork(
  machine: MachineNetwork,
  wishes: NetworkWishes,
  { ours = [] }: { readonly ours?: readonly string[] } = {},
): ChosenNetwork {
  const [bare = "", prefix] = wishes.vip.split("/");
  const read = readVirtualAddress(bare);
  if (read.kind === "invalid") return problemOf(withoutStop(read.problem));
  const vip = read.value;

  const all = machine.interfaces;
  const wanted = wishes.interface;
  if (wanted !== undefined) {
    const problem = interfaceProblem(all, wanted);
    if (problem !== undefined) return problemOf(problem);
  }
  const taken = findTaken(machine, vip, ours);
  if (taken !== undefined) return problemOf(taken);

  const places = all
    .filter(({ name, state }) => (wanted === undefined ? state === "up" : name === wanted))
    .flatMap((place) => subnetsOf(place).map((own) => ({ place, own })))
    .filter(({ own }) => own.address !== vip && contains(own, vip));
  const [place, ...others] = preferred(places, machine);
  if (place === undefined) {
    const dark = findDark(all, vip);
    const problem = dark === undefined ? undefined : interfaceProblem(all, dark.name);
    return problemOf(problem ?? outside(all, vip, wanted));
  }
  if (others.length > 0)
    return { kind: "ambiguous", interfaces: [place, ...others].map((one) => one.place.name) };

  const prefixLength = prefix === undefined ? String(place.own.prefixLength) : prefix;
  const address = readInterfaceAddress(`${vip}/${prefixLength}`);
  if (address.kind === "invalid") return problemOf(withoutStop(address.problem));
  const own =
    wishes.address === undefined
      ? { kind: "ok" as const, value: place.own.address }
      : readIpAddress(wishes.address);
  if (own.kind === "invalid") return problemOf(withoutStop(own.problem));
  if (!machine.has(own.value)) {
    return problemOf(`this machine does not have the address ${own.value}; it has ${describeAll(all)}`);
  }
  const gateway = machine.gateways.find(
    (one) => one.interface === place.place.name && one.address.includes(":") === vip.includes(":"),
  );
  return {
    kind: "network",
    vip,
    prefixLength: address.value.prefixLength,
    interface: place.place.name,
    isLoopback: place.place.isLoopback,
    address: own.value,
    gateway: gateway?.address ?? null,
  };
}

/** Why this interface cannot carry addresses; undefined when it can. */
export function interfaceProblem(all: readonly MachineInterface[], wanted: string): string | undefined {
  const name = readInterfaceName(wanted);
  if (name.kind === "invalid") return withoutStop(name.problem);
  const found = all.find((one) => one.name === wanted);
  if (found === undefined)
    return noSuch(
      "interface",
      wanted,
      all.map((one) => one.name),
    );
  if (found.state === "down") return `the interface ${wanted} is down: sudo ip link set ${wanted} up`;
  if (found.state === "no-carrier") return `the interface ${wanted} has no carrier: is the cable plugged in?`;
  return undefined;
}

type Place = { readonly place: MachineInterface; readonly own: OwnAddress };

/** One for each interface, and of several interfaces the one with the way to the Internet, if any. */
function preferred(places: readonly Place[], machine: MachineNetwork): readonly Place[] {
  const [first] = machine.gateways.flatMap(({ interface: name }) =>
    places.filter(({ place }) => place.name === name).slice(0, 1),
  );
  if (first !== undefined) return [first];
  return places.filter(({ place }, index) => places.findIndex((one) => one.place === place) === index);
}

function findTaken(machine: MachineNetwork, vip: string, ours: readonly string[]): string | undefined {
  const holder = machine.interfaces.find((one) => one.addresses.some(({ address }) => address === vip));
  if (holder !== undefined && !ours.includes(vip)) {
    return `${vip} is this machine's own address on ${holder.name}. The virtual address must be one that no machine has`;
  }
  const gateway = machine.gateways.find(({ address }) => address === vip);
  if (gateway === undefined) return undefined;
  return `${vip} is the gateway on ${gateway.interface}. The virtual address must be one that no machine has`;
}

/** Those with a network around them: a virtual address that is held has none. */
function subnetsOf({ addresses }: MachineInterface): readonly OwnAddress[] {
  return addresses.filter(
    ({ address, prefixLength, family }) =>
      prefixLength < (family === "ipv4" ? 32 : 128) && !address.toLowerCase().startsWith("fe80:"),
  );
}

/** An interface that would have done with a cable. Of one that is not plugged in the addresses are not always known. */
function findDark(all: readonly MachineInterface[], vip: string): MachineInterface | undefined {
  const hasNetwork = all.some((one) => !one.isLoopback && one.state === "up" && subnetsOf(one).length > 0);
  const dark = all.filter(({ state }) => state === "no-carrier");
  const known = all.find((one) => subnetsOf(one).some((own) => contains(own, vip)));
  return known ?? (hasNetwork ? undefined : dark[0]);
}

function contains({ address, prefixLength, family }: OwnAddress, other: string): boolean {
  if ((family === "ipv6") !== other.includes(":")) return false;
  const network = new BlockList();
  network.addSubnet(address, prefixLength, family);
  return network.check(other, family);
}

function outside(all: readonly MachineInterface[], vip: string, wanted: string | undefined): string {
  const asked = wanted === undefined ? all : all.filter(({ name }) => name === wanted);
  return `${vip} is in no network of ${wanted ?? "this machine"}, which has ${describeAll(asked)}. Choose an address of such a network`;
}

function describeAll(all: readonly MachineInterface[]): string {
  const known = all.flatMap((one) =>
    one.isLoopback && all.length > 1
      ? []
      : subnetsOf(one).map(
          ({ address, prefixLength }) => `${address}/${String(prefixLength)} on ${one.name}`,
        ),
  );
  return known.length === 0 ? "no address" : known.join(", ");
}

function problemOf(problem: string): ChosenNetwork {
  return { kind: "problem", problem };
}

function withoutStop(sentence: string): string {
  return sentence.replace(/\.$/, "");
}
