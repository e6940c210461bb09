// Writes docs/configuration.md and docs/vipair.schema.json from the schema of the configuration, so that
// what is documented, what editors know and what is accepted cannot differ. Run it with: npm run docs

import { readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { configFile } from "../src/config/schema.ts";

const EXAMPLE_URL = new URL("../docs/example.yaml", import.meta.url);

/** Every generated file and what must stand in it. */
export function generatedDocs(): readonly { readonly url: URL; readonly text: string }[] {
  const schema = z.toJSONSchema(configFile, { io: "input" });
  return [
    {
      url: new URL("../docs/vipair.schema.json", import.meta.url),
      text: `${JSON.stringify(schema, null, 2)}\n`,
    },
    { url: new URL("../docs/configuration.md", import.meta.url), text: renderConfiguration(schema) },
  ];
}

/** The part of a JSON Schema that zod makes of our schema. */
type Node = z.core.JSONSchema.JSONSchema;

interface Section {
  readonly path: string;
  readonly node: Node;
}

function renderConfiguration(schema: Node): string {
  const parts = [
    "# Configuration",
    "<!-- Generated from src/config/schema.ts by `npm run docs`. Do not edit. -->",
    "One YAML file, `/etc/vipair/vipair.yaml`, the same on both nodes. `vipair check` reports everything that is wrong with it at once, each mistake with its line and column. Unknown keys are mistakes.",
    "## Example",
    `\`\`\`yaml\n${readFileSync(EXAMPLE_URL, "utf8").trimEnd()}\n\`\`\``,
    "## Values",
    [
      "- **Durations** are a whole number and a unit: `200ms`, `5s`, `1m`, `1h`. A number without a unit is a mistake.",
      "- **Sizes** likewise: `512B`, `16KiB`, `1MiB`, `2GiB`, `1TiB`. A KiB is 1024 bytes.",
      '- **Addresses** are IPv4 or IPv6. With a port, an IPv6 address stands in brackets and the whole in quotes: `"[fd00::21]:8080"`, because YAML takes a bare bracket for a list.',
      "- **Names** (of nodes, groups, checks, listeners, pools, backends) are up to 64 letters, digits, `.`, `_` and `-`, the first of them a letter or digit.",
      "- **Files** that do not begin with a slash are relative to the configuration file. As root, vipair refuses to run programs that someone other than root can write.",
      "- **Editors** complete and check the file when its first line is `# yaml-language-server: $schema=` followed by the path of `vipair.schema.json`.",
    ].join("\n"),
    "## How the times of a pair fit together",
    [
      "- A peer whose **process** dies is known at once, whatever the times: its connections close.",
      "- A peer that falls **silent** (power, cable, freeze) is judged dead after 3 × `advertisementInterval` plus the skew time of RFC 9568, (256 − `priority`) / 256 × `advertisementInterval`: with the defaults, 200ms and priority 100, after 722 ms.",
      "- The **lease** is apart from that: the active renews it four times in each `lease`, and the kernel removes the address when nobody does. With `claim: fast` a frozen predecessor may hold the address for up to one `lease` after its successor claimed it; with `claim: safe` the successor waits for that to end. A short lease clears sooner, a long one forgives a busy machine more.",
      "- Give both nodes different priorities only if one of them should be preferred. Nothing moves back by itself unless `preempt` is true.",
    ].join("\n"),
    "## How priorities and weights fit together",
    [
      "- Of two nodes that are well, the one with the higher `priority` is preferred; equal priorities are fine, and then the name of the node decides.",
      "- What is not well **lowers** the priority of its node while it lasts: a check under `track` with a `weight`, and what `vitals` finds. The weights add up, and the priority never falls below 1.",
      "- An active node that is not well hands over when its peer is better off **and** has the higher priority then, whatever `preempt` says. So a weight moves the addresses only if it is larger than the difference of the priorities: with 150 and 100 a weight of 60 moves them, the `vitals` defaults of 10 do not, with equal priorities every weight does.",
      "- A check with `fault: true` is stronger: while it fails, its node holds no address at all. If it fails on both nodes, nobody does.",
    ].join("\n"),
    "## What notify hooks are told",
    [
      "A program under `notify` gets no arguments. In its environment stand:",
      [
        "- `VIPAIR_GROUP`: the group whose role has changed; `default` when the file names no groups.",
        "- `VIPAIR_ROLE`: the new role, `active`, `standby` or `fault`. `VIPAIR_PREVIOUS_ROLE`: the one before, empty when vipair has just started.",
        "- `VIPAIR_REASON`: why, in words for people; may be empty.",
        "- `VIPAIR_ADDRESSES`: the virtual addresses of the group, with spaces between them.",
        "- `VIPAIR_NODE` and `VIPAIR_PEER`: the names of this node and of the other one.",
        "- `VIPAIR_EPOCH`: a number that grows with each claim of the group.",
      ].join("\n"),
      "A hook that runs longer than 30 s is killed. While one runs, only the newest role of each group waits.",
    ].join("\n\n"),
    "## Groups: an address for each node",
    [
      "A plain list of `virtualAddresses` is one group: one node holds all of them. With groups each has an active node of its own, so that both nodes work, and one of them takes both addresses when the other is gone:",
      "```yaml\nvirtualAddresses:\n  - group: web\n    priorities: { pi-a: 150, pi-b: 100 }\n    preempt: true # each address goes home when its node is back\n    addresses:\n      - { address: 192.168.1.50/24, interface: eth0 }\n  - group: mail\n    priorities: { pi-a: 100, pi-b: 150 }\n    preempt: true\n    addresses:\n      - { address: 192.168.1.51/24, interface: eth0 }\n```",
    ].join("\n\n"),
    "# Keys",
    ...sectionsOf({ path: "", node: schema }).map(renderSection),
  ];
  return `${parts.join("\n\n")}\n`;
}

/** This section and all below it, depth first, in the order of the schema. */
function sectionsOf(section: Section): readonly Section[] {
  const below = Object.entries(section.node.properties ?? {}).flatMap(([key, node]) =>
    sectionsIn({ path: section.path === "" ? key : `${section.path}.${key}`, node: asNode(node) }),
  );
  return [section, ...below];
}

/** The sections inside a value: it may be one itself, a list or a map of them, or a choice among them. */
function sectionsIn({ path, node }: Section): readonly Section[] {
  if (node.properties !== undefined) return sectionsOf({ path, node });
  if (node.items !== undefined) return sectionsIn({ path: `${path}[]`, node: asNode(node.items) });
  if (isMapOfNames(node)) {
    const key = asNode(node.propertyNames).title ?? "NAME";
    return sectionsIn({ path: `${path}.${key}`, node: asNode(node.additionalProperties) });
  }
  const variants = [...(node.oneOf ?? []), ...(node.anyOf ?? [])].map((variant) => asNode(variant));
  const sections = variants.flatMap((variant) => {
    const kind = asNode(variant.properties?.["kind"]).const;
    const form = kind === undefined ? variant.title : `kind: ${String(kind)}`;
    const isSection = variant.properties !== undefined;
    return sectionsIn({ path: isSection && form !== undefined ? `${path} (${form})` : path, node: variant });
  });
  // One thing or a list of such things: described once.
  const paths = new Set(sections.map((section) => section.path));
  return sections.filter((section) => section.path !== `${path}[]` || !paths.has(path));
}

function renderSection({ path, node }: Section): string {
  const required = new Set(node.required);
  const rows = Object.entries(node.properties ?? {}).map(([key, property]) =>
    renderRow(key, asNode(property), { isRequired: required.has(key) }),
  );
  return [
    path === "" ? "## The file" : `## \`${path}\``,
    ...(node.description === undefined ? [] : [node.description]),
    ["| key | type and range | default | meaning |", "| --- | --- | --- | --- |", ...rows].join("\n"),
  ].join("\n\n");
}

function renderRow(key: string, node: Node, { isRequired }: { readonly isRequired: boolean }): string {
  const cells = [`\`${key}\``, typeOf(node), defaultOf(node, { isRequired }), node.description ?? ""];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function typeOf(node: Node): string {
  if (node.title !== undefined) return node.title;
  if (node.const !== undefined) return `\`${String(node.const)}\``;
  if (node.items !== undefined) {
    const item = asNode(node.items);
    if (isMapOfNames(item)) return `list: ${typeOf(item)}`;
    return item.title === undefined || item.properties !== undefined
      ? "list, see below"
      : `list: ${item.title}`;
  }
  if (isMapOfNames(node)) {
    const item = asNode(node.additionalProperties);
    return item.title === undefined ? "map of names, see below" : `map of names: ${item.title}`;
  }
  return "map, see below";
}

function defaultOf(node: Node, { isRequired }: { readonly isRequired: boolean }): string {
  if (isRequired) return "required";
  const value: unknown = node.default;
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return "none";
  if (isMapOfNames(node)) return "none";
  if (typeof value !== "object" || value === null) return `\`${plain(value)}\``;
  const entries = Object.entries(value).map(([key, inner]) => `${key}: ${plain(inner)}`);
  return entries.length === 0 ? "see below" : `\`${entries.join(", ")}\``;
}

/** As it would stand in YAML. */
function plain(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function isMapOfNames(node: Node): boolean {
  return node.propertyNames !== undefined;
}

/** JSON Schema allows `true` for "anything" and lists of item schemas; ours has neither. */
function asNode(value: unknown): Node {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Node) : {};
}

if (import.meta.main) for (const { url, text } of generatedDocs()) writeFileSync(url, text);
