// A configuration that a command changes: read, edited, checked as the node would check it, and written as a whole. A
// mistake anywhere leaves the file as it was, and all mistakes are told.

import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Config } from "../config/config.ts";
import { isNotConfigured } from "../config/not-configured.ts";
import { formatConfigError, locateMistakes, parseConfig } from "../config/parse.ts";
import { editYaml } from "../config/yaml-edit.ts";
import type { YamlEdit } from "../config/yaml-edit.ts";
import { replaceFile } from "../system/atomic-file.ts";
import { describeAccess } from "../system/page-file.ts";
import { readErrorPages } from "./error-page-files.ts";

/** Everybody may read it: the secret has a file of its own. */
export const CONFIG_MODE = 0o644;

export type ReadConfig =
  | { readonly kind: "config"; readonly text: string; readonly config: Config }
  /** No file, or one that holds comments alone. `text`: null for no file. */
  | { readonly kind: "empty"; readonly text: string | null }
  /** What is wrong with it, each in a line. */
  | { readonly kind: "invalid"; readonly text: string | null; readonly problems: readonly string[] };

export async function readConfig(file: string): Promise<ReadConfig> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT")
      return { kind: "empty", text: null };
    return { kind: "invalid", text: null, problems: [`${file} ${describeAccess(error)}`] };
  }
  if (isNotConfigured(text)) return { kind: "empty", text };
  const checked = checkText(text, file);
  return checked.kind === "config" ? { kind: "config", text, config: checked.config } : { ...checked, text };
}

/** A text as the node that is to run with it would see it. */
export function checkText(
  text: string,
  file: string,
):
  | { readonly kind: "config"; readonly config: Config }
  | { readonly kind: "invalid"; readonly problems: readonly string[] } {
  const parsed = parseConfig(text, file);
  if (parsed.kind === "invalid") return { kind: "invalid", problems: parsed.errors.map(formatConfigError) };
  const { mistakes } = readErrorPages(parsed.config, dirname(file));
  if (mistakes.length === 0) return parsed;
  return { kind: "invalid", problems: locateMistakes(text, { file, mistakes }).map(formatConfigError) };
}

export type EditedText =
  | { readonly kind: "edited"; readonly text: string; readonly config: Config }
  | { readonly kind: "problems"; readonly problems: readonly string[] };

/** The text with all edits made, one after the other; nothing is written. */
export function editText(text: string, edits: readonly YamlEdit[], file: string): EditedText {
  let edited = text;
  for (const edit of edits) {
    const result = editYaml(edited, edit);
    if (result.kind === "impossible") return { kind: "problems", problems: [`${file}: ${result.problem}`] };
    edited = result.text;
  }
  const checked = checkText(edited, file);
  if (checked.kind === "invalid") return { kind: "problems", problems: checked.problems };
  return { kind: "edited", text: edited, config: checked.config };
}

/** Writes what editText() made of `before`; ends in why not, or undefined. */
export async function writeConfigText(
  file: string,
  { before, text }: { readonly before: string; readonly text: string },
): Promise<string | undefined> {
  const replaced = await replaceFile({ path: file, text, newMode: CONFIG_MODE, expected: before });
  switch (replaced.kind) {
    case "replaced":
      return undefined;
    case "changed":
      return `${file} was changed by somebody else in this moment. Nothing was written; try again`;
    case "failed":
      return replaced.problem;
  }
}
