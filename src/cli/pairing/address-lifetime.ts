// Whether an address of this machine stays. One that a DHCP server has given out may be another one next week, and then the two nodes,
// which know each other by their addresses, find each other no more; nothing tells that on the day they are paired.

import { run } from "../../system/exec.ts";
import { findProgram } from "../../system/program-path.ts";

const TIMEOUT_MS = 2000;

/** What to say of it, a sentence without a full stop; undefined when it stays, or when that cannot be known. */
export async function lifetimeWarning(address: string): Promise<string | undefined> {
  const ip = findProgram("ip", "/usr/sbin");
  const result = await run(ip, ["-o", "address", "show", "to", address], { env: {}, timeoutMs: TIMEOUT_MS })
    .result;
  if (result.kind !== "exit" || !hasLifetime(result.stdout)) return undefined;
  return `${address} is this machine's for a time only (DHCP), and the other node knows it by this address: reserve it in the router, or give the machine an address of its own`;
}

/** `shown`: what ip-address(8) prints with -o. */
function hasLifetime(shown: string): boolean {
  return /\bvalid_lft \d+sec\b/.test(shown);
}
