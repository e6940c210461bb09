// What must be true between the values of a pool's checks, its agent, and what its backends have otherwise. Part of
// pool-checks.ts.

import { AGENT_DEFAULTS, CHECK_DEFAULTS } from "./check-schema.ts";
import type { Mistake } from "./mistake.ts";
import { formatDuration, readDuration } from "./quantity.ts";
import { checkTimeout, isMap, Spot } from "./spot.ts";

/** Checks that contradict themselves, and settings of backends that nothing uses. */
export function checkHealth(pool: Spot): readonly Mistake[] {
  const health = pool.at("health");
  return [
    ...checkTimeout(health, CHECK_DEFAULTS),
    ...checkFastInterval(health),
    ...checkDialogue(health),
    ...checkBody(health),
    ...checkVerification(health),
    ...checkTimeout(pool.at("agent"), AGENT_DEFAULTS),
    ...pool.at("backends").items.flatMap((backend) => checkBackend(pool, backend.at("health"))),
  ];
}

function checkFastInterval(health: Spot): readonly Mistake[] {
  const fast = health.at("fastInterval");
  const fastMs = fast.read(readDuration);
  const intervalMs = (
    health.has("interval") ? health.at("interval") : new Spot(CHECK_DEFAULTS.interval, [])
  ).read(readDuration);
  if (fastMs === undefined || intervalMs === undefined || fastMs <= intervalMs) return [];
  return [
    fast.mistake(
      `The fast interval (${formatDuration(fastMs)}) is longer than the interval (${formatDuration(intervalMs)}). Use a shorter one, or leave it out.`,
    ),
  ];
}

function checkDialogue(health: Spot): readonly Mistake[] {
  if (health.at("kind").value !== "tcp" || !health.has("send") || health.mentions("expect")) return [];
  return [
    health
      .at("send")
      .mistake(
        "Nobody looks at the answer. Add expect: what the backend must say, or leave send out.",
        "key",
      ),
  ];
}

/** What needs a body, where there is none, or where two say what it must be. */
function checkBody(health: Spot): readonly Mistake[] {
  const found: Mistake[] = [];
  const json = health.at("json");
  if (health.has("expectedBody") && health.has("json"))
    found.push(json.mistake("There is expectedBody as well. Keep one of the two.", "key"));
  for (const key of ["expectedBody", "json"]) {
    if (health.has(key) && health.at("method").value === "HEAD")
      found.push(health.at(key).mistake("A HEAD is answered without a body. Use method: GET.", "key"));
  }
  if (!isMap(json.value)) return found;
  if (!["healthy", "unhealthy", "degraded"].some((rule) => json.mentions(rule)))
    found.push(json.mistake("There is no rule. Add healthy, unhealthy or degraded."));
  if (json.has("degradedWeight") && !json.mentions("degraded", ["degradedWeight"]))
    found.push(
      json
        .at("degradedWeight")
        .mistake("Nothing says when a backend is degraded. Add degraded: a rule.", "key"),
    );
  return found;
}

function checkVerification(health: Spot): readonly Mistake[] {
  if (!health.has("ca") || health.at("verify").value !== false) return [];
  return [
    health.at("ca").mistake("With verify: false no certificate is looked at. Keep one of the two.", "key"),
  ];
}

/** Which kinds of check use what a backend has otherwise. */
const USED_BY: Readonly<Record<string, readonly string[]>> = {
  port: ["tcp", "http", "https"],
  host: ["http", "https"],
  path: ["http", "https"],
  method: ["http", "https"],
};

function checkBackend(pool: Spot, own: Spot): readonly Mistake[] {
  const health = pool.at("health");
  // As in the schema: without a word about it the checks are of this kind.
  const kind = pool.mentions("health") ? health.at("kind").text : "tcp";
  const found = own.entries.flatMap(([key, value]) => {
    const kinds = Object.hasOwn(USED_BY, key) ? USED_BY[key] : undefined;
    if (kinds === undefined || kind === undefined || kinds.includes(kind)) return [];
    return [
      value.mistake(`The checks of this pool are of kind ${kind} and have no ${key}. Leave it out.`, "key"),
    ];
  });
  if (own.at("method").value === "HEAD" && (health.has("expectedBody") || health.has("json")))
    found.push(
      own.at("method").mistake("A HEAD is answered without a body, and the check needs one. Use GET."),
    );
  if (own.has("agentPort") && !pool.mentions("agent"))
    found.push(
      own
        .at("agentPort")
        .mistake("No agent is asked. Add agent: { port: … } to the pool, or leave it out.", "key"),
    );
  return found;
}
