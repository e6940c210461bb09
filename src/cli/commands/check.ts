// `vipair check`: everything that is wrong with a configuration, and with the files it names, before a
// node meets it.

import { X509Certificate } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Config, ConfigError, PairConfig, PoolConfig } from "../../config/config.ts";
import { SECRET_LENGTH_MIN } from "../../config/config.ts";
import type { Mistake, Path } from "../../config/mistake.ts";
import { describeNotConfigured, isNotConfigured } from "../../config/not-configured.ts";
import { formatConfigError, locateMistakes, parseConfig } from "../../config/parse.ts";
import { programProblem } from "../../system/exec.ts";
import { describeAccess } from "../../system/page-file.ts";
import { findProgram } from "../../system/program-path.ts";
import { untrustedReason } from "../../system/trusted-file.ts";
import { readErrorPages } from "../error-page-files.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";

const OTHERS_MAY_READ_OR_WRITE = 0o006;

export async function checkConfig(
  { config: file, node }: { readonly config: string; readonly node?: string },
  terminal: Terminal,
): Promise<number> {
  const errors = await findErrors(file, node);
  if (errors.length === 0) {
    terminal.print(`${file}: ok`);
    return EXIT.ok;
  }
  for (const error of errors) terminal.complain(formatConfigError(error));
  return EXIT.failed;
}

/** `node`: must stand in the file. */
async function findErrors(file: string, node: string | undefined): Promise<readonly ConfigError[]> {
  const ofFile = (message: string): ConfigError => ({ file, line: 1, column: 1, path: "", message });
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    return [ofFile(`The file ${describeAccess(error)}.`)];
  }
  if (isNotConfigured(text)) return [ofFile(`${describeNotConfigured(file)}.`)];
  const untrusted = findUntrusted(resolve(file));
  const errors = await findErrorsIn(text, { file, node });
  return untrusted === null ? errors : [ofFile(untrusted), ...errors];
}

async function findErrorsIn(
  text: string,
  { file, node }: { readonly file: string; readonly node: string | undefined },
): Promise<readonly ConfigError[]> {
  const parsed = parseConfig(text, file);
  if (parsed.kind === "invalid") return parsed.errors;
  const problems = await findFileProblems(parsed.config, dirname(file));
  const mistakes = [
    ...(node === undefined ? [] : findAbsence(parsed.config, node)),
    ...problems.map((problem): Mistake => ({ ...problem, at: "value" })),
    ...readErrorPages(parsed.config, dirname(file)).mistakes,
  ];
  return locateMistakes(text, { file, mistakes });
}

/** A node that its file does not name does not start. */
function findAbsence({ pair }: Config, node: string): readonly Mistake[] {
  if (pair === undefined) {
    return [{ path: [], at: "value", message: `There is no pair, so ${node} would balance alone.` }];
  }
  const names = pair.nodes.map(({ name }) => name);
  if (names.includes(node)) return [];
  return [
    { path: ["pair", "nodes"], at: "key", message: `There is no "${node}" here, only ${names.join(", ")}.` },
  ];
}

interface FileProblem {
  readonly path: Path;
  readonly message: string;
}

/** What is wrong with the files that the configuration names; relative ones stand beside it. */
async function findFileProblems({ pair, pools }: Config, directory: string): Promise<readonly FileProblem[]> {
  const problems: FileProblem[] = [];
  if (pair?.secretFile !== undefined) {
    const message = await findSecretProblem(resolve(directory, pair.secretFile));
    if (message !== null) problems.push({ path: ["pair", "secretFile"], message });
  }
  const programs = [
    ...(pair === undefined ? [] : programsOfPair(pair, directory)),
    ...programsOfPools(pools, directory),
  ];
  for (const { path, program } of programs) {
    const problem = programProblem(program);
    if (problem !== undefined) problems.push({ path, message: `${problem}.` });
  }
  for (const { name, health } of pools) {
    const file = health.kind === "https" ? health.tls?.caFile : undefined;
    const message = file === undefined ? null : await findAuthoritiesProblem(resolve(directory, file));
    if (message !== null) problems.push({ path: ["pools", name, "health", "ca"], message });
  }
  return problems;
}

/** Every program that the pools name (absolute), and where they name it. */
function programsOfPools(pools: readonly PoolConfig[], directory: string): readonly NamedProgram[] {
  const checks = pools.map(({ name, health }) => ({
    path: ["pools", name, "health", "command"],
    program: health.kind === "exec" ? health.command[0] : undefined,
  }));
  return locate(checks, (program) => findProgram(program, directory));
}

async function findAuthoritiesProblem(path: string): Promise<string | null> {
  try {
    // Throws on anything else than a certificate.
    void new X509Certificate(await readFile(path));
    return findUntrusted(path);
  } catch (error) {
    const isAccess = error instanceof Error && "syscall" in error;
    return isAccess ? `${path} ${describeAccess(error)}.` : `${path} has no certificates in PEM.`;
  }
}

interface NamedProgram {
  readonly path: Path;
  readonly program: string;
}

/** Every program that the pair names (absolute), and where it names it. */
function programsOfPair({ hook, notify, track }: PairConfig, directory: string): readonly NamedProgram[] {
  const hooks = [
    { path: ["pair", "hook"], program: hook },
    { path: ["pair", "notify", "on-active"], program: notify.onActive },
    { path: ["pair", "notify", "on-standby"], program: notify.onStandby },
    { path: ["pair", "notify", "on-fault"], program: notify.onFault },
  ];
  const checks = track.map(({ check }, index) => ({
    path: ["pair", "track", index, "exec"],
    program: check.kind === "exec" ? check.command[0] : undefined,
  }));
  return [
    ...locate(hooks, (name) => resolve(directory, name)),
    ...locate(checks, (program) => findProgram(program, directory)),
  ];
}

function locate(
  named: readonly { readonly path: Path; readonly program: string | undefined }[],
  find: (program: string) => string,
): readonly NamedProgram[] {
  return named.flatMap(({ path, program }) =>
    program === undefined ? [] : [{ path, program: find(program) }],
  );
}

async function findSecretProblem(path: string): Promise<string | null> {
  try {
    const secret = (await readFile(path, "utf8")).trim();
    if (secret.length < SECRET_LENGTH_MIN) {
      return `The secret in ${path} is shorter than ${String(SECRET_LENGTH_MIN)} characters. Write a long random one.`;
    }
    const { mode } = await stat(path);
    return (mode & OTHERS_MAY_READ_OR_WRITE) === 0
      ? findUntrusted(path)
      : `${path} can be read or written by every user. Run chmod 600 ${path}.`;
  } catch (error) {
    return `${path} ${describeAccess(error)}.`;
  }
}

/** What a node that runs as root would refuse; says nothing to other users. */
function findUntrusted(path: string): string | null {
  const reason = untrustedReason(path);
  return reason === undefined ? null : `${reason}.`;
}
