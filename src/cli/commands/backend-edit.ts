// `vipair backend add` and `remove`: change who is in a pool, in the file, without touching anything else in it, and
// tell the node that runs.

import { readBackendAddress } from "../../config/address.ts";
import type { BackendConfig, Config, PoolConfig } from "../../config/config.ts";
import { formatAddress } from "../../config/config.ts";
import { noSuch } from "../../config/nearest.ts";
import { describeNotConfigured } from "../../config/not-configured.ts";
import type { NewValue, YamlEdit } from "../../config/yaml-edit.ts";
import { editText, readConfig, writeConfigText } from "../config-file.ts";
import { reloadRunning, rootProblem } from "../service.ts";
import type { NodePaths } from "../service.ts";
import { pushConfig } from "./config-commands.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";

export interface BackendAddition {
  readonly pool: string;
  /** `192.168.1.21:8080` */
  readonly address: string;
  readonly name?: string | undefined;
  readonly weight?: number | undefined;
  readonly backup: boolean;
  /** To the other node, too. */
  readonly push: boolean;
  readonly paths: NodePaths;
}

export interface BackendRemoval {
  readonly pool: string;
  /** Its name, or its address. */
  readonly backend: string;
  /** Even if it is the last one. */
  readonly force: boolean;
  /** To the other node, too. */
  readonly push: boolean;
  readonly paths: NodePaths;
}

/** Ends in the exit code. */
export async function addBackend(order: BackendAddition, terminal: Terminal): Promise<number> {
  const { name, weight, backup } = order;
  return changePool("backend add", order, terminal, (pool) => {
    const address = readBackendAddress(order.address);
    if (address.kind === "invalid") return { problem: address.problem.replace(/\.$/, "") };
    const { host, port } = address.value;
    const written = formatAddress(host, port);
    const twin = pool.backends.find((one) => one.host === host && one.port === port);
    if (twin !== undefined) return { problem: `${describe(twin)} is in pool ${pool.name} already` };
    const value: NewValue =
      name === undefined && weight === undefined && !backup
        ? written
        : {
            ...(name === undefined ? {} : { name }),
            address: written,
            ...(weight === undefined ? {} : { weight }),
            ...(backup ? { backup } : {}),
          };
    return {
      edit: { kind: "append", to: ["pools", pool.name, "backends"], value },
      done: `${name ?? written} is in pool ${pool.name}`,
    };
  });
}

/** Ends in the exit code. */
export async function removeBackend(order: BackendRemoval, terminal: Terminal): Promise<number> {
  return changePool("backend remove", order, terminal, (pool) => {
    const index = findBackend(pool.backends, order.backend);
    const backend = pool.backends[index];
    if (backend === undefined) {
      if (pool.backends.length === 0) return { problem: `pool ${pool.name} has no backends` };
      return {
        problem: noSuch(
          `backend in pool ${pool.name} called`,
          order.backend,
          pool.backends.map((one) => one.name),
        ),
      };
    }
    if (pool.backends.length === 1 && !order.force) {
      return {
        problem: `${describe(backend)} is the last backend of pool ${pool.name}: without it requests get 503. Add another one first, or say --force`,
      };
    }
    return {
      edit: { kind: "remove", at: ["pools", pool.name, "backends", index] },
      done: `${describe(backend)} is no longer in pool ${pool.name}`,
    };
  });
}

type Decided = { readonly problem: string } | { readonly edit: YamlEdit; readonly done: string };

async function changePool(
  command: string,
  { pool: wanted, paths, push }: { readonly pool: string; readonly paths: NodePaths; readonly push: boolean },
  terminal: Terminal,
  decide: (pool: PoolConfig) => Decided,
): Promise<number> {
  const fail = (...problems: readonly string[]): number => {
    for (const problem of problems) terminal.complain(`vipair: ${problem}`);
    return EXIT.failed;
  };
  const mayNot = rootProblem(paths, command);
  if (mayNot !== undefined) return fail(mayNot);
  const read = await readConfig(paths.config);
  if (read.kind === "invalid") return fail(...read.problems, "nothing was changed");
  if (read.kind === "empty") return fail(describeNotConfigured(paths.config));
  const { pools } = read.config;
  const pool = pools.find(({ name }) => name === wanted);
  if (pool === undefined)
    return fail(
      noSuch(
        "pool",
        wanted,
        pools.map(({ name }) => name),
      ),
    );
  const decided = decide(pool);
  if ("problem" in decided) return fail(decided.problem);
  const edited = editText(read.text, [decided.edit], paths.config);
  if (edited.kind === "problems") return fail(...edited.problems, "nothing was changed");
  const problem = await writeConfigText(paths.config, { before: read.text, text: edited.text });
  if (problem !== undefined) return fail(problem);
  terminal.print(decided.done);
  return tellNode(paths, { config: read.config, push }, terminal);
}

/** Whether the node took it, and what is left to do. */
async function tellNode(
  paths: NodePaths,
  { config: { pair }, push }: { readonly config: Config; readonly push: boolean },
  terminal: Terminal,
): Promise<number> {
  const applied = await reloadRunning(paths);
  if (applied.kind === "failed") {
    terminal.complain(`vipair: ${paths.config} is written, but ${applied.problem}`);
    return EXIT.failed;
  }
  terminal.complain(applied.words);
  if (push) return pushConfig(paths.runtimeDir, { force: false, dryRun: false }, terminal);
  if (pair !== undefined && pair.nodes.length > 1) {
    terminal.complain("the other node gets the file with: sudo vipair config push");
  }
  return EXIT.ok;
}

/** -1: there is none. A name comes before an address. */
function findBackend(backends: readonly BackendConfig[], wanted: string): number {
  const byName = backends.findIndex(({ name }) => name === wanted);
  if (byName !== -1) return byName;
  const address = readBackendAddress(wanted);
  if (address.kind === "invalid") return -1;
  const { host, port } = address.value;
  return backends.findIndex((one) => one.host === host && one.port === port);
}

function describe({ name, host, port }: BackendConfig): string {
  const address = formatAddress(host, port);
  return name === address ? address : `${name} (${address})`;
}
