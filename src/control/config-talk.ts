// What two nodes ask each other about their configuration files, as texts of an exchange, and what comes of it. Parsed
// strictly: whoever sends these has the secret of the pair, and may still be broken.

export interface PutQuestion {
  readonly op: "put";
  /** The whole file. */
  readonly text: string;
  /** SHA-256, in hex, of the file that it replaces. */
  readonly expected: string;
  /** Only looked at. */
  readonly dryRun: boolean;
}

export type Question = { readonly op: "file" } | PutQuestion;

export type Answer =
  | { readonly kind: "file"; readonly path: string; readonly text: string }
  /** To "put". `reason` follows the node's name. */
  | { readonly kind: "refused"; readonly reason: string }
  /** To a dry run. */
  | { readonly kind: "good" }
  | {
      readonly kind: "written";
      readonly backup: string | null;
      /** Why it is not loaded, though it is written; null when it is. */
      readonly problem: string | null;
      readonly needsRestart: readonly string[];
    };

export function readQuestion(text: string): Question | undefined {
  const fields = readObject(text);
  if (fields === undefined) return undefined;
  const { op, text: file, expected, dryRun } = fields;
  if (op === "file") return { op };
  if (op !== "put" || typeof file !== "string" || typeof dryRun !== "boolean") return undefined;
  if (typeof expected !== "string" || !/^[0-9a-f]{64}$/.test(expected)) return undefined;
  return { op, text: file, expected, dryRun };
}

export function readAnswer(text: string): Answer | undefined {
  const fields = readObject(text);
  if (fields === undefined) return undefined;
  const { kind, path, text: file, reason, backup, problem, needsRestart } = fields;
  switch (kind) {
    case "file":
      return typeof path === "string" && typeof file === "string" ? { kind, path, text: file } : undefined;
    case "refused":
      return typeof reason === "string" ? { kind, reason } : undefined;
    case "good":
      return { kind };
    case "written":
      return isTextOrNull(backup) && isTextOrNull(problem) && isTexts(needsRestart)
        ? { kind, backup, problem, needsRestart }
        : undefined;
    default:
      return undefined;
  }
}

function readObject(text: string): Partial<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
