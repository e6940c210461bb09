// The routes of this machine as the kernel lists them in /proc, main table only, which costs microseconds and
// needs no program. They tell who the default gateway is and what is on the same link.

import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { BlockList, SocketAddress, isIPv4 } from "node:net";

/** An Internet router has a million routes; what counts here, the default first of all, is at the top. */
const READ_BYTES_MAX = 64 * 1024;

// linux/route.h, linux/ipv6_route.h
const UP = 0x1;
const REJECT = 0x200;
/** To this machine itself, and to anycast addresses, which IPv6 lists among the others. */
const LOCAL_OR_ANYCAST = 0x8010_0000;

export interface KernelRoute {
  readonly family: "ipv4" | "ipv6";
  readonly interface: string;
  /** In canonical form. */
  readonly destination: string;
  readonly prefixLength: number;
  /** In canonical form; undefined: the destination is on the link. */
  readonly gateway: string | undefined;
  readonly metric: number;
}

/** undefined: the kernel does not tell just now. */
export function readKernelRoutes(): readonly KernelRoute[] | undefined {
  try {
    return [
      ...parseRoutes4(readStart("/proc/net/route")),
      ...parseRoutes6(readStart("/proc/net/ipv6_route")),
    ];
  } catch {
    // Out of file descriptors, say: the routes are what they were.
    return undefined;
  }
}

/** The default gateways of these interfaces, the one that the kernel prefers first, IPv4 before IPv6. */
export function defaultGateways(
  routes: readonly KernelRoute[],
  interfaces: readonly string[],
): readonly (KernelRoute & { readonly gateway: string })[] {
  return routes
    .filter((route) => hasGateway(route))
    .filter((route) => route.prefixLength === 0 && interfaces.includes(route.interface))
    .toSorted((a, b) => a.family.localeCompare(b.family) || a.metric - b.metric);
}

/** The interface through which an address is reached without a gateway; one of `preferred` if there are several. */
export function linkOf(
  routes: readonly KernelRoute[],
  address: string,
  preferred: readonly string[],
): string | undefined {
  const [best] = routes
    .filter((route) => covers(route, address))
    .toSorted(
      (a, b) =>
        b.prefixLength - a.prefixLength ||
        Number(preferred.includes(b.interface)) - Number(preferred.includes(a.interface)) ||
        a.metric - b.metric,
    );
  return best === undefined || hasGateway(best) ? undefined : best.interface;
}

function hasGateway(route: KernelRoute): route is KernelRoute & { readonly gateway: string } {
  return route.gateway !== undefined;
}

function covers(route: KernelRoute, address: string): boolean {
  if ((route.family === "ipv4") !== isIPv4(address)) return false;
  const block = new BlockList();
  block.addSubnet(route.destination, route.prefixLength, route.family);
  return block.check(address, route.family);
}

/** /proc/net/route: a head line, then interface, destination, gateway, flags, two counters, metric, mask. */
export function parseRoutes4(text: string): readonly KernelRoute[] {
  const routes: KernelRoute[] = [];
  for (const line of wholeLines(text).slice(1)) {
    const [name, destination, gateway, flags, , , metric, mask] = line.split(/\s+/);
    if (name === undefined || destination === undefined || gateway === undefined || mask === undefined)
      continue;
    if (!isUsable(Number.parseInt(flags ?? "", 16))) continue;
    routes.push({
      family: "ipv4",
      interface: name,
      destination: parseIpv4(destination),
      prefixLength: Number.parseInt(mask, 16).toString(2).replaceAll("0", "").length,
      gateway: gateway === "00000000" ? undefined : parseIpv4(gateway),
      metric: Number(metric),
    });
  }
  return routes;
}

/** /proc/net/ipv6_route: destination, prefix length, source and its length, gateway, metric, two counters, flags, interface. */
export function parseRoutes6(text: string): readonly KernelRoute[] {
  const routes: KernelRoute[] = [];
  for (const line of wholeLines(text)) {
    const [destination, prefixLength, , , gateway, metric, , , flags, name] = line.trim().split(/\s+/);
    if (destination === undefined || gateway === undefined || name === undefined) continue;
    if (!isUsable(Number.parseInt(flags ?? "", 16))) continue;
    routes.push({
      family: "ipv6",
      interface: name,
      destination: parseIpv6(destination),
      prefixLength: Number.parseInt(prefixLength ?? "", 16),
      gateway: /^0+$/.test(gateway) ? undefined : parseIpv6(gateway),
      metric: Number.parseInt(metric ?? "", 16),
    });
  }
  return routes;
}

function isUsable(flags: number): boolean {
  return (flags & UP) !== 0 && (flags & (REJECT | LOCAL_OR_ANYCAST)) === 0;
}

/** Four bytes as one number of this machine's byte order, which is little endian on all that we run on. */
function parseIpv4(hex: string): string {
  const value = Number.parseInt(hex, 16);
  return [0, 8, 16, 24].map((shift) => (value >>> shift) & 255).join(".");
}

/** An IPv6 address as /proc writes it, 32 digits without colons, in canonical form. */
export function parseIpv6(hex: string): string {
  return new SocketAddress({ address: hex.replace(/(.{4})(?=.)/g, "$1:"), family: "ipv6" }).address;
}

/** The last line may be cut off. */
function wholeLines(text: string): readonly string[] {
  return text.split("\n").slice(0, -1);
}

/** Empty when there is no such file: IPv6 may be switched off. */
function readStart(file: string): string {
  if (!existsSync(file)) return "";
  const descriptor = openSync(file, "r");
  try {
    const buffer = Buffer.alloc(READ_BYTES_MAX);
    let length = 0;
    // A read from /proc gives a page at a time.
    while (length < buffer.length) {
      const read = readSync(descriptor, buffer, length, buffer.length - length, null);
      if (read === 0) break;
      length += read;
    }
    return buffer.toString("latin1", 0, length);
  } finally {
    closeSync(descriptor);
  }
}
