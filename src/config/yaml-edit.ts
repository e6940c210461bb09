// Small edits of a configuration's text that leave every other byte where it is: comments, blank lines, order, quotes
// and columns belong to whoever wrote them. An edit is made in the text itself, at the places that the parser
// names, and then read again: unless it says exactly what was meant, the document is written anew by
// the YAML library, which keeps comments but lays the file out in its own way.

import { CST, isAlias, isCollection, isMap, isScalar, isSeq, parseDocument } from "yaml";
import type { Document, YAMLMap, YAMLSeq } from "yaml";
import type { Path } from "./mistake.ts";
import { formatPath } from "./mistake.ts";
import { isMap as isPlainMap } from "./spot.ts";
import { readYaml } from "./yaml-source.ts";

/** What an edit can put into a file. */
export type NewValue = string | number | boolean | { readonly [key: string]: string | number | boolean };

export type YamlEdit =
  /** At the end of a list. */
  | { readonly kind: "append"; readonly to: Path; readonly value: NewValue }
  /** One item of a list; the last path element is its place. Comments in its own lines go with it. */
  | { readonly kind: "remove"; readonly at: Path }
  /** At the end of a map; a key that is there gets the value. */
  | { readonly kind: "set"; readonly at: Path; readonly value: NewValue };

export type YamlEdited =
  | { readonly kind: "edited"; readonly text: string }
  /** `problem`: a sentence without a full stop. */
  | { readonly kind: "impossible"; readonly problem: string };

/** The text with the edit made. The text must be one that readYaml() accepts. */
export function editYaml(text: string, edit: YamlEdit): YamlEdited {
  const source = readYaml(text);
  if (source.kind === "invalid") return impossible("the file is not valid YAML");
  const document = parseDocument(text, {
    keepSourceTokens: true,
    resolveKnownTags: false,
    logLevel: "silent",
  });
  const path = edit.kind === "append" ? edit.to : edit.at.slice(0, -1);
  const found = findCollection(document, path);
  if (typeof found === "string") return impossible(found);
  const wanted = JSON.stringify(applied(source.value, edit));
  const spliced = spliceInto(text, found, edit);
  if (spliced !== undefined && saysWhatIsWanted(spliced, wanted)) return { kind: "edited", text: spliced };
  const written = writeAnew(document, edit);
  if (saysWhatIsWanted(written, wanted)) return { kind: "edited", text: written };
  return impossible(`${formatPath(path)} cannot be edited by a program: edit the file by hand`);
}

function impossible(problem: string): YamlEdited {
  return { kind: "impossible", problem };
}

function saysWhatIsWanted(text: string, wanted: string): boolean {
  const source = readYaml(text);
  return source.kind === "source" && JSON.stringify(source.value) === wanted;
}

/** Or why there is none, in a sentence. */
function findCollection(document: Document, path: Path): YAMLMap | YAMLSeq | string {
  const where = (length: number) => formatPath(path.slice(0, length));
  let node: unknown = document.contents;
  for (const [depth, part] of path.entries()) {
    if (isAlias(node)) return `${where(depth)} is an alias (*) of something else: edit the file by hand`;
    if (!isCollection(node) || !node.has(part)) return `${where(depth + 1)} is not in the file`;
    node = node.get(part, true);
  }
  if (isAlias(node)) return `${formatPath(path)} is an alias (*) of something else: edit the file by hand`;
  return isMap(node) || isSeq(node) ? node : `${formatPath(path)} is neither a list nor a map`;
}

/** The value of the whole file as it should be afterwards. */
function applied(value: unknown, edit: YamlEdit): unknown {
  const [path, change] = edit.kind === "append" ? [edit.to, null] : [edit.at.slice(0, -1), edit.at.at(-1)];
  const descend = (here: unknown, depth: number): unknown => {
    const part = path[depth];
    if (part !== undefined) {
      if (Array.isArray(here))
        return here.map((item: unknown, i) => (i === part ? descend(item, depth + 1) : item));
      if (!isPlainMap(here)) return here;
      return { ...here, [part]: descend(here[part], depth + 1) };
    }
    if (Array.isArray(here)) {
      if (edit.kind === "append") return [...(here as unknown[]), edit.value];
      return here.filter((_, index) => index !== change);
    }
    if (!isPlainMap(here) || edit.kind !== "set" || typeof change !== "string") return here;
    return { ...here, [change]: edit.value };
  };
  return descend(value, 0);
}

function writeAnew(document: Document, edit: YamlEdit): string {
  if (edit.kind === "append") document.addIn(edit.to, document.createNode(edit.value, { flow: true }));
  else if (edit.kind === "remove") document.deleteIn(edit.at);
  else document.setIn(edit.at, document.createNode(edit.value, { flow: true }));
  return document.toString({ lineWidth: 0 });
}

// ---------------------------------------------------------------- in the text itself

/** undefined: this shape is left to the library. */
function spliceInto(text: string, collection: YAMLMap | YAMLSeq, edit: YamlEdit): string | undefined {
  const { srcToken: token } = collection;
  const lines = new Lines(text);
  if (edit.kind === "remove") {
    const index = edit.at.at(-1);
    if (typeof index !== "number" || !isSeq(collection)) return undefined;
    if (token?.type === "block-seq") return removeFromBlock(lines, { list: collection, token, index });
    if (token?.type === "flow-collection") return removeFromFlow(lines, token, index);
    return undefined;
  }
  if (edit.kind === "append") {
    if (!isSeq(collection)) return undefined;
    const source = formatFlow(edit.value);
    if (token?.type === "block-seq") return appendToBlock(lines, token, `- ${source}`);
    if (token?.type === "flow-collection") return appendToFlow(lines, token, source);
    return undefined;
  }
  const key = edit.at.at(-1);
  if (typeof key !== "string" || !isMap(collection)) return undefined;
  const old = collection.get(key, true);
  if (isScalar(old) && old.range) {
    const [start, end] = old.range;
    return start === end ? undefined : lines.splice(start, end, formatFlow(edit.value));
  }
  if (collection.has(key)) return undefined;
  const source = `${formatScalar(key)}: ${formatFlow(edit.value)}`;
  if (token?.type === "block-map") return appendToBlock(lines, token, source);
  if (token?.type === "flow-collection") return appendToFlow(lines, token, source);
  return undefined;
}

/** A text and its lines; offsets count from its start. */
class Lines {
  readonly text: string;
  readonly #lineBreak: string;

  constructor(text: string) {
    this.text = text;
    this.#lineBreak = text.includes("\r\n") ? "\r\n" : "\n";
  }

  splice(from: number, to: number, replacement: string): string {
    return this.text.slice(0, from) + replacement + this.text.slice(to);
  }

  startOf(offset: number): number {
    return this.text.lastIndexOf("\n", offset - 1) + 1;
  }

  /** Before the line break, or the end of the text. */
  endOf(offset: number): number {
    const end = this.text.indexOf("\n", offset);
    if (end === -1) return this.text.length;
    return this.text[end - 1] === "\r" && end > offset ? end - 1 : end;
  }

  /** A line of its own behind the one at `offset`. */
  insertLine(offset: number, line: string): string {
    const end = this.endOf(offset);
    return this.splice(end, end, `${this.#lineBreak}${line}`);
  }

  /** With the line breaks. */
  removeLines(from: number, to: number): string {
    const start = this.startOf(from);
    const end = this.endOf(to);
    const next = this.text.indexOf("\n", end);
    // The last line of a text may have no line break of its own: then the one before it goes.
    if (next === -1 && start > 0) return this.text.slice(0, start).replace(/\r?\n$/, "");
    return this.splice(start, next === -1 ? end : next + 1, "");
  }

  indentAt(offset: number): string | undefined {
    const before = this.text.slice(this.startOf(offset), offset);
    return /^ *$/.test(before) ? before : undefined;
  }
}

function appendToBlock(
  lines: Lines,
  token: CST.BlockSequence | CST.BlockMap,
  source: string,
): string | undefined {
  // What follows the last item may be one to the parser that has comments alone.
  const last = token.items.findLast(({ key, value }) => key !== undefined || value !== undefined);
  if (last === undefined) return undefined;
  // A block scalar ends behind its last line break, everything else in the line it is in.
  const end = endOfItem(last);
  if (end === undefined) return undefined;
  const within = lines.text[end - 1] === "\n" ? end - 1 : end;
  return lines.insertLine(within, `${" ".repeat(token.indent)}${source}`);
}

function appendToFlow(lines: Lines, token: CST.FlowCollection, source: string): string | undefined {
  const filled = token.items.filter(({ key, value }) => key !== undefined || value !== undefined);
  const last = filled.at(-1);
  const open = token.start.offset + 1;
  if (last === undefined) {
    const close = token.end.find(({ type }) => type === "flow-seq-end" || type === "flow-map-end");
    // A comment inside would swallow what is put before it.
    if (close === undefined || lines.text.slice(open, close.offset).trim() !== "") return undefined;
    const [before, after] = token.start.type === "flow-map-start" ? ["{ ", " }"] : ["[", "]"];
    return lines.splice(open - 1, close.offset + 1, `${before}${source}${after}`);
  }
  const start = startOfItem(last);
  const end = endOfItem(last);
  if (start === undefined || end === undefined) return undefined;
  const indent = lines.indentAt(start);
  if (indent === undefined) return lines.splice(end, end, `, ${source}`);
  // One item in each line: another line, and a comma where there is none yet.
  const comma = /^[ \t]*,/.exec(lines.text.slice(end));
  if (comma !== null) return lines.insertLine(end, `${indent}${source},`);
  return new Lines(lines.splice(end, end, ",")).insertLine(end + 1, `${indent}${source}`);
}

function removeFromBlock(
  lines: Lines,
  {
    list,
    token,
    index,
  }: { readonly list: YAMLSeq; readonly token: CST.BlockSequence; readonly index: number },
): string | undefined {
  const item = token.items[index];
  const dash = item?.start.find(({ type }) => type === "seq-item-ind");
  const end = item === undefined ? undefined : endOfItem(item);
  if (dash === undefined || end === undefined || lines.indentAt(dash.offset) === undefined) return undefined;
  const within = lines.text[end - 1] === "\n" ? end - 1 : end;
  // An empty block would be no list any more.
  if (list.items.length > 1) return lines.removeLines(dash.offset, within);
  const colon = lines.text.lastIndexOf(":", dash.offset);
  const between = lines.text.slice(colon + 1, dash.offset);
  const isKeyAlone = between.split(/\r?\n/).every((line) => /^\s*(#.*)?$/.test(line));
  if (!isKeyAlone || between.includes(":")) return undefined;
  return new Lines(lines.removeLines(dash.offset, within)).splice(colon + 1, colon + 1, " []");
}

function removeFromFlow(lines: Lines, token: CST.FlowCollection, index: number): string | undefined {
  const item = token.items[index];
  const next = token.items[index + 1];
  if (item === undefined) return undefined;
  const start = startOfItem(item);
  const end = endOfItem(item);
  if (start === undefined || end === undefined) return undefined;
  const comma = item.start.find(({ type }) => type === "comma");
  const commaAfter = /^[ \t]*,/.exec(lines.text.slice(end))?.[0].length ?? 0;
  const lineEnd = lines.text.slice(end + commaAfter, lines.endOf(end));
  if (lines.indentAt(start) !== undefined && /^\s*(#.*)?$/.test(lineEnd)) {
    const removed = lines.removeLines(start, end);
    // The last one takes the comma before it along.
    return commaAfter > 0 || comma === undefined
      ? removed
      : new Lines(removed).splice(comma.offset, comma.offset + 1, "");
  }
  if (comma !== undefined) return lines.splice(comma.offset, end, "");
  const nextStart = next === undefined ? undefined : startOfItem(next);
  return lines.splice(start, nextStart ?? end + commaAfter, "");
}

/** Of its key or value, without what is before it. */
function startOfItem({ key, value }: CST.CollectionItem): number | undefined {
  return key?.offset ?? value?.offset;
}

/** Behind the last character that means something; undefined for what has none, or shapes that are left to the library. */
function endOfItem({ key, sep, value }: CST.CollectionItem): number | undefined {
  if (value !== undefined && value !== null) return endOfToken(value);
  const last = sep?.at(-1);
  if (last !== undefined) return last.type === "map-value-ind" ? last.offset + last.source.length : undefined;
  return key === undefined || key === null ? undefined : endOfToken(key);
}

function endOfToken(token: CST.Token): number | undefined {
  if (CST.isScalar(token)) {
    return token.type === "block-scalar" ? token.offset + CST.stringify(token).length : endOfFlow(token);
  }
  if (token.type === "flow-collection") {
    const close = token.end.find(({ type }) => type === "flow-seq-end" || type === "flow-map-end");
    return close === undefined ? undefined : close.offset + 1;
  }
  if (token.type !== "block-map" && token.type !== "block-seq") return undefined;
  const last = token.items.findLast(({ key, value }) => key !== undefined || value !== undefined);
  return last === undefined ? undefined : endOfItem(last);
}

function endOfFlow({ offset, source }: CST.FlowScalar): number {
  return offset + source.length;
}

// ---------------------------------------------------------------- new text

/** `{ name: big, address: 192.168.1.22:8080, weight: 3 }`; in one line, so that it fits everywhere. */
function formatFlow(value: NewValue): string {
  if (typeof value === "string") return formatScalar(value);
  if (typeof value !== "object") return String(value);
  const entries = Object.entries(value).map(([key, inner]) => `${formatScalar(key)}: ${formatFlow(inner)}`);
  return `{ ${entries.join(", ")} }`;
}

/** Plain when no reader could take it for anything else than this text, in quotes otherwise. */
export function formatScalar(text: string): string {
  const isPlain =
    /^[A-Za-z][A-Za-z0-9._-]*(:\d+)?$/.test(text) || /^\d{1,3}(\.\d{1,3}){3}([:/]\d+)?$/.test(text);
  const isWord = /^(true|false|null|yes|no|on|off|y|n)$/i.test(text);
  return isPlain && !isWord ? text : JSON.stringify(text);
}
