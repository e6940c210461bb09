// The kinds of value that the schema is written in: each knows how it is read, what to say when it is
// wrong, and how documentation and editors name it. Messages about values are made here, so that every
// mistake reads alike: what stands there, why it cannot be, what to write.
//
// Every kind carries a `title` ("duration, 20ms to 10s"): the column "type and range" of
// docs/configuration.md, and what an editor shows above the description.

import { z } from "zod";
import { nearest } from "./nearest.ts";
import {
  DURATION_PATTERN,
  formatDuration,
  formatSize,
  readDuration,
  readSize,
  SIZE_PATTERN,
} from "./quantity.ts";
import { readFilePath, readWord } from "./file-values.ts";
import { readStatusRange } from "./http-values.ts";
import { invalid, quote } from "./reading.ts";
import type { Reading } from "./reading.ts";

interface TextKind<T> {
  /** Type and range for people. */
  readonly title: string;
  /** Completes "Write …": a noun phrase and an example. */
  readonly write: string;
  readonly read: (text: string) => Reading<T>;
  /** JSON Schema pattern, for editors. */
  readonly pattern?: string;
  /** A secret is never repeated in a message. */
  readonly secret?: boolean;
}

/** A text that is read into a T. */
export function text<T>({ title, write, read, pattern, secret = false }: TextKind<T>) {
  return z
    .string({ error: ({ input }) => wrongType(input, { write, secret }) })
    .meta(pattern === undefined ? {} : { pattern })
    .transform((written, context) => {
      const reading = read(written);
      if (reading.kind === "ok") return reading.value;
      context.issues.push({ code: "custom", message: reading.problem, input: written });
      return z.NEVER;
    })
    .meta({ title });
}

/** Milliseconds, written with a unit. */
export function duration({ fromMs, toMs }: { readonly fromMs: number; readonly toMs: number }) {
  const range = `${formatDuration(fromMs)} to ${formatDuration(toMs)}`;
  return text({
    title: `duration, ${range}`,
    write: `a duration with a unit, such as ${formatDuration(Math.min(toMs, Math.max(fromMs, 5000)))}`,
    pattern: DURATION_PATTERN,
    read: (written) => within(readDuration(written), { from: fromMs, to: toMs, written, range }),
  });
}

/** Bytes, written with a unit. */
export function size({ fromBytes, toBytes }: { readonly fromBytes: number; readonly toBytes: number }) {
  const range = `${formatSize(fromBytes)} to ${formatSize(toBytes)}`;
  return text({
    title: `size, ${range}`,
    write: "a size with a unit, such as 16KiB",
    pattern: SIZE_PATTERN,
    read: (written) => within(readSize(written), { from: fromBytes, to: toBytes, written, range }),
  });
}

/** As `size`, or the word `unlimited`, which is null. */
export function sizeOrUnlimited({
  fromBytes,
  toBytes,
}: {
  readonly fromBytes: number;
  readonly toBytes: number;
}) {
  const range = `${formatSize(fromBytes)} to ${formatSize(toBytes)}, or unlimited`;
  return text<number | null>({
    title: `size, ${range}`,
    write: "a size with a unit, such as 10MiB, or the word unlimited",
    pattern: `^unlimited$|${SIZE_PATTERN}`,
    read: (written) =>
      written === "unlimited"
        ? { kind: "ok", value: null }
        : within(readSize(written), { from: fromBytes, to: toBytes, written, range }),
  });
}

function within(
  reading: Reading<number>,
  limit: { readonly from: number; readonly to: number; readonly written: string; readonly range: string },
): Reading<number> {
  if (reading.kind === "invalid") return reading;
  if (reading.value < limit.from) return invalid(`${quote(limit.written)} is too small. Use ${limit.range}.`);
  if (reading.value > limit.to) return invalid(`${quote(limit.written)} is too large. Use ${limit.range}.`);
  return reading;
}

/** A whole number. `noun` completes "is not …". */
export function count({
  from,
  to,
  noun = "possible here",
}: {
  readonly from: number;
  readonly to: number;
  readonly noun?: string;
}) {
  const range = `${String(from)} to ${String(to)}`;
  const error = ({ input }: { readonly input?: unknown }): string =>
    typeof input === "number"
      ? `${String(input)} is not ${noun}. Use ${range}.`
      : wrongType(input, { write: `a whole number, ${range}` });
  return z
    .int({ error })
    .min(from, { error })
    .max(to, { error })
    .meta({ title: `whole number, ${range}` });
}

export function port() {
  return count({ from: 1, to: 65_535, noun: "a port" });
}

export function file() {
  return text({ title: "path of a file", write: "the path of a file", read: readFilePath });
}

export function yesOrNo() {
  return z
    .boolean({ error: ({ input }) => wrongType(input, { write: "true or false" }) })
    .meta({ title: "true or false" });
}

/** A switch that is only ever turned on. `advice` says what to write in place of false. */
export function trueOnly({ advice }: { readonly advice: string }) {
  const error = ({ input }: { readonly input?: unknown }): string =>
    input === false ? `false has no meaning here. ${advice}` : wrongType(input, { write: "true" });
  return z.literal(true, { error }).meta({ title: "true" });
}

/** One of several words. */
export function choice<const W extends string>(words: readonly [W, ...W[]]) {
  return z.enum(words, { error: ({ input }) => wrongWord(input, words) }).meta({ title: oneOf(words) });
}

/**
 * One of several words, beside which a map or a switch may stand (`either`): a wrong word is meant as a word then.
 * `hints`: what to say of other words that people expect here.
 */
export function wordOf<const W extends string>(
  words: readonly [W, ...W[]],
  { hints = {} }: { readonly hints?: Readonly<Record<string, string>> } = {},
) {
  return text<W>({
    title: oneOf(words),
    write: oneOf(words),
    pattern: `^(${words.join("|")})$`,
    read: (written) => {
      const known = words.find((one) => one === written);
      if (known !== undefined) return { kind: "ok", value: known };
      const hint = Object.hasOwn(hints, written) ? hints[written] : undefined;
      return invalid(hint ?? wrongWord(written, words));
    },
  });
}

/** `{ kind: … }`: the kind decides which other keys there are. `example` is one such map. */
export function kindOf<
  const T extends readonly [z.core.$ZodTypeDiscriminable, ...z.core.$ZodTypeDiscriminable[]],
>(variants: T, { example }: { readonly example: string }) {
  return z.discriminatedUnion("kind", variants, {
    error: (issue) => {
      if (issue.code !== "invalid_union")
        return wrongType(issue.input, { write: `a map with a kind, such as ${example}` });
      const kinds = Array.isArray(issue.options) ? issue.options.map(String) : [];
      return wrongWord(isRecord(issue.input) ? issue.input["kind"] : undefined, kinds);
    },
  });
}

/** One of two forms: a short text or a long map, say. `write` names both. */
export function either<T extends z.core.$ZodType, M extends z.core.$ZodType>(
  short: T,
  long: M,
  { write }: { readonly write: string },
) {
  return z.union([short, long], { error: ({ input }) => wrongType(input, { write }) });
}

/** A program and its arguments: a text when it has none, else a list. */
export function commandLine({
  title,
  write,
  read,
}: {
  readonly title: string;
  readonly write: string;
  /** Reads the text that stands without a list. */
  readonly read: (text: string) => Reading<string>;
}) {
  const word = text({ title: "text", write: "a text; a number in quotes", read: readWord });
  return either(
    text({ title, write, read }).transform((program) => [program]),
    z
      .array(word)
      .min(1, { error: `The list is empty. Write ${write}.` })
      // Looked at even where another word is wrong, so that the mistakes come at once.
      .refine(([program]) => program !== "", {
        path: [0],
        error: "Write the path of a file.",
        when: ({ value }) => Array.isArray(value),
      }),
    { write },
  ).meta({ title });
}

/** A whole number, or the word `auto`. */
export function countOrAuto({ from, to }: { readonly from: number; readonly to: number }) {
  const range = `${String(from)} to ${String(to)}, or auto`;
  const error = ({ input }: { readonly input?: unknown }): string =>
    typeof input === "number"
      ? `${String(input)} is not possible here. Use ${range}.`
      : wrongType(input, { write: `a whole number, ${range}` });
  return z
    .union([z.literal("auto"), z.int().min(from, { error }).max(to, { error })], { error })
    .meta({ title: `whole number, ${range}` });
}

interface CountRange {
  readonly from: number;
  readonly to: number;
}

/** A whole number, or the word `unlimited`, which is null. */
export function countOrUnlimited(range: CountRange) {
  return countOrNone("unlimited", range);
}

/** A whole number, or the word `off`, which is null. */
export function countOrOff(range: CountRange) {
  return countOrNone("off", range);
}

function countOrNone<const W extends string>(word: W, { from, to }: CountRange) {
  const range = `${String(from)} to ${String(to)}, or ${word}`;
  const error = ({ input }: { readonly input?: unknown }): string =>
    typeof input === "number"
      ? `${String(input)} is not possible here. Use ${range}.`
      : wrongType(input, { write: `a whole number, ${range}` });
  return z
    .union([z.literal(word).transform(() => null), z.int().min(from, { error }).max(to, { error })], {
      error,
    })
    .meta({ title: `whole number, ${range}` });
}

/** Ranges of good status codes: one, or a list of them. */
export function statusRanges() {
  const write = 'a status or a range, such as 200 or "200-399", or a list of them';
  const error = ({ input }: { readonly input?: unknown }): string => wrongType(input, { write });
  const range = z.union([z.int(), z.string()], { error }).transform((written, context) => {
    const reading = readStatusRange(written);
    if (reading.kind === "ok") return reading.value;
    context.issues.push({ code: "custom", message: reading.problem, input: written });
    return z.NEVER;
  });
  return z
    .union(
      [
        range.transform((one) => [one]),
        z.array(range).min(1, { error: `The list is empty. Write ${write}.` }),
      ],
      { error },
    )
    .meta({ title: "status, range of statuses, or a list of them" });
}

/**
 * A map whose keys are all known. `hints`: what to say of keys that people expect here and that are none.
 * `synonyms`: words that people write for a key, unless it is there as well.
 */
export function section<const S extends z.core.$ZodLooseShape>(
  shape: S,
  {
    hints = {},
    synonyms = {},
  }: {
    readonly hints?: Readonly<Record<string, string>>;
    readonly synonyms?: Readonly<Record<string, keyof S & string>>;
  } = {},
) {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: ({ code, input, keys }) => {
      if (code !== "unrecognized_keys" || !Array.isArray(keys)) {
        return wrongType(input, {
          write: `a map of settings (${known.slice(0, 4).join(", ")}${known.length > 4 ? " …" : ""})`,
        });
      }
      // One line for each key, in their order: mistakes.ts makes one mistake of each.
      return keys
        .map((key: string) => {
          const meant = Object.hasOwn(synonyms, key) ? synonyms[key] : undefined;
          if (meant !== undefined && isRecord(input) && !Object.hasOwn(input, meant))
            return didYouMean(meant);
          return Object.hasOwn(hints, key) ? hints[key] : unknownKey(key, known);
        })
        .join("\n");
    },
  });
}

/** A map from names, which the operator chooses, to items. */
export function named<T extends z.core.$ZodType>(item: T, noun: string) {
  return z.record(z.string().check(z.regex(NAME, { error: ({ input }) => badName(String(input)) })), item, {
    error: ({ input }) => wrongType(input, { write: `a map of ${noun}, each under its name` }),
  });
}

/** A map from the names of the nodes to items; the cross-checks know the names. `write` says it in words. */
export function byNode<T extends z.core.$ZodType>(item: T, { write }: { readonly write: string }) {
  return z.record(z.string(), item, { error: ({ input }) => wrongType(input, { write }) });
}

/** A name in a value: of a listener, of a backend. */
export function name() {
  return text({
    title: "name",
    write: "a name, such as web",
    pattern: NAME.source,
    read: readName,
  });
}

/** A name that a node, a pool or a backend can have. */
export function readName(written: string): Reading<string> {
  return NAME.test(written) ? { kind: "ok", value: written } : invalid(badName(written));
}

/** Letters, digits, dots, hyphens and underscores; it becomes part of paths, metrics and log lines. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

function badName(written: string): string {
  return `${quote(written)} is not a name. Use up to 64 letters, digits, ".", "_" and "-", the first a letter or digit.`;
}

export function list<T extends z.core.$ZodType>(item: T, noun: string) {
  return z.array(item, { error: ({ input }) => wrongType(input, { write: `a list of ${noun}` }) });
}

/** What to say of a value of the wrong type, of nothing behind a key, or of a key that is missing. */
function wrongType(
  input: unknown,
  { write, secret = false }: { readonly write: string; readonly secret?: boolean },
): string {
  const advice = `Write ${write}.`;
  if (input === undefined) return `Missing. ${advice}`;
  if (input === null) return `Empty. ${advice}`;
  if (Array.isArray(input)) return `This is a list. ${advice}`;
  if (typeof input === "object") return `This is a map. ${advice}`;
  const type = typeof input === "string" ? "text" : typeof input === "number" ? "a number" : "true or false";
  if (secret) return `This is ${type} to YAML. Put it in quotes.`;
  return `${typeof input === "string" ? quote(input) : JSON.stringify(input)} is ${type}. ${advice}`;
}

function wrongWord(input: unknown, words: readonly string[]): string {
  if (typeof input !== "string") return wrongType(input, { write: oneOf(words) });
  const meant = nearest(input, words);
  return `${quote(input)} is not known here. ${meant === undefined ? "" : `Did you mean ${meant}? `}Use ${oneOf(words)}.`;
}

function unknownKey(key: string, known: readonly string[]): string {
  const meant = nearest(key, known);
  if (meant !== undefined) return didYouMean(meant);
  return `Unknown key. Known here: ${known.join(", ")}.`;
}

/** What an unknown key was meant to be; mistakes.ts then does not report that key as missing. */
export function didYouMean(key: string): string {
  return `Unknown key. Did you mean ${quote(key)}?`;
}

/** "fast or safe"; "http, tcp or none". */
function oneOf(words: readonly string[]): string {
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} or ${last}`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
