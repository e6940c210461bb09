// What must be true between the values of a pool's checks, its agent, and what its backends have otherwise. Part of
// pool-checks.ts.

import { AGENT_DEFAULTS, CHECK_DEFAULTS } from "./check-schema.ts";
import { parseExpression } from "./expression.ts";
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
    ...checkRules(health.at("json")),
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
    else if (health.has(key) && isBodiless(health.at("expectedStatus")))
      found.push(
        health
          .at(key)
          .mistake("Answers with these statuses have no body. Add another to expectedStatus.", "key"),
      );
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

/** RFC 9112 6.3: of the good statuses none comes with a body. */
function isBodiless(statuses: Spot): boolean {
  const values = statuses.items.length > 0 ? statuses.items.map(({ value }) => value) : [statuses.value];
  return values.every((value) => ["204", "304"].includes(String(value)));
}

/** Rules that say the same of two states that exclude each other. */
function checkRules(json: Spot): readonly Mistake[] {
  const [healthy, unhealthy, degraded] = ["healthy", "unhealthy", "degraded"].map((key) =>
    ruleAt(json.at(key)),
  );
  const found: Mistake[] = [];
  if (unhealthy !== undefined && unhealthy === healthy)
    found.push(
      json
        .at("unhealthy")
        .mistake(
          "The same rule as healthy, so no backend could ever be up. Turn one of the two around.",
          "key",
        ),
    );
  if (degraded !== undefined && degraded === unhealthy)
    found.push(
      json
        .at("degraded")
        .mistake(
          "The same rule as unhealthy, and a backend that is down cannot be degraded. Use another rule for one of the two.",
          "key",
        ),
    );
  return found;
}

/** What a rule means, however it is spelt; undefined when it is none. */
function ruleAt({ text }: Spot): string | undefined {
  const parsed = text === undefined ? undefined : parseExpression(text);
  if (parsed?.kind !== "expression") return undefined;
  // Of a field `text` is the spelling.
  return JSON.stringify(parsed.expression, (key, value: unknown) => (key === "text" ? undefined : value));
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
