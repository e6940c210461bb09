// Routes and requests in short: as an operator writes the ones, and as a person says the others.

import assert from "node:assert/strict";
import { parseConfig } from "../../src/config/parse.ts";
import type { RouteConfig } from "../../src/config/route-config.ts";
import type { RoutedHead } from "../../src/routing/request-facts.ts";
import { compileRoutes, type RouteTable } from "../../src/routing/route.ts";

/** The routes of a listener, one line of YAML each. There are the pools a, b, c and web. */
export function routeConfigs(...lines: readonly string[]): readonly RouteConfig[] {
  const pools = ["a", "b", "c", "web"].map((name) => `  ${name}: { backends: [127.0.0.1:1] }`).join("\n");
  const text = `listeners:\n  - name: web\n    bind: 127.0.0.1:80\n    routes:\n${lines
    .map((line) => `      - ${line}\n`)
    .join("")}pools:\n${pools}\n`;
  const parsed = parseConfig(text, "vipair.yaml");
  assert.equal(parsed.kind, "config", JSON.stringify(parsed));
  return parsed.config.listeners[0]?.routes ?? [];
}

export function routes(...lines: readonly string[]): RouteTable {
  return compileRoutes(routeConfigs(...lines));
}

/** `GET api.example.lan/v1?q` with fields as curl takes them. */
export function request(line: string, ...fields: readonly string[]): RoutedHead {
  const [, method = "", authority = "", target = ""] = /^(\S+) ([^/*]*)(\S+)$/.exec(line) ?? [];
  return {
    method,
    authority,
    target,
    fields: {
      list: fields.map((field) => {
        const colon = field.indexOf(":");
        return { name: field.slice(0, colon), value: field.slice(colon + 1).trim() };
      }),
    },
  };
}
