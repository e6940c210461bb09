// How one backend of a pool is looked at: the check of the pool, with what the backend has otherwise.

import type { ActiveHealth } from "../config/check-config.ts";
import type { BackendConfig } from "../config/config.ts";
import { httpProber } from "./http-probe.ts";
import type { Prober } from "./probe.ts";
import { programProber } from "./program-probe.ts";
import { tcpProber } from "./tcp-probe.ts";

/** `pool`: its name. Relative programs and files stand in `configDir`. */
export function proberFor(
  backend: BackendConfig,
  health: ActiveHealth,
  { pool, configDir }: { readonly pool: string; readonly configDir: string },
): Prober {
  const { timeoutMs } = health;
  const { agentPort: _, ...own } = backend.check ?? {};
  switch (health.kind) {
    case "tcp":
      return tcpProber(backend, { ...health, ...own }, timeoutMs);
    case "http":
    case "https":
      return httpProber(backend, { ...health, ...own }, { timeoutMs, configDir });
    case "exec": {
      const env = {
        VIPAIR_BACKEND_ADDRESS: backend.host,
        VIPAIR_BACKEND_PORT: String(backend.port),
        VIPAIR_BACKEND_NAME: backend.name,
        VIPAIR_BACKEND_POOL: pool,
      };
      return programProber({ command: health.command, configDir, env, timeoutMs });
    }
  }
}
