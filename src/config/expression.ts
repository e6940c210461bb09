// The language of rules on the JSON of a health page: `status == "healthy" and disk.free_gb >= 10`. It compares what
// the backend said with constants, and can do nothing else: no arithmetic, no calls, no way to anything but
// the fields of the page. Parsed here, by hand, so that a mistake is told by its place; judged in
// routing/json-rules.ts.
//
//   rule     = term { "or" term }
//   term     = factor { "and" factor }
//   factor   = "not" factor | "(" rule ")" | operand [ operator operand ]
//   operator = "==" | "!=" | "<" | "<=" | ">" | ">=" | "contains"
//   operand  = field | number | text | "true" | "false" | "null"
//   field    = ( name | "[" index "]" ) { "." name | "[" index "]" }      index = whole number | text

import { invalid, ok, quote } from "./reading.ts";
import type { Reading } from "./reading.ts";

/** A longer rule is a program, and belongs into the health page. */
const CHARACTERS_MAX = 1000;
/** Of `not` and parentheses within each other. */
const DEPTH_MAX = 20;

export type Expression =
  | { readonly kind: "and" | "or"; readonly parts: readonly Expression[] }
  | { readonly kind: "not"; readonly part: Expression }
  /** True when the field is true. */
  | { readonly kind: "field"; readonly field: Field }
  | {
      readonly kind: "compare";
      readonly operator: Operator;
      readonly left: Operand;
      readonly right: Operand;
    };

export type Operator = "==" | "!=" | "<" | "<=" | ">" | ">=" | "contains";

export type Operand =
  { readonly kind: "constant"; readonly value: Constant } | { readonly kind: "field"; readonly field: Field };

export type Constant = string | number | boolean | null;

export interface Field {
  /** Names of keys, positions in lists. */
  readonly path: readonly (string | number)[];
  /** As it was written, for reasons. */
  readonly text: string;
}

export type ParsedExpression =
  | { readonly kind: "expression"; readonly expression: Expression }
  /** `position` counts characters (UTF-16 units) of the expression from 1; `problem` says what to write. */
  | { readonly kind: "invalid"; readonly position: number; readonly problem: string };

/** The text as a rule, or its first mistake. Never throws. */
export function parseExpression(text: string): ParsedExpression {
  try {
    if (text.length > CHARACTERS_MAX) {
      throw new Slip(CHARACTERS_MAX, `A rule has at most ${String(CHARACTERS_MAX)} characters.`);
    }
    const parser = new Parser(readTokens(text));
    return { kind: "expression", expression: parser.parse() };
  } catch (error) {
    if (error instanceof Slip) return { kind: "invalid", position: error.at + 1, problem: error.message };
    throw error;
  }
}

/** A rule that parseExpression takes. */
export function readExpression(text: string): Reading<string> {
  const parsed = parseExpression(text);
  if (parsed.kind === "expression") return ok(text);
  return invalid(`At character ${String(parsed.position)} of ${quote(text)}: ${parsed.problem}`);
}

/** Where the text leaves the language; `at` counts from 0. Stays in this file. */
class Slip extends Error {
  readonly at: number;

  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

// ---------------------------------------------------------------- tokens

type Token = { readonly at: number; readonly text: string } & (
  { readonly kind: "name" | "sign" | "end" } | { readonly kind: "constant"; readonly value: string | number }
);

const SPACE = /[ \t\r\n]+/y;
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** Hyphens too: there is no subtraction, and many pages have them in their names. */
const NAME = /[A-Za-z_][A-Za-z0-9_-]*/y;
const TEXT = /"(?:[^"\\]|\\["'\\])*"|'(?:[^'\\]|\\["'\\])*'/y;
const SIGN = /[=!<>]=|[<>()[\].]/y;

/** What people write who have other languages in their fingers. */
const FOREIGN_SIGNS: readonly (readonly [sign: string, advice: string])[] = [
  ["&&", 'Write "and".'],
  ["||", 'Write "or".'],
  ["=~", "There are no regular expressions here. Use expectedBody for them."],
  ["=", 'Write "==".'],
  ["!", 'Write "not".'],
  ["-", "There is no arithmetic. Compute it in the health page."],
  ["+", "There is no arithmetic. Compute it in the health page."],
  ["*", "There is no arithmetic. Compute it in the health page."],
  ["/", "There is no arithmetic. Compute it in the health page."],
  ["%", "There is no arithmetic, and numbers have no unit."],
  ["$", "A field begins with its name, such as status or memory.used."],
];

function readTokens(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  };
  for (;;) {
    take(SPACE);
    const start = at;
    if (at === text.length) return [...tokens, { kind: "end", at, text: "" }];
    const name = take(NAME);
    const number = name === undefined ? take(NUMBER) : undefined;
    const quoted = name === undefined && number === undefined ? take(TEXT) : undefined;
    if (name !== undefined) tokens.push({ kind: "name", at: start, text: name });
    else if (number !== undefined) {
      if (take(NAME) !== undefined)
        throw new Slip(start + number.length, "A number has no unit. Leave it out.");
      tokens.push({ kind: "constant", at: start, text: number, value: Number(number) });
    } else if (quoted !== undefined) {
      tokens.push({ kind: "constant", at: start, text: quoted, value: unquote(quoted) });
    } else {
      const sign = take(SIGN);
      if (sign === undefined) throw new Slip(start, describeForeign(text.slice(start)));
      tokens.push({ kind: "sign", at: start, text: sign });
    }
  }
}

function unquote(quoted: string): string {
  return quoted.slice(1, -1).replaceAll(/\\(.)/g, "$1");
}

function describeForeign(rest: string): string {
  const foreign = FOREIGN_SIGNS.find(([sign]) => rest.startsWith(sign));
  if (foreign !== undefined) return foreign[1];
  if (rest.startsWith('"') || rest.startsWith("'"))
    return `A text that does not end, or has an escape other than \\", \\' and \\\\.`;
  const [character = ""] = rest;
  return `${quote(character)} cannot stand here.`;
}

// ---------------------------------------------------------------- grammar

const OPERATORS: readonly string[] = [
  "==",
  "!=",
  "<",
  "<=",
  ">",
  ">=",
  "contains",
] satisfies readonly Operator[];
/** They compare sizes, and sizes are numbers. */
const ORDERINGS: readonly string[] = ["<", "<=", ">", ">="];
/** They are no fields: one of such a name is written `["and"]`. */
const WORDS: readonly string[] = ["and", "or", "not", "contains"];
const CONSTANT_WORDS: ReadonlyMap<string, Constant> = new Map([
  ["true", true],
  ["false", false],
  ["null", null],
]);

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): Expression {
    if (this.#peek().kind === "end")
      throw new Slip(0, 'The rule is empty. Write one, such as status == "ok".');
    const rule = this.#rule();
    const { kind, at, text } = this.#peek();
    if (kind === "end") return rule;
    if (text === ")") throw new Slip(at, "There is no parenthesis to close.");
    if (OPERATORS.includes(text))
      throw new Slip(at, 'Two values are compared at a time. Join comparisons with "and".');
    throw new Slip(at, `${quote(text)} cannot follow. Join comparisons with "and" or "or".`);
  }

  #peek(): Token {
    const token = this.#tokens[Math.min(this.#next, this.#tokens.length - 1)];
    // The list is never empty: it ends with the end.
    if (token === undefined) throw new Error("a rule has no tokens");
    return token;
  }

  #accept(text: string): boolean {
    const { kind } = this.#peek();
    if (this.#peek().text !== text || (kind !== "name" && kind !== "sign")) return false;
    this.#next += 1;
    return true;
  }

  #rule(): Expression {
    return this.#joined("or", () => this.#joined("and", () => this.#factor()));
  }

  #joined(kind: "and" | "or", readPart: () => Expression): Expression {
    const first = readPart();
    const parts = [first];
    while (this.#accept(kind)) parts.push(readPart());
    return parts.length === 1 ? first : { kind, parts };
  }

  #factor(): Expression {
    const { at } = this.#peek();
    if (this.#accept("not")) return this.#deeper(at, () => ({ kind: "not", part: this.#factor() }));
    if (this.#accept("(")) {
      return this.#deeper(at, () => {
        const rule = this.#rule();
        if (!this.#accept(")"))
          throw new Slip(this.#peek().at, `")" is missing: one was opened at character ${String(at + 1)}.`);
        return rule;
      });
    }
    return this.#comparison();
  }

  #deeper(at: number, read: () => Expression): Expression {
    if (this.#depth === DEPTH_MAX)
      throw new Slip(at, `More than ${String(DEPTH_MAX)} levels of "not" and parentheses. Use fewer.`);
    this.#depth += 1;
    const expression = read();
    this.#depth -= 1;
    return expression;
  }

  #comparison(): Expression {
    const { at } = this.#peek();
    const left = this.#operand();
    const operator = this.#operator();
    if (operator === undefined) {
      if (left.kind === "field") return left;
      throw new Slip(at, 'A constant alone decides nothing. Compare a field with it: status == "ok".');
    }
    const right = this.#operand();
    if (left.kind === "constant" && right.kind === "constant")
      throw new Slip(at, "Both sides are constants. Compare a field of the page with one.");
    for (const side of [left, right]) {
      if (ORDERINGS.includes(operator) && side.kind === "constant" && typeof side.value !== "number")
        throw new Slip(at, `${JSON.stringify(operator)} compares numbers. Use == or != for other values.`);
    }
    return { kind: "compare", operator, left, right };
  }

  #operator(): Operator | undefined {
    const { text, kind } = this.#peek();
    if (kind === "constant" || !isOperator(text)) return undefined;
    this.#next += 1;
    return text;
  }

  #operand(): Operand {
    const token = this.#peek();
    if (token.kind === "constant") {
      this.#next += 1;
      return { kind: "constant", value: token.value };
    }
    const value = token.kind === "name" ? CONSTANT_WORDS.get(token.text) : undefined;
    if (value !== undefined) {
      this.#next += 1;
      return { kind: "constant", value };
    }
    return { kind: "field", field: this.#field() };
  }

  #field(): Field {
    const { kind, text, at } = this.#peek();
    const path: (string | number)[] = [];
    if (kind === "name" && !WORDS.includes(text)) {
      path.push(text);
      this.#next += 1;
    } else if (text !== "[" || kind !== "sign") {
      const found = kind === "end" ? "The rule ends here" : `${quote(text)} is none`;
      throw new Slip(at, `A field or a constant is missing: ${found}.`);
    }
    for (;;) {
      if (this.#accept("[")) path.push(this.#index());
      else if (this.#accept(".")) path.push(this.#key());
      else return { path, text: formatField(path) };
    }
  }

  #key(): string {
    const { kind, text, at } = this.#peek();
    if (kind !== "name") throw new Slip(at, 'A name is missing after ".". Write other keys as ["key"].');
    this.#next += 1;
    return text;
  }

  #index(): string | number {
    const token = this.#peek();
    if (token.kind !== "constant" || (typeof token.value === "number" && !/^\d{1,6}$/.test(token.text)))
      throw new Slip(token.at, 'Write a position, such as [0], or a key in quotes, such as ["key"].');
    this.#next += 1;
    if (!this.#accept("]")) throw new Slip(this.#peek().at, '"]" is missing.');
    return token.value;
  }
}

function isOperator(text: string): text is Operator {
  return OPERATORS.includes(text);
}

/** The one way in which reasons name a field. */
function formatField(path: Field["path"]): string {
  return path
    .map((part, index) => {
      if (typeof part === "number") return `[${String(part)}]`;
      const isPlain = /^[A-Za-z_][A-Za-z0-9_-]*$/.test(part);
      // At the front a word of the language would be read as that.
      if (isPlain && index === 0 && !WORDS.includes(part) && !CONSTANT_WORDS.has(part)) return part;
      return isPlain && index > 0 ? `.${part}` : `["${part.replaceAll(/["\\]/g, "\\$&")}"]`;
    })
    .join("");
}
