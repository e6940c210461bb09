// YAML text -> plain values, and where each of them stands. One walk over the parsed document does both,
// so that every later mistake can be given its line and column; it also refuses what YAML allows and a
// configuration should not contain (duplicate keys, keys that are no words, several documents) and
// bounds what a small text can blow up to (aliases of aliases, deep nesting).

import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from "yaml";
import type { Alias, Document, Pair, YAMLError } from "yaml";
import type { Path } from "./mistake.ts";

/** 1-based. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface YamlSource {
  readonly kind: "source";
  /** Maps are plain objects, in file order. */
  readonly value: unknown;
  /** Where the key or the value at `path` stands; for a path that is not in the file, its nearest parent. */
  readonly locate: (path: Path, at: "key" | "value") => Position;
}

/** What is wrong with the text as YAML. */
export interface YamlProblem extends Position {
  readonly path: Path;
  readonly message: string;
}

const TEXT_BYTES_MAX = 1024 * 1024;
const DEPTH_MAX = 32;
const VALUES_MAX = 100_000;
const ALIASES_MAX = 100;
const SYNTAX_PROBLEMS_MAX = 10;

/** The whole text, or everything that is wrong with it as YAML. Never throws. */
export function readYaml(
  text: string,
): YamlSource | { readonly kind: "invalid"; readonly problems: readonly YamlProblem[] } {
  // Characters are never more than bytes, so this is the looser of the two readings of the limit.
  if (text.length > TEXT_BYTES_MAX)
    return invalidAtTop("The file is larger than 1 MiB. That is not a vipair configuration.");
  // Duplicate keys are found below, in linear time and with the line of the first one.
  const documents = parseAllDocuments(text, {
    prettyErrors: false,
    uniqueKeys: false,
    resolveKnownTags: false,
    logLevel: "silent",
  });
  const [document, second] = documents;
  if (document === undefined) return invalidAtTop("The file is empty. docs/example.yaml is a start.");
  // Counted here and not by the parser, which loses count after some syntax errors.
  const lines = new LineCounter();
  for (let start = 0; start !== 0 || lines.lineStarts.length === 0; start = text.indexOf("\n", start) + 1) {
    lines.addNewLine(start);
  }
  const positionAt = (offset: number): Position => {
    const { line, col } = lines.linePos(Math.min(offset, text.length));
    return { line, column: col };
  };

  const syntax = syntaxProblems(document, text, positionAt);
  if (syntax.length > 0) return { kind: "invalid", problems: syntax };
  if (second !== undefined) {
    const message = 'A second document begins here. Remove the "---" between them: one file is one document.';
    return { kind: "invalid", problems: [{ ...positionAt(second.range[0]), path: [], message }] };
  }
  return new Walk(document, positionAt).run();
}

function invalidAtTop(message: string): {
  readonly kind: "invalid";
  readonly problems: readonly YamlProblem[];
} {
  return { kind: "invalid", problems: [{ line: 1, column: 1, path: [], message }] };
}

function syntaxProblems(
  document: Document,
  text: string,
  positionAt: (offset: number) => Position,
): readonly YamlProblem[] {
  const found: readonly YAMLError[] = [...document.errors, ...document.warnings];
  const exhausted = found.find(({ code }) => code === "RESOURCE_EXHAUSTION");
  if (exhausted !== undefined) {
    return [{ ...positionAt(exhausted.pos[0]), path: [], message: "Nested too deeply. Remove some levels." }];
  }
  return found.slice(0, SYNTAX_PROBLEMS_MAX).map((error) => {
    const [from, to] = error.pos;
    return { ...positionAt(from), path: [], message: describeSyntax(error, text.slice(0, to)) };
  });
}

/** The parser's own words, with the way out for the slips that a balancer's configuration invites. */
function describeSyntax(error: YAMLError, before: string): string {
  // Behind a colon or a backslash the parser repeats the text, which may be a secret.
  const message = error.message.replace(/(: | \\)[^]*$/, "").replace(/\.?$/, ".");
  const lastLine = before.slice(before.lastIndexOf("\n") + 1);
  if (/:\s+\[[0-9A-Fa-f:.]*\]/.test(lastLine)) {
    return `Not valid YAML: ${message} An address in brackets needs quotes: "[::]:80".`;
  }
  if (/:\s+\*\S/.test(lastLine))
    return `Not valid YAML: ${message} A value that begins with * needs quotes: "*.example.lan".`;
  if (error.code === "TAB_AS_INDENT") return `Not valid YAML: ${message} Use spaces.`;
  return `Not valid YAML: ${message}`;
}

interface Place {
  /** Offset of the key; undefined in lists and at the top. */
  readonly key: number | undefined;
  /** Offset of a value that is not empty; undefined for maps, lists and nothing at all. */
  readonly scalar: number | undefined;
  readonly start: number;
}

/** One pass over a document: it lives as long as readYaml needs it. */
class Walk {
  readonly #document: Document;
  readonly #positionAt: (offset: number) => Position;
  readonly #places = new Map<string, Place>();
  readonly #problems: YamlProblem[] = [];
  #values = 0;
  #aliases = 0;

  constructor(document: Document, positionAt: (offset: number) => Position) {
    this.#document = document;
    this.#positionAt = positionAt;
  }

  run(): ReturnType<typeof readYaml> {
    const value = this.#read(this.#document.contents, [], undefined);
    if (this.#problems.length > 0) return { kind: "invalid", problems: this.#problems };
    return { kind: "source", value, locate: (path, at) => this.#locate(path, at) };
  }

  #locate(path: Path, at: "key" | "value"): Position {
    const place = this.#places.get(placeName(path));
    if (place !== undefined) {
      const value = place.scalar ?? place.key;
      return this.#positionAt((at === "key" ? place.key : value) ?? place.start);
    }
    return path.length === 0 ? { line: 1, column: 1 } : this.#locate(path.slice(0, -1), "key");
  }

  #read(node: unknown, path: Path, key: number | undefined): unknown {
    const start = startOf(node) ?? key ?? 0;
    const scalar = isScalar(node) && node.value !== null ? start : undefined;
    this.#places.set(placeName(path), { key, scalar, start });
    this.#values += 1;
    if (this.#values > VALUES_MAX)
      return this.#refuseOnce(start, path, "Too many values. Are aliases nested in aliases?");
    if (path.length > DEPTH_MAX) return this.#refuse(start, path, "Nested too deeply. Remove some levels.");
    if (isAlias(node)) return this.#readAlias(node, path, key);
    if (isSeq(node)) return node.items.map((item, index) => this.#read(item, [...path, index], undefined));
    if (isMap(node)) return this.#readMap(node.items, path);
    return isScalar(node) ? node.value : null;
  }

  #readAlias(alias: Alias, path: Path, key: number | undefined): unknown {
    const start = startOf(alias) ?? 0;
    this.#aliases += 1;
    if (this.#aliases > ALIASES_MAX)
      return this.#refuseOnce(start, path, `More than ${String(ALIASES_MAX)} aliases.`);
    const target = alias.resolve(this.#document);
    if (target === undefined) {
      const message = "This alias names no anchor above. A value that begins with * needs quotes.";
      return this.#refuse(start, path, message);
    }
    const value = this.#read(target, path, key);
    // The value stands where its alias does; what is inside it stands where it was written.
    this.#places.set(placeName(path), { key, scalar: start, start });
    return value;
  }

  #readMap(items: readonly Pair[], path: Path): unknown {
    const map: Record<string, unknown> = {};
    const seen = new Map<string, number>();
    for (const item of items) {
      const start = startOf(item.key) ?? 0;
      const name = isScalar(item.key) ? item.key.value : undefined;
      if (typeof name !== "string" && typeof name !== "number") {
        this.#refuse(start, path, "A key must be a word. Put it in quotes if it is meant so.");
        continue;
      }
      const key = String(name);
      const first = seen.get(key);
      if (first !== undefined) {
        const line = String(this.#positionAt(first).line);
        this.#refuse(start, [...path, key], `This key stands here twice, first in line ${line}. Remove one.`);
      } else if (key === "__proto__") {
        this.#refuse(start, path, '"__proto__" cannot be a key. Use another name.');
      } else {
        seen.set(key, start);
        map[key] = this.#read(item.value, [...path, key], start);
      }
    }
    return map;
  }

  #refuse(offset: number, path: Path, message: string): null {
    this.#problems.push({ ...this.#positionAt(offset), path, message });
    return null;
  }

  /** For limits that, once passed, are passed by everything that follows. */
  #refuseOnce(offset: number, path: Path, message: string): null {
    return this.#problems.some((problem) => problem.message === message)
      ? null
      : this.#refuse(offset, path, message);
  }
}

function placeName(path: Path): string {
  return JSON.stringify(path);
}

function startOf(node: unknown): number | undefined {
  if (isAlias(node) || isScalar(node) || isMap(node) || isSeq(node)) return node.range?.[0];
  return undefined;
}
