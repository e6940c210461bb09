// What must be true between the values of ejection and circuit breakers and the rest of a pool: settings that could
// never act are refused, because whoever wrote them relies on them. Part of pool-checks.ts.

import type { Mistake } from "./mistake.ts";
import { OUTLIER_DEFAULTS } from "./passive-schema.ts";
import { formatDuration, readDuration } from "./quantity.ts";
import { isMap, Spot } from "./spot.ts";

export function checkPassive(pool: Spot): readonly Mistake[] {
  const outliers = pool.at("outliers");
  if (!isMap(outliers.value)) return [];
  return [...checkRows(outliers), ...checkTimes(outliers), ...checkRoom(pool, outliers)];
}

function checkRows(outliers: Spot): readonly Mistake[] {
  if (outliers.at("consecutive5xx").value !== "off" || outliers.at("consecutiveFailures").value !== "off")
    return [];
  return [
    outliers.mistake(
      "Nothing would ever eject a backend. Give consecutive5xx or consecutiveFailures a number, or write outliers: off.",
    ),
  ];
}

function checkTimes(outliers: Spot): readonly Mistake[] {
  const [base, longest] = (["baseEjection", "maxEjection"] as const).map((key) =>
    (outliers.has(key) ? outliers.at(key) : new Spot(OUTLIER_DEFAULTS[key], [])).read(readDuration),
  );
  if (base === undefined || longest === undefined || base <= longest) return [];
  const spot = outliers.at(outliers.has("maxEjection") ? "maxEjection" : "baseEjection");
  return [
    spot.mistake(
      `The longest ejection (${formatDuration(longest)}) is shorter than the first one (${formatDuration(base)}). Use a maxEjection of at least ${formatDuration(base)}.`,
    ),
  ];
}

/** Whether one backend could be ejected while all are well: if not, none ever could. */
function checkRoom(pool: Spot, outliers: Spot): readonly Mistake[] {
  const serving = pool.at("backends").items.filter((backend) => backend.at("weight").value !== 0);
  const count = serving.length;
  if (count === 0) return [];
  if (count === 1) {
    return [
      outliers.mistake(
        "The last backend is never ejected, and there is only one. Add another, or write outliers: off.",
      ),
    ];
  }
  const percent = outliers.at("maxEjectionPercent");
  const most = percent.value ?? OUTLIER_DEFAULTS.maxEjectionPercent;
  if (typeof most === "number" && most >= 1 && most * count < 100) {
    return [
      percent.mistake(
        `${String(most)} % of ${String(count)} backends is less than one, so none could be ejected. Use at least ${String(Math.ceil(100 / count))}.`,
      ),
    ];
  }
  const threshold = pool.at("panicThreshold");
  const primaries = serving.filter((backend) => backend.at("backup").value !== true).length;
  // One of the backups could still be ejected; but who means that?
  const left = Math.floor(((primaries - 1) * 100) / primaries);
  if (primaries < 2 || typeof threshold.value !== "number" || threshold.value <= left) return [];
  return [
    threshold.mistake(
      `With ${String(primaries - 1)} of ${String(primaries)} backends left the pool would panic, so none could be ejected. Use at most ${String(left)}, or write outliers: off.`,
    ),
  ];
}
