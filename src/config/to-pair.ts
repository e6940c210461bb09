// From the values of a file that kept to the schema to the part of Config that is about the pair.

import { DEFAULT_GROUP } from "./config.ts";
import type { Config, GroupConfig, NotifyConfig, PairConfig } from "./config.ts";
import type { TrackedCheck, TrackedCheckConfig, VirtualAddress } from "./config.ts";
import type { ConfigFile } from "./schema.ts";

type PairFile = NonNullable<ConfigFile["pair"]>;

/** The pair as the file names it, with units in the names. */
export function toPair(pair: PairFile): PairConfig {
  const { nodes, advertisementInterval, preemptDelay, lease, paths, track, vitals, notify, ...rest } = pair;
  const { interval, ...watched } = vitals;
  return {
    ...rest,
    nodes: Object.entries(nodes).map(([name, node]) => ({ name, ...node })),
    advertisementIntervalMs: advertisementInterval,
    preemptDelayMs: preemptDelay,
    leaseMs: lease,
    paths: [mapValues(nodes, ({ address }) => address), ...paths].map((addresses) => ({ addresses })),
    track: track.map(toTrackedCheck),
    vitals: { intervalMs: interval, ...watched },
    notify: toNotify(notify),
  };
}

function toTrackedCheck(check: PairFile["track"][number]): TrackedCheckConfig {
  const { exec, tcp, http, interval, timeout, weight, fault: _, ...rest } = check;
  return {
    ...rest,
    check: toCheck({ exec, tcp, http }),
    intervalMs: interval,
    timeoutMs: timeout,
    effect: weight === undefined ? { kind: "fault" } : { kind: "weight", weight },
  };
}

/** The cross-checks made sure that exactly one of the three is there. */
function toCheck({
  exec,
  tcp,
  http,
}: {
  readonly [K in "exec" | "tcp" | "http"]: PairFile["track"][number][K] | undefined;
}): TrackedCheck {
  if (tcp !== undefined) return { kind: "tcp", ...tcp };
  if (http !== undefined) return { kind: "http", url: http.url };
  return { kind: "exec", command: exec ?? [] };
}

function toNotify(notify: PairFile["notify"]): NotifyConfig {
  const { "on-active": onActive, "on-standby": onStandby, "on-fault": onFault } = notify;
  return {
    ...(onActive === undefined ? {} : { onActive }),
    ...(onStandby === undefined ? {} : { onStandby }),
    ...(onFault === undefined ? {} : { onFault }),
  };
}

/** The virtual addresses with the names of their groups, and the groups. Without groups in the file there is one. */
export function toGroups({
  pair,
  virtualAddresses,
}: ConfigFile): Pick<Config, "virtualAddresses" | "groups"> {
  if (pair === undefined) return { virtualAddresses: [], groups: [] };
  const priorities = mapValues(pair.nodes, (node) => node.priority);
  const groups: GroupConfig[] = [];
  const addresses: VirtualAddress[] = [];
  for (const entry of virtualAddresses) {
    if ("group" in entry) {
      const { group: name, preempt = pair.preempt } = entry;
      groups.push({ name, priorities: { ...priorities, ...entry.priorities }, preempt });
      addresses.push(...entry.addresses.map((inner) => toVirtualAddress(inner, name)));
    } else {
      addresses.push(toVirtualAddress(entry, DEFAULT_GROUP));
    }
  }
  if (groups.length === 0) groups.push({ name: DEFAULT_GROUP, priorities, preempt: pair.preempt });
  return { virtualAddresses: addresses, groups };
}

function toVirtualAddress(
  entry: { readonly address: Pick<VirtualAddress, "address" | "prefixLength">; readonly interface: string },
  group: string,
): VirtualAddress {
  return { ...entry.address, interface: entry.interface, group };
}

function mapValues<T, U>(
  map: Readonly<Record<string, T>>,
  convert: (value: T) => U,
): Readonly<Record<string, U>> {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, convert(value)]));
}
