// From the values of a file that kept to the schema to a ListenerConfig.

import type { ListenerConfig } from "./config.ts";
import type { ConfigFile } from "./schema.ts";
import { toRoute } from "./to-route.ts";

export function toListener(listener: ConfigFile["listeners"][number]): ListenerConfig {
  const { pool, routes, timeouts, limits, ...rest } = listener;
  return {
    ...rest,
    routes: (routes ?? (pool === undefined ? [] : [{ match: {}, pool }])).map(toRoute),
    timeouts: { headMs: timeouts.head, idleMs: timeouts.idle },
    limits: {
      headBytes: limits.head,
      requestLineBytes: limits.requestLine,
      fields: limits.fields,
      bodyBytes: limits.body,
      connections: limits.connections,
      connectionsPerAddress: limits.connectionsPerAddress,
      requestsPerConnection: limits.requestsPerConnection,
    },
  };
}
