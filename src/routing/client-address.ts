// Who asked, as routes, hashes and splits see it: the sender, or whoever a trusted proxy tells of. Apart from the listener,
// which knows whom to trust, because `vipair route` must come to the same address as the workers do.

/** What whoever asks knows of addresses: a worker has the quick ways of Node for it. */
interface AddressKnowledge {
  readonly isAddress: (text: string) => boolean;
  readonly trusts: (address: string) => boolean;
}

/**
 * The last address in X-Forwarded-For that is not trusted. What stands before that, anyone can write. `sender` is trusted;
 * `told`: the values of the field, one for each line.
 */
export function clientBehind(
  sender: string,
  told: readonly string[],
  { isAddress, trusts }: AddressKnowledge,
): string {
  const chain = told
    .flatMap((value) => value.split(","))
    .map((member) => plainAddress(withoutPort(member.trim())));
  let client = sender;
  for (const address of chain.toReversed()) {
    // RFC 9110 5.6.1.2: empty members of a list are none.
    if (address === "") continue;
    if (!isAddress(address)) break;
    client = address;
    if (!trusts(address)) break;
  }
  return client;
}

/**
 * Some proxies tell the port, too, in the notation of RFC 7239 6. An address that is not understood would leave all of their
 * clients with the address of the proxy, and with what that may do.
 */
function withoutPort(node: string): string {
  if (!node.includes(":")) return node;
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d+)?$/.exec(node) ?? [];
  return bracketed ?? plain ?? node;
}

/** An IPv4 client of a dual-stack socket is an IPv4 client; a zone is of no use to anyone else. */
export function plainAddress(address: string): string {
  if (address.startsWith("::ffff:") && address.includes(".")) return address.slice(7);
  const zone = address.indexOf("%");
  return zone === -1 ? address : address.slice(0, zone);
}
