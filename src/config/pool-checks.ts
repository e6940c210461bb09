// What must be true between the values of pools and the rest of the file. Part of cross-checks.ts.

import { checkHealth } from "./check-checks.ts";
import { checkBalance } from "./balance-checks.ts";
import { readBackendAddress, readBind, readInterfaceAddress } from "./address.ts";
import { formatAddress } from "./config.ts";
import type { Mistake } from "./mistake.ts";
import { checkPassive } from "./passive-checks.ts";
import { virtualAddressesOf } from "./pair-checks.ts";
import { quote } from "./reading.ts";
import { checkResilience } from "./resilience-checks.ts";
import { duplicates, isMap, type Spot } from "./spot.ts";

/** Names that must differ, backends that would be the pair itself, checks that contradict themselves. */
export function checkPools(top: Spot): readonly Mistake[] {
  const own = ownAddresses(top);
  return top.at("pools").entries.flatMap(([, pool]) => {
    const backends = pool.at("backends").items;
    const found = [
      ...backends.flatMap((backend) => {
        const spot = addressOf(backend);
        const address = spot.read(readBackendAddress);
        if (address === undefined || !own.has(formatAddress(address.host, address.port))) return [];
        return [
          spot.mistake(
            "This is the pair's own listener: requests would go round for ever. Use a backend's address.",
          ),
        ];
      }),
      ...duplicates(
        backends.map((backend) => (backend.has("name") ? backend.at("name") : backend)),
        backendName,
        (name, first) => `${quote(name)} is ${first} already. Remove one, or give it another name.`,
      ),
    ];
    return [
      ...found,
      ...checkBalance(pool, top.at("listeners")),
      ...checkHealth(pool),
      ...checkPassive(pool),
      ...checkResilience(pool, top.at("workers")),
    ];
  });
}

/** A backend is its address, or a map with one. */
function addressOf(backend: Spot): Spot {
  return isMap(backend.value) ? backend.at("address") : backend;
}

/** Where requests to a virtual address reach a listener. */
function ownAddresses(top: Spot): ReadonlySet<string> {
  const binds = top.at("listeners").items.map((listener) => listener.at("bind").read(readBind));
  const hosts = virtualAddressesOf(top).map((address) => address.read(readInterfaceAddress)?.address);
  return new Set(
    hosts.flatMap((host) =>
      binds.flatMap((bind) => {
        if (host === undefined || bind === undefined) return [];
        const listens =
          bind.kind === "vip" || bind.host === host || bind.host === (host.includes(":") ? "::" : "0.0.0.0");
        return listens ? [formatAddress(host, bind.port)] : [];
      }),
    ),
  );
}

/** Its name as given, or the address that names it. */
function backendName(spot: Spot): string | undefined {
  if (spot.path.at(-1) === "name") return spot.text;
  const address = addressOf(spot).read(readBackendAddress);
  return address === undefined ? undefined : formatAddress(address.host, address.port);
}
