// A reporter for `node --test`: one JSON line per test that ended, for scripts/test.ts to count. Counting
// events instead of reading prose means that what a test prints cannot change the figures.

import { relative, resolve } from "node:path";
import type { TestEvent } from "node:test/reporters";
import { stripVTControlCharacters } from "node:util";

/** The last screen of a log must have room for the reasons of several tests. */
const REASON_CHARS_MAX = 300;
const CAUSES_MAX = 3;
const BETWEEN = "; cause: ";

/** What became of one test. */
export interface TestResult {
  readonly outcome: "passed" | "failed" | "skipped";
  readonly name: string;
  /** Relative to the working directory. */
  readonly file: string;
  /** Why it was skipped or failed, on one line; null when it passed. */
  readonly reason: string | null;
}

/**
 * null: not to be counted. A test or suite that failed only because something inside it failed is not counted
 * beside that, a good suite not beside its tests. A file counts when it crashes, and when it holds no test.
 */
function resultOf(event: TestEvent): TestResult | null {
  if (event.type !== "test:pass" && event.type !== "test:fail") return null;
  const { name, file: path = "", nesting, details, skip, todo } = event.data;
  const file = relative(process.cwd(), path);
  const result = (outcome: TestResult["outcome"], reason: string | null = null) => ({
    outcome,
    name,
    file,
    reason,
  });
  if (isSet(skip) || isSet(todo))
    return result("skipped", reasonOf(skip) ?? reasonOf(todo) ?? "no reason given");
  if (event.type === "test:fail") {
    const error = event.data.details.error as Failure;
    return error.failureType === "subtestsFailed" ? null : result("failed", whyFailed(error));
  }
  if (details.type === "suite") return null;
  if (nesting === 0 && resolve(name) === path) return { ...result("failed"), name: "the file holds no test" };
  return result("passed");
}

/** What the runner makes of whatever was thrown, with the message of that; `cause` is what was thrown. */
type Failure = Error & {
  readonly failureType?: string;
  /** Of a file whose process ended badly; what it wrote is not part of the event. */
  readonly exitCode?: number | null;
  readonly signal?: string | null;
};

function whyFailed(failure: Failure): string {
  const { exitCode, signal } = failure;
  if (typeof signal === "string") return `its process was ended by ${signal}`;
  if (typeof exitCode === "number") return `its process ended with ${String(exitCode)}`;
  const messages: string[] = [];
  for (
    let error: unknown = failure;
    error instanceof Error && messages.length < CAUSES_MAX;
    error = error.cause
  ) {
    if (error.message !== messages.at(-1)) messages.push(error.message);
  }
  const charsMax = Math.floor(REASON_CHARS_MAX / messages.length) - BETWEEN.length;
  return messages.map((message) => onOneLine(message, charsMax)).join(BETWEEN);
}

/** The beginning of a text, without colours, as one line. */
export function onOneLine(text: string, charsMax = REASON_CHARS_MAX): string {
  const line = stripVTControlCharacters(text)
    .replaceAll(/[\s\p{Cc}]+/gu, " ")
    .trim();
  return line.length <= charsMax ? line : `${line.slice(0, charsMax - 1)}…`;
}

function isSet(mark: string | boolean | undefined): boolean {
  return mark !== undefined && mark !== false;
}

function reasonOf(mark: string | boolean | undefined): string | null {
  return typeof mark === "string" && mark !== "" ? mark : null;
}

// oxlint-disable-next-line import/no-default-export -- node --test-reporter takes the default export
export default async function* reporter(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    const result = resultOf(event);
    if (result !== null) yield `${JSON.stringify(result)}\n`;
  }
}
