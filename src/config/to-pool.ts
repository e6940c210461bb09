// From the values of a file that kept to the schema to a PoolConfig.

import { toBalance, toPanicThreshold, toSticky } from "./to-balance.ts";
import { formatAddress } from "./config.ts";
import type { PoolConfig } from "./config.ts";
import type { ConfigFile } from "./schema.ts";
import { toQueue, toRetry } from "./to-resilience.ts";
import { toAgent, toHealth } from "./to-check.ts";
import { toCircuitBreaker, toOutliers } from "./to-passive.ts";

export function toPool(name: string, pool: ConfigFile["pools"][string]): PoolConfig {
  return {
    name,
    balance: toBalance(pool.balance),
    sticky: pool.sticky === undefined ? null : toSticky(name, pool.sticky),
    slowStartMs: pool.slowStart,
    panicThreshold: toPanicThreshold(pool),
    backends: pool.backends.map((backend) => {
      const {
        address,
        weight = 1,
        backup: isBackup = false,
        name: given,
        health: check,
        maxConnections = null,
      } = "address" in backend ? backend : { address: backend };
      return {
        name: given ?? formatAddress(address.host, address.port),
        ...address,
        weight,
        isBackup,
        ...(maxConnections === null ? {} : { maxConnections }),
        ...(check === undefined ? {} : { check }),
      };
    }),
    health: toHealth(pool.health),
    ...(pool.agent === undefined ? {} : { agent: toAgent(pool.agent) }),
    outliers: toOutliers(pool.outliers),
    circuitBreaker: toCircuitBreaker(pool.circuitBreaker),
    timeouts: {
      connectMs: pool.timeouts.connect,
      responseMs: pool.timeouts.response,
      bodyMs: pool.timeouts.body,
      tunnelIdleMs: pool.timeouts.tunnelIdle,
    },
    retry: toRetry(pool.retry),
    queue: toQueue(pool),
  };
}
