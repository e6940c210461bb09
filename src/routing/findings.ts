// What checks and agent together say about a backend.
//
//   maintenance  before  down  before  drain  before  what the checks say
//
// A backend that does not work gets no request at all, also none that would be let through to a draining one.

import type { AgentState } from "./agent.ts";
import type { BackendHealth } from "./backend-state.ts";
import type { Health } from "./health.ts";

export interface Findings {
  readonly health: Health;
  readonly agent: AgentState;
  /** Of its weight, as the checks find it; 100 while it is not degraded. */
  readonly degradedWeightPercent: number;
}

export interface Conclusion {
  readonly health: BackendHealth;
  /** Of the configured weight. */
  readonly weightPercent: number;
}

/** Whether the backend gets requests, and how many. */
export function conclude({ health, agent, degradedWeightPercent }: Findings): Conclusion {
  const weightPercent = (agent.weightPercent * degradedWeightPercent) / 100;
  return { health: concludeHealth(health, agent), weightPercent };
}

function concludeHealth(health: Health, agent: AgentState): BackendHealth {
  if (agent.order === "maintenance") return "maintenance";
  if (health.kind === "down" || agent.failure !== null) return "down";
  if (agent.order === "drain") return "drain";
  return health.kind === "suspect" ? "suspect" : "up";
}
