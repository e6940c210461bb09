// How many connections a listener has room for in this worker, in total and for one client address. Without
// limits it only counts to one number.

import { isIPv6 } from "node:net";
import type { Sender } from "../http1/forward.ts";

/** Where a connection was counted: given back when it closes. "": in the total alone. */
export type Place = string;

export type Admission =
  | { readonly kind: "admitted"; readonly place: Place }
  | { readonly kind: "refused"; readonly status: 429 | 503 };

const ADMITTED = { kind: "admitted", place: "" } as const;
const FULL = { kind: "refused", status: 503 } as const;
const TOO_MANY = { kind: "refused", status: 429 } as const;

export class Room {
  private connectionsMax = Infinity;
  private perAddressMax = Infinity;
  private connections = 0;
  /** By client network; only while that is limited. */
  private readonly byNetwork = new Map<string, number>();

  /** Connections that are open already may be more than a new limit; none of them is closed for it. */
  limit(max: { readonly connections: number; readonly perAddress: number }): void {
    this.connectionsMax = max.connections;
    this.perAddressMax = max.perAddress;
  }

  /** Counts a connection, or says with which status it is to be refused. */
  admit({ address, isTrusted }: Sender): Admission {
    if (this.connections >= this.connectionsMax) return FULL;
    // Behind a proxy of ours stand many clients.
    if (this.perAddressMax === Infinity || isTrusted) {
      this.connections += 1;
      return ADMITTED;
    }
    const network = clientNetwork(address);
    const count = this.byNetwork.get(network) ?? 0;
    if (count >= this.perAddressMax) return TOO_MANY;
    this.byNetwork.set(network, count + 1);
    this.connections += 1;
    return { kind: "admitted", place: network };
  }

  /** The connection has closed. */
  leave(place: Place): void {
    this.connections -= 1;
    if (place === "") return;
    const count = (this.byNetwork.get(place) ?? 0) - 1;
    if (count > 0) this.byNetwork.set(place, count);
    else this.byNetwork.delete(place);
  }
}

/** The address; for IPv6 the /64 network, because one machine has every address in it. */
export function clientNetwork(address: string): string {
  if (!isIPv6(address)) return address;
  const [left = "", right] = address.split("::");
  const groups = left === "" ? [] : left.split(":");
  if (right !== undefined) {
    const tail = right === "" ? 0 : right.split(":").length + (right.includes(".") ? 1 : 0);
    while (groups.length + tail < 8) groups.push("0");
    groups.push(...right.split(":"));
  }
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(":")}::/64`;
}
