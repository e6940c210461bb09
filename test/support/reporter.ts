// A reporter for `node --test`: one JSON line per test that ended, for scripts/test.ts to count. Counting
// events instead of reading prose means that what a test prints cannot change the figures.

import { relative, resolve } from "node:path";
import type { TestEvent } from "node:test/reporters";

/** What became of one test. */
export interface TestResult {
  readonly outcome: "passed" | "failed" | "skipped";
  readonly name: string;
  /** Relative to the working directory. */
  readonly file: string;
  /** Why it was skipped; null when it was not. */
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
    const { failureType } = event.data.details.error as Error & { readonly failureType?: string };
    return failureType === "subtestsFailed" ? null : result("failed");
  }
  if (details.type === "suite") return null;
  if (nesting === 0 && resolve(name) === path) return { ...result("failed"), name: "the file holds no test" };
  return result("passed");
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
