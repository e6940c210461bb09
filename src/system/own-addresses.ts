// Whether this machine has an address: asked of the tables from which the kernel decides it, because lists of interfaces leave
// out those without a carrier, and all but one address of the loopback network. To bind to one that it does not have
// fails on most machines, but not where the kernel allows it (net.ipv4.ip_nonlocal_bind, which the package sets for the
// virtual addresses): there a node that has lost its own address would send from it still, hear nothing, and take its peer
// for silent.

import { readFileSync } from "node:fs";
import { BlockList, SocketAddress, isIPv4 } from "node:net";
import { parseIpv6 } from "./kernel-routes.ts";

/** Undefined: the kernel does not tell just now. */
export function isOwnAddress(
  address: string,
  read: (file: string) => string | undefined = readOrNothing,
): boolean | undefined {
  if (isIPv4(address)) {
    const text = read("/proc/net/fib_trie");
    return text === undefined ? undefined : localBlocks(text).check(address, "ipv4");
  }
  const text = read("/proc/net/if_inet6");
  const canonical = new SocketAddress({ address, family: "ipv6" }).address;
  return text === undefined ? undefined : addresses6(text).includes(canonical);
}

/** /proc/net/fib_trie: below each "|-- ADDRESS" a line for each of its routes, "/LENGTH SCOPE TYPE". */
function localBlocks(text: string): BlockList {
  const blocks = new BlockList();
  let address = "";
  for (const line of text.split("\n")) {
    const [mark, word, type] = line.trim().split(/\s+/);
    if (mark === "|--") address = word ?? "";
    else if (word === "host" && type === "LOCAL") blocks.addSubnet(address, Number(mark?.slice(1)), "ipv4");
  }
  return blocks;
}

/** /proc/net/if_inet6: an address of 32 digits in each line, then what else is known of it. */
function addresses6(text: string): readonly string[] {
  return [...text.matchAll(/^[0-9a-f]{32}/gm)].map(([digits]) => parseIpv6(digits));
}

function readOrNothing(file: string): string | undefined {
  try {
    return readFileSync(file, "latin1");
  } catch {
    // Out of file descriptors, say, or no IPv6.
    return undefined;
  }
}
