// From the values of a file that kept to the schema to what is concluded from requests. Part of to-pool.ts.

import type { CircuitBreakerConfig, OutlierConfig } from "./passive-config.ts";
import type { ConfigFile } from "./schema.ts";

type Pool = ConfigFile["pools"][string];

export function toOutliers(file: Pool["outliers"]): OutlierConfig | null {
  if (file === null) return null;
  const { baseEjection, maxEjection, ...rest } = file;
  return { ...rest, baseEjectionMs: baseEjection, maxEjectionMs: maxEjection };
}

export function toCircuitBreaker(file: Pool["circuitBreaker"]): CircuitBreakerConfig | null {
  if (file === null) return null;
  const { window: windowMs, open: openMs, ...rest } = file;
  return { ...rest, windowMs, openMs };
}
