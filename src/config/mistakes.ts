// What zod found -> mistakes, one for each thing that an operator did. Zod answers with trees: a union
// reports what every branch would have wanted, a map all its unknown keys in one issue. Here a union is
// judged by the branch that the operator evidently meant, and each unknown key stands for itself.

import type { z } from "zod";
import { didYouMean } from "./fields.ts";
import type { Mistake, Path } from "./mistake.ts";
import { isNear } from "./nearest.ts";

type Issue = z.core.$ZodIssue;

/** Every mistake, in zod's order. */
export function mistakesOf(issues: readonly Issue[]): readonly Mistake[] {
  const flat = issues.flatMap((issue) => flatten(issue, []));
  // A key that is misspelt is also a key that is missing: one slip, one message.
  const misspelt = flat.filter(({ at }) => at === "key");
  return flat.filter(
    (mistake) =>
      mistake.at === "key" || !mistake.isMissing || !misspelt.some((slip) => isSlipOf(slip, mistake.path)),
  );
}

type Found = Mistake & { readonly isMissing: boolean };

function flatten(issue: Issue, parent: Path): readonly Found[] {
  const path = [...parent, ...issue.path.map((part) => (typeof part === "symbol" ? String(part) : part))];
  if (issue.code === "unrecognized_keys") {
    // fields.ts writes one line for each key.
    const lines = issue.message.split("\n");
    return issue.keys.map((key, index) => ({
      path: [...path, key],
      at: "key",
      message: lines[index] ?? "Unknown key.",
      isMissing: false,
    }));
  }
  if (issue.code === "invalid_key") {
    return [{ path, at: "key", message: issue.issues[0]?.message ?? issue.message, isMissing: false }];
  }
  if (issue.code === "invalid_union") {
    const possible = issue.errors
      .filter((branch) => !branch.some(isWrongAtTop))
      .map((branch) => branch.flatMap((inner) => flatten(inner, path)));
    // Of two kinds of map the one that fits better; the sort keeps the order of equals.
    const [meant] = possible.toSorted((a, b) => a.length - b.length);
    if (meant !== undefined) return meant;
  }
  return [{ path, at: "value", message: issue.message, isMissing: issue.message.startsWith("Missing.") }];
}

/** The value itself has the wrong type for that branch: not the branch that was meant. */
function isWrongAtTop(issue: Issue): boolean {
  if (issue.path.length > 0) return false;
  if (issue.code === "invalid_union") return issue.errors.every((branch) => branch.some(isWrongAtTop));
  return issue.code === "invalid_type" || issue.code === "invalid_value";
}

function isSlipOf({ path, message }: Found, missing: Path): boolean {
  if (path.length !== missing.length) return false;
  if (path.slice(0, -1).some((part, index) => part !== missing[index])) return false;
  const key = String(missing.at(-1));
  return isNear(String(path.at(-1)), key) || message === didYouMean(key);
}
