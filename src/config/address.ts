// Addresses as people write them, and their one canonical form. IP addresses come out in the form the
// kernel prints (RFC 5952 for IPv6), so that two spellings of one address are found to be equal and a
// hook can compare what `ip addr` shows with what it was given.

import type { Bind } from "./config.ts";
import { invalid, ok, quote } from "./reading.ts";
import type { Reading } from "./reading.ts";

interface Ip {
  /** 4 bytes for IPv4, 16 for IPv6. */
  readonly bytes: readonly number[];
}

interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

const NOT_AN_IP = "is not an IP address. Use IPv4 or IPv6, such as 192.168.1.11 or fd00::11.";

/** A literal that another machine can connect to, in canonical form. */
export function readIpAddress(text: string): Reading<string> {
  const ip = parseIp(text);
  if (ip === undefined) return invalid(`${quote(text)} ${NOT_AN_IP}`);
  if (isUnspecified(ip))
    return invalid(`${quote(text)} means every address. Use the one that the peer connects to.`);
  if (isMulticast(ip)) return invalid(`${quote(text)} is a multicast address. Use the node's own one.`);
  if (isIpv6LinkLocal(ip)) {
    return invalid(
      `${quote(text)} is link-local: without its interface it names no machine. Use another one of the node, such as fd00::11.`,
    );
  }
  return ok(formatIp(ip));
}

/** The literal of an address that no machine has yet, and that two nodes will hold by turns; in canonical form. */
export function readVirtualAddress(text: string): Reading<string> {
  const ip = parseIp(text);
  if (ip === undefined) return invalid(`${quote(text)} ${NOT_AN_IP}`);
  const advice = "Choose one of the network that no machine has, such as";
  if (isUnspecified(ip)) return invalid(`${quote(text)} means every address. ${advice} 192.168.1.50.`);
  if (isMulticast(ip)) return invalid(`${quote(text)} is a multicast address. ${advice} 192.168.1.50.`);
  if (isIpv6LinkLocal(ip)) return invalid(`${quote(text)} is link-local. ${advice} fd00::50.`);
  return ok(formatIp(ip));
}

/** The literal of a machine that can be asked whether it hears a node, in canonical form. */
export function readArbiterAddress(text: string): Reading<string> {
  const ip = parseIp(text);
  if (ip === undefined)
    return invalid(`${quote(text)} is not an IP address. Use the one of a router, such as 192.168.1.1.`);
  if (isUnspecified(ip) || isMulticast(ip))
    return invalid(`${quote(text)} is not the address of one machine. Use the one of a router.`);
  const canonical = formatIp(ip);
  if (canonical === "127.0.0.1" || canonical === "::1")
    return invalid(`${quote(text)} is the node itself, and always answers. Use the address of a router.`);
  return ok(canonical);
}

/** `192.168.1.50/24`: an address that a network interface can have, with its prefix length. */
export function readInterfaceAddress(
  text: string,
): Reading<{ readonly address: string; readonly prefixLength: number }> {
  const block = parseBlock(text);
  if (block.kind === "invalid") return block;
  const { ip, prefixLength } = block.value;
  if (prefixLength === undefined) {
    return invalid(
      `${quote(text)} has no prefix length. Write it as ${text}/24, with the prefix length of the network.`,
    );
  }
  if (isUnspecified(ip) || isMulticast(ip))
    return invalid(`${quote(text)} cannot stand on an interface. Use a unicast address.`);
  const bits = ip.bytes.length * 8;
  if (prefixLength === 0)
    return invalid(`${quote(text)} covers all addresses. Use a prefix length of 1 to ${String(bits)}.`);
  if (ip.bytes.length === 4 && prefixLength < 31) {
    if (ip.bytes.every((byte, index) => byte === (byte & maskByte(prefixLength, index)))) {
      return invalid(`${quote(text)} is the network itself. Use an address inside it.`);
    }
    if (ip.bytes.every((byte, index) => (byte | maskByte(prefixLength, index)) === 255)) {
      return invalid(
        `${quote(text)} is the broadcast address of its network. Use another address inside it.`,
      );
    }
  }
  return ok({ address: formatIp(ip), prefixLength });
}

/** `10.0.0.0/8`, or a single address, which becomes a block of one. */
export function readCidr(text: string): Reading<string> {
  const block = parseBlock(text);
  if (block.kind === "invalid") return block;
  const { ip } = block.value;
  const bits = ip.bytes.length * 8;
  const prefixLength = block.value.prefixLength ?? bits;
  const network = { bytes: ip.bytes.map((byte, index) => byte & maskByte(prefixLength, index)) };
  const canonical = `${formatIp(network)}/${String(prefixLength)}`;
  if (network.bytes.some((byte, index) => byte !== ip.bytes[index])) {
    return invalid(
      `${quote(text)} has bits set behind its prefix. Use ${canonical} for the network, or ${formatIp(ip)}/${String(bits)} for the one address.`,
    );
  }
  return ok(canonical);
}

/** `0.0.0.0:80`, `[::]:80`, `vip:80`. */
export function readBind(text: string): Reading<Bind> {
  const parts = readHostAndPort(text, "0.0.0.0:80");
  if (parts.kind === "invalid") return parts;
  const { host, port } = parts.value;
  if (host === "vip") return ok({ kind: "vip", port });
  if (host === "*")
    return invalid(
      `${quote(text)}: write 0.0.0.0:${String(port)} for every IPv4 address, or "[::]:${String(port)}" for IPv6.`,
    );
  const ip = parseIp(host);
  if (ip === undefined) {
    return invalid(`${quote(host)} is not an IP address. Use one, such as 0.0.0.0 for all, or the word vip.`);
  }
  return ok({ kind: "address", host: formatIp(ip), port });
}

/** `192.168.1.21:8080`, `[fd00::21]:8080`, `web-1.lan:8080`. The host comes back without brackets. */
export function readBackendAddress(text: string): Reading<HostAndPort> {
  return readTarget(text, { example: "192.168.1.21:8080", advice: "Use the backend's own." });
}

/** What a tracked check connects to, written as a backend's address is. `example` is for messages. */
export function readCheckAddress(text: string, example = "127.0.0.1:53"): Reading<HostAndPort> {
  return readTarget(text, { example, advice: "Use one, such as 127.0.0.1." });
}

function readTarget(
  text: string,
  { example, advice }: { readonly example: string; readonly advice: string },
): Reading<HostAndPort> {
  const parts = readHostAndPort(text, example);
  if (parts.kind === "invalid") return parts;
  const { host, port } = parts.value;
  const ip = parseIp(host);
  if (ip !== undefined) {
    if (isUnspecified(ip)) return invalid(`${quote(host)} means every address. ${advice}`);
    return ok({ host: formatIp(ip), port });
  }
  if (!isHostName(host)) {
    return invalid(`${quote(host)} is neither an IP address nor a host name. Use one, such as ${example}.`);
  }
  return ok({ host: host.toLowerCase(), port });
}

/** A name that Linux takes for a network interface: at most 15 characters, no slash, no space. */
export function readInterfaceName(text: string): Reading<string> {
  if (/^[^\s/:%]{1,15}$/.test(text) && text !== "." && text !== "..") return ok(text);
  return invalid(
    `${quote(text)} is not the name of a network interface. Use one that "ip link" shows, such as eth0.`,
  );
}

/** `1` to `65535`. */
export function readPort(text: string): Reading<number> {
  const port = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? ok(port) : invalid(`${quote(text)} is not a port. Use 1 to 65535.`);
}

/** RFC 1123 2.1: labels of letters, digits and inner hyphens; the last one not all digits. Underscores too: container names have them. */
export function isHostName(text: string): boolean {
  if (text.length > 253) return false;
  const labels = text.split(".");
  return (
    labels.every((label) => /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/.test(label)) &&
    !/^\d+$/.test(labels.at(-1) ?? "")
  );
}

/** True for an IPv4 or IPv6 literal without brackets and without a zone. */
export function isIpAddress(text: string): boolean {
  return parseIp(text) !== undefined;
}

/** An IPv4 or IPv6 literal in the form of RFC 5952, without brackets; undefined when the text is none. */
export function canonicalAddress(text: string): string | undefined {
  const ip = parseIp(text);
  return ip === undefined ? undefined : formatIp(ip);
}

/** A block of addresses, for comparing many addresses with it. */
export interface AddressBlock {
  /** 4 bytes for IPv4, 16 for IPv6. */
  readonly bytes: readonly number[];
  readonly prefixLength: number;
}

/** A CIDR block or an address, which is a block of one; null when the text is neither. */
export function parseAddressBlock(text: string): AddressBlock | null {
  const block = parseBlock(text);
  if (block.kind === "invalid") return null;
  const { bytes } = block.value.ip;
  return { bytes, prefixLength: block.value.prefixLength ?? bytes.length * 8 };
}

/** Whether all addresses of `inner` are in `outer`. */
export function holdsBlock(outer: AddressBlock, inner: AddressBlock): boolean {
  if (outer.bytes.length !== inner.bytes.length || inner.prefixLength < outer.prefixLength) return false;
  return outer.bytes.every((byte, index) => {
    const mask = maskByte(outer.prefixLength, index);
    return (byte & mask) === ((inner.bytes[index] ?? 0) & mask);
  });
}

function readHostAndPort(text: string, example: string): Reading<HostAndPort> {
  if (text.includes("://"))
    return invalid(`${quote(text)} is a URL. Write address and port alone, such as ${example}.`);
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed === null && text.split(":").length > 2) {
    return invalid(`${quote(text)} looks like IPv6 without brackets. Write it as "[fd00::21]:8080".`);
  }
  const parts = bracketed ?? /^([^:]*)(?::(.*))?$/.exec(text);
  const host = parts?.[1] ?? "";
  const portText = parts?.[2];
  if (host === "")
    return invalid(`${quote(text)} has no address. Write address and port, such as ${example}.`);
  if (bracketed !== null && !(host.includes(":") && isIpAddress(host))) {
    return invalid(`${quote(host)} is not an IPv6 address. Only IPv6 addresses stand in brackets.`);
  }
  if (portText === undefined)
    return invalid(`${quote(text)} has no port. Write address and port, such as ${example}.`);
  const port = readPort(portText);
  return port.kind === "invalid" ? port : ok({ host, port: port.value });
}

function parseBlock(text: string): Reading<{ readonly ip: Ip; readonly prefixLength: number | undefined }> {
  const [address = "", prefixText, ...rest] = text.split("/");
  const ip = parseIp(address);
  if (ip === undefined || rest.length > 0) return invalid(`${quote(text)} ${NOT_AN_IP}`);
  if (prefixText === undefined) return ok({ ip, prefixLength: undefined });
  const bits = ip.bytes.length * 8;
  const prefixLength = /^\d{1,3}$/.test(prefixText) ? Number(prefixText) : bits + 1;
  if (prefixLength > bits)
    return invalid(`${quote(prefixText)} is not a prefix length. Use 0 to ${String(bits)}.`);
  return ok({ ip, prefixLength });
}

function parseIp(text: string): Ip | undefined {
  const bytes = text.includes(":") ? parseIpv6(text) : parseIpv4(text);
  return bytes === undefined ? undefined : { bytes };
}

function parseIpv4(text: string): readonly number[] | undefined {
  const parts = text.split(".");
  // No leading zeros: some programs read them as octal, and then 010.0.0.1 is two addresses.
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) return undefined;
  const bytes = parts.map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes : undefined;
}

// RFC 4291 2.2: eight groups, one "::" for a run of zeros, the last two groups perhaps as IPv4.
function parseIpv6(text: string): readonly number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, index) =>
    half === "" ? [] : parseGroups(half, { mayEndInIpv4: index === halves.length - 1 }),
  );
  if (head === undefined) return undefined;
  if (halves.length === 1) return head.length === 16 ? head : undefined;
  if (tail === undefined || head.length + tail.length > 14) return undefined;
  const zeros = Array.from({ length: 16 - head.length - tail.length }, () => 0);
  return [...head, ...zeros, ...tail];
}

function parseGroups(
  text: string,
  { mayEndInIpv4 }: { readonly mayEndInIpv4: boolean },
): readonly number[] | undefined {
  const groups = text.split(":");
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    const ipv4 = mayEndInIpv4 && index === groups.length - 1 ? parseIpv4(group) : undefined;
    if (ipv4 !== undefined) bytes.push(...ipv4);
    else if (/^[0-9A-Fa-f]{1,4}$/.test(group))
      bytes.push(Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255);
    else return undefined;
  }
  return bytes;
}

// RFC 5952 4: lower case, no leading zeros, the longest run of two or more zero groups as "::".
function formatIp(ip: Ip): string {
  if (ip.bytes.length === 4) return ip.bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((ip.bytes[2 * index] ?? 0) << 8) | (ip.bytes[2 * index + 1] ?? 0)).toString(16),
  );
  let run = { start: 0, length: 1 };
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (groups[start + length] === "0") length += 1;
    if (length > run.length) run = { start, length };
  }
  if (run.length < 2) return groups.join(":");
  return `${groups.slice(0, run.start).join(":")}::${groups.slice(run.start + run.length).join(":")}`;
}

function isUnspecified(ip: Ip): boolean {
  return ip.bytes.every((byte) => byte === 0);
}

function isMulticast(ip: Ip): boolean {
  const first = ip.bytes[0] ?? 0;
  return ip.bytes.length === 4 ? first >= 224 && first <= 239 : first === 255;
}

/** fe80::/10, RFC 4291 2.5.6. */
function isIpv6LinkLocal(ip: Ip): boolean {
  return ip.bytes.length === 16 && ip.bytes[0] === 0xfe && ((ip.bytes[1] ?? 0) & 0xc0) === 0x80;
}

/** The byte at `index` of the netmask of that prefix length. */
function maskByte(prefixLength: number, index: number): number {
  const bits = Math.min(8, Math.max(0, prefixLength - 8 * index));
  return (0xff << (8 - bits)) & 0xff;
}
