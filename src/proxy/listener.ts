// A listener at work: what the connections that came in through it need of its configuration. A
// reload replaces the contents; connections keep their listener.

import { BlockList, isIPv6 } from "node:net";
import type { ListenerConfig, ListenerTimeouts, RouteConfig } from "../config/config.ts";
import type { Sender } from "../http1/forward.ts";
import { DEFAULT_REQUEST_RULES, type RequestRules } from "../http1/request.ts";
import { Room } from "./room.ts";

export class Listener {
  readonly name: string;
  routes: readonly RouteConfig[] = [];
  timeouts: ListenerTimeouts;
  requestRules: RequestRules = DEFAULT_REQUEST_RULES;
  /** Infinity: unlimited. */
  bodyBytesMax = Infinity;
  /** Infinity: unlimited. */
  requestsPerConnectionMax = Infinity;
  /** Who is connected now, against the limits on that. */
  readonly room = new Room();
  /** null: nobody is trusted. */
  private trusted: BlockList | null = null;

  /** `workers`: how many share the listener's connections. */
  constructor(config: ListenerConfig, workers: number) {
    this.name = config.name;
    this.timeouts = config.timeouts;
    this.configure(config, workers);
  }

  configure(config: ListenerConfig, workers: number): void {
    const { limits } = config;
    this.routes = config.routes;
    this.timeouts = config.timeouts;
    this.requestRules = {
      headBytesMax: limits.headBytes,
      lineBytesMax: limits.requestLineBytes,
      fieldsMax: limits.fields,
      underscores: config.underscoreHeaders,
      allowsTrace: config.trace === "pass",
    };
    this.bodyBytesMax = limits.bodyBytes ?? Infinity;
    this.requestsPerConnectionMax = limits.requestsPerConnection ?? Infinity;
    this.room.limit({
      connections: limits.connections === null ? Infinity : Math.ceil(limits.connections / workers),
      perAddress: limits.connectionsPerAddress ?? Infinity,
    });
    this.trusted = config.trustedProxies.length === 0 ? null : createBlockList(config.trustedProxies);
  }

  /** What backends are told of a client. `remoteAddress` is the socket's. */
  describeSender(remoteAddress: string): Sender {
    const address = plainAddress(remoteAddress);
    const isTrusted = this.trusted?.check(address, isIPv6(address) ? "ipv6" : "ipv4") ?? false;
    return { address, isTrusted, scheme: "http" };
  }
}

/** An IPv4 client of a dual-stack socket is an IPv4 client; a zone is of no use to anyone else. */
function plainAddress(address: string): string {
  if (address.startsWith("::ffff:") && address.includes(".")) return address.slice(7);
  const zone = address.indexOf("%");
  return zone === -1 ? address : address.slice(0, zone);
}

function createBlockList(blocks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const block of blocks) {
    const [address = "", prefix] = block.split("/");
    const family = isIPv6(address) ? "ipv6" : "ipv4";
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return list;
}
