// Text -> Config, or every mistake in it at once. The one door: whoever holds a Config may trust it.
//
//   text ─ yaml-source ─> values and positions ─┬─ schema ────────> mistakes of single values
//                                               └─ cross-checks ──> mistakes between values
//                                               no mistake ──> Config
//
// The cross-checks look at the values as they were written, so that a slip in one place does not hide
// a contradiction in another.

import type { Config, ConfigError } from "./config.ts";
import { crossCheck } from "./cross-checks.ts";
import { mistakesOf } from "./mistakes.ts";
import { formatPath } from "./mistake.ts";
import type { Mistake } from "./mistake.ts";
import { configFile } from "./schema.ts";
import type { ConfigFile } from "./schema.ts";
import { toListener } from "./to-listener.ts";
import { toGroups, toPair } from "./to-pair.ts";
import { toPool } from "./to-pool.ts";
import { readYaml } from "./yaml-source.ts";
import type { YamlSource } from "./yaml-source.ts";

export type Parsed =
  | { readonly kind: "config"; readonly config: Config }
  | { readonly kind: "invalid"; readonly errors: readonly ConfigError[] };

/**
 * The configuration in `text`, complete and consistent, or everything that is wrong with it in the
 * order of the file. `file` only names it in errors. Never throws.
 */
export function parseConfig(text: string, file: string): Parsed {
  const source = readYaml(text);
  if (source.kind === "invalid") {
    return invalidConfig(
      source.problems.map(({ path, ...problem }) => ({ file, path: formatPath(path), ...problem })),
    );
  }
  const checked = configFile.safeParse(source.value);
  const mistakes = [...mistakesOf(checked.error?.issues ?? []), ...crossCheck(source.value)];
  if (checked.success && mistakes.length === 0) return { kind: "config", config: toConfig(checked.data) };
  return invalidConfig(locateIn(source, { file, mistakes }));
}

/** Mistakes that were found later, in what a good configuration names, with their places in its text. */
export function locateMistakes(
  text: string,
  found: { readonly file: string; readonly mistakes: readonly Mistake[] },
): readonly ConfigError[] {
  if (found.mistakes.length === 0) return [];
  const source = readYaml(text);
  return source.kind === "source" ? locateIn(source, found) : [];
}

function locateIn(
  source: YamlSource,
  { file, mistakes }: { readonly file: string; readonly mistakes: readonly Mistake[] },
): readonly ConfigError[] {
  return mistakes.map(({ path, at, message }) => ({
    file,
    ...source.locate(path, at),
    path: formatPath(path),
    message,
  }));
}

/** `vipair.yaml:14:7  pools.web.backends[1].address: "80800" is not a port. Use 1 to 65535.` */
export function formatConfigError({ file, line, column, path, message }: ConfigError): string {
  return `${file}:${String(line)}:${String(column)}  ${path === "" ? "" : `${path}: `}${message}`;
}

function invalidConfig(errors: readonly ConfigError[]): Parsed {
  return { kind: "invalid", errors: errors.toSorted((a, b) => a.line - b.line || a.column - b.column) };
}

function toConfig(file: ConfigFile): Config {
  return {
    ...(file.pair === undefined ? {} : { pair: toPair(file.pair) }),
    workers: file.workers,
    ...toGroups(file),
    listeners: file.listeners.map(toListener),
    pools: Object.entries(file.pools).map(([name, pool]) => toPool(name, pool)),
    logging: toLogging(file.logging),
    shutdownGraceMs: file.shutdownGrace,
  };
}

function toLogging({ level, access }: ConfigFile["logging"]): Config["logging"] {
  if (access === false) return { level, access: null };
  return { level, access: { file: access === true ? null : access.file } };
}
