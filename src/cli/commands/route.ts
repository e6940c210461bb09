// `vipair route`: which route a request takes and why, by the code that routes. Needs a file and no running node.

import { readFile } from "node:fs/promises";
import { holdsBlock, isIpAddress, parseAddressBlock } from "../../config/address.ts";
import type { Config, ListenerConfig } from "../../config/config.ts";
import type { MirrorConfig } from "../../config/route-config.ts";
import { formatConfigError, parseConfig } from "../../config/parse.ts";
import { clientBehind, plainAddress } from "../../routing/client-address.ts";
import type { RequestFacts } from "../../routing/request-facts.ts";
import { placeOf, renderLocation, type Surroundings } from "../../routing/rewrite.ts";
import { compileRoutes, explainRoute, factsOf, type Route, type RouteVerdict } from "../../routing/route.ts";
import { poolOf } from "../../routing/split.ts";
import { readQuestion, type RouteQuestion } from "../route-question.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";

const DEFAULT_PORTS = { http: 80, https: 443 };
/** A variable that only a running node can fill. */
const REQUEST_ID = "(id)";

export interface RouteOptions {
  readonly config: string;
  readonly request: string;
  readonly fields: readonly string[];
  readonly client: string;
  /** undefined: the only one, or the one with the port of the URL. */
  readonly listener: string | undefined;
  readonly json: boolean;
}

/** Ends in 0 when a route matches, in 1 when none does or the file is no good, in 2 when the question is none. */
export async function explainRequest(options: RouteOptions, terminal: Terminal): Promise<number> {
  const asked = readQuestion(options);
  if (asked.kind === "unclear") {
    terminal.complain(`vipair: ${asked.problem}`);
    return EXIT.usage;
  }
  const config = await load(options.config, terminal);
  if (config === null) return EXIT.failed;
  const listener = chooseListener(config, asked.question, options.listener);
  if (typeof listener === "string") {
    terminal.complain(`vipair: ${listener}`);
    return EXIT.usage;
  }
  const explained = explain(listener, asked.question);
  terminal.print(options.json ? JSON.stringify(explained, null, 2) : describe(explained));
  return explained.outcome.kind === "not-found" ? EXIT.failed : EXIT.ok;
}

async function load(file: string, terminal: Terminal): Promise<Config | null> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch {
    terminal.complain(`vipair: ${file} cannot be read. Name the configuration with --config.`);
    return null;
  }
  const parsed = parseConfig(text, file);
  if (parsed.kind === "config") return parsed.config;
  for (const error of parsed.errors) terminal.complain(formatConfigError(error));
  return null;
}

/** A text: why there is none. */
function chooseListener(
  { listeners }: Config,
  { port, scheme }: RouteQuestion,
  name: string | undefined,
): ListenerConfig | string {
  const names = listeners.map((listener) => listener.name).join(", ");
  if (name !== undefined)
    return (
      listeners.find((listener) => listener.name === name) ?? `There is no listener "${name}", only ${names}.`
    );
  const [only] = listeners;
  if (only !== undefined && listeners.length === 1) return only;
  const wanted = port ?? DEFAULT_PORTS[scheme];
  const [first, second] = listeners.filter(({ bind }) => bind.port === wanted);
  if (first !== undefined && second === undefined) return first;
  return `Which listener? Add --listener with one of ${names}.`;
}

type Outcome =
  | { readonly kind: "pool"; readonly pool: string; readonly target: string; readonly host: string }
  | { readonly kind: "redirect"; readonly status: number; readonly location: string }
  | { readonly kind: "respond"; readonly status: number }
  | { readonly kind: "not-found" };

interface Explained {
  readonly listener: string;
  readonly routes: readonly { readonly name: string; readonly missed: RouteVerdict["missed"] }[];
  /** Set when the route splits its clients. */
  readonly split?: Readonly<Record<string, number>>;
  readonly outcome: Outcome;
  /** Set when copies go to another pool. */
  readonly mirror?: MirrorConfig;
  /** Lines that a rewrite puts into the heads, and names of fields that it takes out. */
  readonly request?: HeadChanges;
  readonly response?: HeadChanges;
}

interface HeadChanges {
  readonly without: readonly string[];
  readonly with: readonly string[];
}

function explain(listener: ListenerConfig, question: RouteQuestion): Explained {
  const table = compileRoutes(listener.routes);
  const facts = factsOf(table, question.head, { clientAddress: clientSeenBy(listener, question) });
  const verdicts = explainRoute(table, facts);
  const routes = verdicts.map(({ route, missed }) => ({ name: route.config.name, missed }));
  const taken = verdicts.find(({ missed }) => missed === null)?.route;
  if (taken === undefined) return { listener: listener.name, routes, outcome: { kind: "not-found" } };
  const around: Surroundings = {
    scheme: question.scheme,
    listener: listener.name,
    route: taken.config.name,
    node: "(node)",
    requestId: () => REQUEST_ID,
  };
  const { action, mirror } = taken.config;
  const changesOf = (side: "request" | "response"): HeadChanges | undefined => {
    const changes = taken.rewrite?.[side] ?? null;
    if (changes === null) return undefined;
    return { without: [...changes.drops], with: changes.lines(facts, around).split("\r\n").slice(0, -1) };
  };
  const request = changesOf("request");
  const response = changesOf("response");
  return {
    listener: listener.name,
    routes,
    ...(action.kind === "split"
      ? { split: Object.fromEntries(action.shares.map(({ pool, weight }) => [pool, weight])) }
      : {}),
    outcome: outcomeOf(taken, facts, around),
    ...(mirror === null ? {} : { mirror }),
    ...(request === undefined ? {} : { request }),
    ...(response === undefined ? {} : { response }),
  };
}

/** As in a worker: behind a trusted proxy whom that tells of. */
function clientSeenBy({ trustedProxies }: ListenerConfig, { head, clientAddress }: RouteQuestion): string {
  const blocks = trustedProxies.flatMap((proxy) => parseAddressBlock(proxy) ?? []);
  const trusts = (address: string): boolean => {
    const one = parseAddressBlock(address);
    return one !== null && blocks.some((block) => holdsBlock(block, one));
  };
  const sender = plainAddress(clientAddress);
  if (!trusts(sender)) return sender;
  const told = head.fields.list.filter(({ name }) => name.toLowerCase() === "x-forwarded-for");
  return clientBehind(
    sender,
    told.map(({ value }) => value),
    { isAddress: isIpAddress, trusts },
  );
}

function outcomeOf(
  { config: { action }, rewrite }: Route,
  facts: RequestFacts,
  around: Surroundings,
): Outcome {
  switch (action.kind) {
    case "pool":
    case "split": {
      const { target, authority: host } = placeOf(rewrite, facts, around);
      return { kind: "pool", pool: poolOf(action, facts), target, host };
    }
    case "redirect":
      return { kind: "redirect", status: action.status, location: renderLocation(action.to, facts, around) };
    case "respond":
      return { kind: "respond", status: action.status };
  }
}

function describe({ listener, routes, split, outcome, mirror, request, response }: Explained): string {
  const width = Math.max(0, ...routes.map(({ name }) => name.length));
  const lines = [`listener ${listener}`];
  for (const { name, missed } of routes) {
    const verdict = missed === null ? "matches" : `no: it wants ${missed.wants}, and ${missed.finds}`;
    lines.push(`  ${name.padEnd(width)}  ${verdict}`);
  }
  lines.push(describeOutcome(outcome, split));
  if (mirror !== undefined)
    lines.push(`  copied to pool ${mirror.pool}: ${String(mirror.share)} % of the requests`);
  for (const [head, changes] of [
    ["request", request],
    ["response", response],
  ] as const) {
    for (const name of changes?.without ?? []) lines.push(`  ${head} without  ${name}`);
    for (const line of changes?.with ?? []) lines.push(`  ${head} with     ${line}`);
  }
  return lines.join("\n");
}

function describeOutcome(outcome: Outcome, split: Explained["split"]): string {
  switch (outcome.kind) {
    case "pool": {
      const shares =
        split === undefined
          ? ""
          : `, this client's in ${Object.entries(split)
              .map(([pool, weight]) => `${pool} ${String(weight)}`)
              .join(" : ")}`;
      const host = outcome.host === "" ? "" : ` of host ${outcome.host}`;
      return `-> pool ${outcome.pool}${shares}, asked for ${outcome.target}${host}`;
    }
    case "redirect":
      return `-> ${String(outcome.status)} to ${outcome.location}`;
    case "respond":
      return `-> ${String(outcome.status)}, a fixed answer`;
    case "not-found":
      return "-> 404: no route matches";
  }
}
