// The pair's shared secret, from the configuration or from its own file.

import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { type PairConfig, SECRET_LENGTH_MIN } from "../config/config.ts";
import { errorCode } from "../system/errno.ts";
import { untrustedReason } from "../system/trusted-file.ts";

const OTHERS_MAY_READ = 0o004;

export type SecretResult =
  /** `warning`: what is wrong with it though it can be used. */
  | { readonly kind: "secret"; readonly secret: string; readonly warning?: string }
  | { readonly kind: "unreadable"; readonly problem: string };

/** Reads the secret; white space around it does not count. A relative path starts at `configDir`. */
export function readSecret(pair: PairConfig, configDir: string): SecretResult {
  if (pair.secret !== undefined) return { kind: "secret", secret: pair.secret };
  if (pair.secretFile === undefined) return { kind: "unreadable", problem: "no secret is configured" };
  const path = resolve(configDir, pair.secretFile);
  const untrusted = untrustedReason(path);
  if (untrusted !== undefined) return { kind: "unreadable", problem: `the secret file ${untrusted}` };
  try {
    const secret = readFileSync(path, "utf8").trim();
    if (secret.length < SECRET_LENGTH_MIN) {
      const problem = `the secret in ${path} is shorter than ${String(SECRET_LENGTH_MIN)} characters`;
      return { kind: "unreadable", problem };
    }
    const canOthersRead = (statSync(path).mode & OTHERS_MAY_READ) !== 0;
    const warning = `every user of this machine can read the secret in ${path}: chmod 600 ${path}`;
    return { kind: "secret", secret, ...(canOthersRead ? { warning } : {}) };
  } catch (error) {
    const code = errorCode(error) ?? String(error);
    return { kind: "unreadable", problem: `the secret file ${path} cannot be read (${code})` };
  }
}
