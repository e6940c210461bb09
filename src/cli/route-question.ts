// What `vipair route` is asked: a request as people write it, `GET http://host/path` with fields as curl takes
// them, turned into what routes look at.

import { isIpAddress } from "../config/address.ts";
import { readMethod } from "../config/http-values.ts";
import { readToken } from "../config/route-values.ts";
import type { RoutedHead } from "../routing/request-facts.ts";

export interface RouteQuestion {
  readonly head: RoutedHead;
  readonly scheme: "http" | "https";
  /** Of the URL; null when it names none. */
  readonly port: number | null;
  readonly clientAddress: string;
}

export type AskedQuestion =
  | { readonly kind: "question"; readonly question: RouteQuestion }
  /** A sentence for people. */
  | { readonly kind: "unclear"; readonly problem: string };

const EXAMPLE = "'GET http://www.example.lan/path'";

/** `request` is `[METHOD] URL`, where the URL may be a path alone; `fields` are `Name: value`. */
export function readQuestion({
  request,
  fields,
  client,
}: {
  readonly request: string;
  readonly fields: readonly string[];
  readonly client: string;
}): AskedQuestion {
  const words = request.trim().split(/\s+/);
  const url = words.at(-1) ?? "";
  const method = words.length === 2 ? (words[0] ?? "") : "GET";
  if (words.length > 2 || url === "") return unclear(`Ask for a request, such as ${EXAMPLE}, in quotes.`);
  const known = readMethod(method);
  if (known.kind === "invalid") return unclear(known.problem);
  if (!isIpAddress(client)) return unclear(`"${client}" is not an IP address. Use one, such as 192.168.1.7.`);
  const list: { readonly name: string; readonly value: string }[] = [];
  for (const field of fields) {
    const colon = field.indexOf(":");
    const name = readToken(field.slice(0, Math.max(0, colon)));
    if (name.kind === "invalid") return unclear(`"${field}" is not a field. Write it as 'name: value'.`);
    list.push({ name: name.value, value: field.slice(colon + 1).trim() });
  }
  const place = readPlace(url);
  if (place === null) return unclear(`"${url}" is not an http URL or a path. Ask as in ${EXAMPLE}.`);
  const host = list.find(({ name }) => name.toLowerCase() === "host")?.value;
  return {
    kind: "question",
    question: {
      head: { method, target: place.target, authority: host ?? place.authority, fields: { list } },
      scheme: place.scheme,
      port: place.port,
      clientAddress: client,
    },
  };
}

function unclear(problem: string): AskedQuestion {
  return { kind: "unclear", problem };
}

function readPlace(
  url: string,
): (Pick<RouteQuestion, "scheme" | "port"> & { readonly authority: string; readonly target: string }) | null {
  if (/^\/[!-~]*$/.test(url)) return { scheme: "http", port: null, authority: "", target: url };
  const [, scheme, authority = "", rest = ""] = /^(https?):\/\/([^/?#@\s]+)([!-~]*)$/i.exec(url) ?? [];
  if (scheme === undefined || !URL.canParse(url)) return null;
  const { port } = new URL(url);
  // As it was written, unlike what URL makes of it: routes see what a client sends.
  const [target = ""] = rest.split("#");
  return {
    scheme: scheme.toLowerCase() === "https" ? "https" : "http",
    port: port === "" ? null : Number(port),
    authority,
    target: target.startsWith("/") ? target : `/${target}`,
  };
}
