// A listener at work: what the connections that came in through it need of its configuration. A
// reload replaces the contents; connections keep their listener.

import { BlockList, isIP, isIPv6 } from "node:net";
import type { ListenerConfig, ListenerTimeouts } from "../config/config.ts";
import type { Sender } from "../http1/forward.ts";
import { DEFAULT_REQUEST_RULES, type RequestHead, type RequestRules } from "../http1/request.ts";
import type { WorkerConfig } from "../protocol/worker.ts";
import { clientBehind, plainAddress } from "../routing/client-address.ts";
import { compileRoutes, type RouteTable } from "../routing/route.ts";
import { type OwnPages, preparePages } from "./own-response.ts";
import { Room } from "./room.ts";

/** What a listener needs of its worker's configuration. */
type ListenerSurroundings = Pick<WorkerConfig, "workers" | "errorPages">;

export class Listener {
  readonly name: string;
  table: RouteTable = compileRoutes([]);
  timeouts: ListenerTimeouts;
  requestRules: RequestRules = DEFAULT_REQUEST_RULES;
  /** Infinity: unlimited. */
  bodyBytesMax = Infinity;
  /** Infinity: unlimited. */
  requestsPerConnectionMax = Infinity;
  /** Who is connected now, against the limits on that. */
  readonly room = new Room();
  errorPages: OwnPages = null;
  /** null: nobody is trusted. */
  private trusted: BlockList | null = null;

  constructor(config: ListenerConfig, worker: ListenerSurroundings) {
    this.name = config.name;
    this.timeouts = config.timeouts;
    this.configure(config, worker);
  }

  configure(config: ListenerConfig, { workers, errorPages }: ListenerSurroundings): void {
    const { limits } = config;
    this.table = compileRoutes(config.routes);
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
    const pages = errorPages.get(config.name);
    this.errorPages = pages === undefined ? null : preparePages(pages);
    this.trusted = config.trustedProxies.length === 0 ? null : createBlockList(config.trustedProxies);
  }

  /** What backends are told of a client. `remoteAddress` is the socket's. */
  describeSender(remoteAddress: string): Sender {
    const address = plainAddress(remoteAddress);
    return { address, isTrusted: this.trusts(address), scheme: "http" };
  }

  /** Who asked, for routes and hashes: the sender, or behind a trusted proxy whom that tells of. */
  clientAddress(head: RequestHead, sender: Sender): string {
    if (!sender.isTrusted) return sender.address;
    const told = head.fields.list.flatMap(({ kind, value }) => (kind === "x-forwarded-for" ? [value] : []));
    return clientBehind(sender.address, told, {
      isAddress: (text) => isIP(text) !== 0,
      trusts: (address) => this.trusts(address),
    });
  }

  private trusts(address: string): boolean {
    return this.trusted?.check(address, isIPv6(address) ? "ipv6" : "ipv4") ?? false;
  }
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
