// What the peer says about one of our groups when the two nodes have different groups, as they do for a while
// when a configuration is changed on one node after the other. A group is known by its name, and its addresses
// are what counts: a node must not claim what its peer may hold under another name. So the words about every
// group of the peer that has an address of ours are words about our group, and the most worrying of them counts.
// A group of which the peer has neither name nor address is ours alone.

import type { Advertisement, PeerRole } from "../election/advertisement.ts";

export interface OwnGroup {
  readonly name: string;
  /** Canonical literals. */
  readonly addresses: readonly string[];
}

export interface PeerGroup {
  readonly said: Advertisement;
  readonly addresses: readonly string[];
}

/** Every group of the peer, by name. */
export type PeerGroups = ReadonlyMap<string, PeerGroup>;

/** What an election is told, and in what the nodes differ about this group: a sentence for people. */
export interface GroupWords {
  readonly said: Advertisement;
  readonly difference: string | undefined;
}

/** The more likely the peer holds the address, or soon will, the earlier. */
const WORRYING: readonly PeerRole[] = [
  "active",
  "claiming",
  "leaving",
  "awaiting-lease",
  "listening",
  "standby",
  "maintenance",
  "fault",
  "stopped",
];

/** What `heard`, the newest advertisement of the peer, says about our group; undefined: nothing. */
export function wordsAbout(
  own: OwnGroup,
  { heard, groups }: { readonly heard: Advertisement; readonly groups: PeerGroups },
): GroupWords | undefined {
  const rivals = [...groups.values()].filter(
    ({ said, addresses }) => said.group !== own.name && addresses.some((one) => own.addresses.includes(one)),
  );
  const namesake = groups.get(own.name);
  const [rival] = rivals;
  if (rival === undefined) {
    if (namesake === undefined) return { said: sayNothing(own, heard), difference: describeLack(own, heard) };
    return heard.group === own.name ? { said: heard, difference: undefined } : undefined;
  }
  const concerned = namesake === undefined ? rivals : [namesake, ...rivals];
  if (!concerned.some(({ said }) => said.group === heard.group)) return undefined;
  const [worst = rival] = concerned.toSorted((a, b) => worry(a) - worry(b) || b.said.epoch - a.said.epoch);
  // Nothing is handed over between groups that differ: their addresses do not move together.
  const said: Advertisement = { ...worst.said, group: own.name, ready: false, intent: "none" };
  return { said, difference: describeRival(own, rival) };
}

function worry({ said }: PeerGroup): number {
  return WORRYING.indexOf(said.role);
}

/** The peer lives, and neither has the group nor will claim it. */
function sayNothing({ name }: OwnGroup, heard: Advertisement): Advertisement {
  return { ...heard, group: name, role: "stopped", priority: 0, heard: 0, ready: false, intent: "none" };
}

function describeLack({ name }: OwnGroup, { node }: Advertisement): string {
  return `${node} has no group ${name} and cannot take it over: the configurations differ`;
}

function describeRival(own: OwnGroup, { said, addresses }: PeerGroup): string {
  const shared = addresses.filter((address) => own.addresses.includes(address)).join(", ");
  return `${said.node} has ${shared} in its group ${said.group}: the configurations differ`;
}
