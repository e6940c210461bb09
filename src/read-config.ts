// The configuration of a node, read by a process of its own (config-reader.ts): to check a large file takes seconds on a small
// machine, and heartbeats cannot wait for that. What it takes, the schema and its library, is gone from memory afterwards.

import { fork } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Config } from "./config/config.ts";
import type { ErrorPages } from "./protocol/worker.ts";
import { compileCacheEnvironment } from "./system/compile-cache.ts";

/** A file of 1 MiB, which is the most that is pushed, takes a quarter of that on a busy machine. */
const TIMEOUT_MS = 60_000;

export interface ConfigQuestion {
  /** Absolute. */
  readonly path: string;
  /** This node's name, where somebody has said it. */
  readonly node: string | undefined;
}

export type ReadConfig =
  | {
      readonly kind: "config";
      readonly config: Config;
      readonly errorPages: ErrorPages;
      /** This node's name. */
      readonly node: string;
    }
  /** Nobody has written anything yet. */
  | { readonly kind: "empty"; readonly node: string }
  | { readonly kind: "invalid"; readonly problems: readonly string[] };

/** Never rejects: a reader that fails is a file that could not be read. */
export async function readConfig(question: ConfigQuestion): Promise<ReadConfig> {
  // The built program is .js, a checkout runs .ts as it is: the reader's file ends like this one.
  const entry = fileURLToPath(new URL(`./config-reader${extname(import.meta.url)}`, import.meta.url));
  return new Promise((resolve) => {
    const fail = (reason: string) => {
      resolve({ kind: "invalid", problems: [`${question.path}: cannot be read: ${reason}`] });
    };
    const reader = fork(entry, [], {
      execPath: process.execPath,
      execArgv: [],
      // As it is for a message: Maps arrive as Maps.
      serialization: "advanced",
      env: compileCacheEnvironment(),
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
    reader.once("message", (found) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own process says it
      resolve(found as unknown as ReadConfig);
    });
    // After a message these change nothing any more.
    reader.once("error", (error) => {
      fail(error.message);
    });
    reader.once("close", (code, signal) => {
      fail(signal === null ? `its reader ended with ${String(code)}` : `its reader was ended by ${signal}`);
    });
    reader.send(question, (error) => {
      if (error !== null) fail(error.message);
    });
  });
}
