// From the values of a file that kept to the schema to a PoolConfig.

import { formatAddress } from "./config.ts";
import type { PoolConfig } from "./config.ts";
import type { ConfigFile } from "./schema.ts";

export function toPool(name: string, pool: ConfigFile["pools"][string]): PoolConfig {
  return {
    name,
    balance: pool.balance,
    backends: pool.backends.map((backend) => {
      const { address, weight = 1, name: given } = "address" in backend ? backend : { address: backend };
      return { name: given ?? formatAddress(address.host, address.port), ...address, weight };
    }),
    health: toHealth(pool.health),
    timeouts: {
      connectMs: pool.timeouts.connect,
      responseMs: pool.timeouts.response,
      bodyMs: pool.timeouts.body,
      tunnelIdleMs: pool.timeouts.tunnelIdle,
    },
  };
}

function toHealth(health: ConfigFile["pools"][string]["health"]): PoolConfig["health"] {
  if (health.kind === "none") return health;
  const { interval, timeout, ...rest } = health;
  return { ...rest, intervalMs: interval, timeoutMs: timeout };
}
