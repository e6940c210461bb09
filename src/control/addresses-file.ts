// The virtual addresses of this node in a file that needs no vipair to be read: whatever ends the node, scripts/release-addresses calls the hook
// for each of them afterwards, also when the configuration or the runtime is broken by then. All that may be held stand there, held or not: a
// list of those that are would have to be written on the way of a claim.

import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { VirtualAddress } from "../config/config.ts";

const NAME = "addresses";

/**
 * One line for each address: the hook, the interface, the address and its prefix length, separated by tabs. Replaces what an earlier life left. Throws
 * what the file system throws.
 */
export function writeAddressesFile(
  runtimeDir: string,
  { hook, addresses }: { readonly hook: string; readonly addresses: readonly VirtualAddress[] },
): void {
  const lines = addresses.map(({ address, prefixLength, interface: name }) =>
    [hook, name, address, String(prefixLength)].join("\t"),
  );
  const path = join(runtimeDir, NAME);
  const next = `${path}.new`;
  rmSync(next, { force: true });
  // wx: never through a link that somebody else has put there.
  writeFileSync(next, lines.map((line) => `${line}\n`).join(""), { mode: 0o600, flag: "wx" });
  renameSync(next, path);
}
