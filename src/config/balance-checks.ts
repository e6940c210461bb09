// What must be true between the values by which a pool balances. Part of pool-checks.ts.

import { stickyCookie } from "./balance-config.ts";
import { type Mistake, UNDERSCORES_STAY_OUT } from "./mistake.ts";
import { quote } from "./reading.ts";
import { isMap, type Spot } from "./spot.ts";

/** Of more backends the hash table cannot hold even shares: 65,537 places. */
const HASHED_BACKENDS_MAX = 1000;

/** Weights that leave nobody, backups of nothing, cookies that clients would not take. */
export function checkBalance(pool: Spot, listeners: Spot): readonly Mistake[] {
  return [
    ...checkBackends(pool.at("backends")),
    ...checkHash(pool),
    ...checkHashedField(pool.at("balance").at("header"), listeners),
    ...checkCookies(pool),
    ...checkSticky(pool.at("sticky")),
  ];
}

function checkBackends(list: Spot): readonly Mistake[] {
  const backends = list.items;
  if (backends.length === 0) return [];
  if (backends.every((backend) => backend.at("weight").value === 0)) {
    return [list.mistake("Every weight is 0, so nobody would get a request. Give one of them a weight.")];
  }
  if (backends.every((backend) => backend.at("backup").value === true)) {
    return [
      list.mistake("All of these are backups, of nothing. Leave backup out of those that serve first."),
    ];
  }
  return [];
}

function checkHash(pool: Spot): readonly Mistake[] {
  const balance = pool.at("balance");
  const kind = balance.text ?? balance.at("kind").text;
  const { length } = pool.at("backends").items;
  if (kind?.endsWith("-hash") !== true || length <= HASHED_BACKENDS_MAX) return [];
  return [
    balance.mistake(
      `${kind} cannot share evenly over ${String(length)} backends. Use at most ${String(HASHED_BACKENDS_MAX)}, or another policy.`,
    ),
  ];
}

/** Without the field, header-hash goes by the client's address: nobody would notice. */
function checkHashedField(field: Spot, listeners: Spot): readonly Mistake[] {
  if (field.text?.includes("_") !== true) return [];
  if (listeners.items.some((listener) => listener.at("underscoreHeaders").value === "pass")) return [];
  return [field.mistake(UNDERSCORES_STAY_OUT)];
}

/** Two that want one cookie: sticky would write its own into what balance reads. */
function checkCookies(pool: Spot): readonly Mistake[] {
  const cookie = pool.at("balance").at("cookie");
  const sticky = pool.at("sticky");
  const own = sticky.has("cookie") ? sticky.at("cookie").text : stickyCookie(String(pool.path.at(-1)));
  if (cookie.text === undefined || !isMap(sticky.value) || cookie.text !== own) return [];
  return [
    cookie.mistake(
      `${quote(cookie.text)} is the cookie of sticky, which the balancer makes itself. Use one of the application, or leave sticky out.`,
    ),
  ];
}

/** RFC 6265bis 4.1.3 and 5.6: what browsers ask of a cookie before they keep it. */
function checkSticky(sticky: Spot): readonly Mistake[] {
  if (!isMap(sticky.value)) return [];
  const secure = sticky.at("secure");
  const name = sticky.at("cookie");
  const found: Mistake[] = [];
  if (secure.value === false && sticky.at("sameSite").value === "none") {
    found.push(secure.mistake("Browsers refuse a cookie with sameSite none that is not secure. Use auto."));
  }
  const isHostOnly = name.text?.startsWith("__Host-") === true;
  if ((isHostOnly || name.text?.startsWith("__Secure-") === true) && secure.value !== true) {
    found.push(
      name.mistake(`Browsers refuse ${quote(name.text ?? "")} unless it is secure. Add secure: true.`),
    );
  }
  const path = sticky.at("path");
  if (isHostOnly && path.text !== undefined && path.text !== "/") {
    found.push(path.mistake(`Browsers refuse ${quote(name.text ?? "")} with another path than /. Use /.`));
  }
  return found;
}
