// What must be true between the values of one route, and between it and the pools. Part of cross-checks.ts.

import type { Mistake } from "./mistake.ts";
import { nearest } from "./nearest.ts";
import { quote } from "./reading.ts";
import { duplicates, isMap, type Spot } from "./spot.ts";

const ACTIONS = ["pool", "split", "redirect", "respond"] as const;
const KEYS = ["name", "match", "rewrite", "mirror", ...ACTIONS];
const PATH_FORMS = ["prefix", "exact", "regex"];
/** RFC 9110 6.4.1 and 15.3.6: answers that have no body. */
const BODILESS: ReadonlySet<unknown> = new Set([204, 205, 304]);

/** One action, pools that exist, shares that someone gets, changes that have something to change. */
export function checkRoute(pools: Spot, route: Spot): readonly Mistake[] {
  if (!isMap(route.value)) return [];
  return [
    ...checkActions(route),
    ...checkReference(pools, route.at("pool")),
    ...checkSplit(pools, route.at("split")),
    ...checkMatch(route.at("match")),
    ...checkRewrite(route),
    ...checkMirror(pools, route),
    ...checkRespond(route.at("respond")),
  ];
}

function checkActions(route: Spot): readonly Mistake[] {
  const given = ACTIONS.filter((action) => route.has(action));
  const [first, second] = given;
  if (first !== undefined && second !== undefined)
    return [route.at(second).mistake(`There is ${first} as well. Keep one of the two.`, "key")];
  if (given.length > 0 || ACTIONS.some((action) => route.mentions(action, KEYS))) return [];
  return [route.mistake("The route leads nowhere. Add pool: NAME, split, redirect or respond.", "key")];
}

function checkSplit(pools: Spot, split: Spot): readonly Mistake[] {
  const shares = split.at("pools");
  const found = shares.entries.flatMap(([name, share]) => checkPool(pools, name, share, "key"));
  found.push(...checkReference(pools, split.at("override").at("pool")));
  if (shares.entries.length > 0 && shares.entries.every(([, weight]) => weight.value === 0))
    found.push(shares.mistake("All weights are 0: nobody would get anywhere. Give one pool a weight."));
  if (isMap(shares.value) && shares.entries.length === 0)
    found.push(
      shares.mistake("The map is empty. Add pools and their weights, such as { stable: 95, canary: 5 }."),
    );
  const by = split.at("by");
  if (
    isMap(by.value) &&
    by.has("cookie") === by.has("header") &&
    by.entries.every(([key]) => key === "cookie" || key === "header")
  )
    found.push(by.mistake("Write one of cookie and header."));
  return found;
}

function checkMatch(match: Spot): readonly Mistake[] {
  const empty = ["header", "query", "cookie"]
    .map((key) => match.at(key))
    .filter(({ value, entries }) => isMap(value) && entries.length === 0);
  return [
    ...empty.map((map) =>
      map.mistake(
        "The map is empty, so it matches everything. Add what must be there, or leave the key out.",
        "key",
      ),
    ),
    ...checkPaths(match.at("path")),
  ];
}

function checkPaths(path: Spot): readonly Mistake[] {
  return [path, ...path.items].flatMap((one) => {
    if (!isMap(one.value)) return [];
    const given = PATH_FORMS.filter((form) => one.has(form));
    if (given.length === 1 || one.entries.length > given.length) return [];
    return [one.mistake("Write one of prefix, exact and regex.")];
  });
}

function checkRewrite(route: Spot): readonly Mistake[] {
  const rewrite = route.at("rewrite");
  const found = ["request", "response"].flatMap((side) => checkNames(rewrite.at(side).at("set")));
  const answers = (["redirect", "respond"] as const).find((action) => route.has(action));
  if (answers === undefined) return found;
  for (const key of ["path", "host", "request"].filter((one) => rewrite.has(one)))
    found.push(
      rewrite.at(key).mistake(`No backend gets the request: the route has ${answers}. Remove ${key}.`, "key"),
    );
  return [...found, ...checkAnswerFields(rewrite.at("response"), ANSWER_FIELDS[answers])];
}

/** One name in two spellings. */
function checkNames(fields: Spot): Mistake[] {
  const names = fields.entries.map(([, field]) => field);
  return duplicates(
    names,
    (field) => String(field.path.at(-1)).toLowerCase(),
    (name, first) => `${quote(name)} is ${first} already. Remove one, or use add.`,
  ).map((mistake) => ({ ...mistake, at: "key" }));
}

/** What answers of our own have already, and where that is said. */
const DATE = "Answers of vipair have a Date of its own. Leave it.";
const ANSWER_FIELDS: Readonly<Record<"redirect" | "respond", ReadonlyMap<string, string>>> = {
  redirect: new Map([
    ["date", DATE],
    ["location", "The redirect has a Location. Use redirect.to."],
  ]),
  respond: new Map([
    ["date", DATE],
    ["content-type", "The answer has a Content-Type. Use respond.contentType."],
  ]),
};

function checkAnswerFields(response: Spot, own: ReadonlyMap<string, string>): readonly Mistake[] {
  const written = ["set", "add"].flatMap((key) => response.at(key).entries);
  return [
    ...written.flatMap(([name, field]) => {
      const problem = own.get(name.toLowerCase());
      return problem === undefined ? [] : [field.mistake(problem, "key")];
    }),
    ...response.at("remove").items.flatMap((field) => {
      const problem = own.get(field.text?.toLowerCase() ?? "");
      return problem === undefined ? [] : [field.mistake(problem)];
    }),
  ];
}

function checkMirror(pools: Spot, route: Spot): readonly Mistake[] {
  const mirror = route.at("mirror");
  const found = [...checkReference(pools, mirror.at("pool"))];
  const answers = ["redirect", "respond"].find((action) => route.has(action));
  if (answers !== undefined && route.has("mirror"))
    found.push(
      mirror.mistake(`No backend gets the request: the route has ${answers}. Remove mirror.`, "key"),
    );
  const name = mirror.at("pool").text;
  const isThere =
    name !== undefined &&
    (route.at("pool").text === name ||
      route.at("split").at("pools").has(name) ||
      route.at("split").at("override").at("pool").text === name);
  if (isThere)
    found.push(
      mirror
        .at("pool")
        .mistake(
          `The route leads to ${quote(name)} already, which would do everything twice. Use another pool.`,
        ),
    );
  return found;
}

function checkRespond(respond: Spot): readonly Mistake[] {
  if (!respond.has("body") || !BODILESS.has(respond.at("status").value)) return [];
  return [respond.at("body").mistake("Answers with this status have no body. Remove it.", "key")];
}

/** A mistake when the text names no pool of the file. */
export function checkReference(pools: Spot, target: Spot): readonly Mistake[] {
  const name = target.text;
  return name === undefined ? [] : checkPool(pools, name, target, "value");
}

function checkPool(pools: Spot, name: string, target: Spot, at: Mistake["at"]): Mistake[] {
  if (!isMap(pools.value) || pools.has(name)) return [];
  const known = Object.keys(pools.value);
  const meant = nearest(name, known);
  const advice =
    meant === undefined ? `Add it to pools, or use ${known.join(", ")}.` : `Did you mean ${quote(meant)}?`;
  return [target.mistake(`There is no pool ${quote(name)}. ${advice}`, at)];
}
