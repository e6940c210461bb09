// Reads the configuration of a node in a process of its own, and tells its parent what it found. See read-config.ts.

import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { readErrorPages } from "./cli/error-page-files.ts";
import { isNotConfigured } from "./config/not-configured.ts";
import { formatConfigError, locateMistakes, parseConfig } from "./config/parse.ts";
import { pairMembers } from "./control/pair-members.ts";
import type { ConfigQuestion, ReadConfig } from "./read-config.ts";
import { readNodeName } from "./system/node-name.ts";
import { untrustedReason } from "./system/trusted-file.ts";

process.once("message", (question: ConfigQuestion) => {
  process.send?.(readConfig(question), undefined, undefined, () => {
    process.disconnect();
  });
});

function readConfig({ path, ...options }: ConfigQuestion): ReadConfig {
  const untrusted = untrustedReason(path);
  if (untrusted !== undefined) return { kind: "invalid", problems: [untrusted] };
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    return { kind: "invalid", problems: [`${path}: cannot be read: ${String(error)}`] };
  }
  const node = options.node ?? readNodeName(path) ?? hostname();
  if (isNotConfigured(text)) return { kind: "empty", node };
  const parsed = parseConfig(text, path);
  if (parsed.kind === "invalid") return { kind: "invalid", problems: parsed.errors.map(formatConfigError) };
  const { config } = parsed;
  const { pages, mistakes } = readErrorPages(config, dirname(path));
  if (mistakes.length > 0) {
    return {
      kind: "invalid",
      problems: locateMistakes(text, { file: path, mistakes }).map(formatConfigError),
    };
  }
  if (config.pair !== undefined && pairMembers(config.pair, node) === undefined) {
    const names = config.pair.nodes.map(({ name }) => name).join(", ");
    const problem = `${path}: pair.nodes has no "${node}", only ${names}. Name this node with --node or $VIPAIR_NODE.`;
    return { kind: "invalid", problems: [problem] };
  }
  return { kind: "config", config, errorPages: pages, node };
}
